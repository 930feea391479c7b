"""Attacks on segmentation: the judge counts Dice, attacks climb what is smooth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.losses import advantage, loss
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.square import Square
from titer.errors import AttackError, ModelError, PlanError, ThreatError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.testing.checks import LAWS, Situation
from titer.threats.changes.additive import Additive
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

NAMES = ("ce", "margin", "dlr", "target", "target2", "dice")


def drawn(seed: int, width: int, measure: str, tolerance: float) -> tuple[Task, torch.Tensor, np.ndarray]:  # type: ignore[type-arg]
    """Maps of 3 x 4 pixels with coarse scores, so that ties happen, and truths that are empty now and then."""
    rng = np.random.default_rng(seed)
    task = Task(
        "segmentation",
        ("background", "lesion") if width < 3 else ("background", "lesion", "edema"),
        tolerance=tolerance,
        measure=measure,  # type: ignore[arg-type]
    )
    scores = torch.from_numpy(rng.integers(-3, 4, size=(12, width, 3, 4)) / 2.0)
    truth = rng.integers(0, len(task.classes), size=(12, 3, 4)) * (rng.random(size=(12, 1, 1)) < 0.8)
    easy = rng.random(size=12) < 0.5
    truth[easy] = task.decide(scores.numpy())[easy]
    return task, scores, truth


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 9999),
    width=st.sampled_from((1, 2, 3)),
    measure=st.sampled_from(("dice", "pixels")),
    tolerance=st.sampled_from((0.25, 0.5, 0.8, 1.0)),
)
def test_the_margin_of_a_map_is_positive_exactly_when_its_agreement_is_too_low(
    seed: int, width: int, measure: str, tolerance: float
) -> None:
    task, scores, truth = drawn(seed, width, measure, tolerance)
    margin = advantage(task, Goal(), scores, torch.from_numpy(truth), scores)
    assert (margin > 0).tolist() == (~task.correct(scores.numpy(), truth)).tolist()


def test_dice_by_hand() -> None:
    task = Task("segmentation", ("background", "lesion"), tolerance=0.7)
    scores = np.array([[[2.0, 2.0, -1.0, -1.0]], [[-1.0, -1.0, -1.0, -1.0]], [[1.0, -1.0, -1.0, -1.0]]])
    truth = np.array([[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    # One of two found and one too many; nothing to find and nothing found; nothing to find, yet found.
    assert task.agreement(scores, truth).tolist() == [0.5, 1.0, 0.0]
    assert task.correct(scores, truth).tolist() == [False, True, False]
    pixels = Task("segmentation", ("background", "lesion"), tolerance=0.7, measure="pixels")
    assert pixels.agreement(scores, truth).tolist() == [0.5, 1.0, 0.75]


def test_the_margin_of_two_class_dice_is_a_weighted_rank() -> None:
    """Dice < t means t FP + (2 - t) FN > 2 (1 - t) F, so pixels fall with these weights."""
    task = Task("segmentation", ("background", "lesion"), tolerance=0.8)
    rng = np.random.default_rng(0)
    truth = torch.from_numpy((rng.random((1, 40)) < 0.4).astype(np.int64))
    gaps = torch.from_numpy(rng.normal(size=(1, 40)))
    scores = (-(2 * truth - 1) * gaps)[:, None]
    order = gaps[0].argsort(descending=True)
    weight = torch.where(truth[0] == 1, 2 - 0.8, 0.8)[order].cumsum(0)
    first = int((weight > 2 * (1 - 0.8) * truth.sum()).int().argmax())
    assert float(advantage(task, Goal(), scores, truth, scores)) == float(gaps[0][order[first]])


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_loss_of_maps_has_a_finite_gradient_that_is_not_zero(name: str, width: int) -> None:
    task, scores, truth = drawn(1, width, "dice", 0.8)
    point = (scores + 0.01 * torch.randn(scores.shape, generator=torch.Generator().manual_seed(0))).requires_grad_(True)
    value = loss(name)(task, Goal(), point, torch.from_numpy(truth), scores)
    assert value.shape == (12,)
    (gradient,) = torch.autograd.grad(value.sum(), point)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient.flatten(1) != 0).any(dim=1).all())


def test_losses_of_maps_against_torch_and_by_hand() -> None:
    task, scores, truth = drawn(2, 3, "dice", 0.8)
    true = torch.from_numpy(truth)
    expected = torch.nn.functional.cross_entropy(scores, true, reduction="none").mean(dim=(1, 2))
    torch.testing.assert_close(loss("ce")(task, Goal(), scores, true, scores), expected)
    sure = torch.nn.functional.one_hot(true, 3).movedim(-1, 1).double() * 1e3
    torch.testing.assert_close(loss("dice")(task, Goal(), sure, true, sure), torch.zeros(12, dtype=torch.float64))
    with pytest.raises(AttackError, match="a segmentation for the loss 'dice'"):
        loss("dice")(Task("classes", ("a", "b")), Goal(), torch.zeros(1, 2), torch.tensor([0]), torch.zeros(1, 2))


@pytest.mark.parametrize("kind", ["image", "volume", "signal"])
@pytest.mark.parametrize("answer", ["segmentation", "mask"])
def test_attacks_on_maps_keep_the_laws(kind: str, answer: str) -> None:
    model, batch = models.network(kind, 9, answer=answer, seed=1)  # type: ignore[arg-type]
    limit = 0.05 * float(np.max(model.space.bounds()[1] - model.space.bounds()[0]))
    attacks = [PGD(steps=3, losses=("margin", "target"))] if kind != "image" else [FGSM(), PGD(steps=3), Square(30)]
    for attack in attacks:
        threat = ThreatModel(Additive("linf"), limit, knowledge=attack.needs)
        situation = Situation(attack, model, batch, threat, None)
        for law in LAWS.values():
            law(situation)


@pytest.mark.parametrize("name", NAMES)
def test_each_loss_brings_maps_below_the_tolerance_where_noise_does_not(name: str) -> None:
    model, batch = models.network("image", 20, answer="segmentation", seed=3)
    threat = ThreatModel(Additive("linf"), 0.1)
    found = run(PGD(steps=10, restarts=2, losses=(name,)), model, batch, threat, seed="s")
    chance = run(Noise(), model, batch, threat, seed="s")
    assert found.fooled.sum() > chance.fooled.sum()
    dice = model.task.agreement(found.scores, batch.targets)
    assert (found.fooled == (dice < 0.8)).all()
    assert found.scores.shape == (20, 3, 8, 8)


def test_one_logit_maps_and_two_channel_maps_are_attacked_alike() -> None:
    model, batch = models.network("image", 12, answer="mask", seed=2)

    class Two(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one = self.inner(x)
            return torch.cat((-one / 2, one / 2), dim=1)

    twin = TorchModel(Two(model.module), model.space, model.task)
    threat = ThreatModel(Additive("linf"), 0.05)
    outcomes = [run(PGD(steps=5, losses=("margin",)), each, batch, threat, seed="s") for each in (model, twin)]
    assert outcomes[0].fooled.tolist() == outcomes[1].fooled.tolist()
    assert outcomes[0].fooled.any()


def test_labels_of_maps_are_all_that_an_attacker_with_labels_sees() -> None:
    model, batch = models.network("image", 6, answer="segmentation")
    hidden = TorchModel(model.module, model.space, model.task, access="labels")
    seen = hidden.predict(batch.inputs)
    assert set(np.unique(seen)) == {0.0, 1.0}
    np.testing.assert_array_equal(model.task.decide(seen), batch.targets)


def test_probabilities_of_maps_are_found_and_undone() -> None:
    model, batch = models.network("image", 6, answer="segmentation")
    soft = TorchModel(
        torch.nn.Sequential(model.module, torch.nn.Softmax(dim=1)), model.space, model.task, probabilities=None
    )
    assert soft.probabilities
    np.testing.assert_array_equal(model.task.decide(soft.predict(batch.inputs)), batch.targets)


def test_no_cases_give_no_maps() -> None:
    model, batch = models.network("image", 3, answer="segmentation")
    assert model.predict(batch.inputs[:0]).shape == (0, 3, 8, 8)
    none = run(FGSM(), model, batch.take([]), ThreatModel(Additive("linf"), 0.1), seed="s")
    assert none.scores.shape == (0, 3, 8, 8)


def test_what_does_not_fit_a_segmentation_is_refused() -> None:
    names = ("background", "lesion")
    with pytest.raises(PlanError, match="a tolerance above 0, up to 1"):
        Task("segmentation", names)
    with pytest.raises(ModelError, match="the background and at least one class"):
        Task("segmentation", ("lesion",), tolerance=0.5)
    with pytest.raises(PlanError, match="no threshold for maps of several classes"):
        Task("segmentation", ("a", "b", "c"), tolerance=0.5, threshold=0.5)
    with pytest.raises(PlanError, match="'measure' for a segmentation only"):
        Task("binary", names, measure="pixels")
    task = Task("segmentation", names, tolerance=0.5)
    with pytest.raises(ModelError, match=r"2 or 1 number\(s\) per pixel"):
        task.check(np.zeros((4, 3, 5, 5)))
    with pytest.raises(ModelError, match="a map of shape"):
        task.check(np.zeros((4, 1, 5, 5)), np.zeros((4, 10, 10)))
    with pytest.raises(PlanError, match="one decision per case"):
        task.positive_score(np.zeros((4, 1, 5, 5)))
    for goal in (Goal("targeted"), Goal("raise")):
        with pytest.raises(ThreatError, match="use untargeted"):
            goal.check(task)
    assert Goal().sentence(task) == "a Dice below 0.5"


def test_an_audit_of_maps_asks_for_the_least_agreement() -> None:
    from titer.audit.jobs import prepare
    from titer.audit.plan_file import check_plan
    from titer.audit.subject import OBJECTS
    from titer.cases.dataset import DataCard, Dataset

    model, batch = models.network("image", 4, answer="segmentation")
    card = DataCard("maps", "four maps", "CC0-1.0", "", "", "none", synthetic=True)
    OBJECTS["memory:maps"] = Dataset(card, model.space, "segmentation", model.task.classes, (), batch)
    raw = {"titer": 1, "data": {"path": "memory:maps"}, "model": {"path": "unet.onnx"}, "attacks": ["pgd"]}
    plan = check_plan(raw | {"threats": [{"change": "additive", "norm": "linf", "limits": ["1/255"]}]})
    with pytest.raises(PlanError, match="expected a tolerance above 0, up to 1, for a segmentation, got None"):
        prepare(plan, None)


def test_maps_are_attacked_as_the_docs_say() -> None:
    model, batch = models.network("image", 8, answer="mask", seed=1)
    task = Task("segmentation", ("background", "lesion"), tolerance=0.8)
    module = TorchModel(model.module, model.space, task)
    threat = ThreatModel(Additive("linf"), 0.05)
    outcome = run(PGD(steps=5, losses=("dice", "margin")), module, batch, threat, seed="docs")
    agreement = task.agreement(outcome.scores, batch.targets)
    assert (outcome.fooled == (agreement < 0.8)).all()
    assert threat.sentence(model.space, task).endswith("and wants a Dice below 0.8.")
