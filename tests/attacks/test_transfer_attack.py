"""Transfer: exact on linear models, as good as white box on a twin, without questions to the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.hopskipjump import HopSkipJump
from titer.attacks.jsma import JSMA
from titer.attacks.pgd import PGD
from titer.attacks.transfer import Transfer
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.substitution import Substitution
from titer.threats.threat import ThreatModel


def blind(limit: float, **more: Any) -> ThreatModel:
    return ThreatModel(Additive(), limit, knowledge="labels", **more)


def plane(weight: Any, threshold: float = 0.0) -> TorchModel:
    module = models.Affine(torch.tensor([weight], dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    space = Space("table", (len(weight),), "unit", -100.0, 100.0)
    return TorchModel(module, space, Task("binary", ("a", "b")).at(threshold), name="plane")


def test_fgsm_moves_the_margin_of_another_linear_model_by_exactly_what_theory_says() -> None:
    rng = np.random.default_rng(0)
    source, target = plane(rng.normal(size=9).tolist()), plane(rng.normal(size=9).tolist())
    inputs = rng.normal(size=(20, 9))
    w1, w2 = (model.module.weight.detach().numpy()[0] for model in (source, target))
    truth = target.task.decide(target.predict(inputs))
    batch = models.Batch.of(inputs, truth)
    outcome = run(Transfer((source,), FGSM()), target, batch, blind(0.3), seed="s")
    moved = (outcome.scores - outcome.clean_scores)[:, 0]
    np.testing.assert_allclose(moved, -(2 * truth - 1) * 0.3 * (w2 @ np.sign(w1)), rtol=1e-9)


def test_a_twin_is_as_good_as_the_target_itself() -> None:
    model, batch = models.network("image", 40)
    threat = ThreatModel(Additive(), 0.05)
    white = run(PGD(steps=5), model, batch, threat, seed="s")
    twin = run(Transfer((model,), PGD(steps=5)), model, batch, blind(0.05), seed="s")
    np.testing.assert_array_equal(white.fooled, twin.fooled)
    np.testing.assert_array_equal(white.perturbed[white.fooled], twin.perturbed[twin.fooled])
    assert (twin.queries == 0).all()
    assert (twin.passes == 0).all()


def test_orthogonal_models_share_nothing() -> None:
    source, target = plane([1.0, 1.0, 0.0, 0.0]), plane([0.0, 0.0, 1.0, -1.0])
    batch = models.Batch.of(np.random.default_rng(0).normal(size=(30, 4)), np.zeros(30, dtype=np.int64))
    truth = target.task.decide(target.predict(batch.inputs))
    outcome = run(Transfer((source,)), target, models.Batch.of(batch.inputs, truth), blind(2.0), seed="s")
    assert not outcome.fooled.any()


def test_the_mean_of_surrogates_follows_all_of_them_and_their_thresholds() -> None:
    # Each alone points along one axis; together they point along both, as the target does.
    one, other, target = plane([1.0, 0.0], 5.0), plane([0.0, 1.0], -3.0), plane([1.0, 1.0])
    batch = models.Batch.of(np.array([[-0.5, -0.5], [0.4, 0.4]]), np.array([0, 1]))
    mean = run(Transfer((one, other)), target, batch, blind(0.6), seed="s")
    each = run(Transfer((one, other), combine="each"), target, batch, blind(0.6), seed="s")
    assert mean.fooled.all()
    assert not each.fooled.any()


@pytest.mark.parametrize(("budget", "asked"), [(None, 2), (1, 1), (2, 2)])
def test_one_after_the_other_costs_a_question_for_all_but_the_last(budget: int | None, asked: int) -> None:
    lame, good = plane([1.0, 0.0]), plane([0.0, 1.0])
    batch = models.Batch.of(np.array([[0.0, -0.5], [0.0, 0.5]]), np.array([0, 1]))
    attack = Transfer((lame, lame, good), combine="each")
    outcome = run(attack, good, batch, blind(1.0, queries=budget), seed="s")
    assert (outcome.queries == asked).all()
    assert outcome.fooled.all() == (budget != 1)
    first = run(Transfer((good, lame), combine="each"), good, batch, blind(1.0), seed="s")
    assert first.fooled.all()
    assert (first.queries == 1).all()


def test_surrogates_keep_their_mode_and_get_no_gradients() -> None:
    model, batch = models.network("image", 9)
    surrogate = models.network("image", 9, seed=5)[0]
    surrogate.module.train()
    run(Transfer((surrogate,), PGD(steps=2)), model, batch, blind(0.05), seed="s")
    assert all(part.training for part in surrogate.module.modules())
    assert all(weight.grad is None for weight in surrogate.module.parameters())


def test_words_transfer_too_but_embeddings_do_not() -> None:
    model, batch = models.network("tokens", 20)
    surrogate = models.network("tokens", 9, seed=1)[0]
    attack = Transfer((surrogate,), JSMA())
    threat = ThreatModel(Substitution(), 3.0, knowledge="labels")
    outcome = run(attack, model, batch, threat, seed="s", choices=models.choices(model.space))
    assert not outcome.violated.any()
    assert outcome.fooled.any()
    assert not Transfer((surrogate,)).fits(Embedding())


def test_attacks_without_gradients_ask_the_surrogate_for_nothing_that_counts() -> None:
    model, batch = models.network("table", 20)
    outcome = run(Transfer((model,), HopSkipJump(queries=300)), model, batch, blind(0.4, queries=1), seed="s")
    assert outcome.fooled.any()
    assert (outcome.queries == 0).all()


def test_what_does_not_fit_is_refused() -> None:
    model, batch = models.network("table", 3)
    labels = models.network("table", 3)[0]
    labels.access = "labels"
    for settings in ({}, {"surrogates": ("t_cnn",)}, {"surrogates": (model,), "combine": "best"},
                     {"surrogates": (model,), "attack": "pgd"}, {"surrogates": (labels,)},
                     {"surrogates": (model,), "attack": Transfer((model,))}):  # fmt: skip
        with pytest.raises(AttackError, match="expected"):
            Transfer(**settings)  # type: ignore[arg-type]
    for other in (models.network("image", 3)[0], models.network("table", 3, answer="binary")[0]):
        with pytest.raises(AttackError, match="expected a surrogate for"):
            run(Transfer((other,)), model, batch, blind(0.1), seed="s")
