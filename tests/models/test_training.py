"""Training: same bits for the same seed, nothing global touched, early stop, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trained_examples import EXAMPLES, Parts, halves, patches, spots, waves

from titer.cases.case import Batch
from titer.cases.dataset import Dataset
from titer.errors import DataError, ModelError, PlanError
from titer.models.recipe import Recipe, task_of
from titer.models.task import Task
from titer.models.training import Epoch, normalization, train, training_key
from titer.models.zoo.t_ae import TAE
from titer.models.zoo.t_cnn import TCNN
from titer.models.zoo.t_cnn1d import TCNN1d
from titer.registry import MODELS


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", EXAMPLES)
def test_same_seed_gives_the_same_bits_and_another_does_not(name: str) -> None:
    data = EXAMPLES[name]()
    parts, recipe = halves(len(data.cases)), MODELS.find(name)()
    first = train(recipe, data, parts, seed=4, epochs=2)
    torch.rand(7)
    again = train(recipe, data, parts, seed=4, epochs=2)
    assert first.digest == again.digest
    assert first.record == again.record
    # One starts at zero, so that only its order of cases differs; the other is fitted in closed form.
    if name not in ("t_bow", "t_pca"):
        assert first.digest != train(recipe, data, parts, seed=5, epochs=2).digest


@pytest.mark.parametrize("name", EXAMPLES)
def test_random_state_and_modes_are_as_before(name: str) -> None:
    data = EXAMPLES[name]()
    torch.manual_seed(11)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    train(MODELS.find(name)(), data, halves(len(data.cases)), seed=0, epochs=1)
    assert torch.equal(before, torch.get_rng_state())
    assert (np.random.get_state()[1] == numpys).all()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.is_grad_enabled()


def test_inputs_are_not_modified() -> None:
    data = patches()
    before = data.cases.inputs.copy()
    train(TCNN(flip=True, shift=0.2, contrast=0.3, noise=0.1), data, halves(240), seed=0, epochs=1)
    np.testing.assert_array_equal(before, data.cases.inputs)


def test_progress_is_called_after_each_epoch() -> None:
    seen: list[Epoch] = []
    data = patches()
    model = train(TCNN(), data, halves(240), seed=0, epochs=3, progress=seen.append)
    assert [epoch.number for epoch in seen] == [1, 2, 3]
    assert all(epoch.most == 3 for epoch in seen)
    best = min(seen, key=lambda epoch: epoch.validation_loss)
    assert (model.record.best_epoch, model.record.validation_loss) == (best.number, best.validation_loss)


def test_the_best_weights_are_kept_and_training_stops_early() -> None:
    """Labels of the validation part are inverted, so that learning only raises its loss."""
    data = patches()
    parts = halves(240)
    targets = data.cases.targets.copy()
    targets[parts.validation] = 1 - targets[parts.validation]
    worse = replace(data, cases=replace(data.cases, targets=targets))
    seen: list[Epoch] = []
    model = train(TCNN(rate=1e-2, patience=2), worse, parts, seed=0, epochs=12, progress=seen.append)
    assert len(seen) < 12
    assert seen[-1].number - model.record.best_epoch == 2
    cut = train(TCNN(rate=1e-2, patience=2), worse, parts, seed=0, epochs=12, progress=None)
    assert model.digest == cut.digest
    kept = torch.nn.functional.cross_entropy(
        torch.from_numpy(model.predict(worse.cases.inputs[parts.validation])),
        torch.from_numpy(targets[parts.validation]),
    )
    assert float(kept) == pytest.approx(model.record.validation_loss, rel=1e-4)


def test_the_model_answers_in_clinical_units() -> None:
    data = patches(channels=2)
    model = train(TCNN(), data, halves(240), seed=0, epochs=1)
    inputs = data.cases.inputs[:120].astype(np.float64)
    np.testing.assert_allclose(model.mean, inputs.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(model.std, inputs.std(axis=(0, 2, 3)))
    raw = torch.from_numpy(data.cases.inputs[:5])
    normal = (raw - torch.tensor(model.mean)[:, None, None]) / torch.tensor(model.std)[:, None, None]
    with torch.no_grad(), model.ready():
        torch.testing.assert_close(model.scores(raw), model.module(normal.float()), rtol=1e-4, atol=1e-5)


def test_normalization_reads_training_cases_only() -> None:
    data = patches()
    parts = halves(240)
    louder = data.cases.inputs.copy()
    louder[parts.test] = 1.0
    other = replace(data, cases=replace(data.cases, inputs=louder))
    assert train(TCNN(), data, parts, seed=0, epochs=1).mean == train(TCNN(), other, parts, seed=0, epochs=1).mean


def test_a_constant_channel_is_left_as_it_is() -> None:
    inputs = np.ones((4, 2, 3), dtype=np.float32)
    mean, std = normalization(inputs, waves().space)
    assert std == (1.0, 1.0)
    assert mean == (1.0, 1.0)


def test_permuted_labels_give_chance() -> None:
    data = patches(480)
    parts = halves(480)
    rng = np.random.default_rng(0)
    mixed = replace(data, cases=replace(data.cases, targets=rng.permutation(data.cases.targets)))
    recipe = TCNN(size="mini")
    told = train(recipe, data, parts, seed=0, epochs=6)
    chance = train(recipe, mixed, parts, seed=0, epochs=6)
    inputs, targets = data.cases.inputs[parts.test], data.cases.targets[parts.test]
    assert told.task.correct(told.predict(inputs), targets).mean() > 0.9
    share = chance.task.correct(chance.predict(inputs), mixed.cases.targets[parts.test]).mean()
    assert abs(share - 0.5) < 2 * np.sqrt(0.25 / 120)


def test_a_regression_answers_in_its_own_unit() -> None:
    data = waves(600, task="regression")
    parts = halves(600)
    model = train(TCNN1d(rate=1e-2, dropout=0.0, batch=32, patience=20), data, parts, seed=0, epochs=20)
    assert model.task.tolerance == pytest.approx(float(np.std(data.cases.targets[parts.train])))
    off = model.predict(data.cases.inputs[parts.test])[:, 0] - data.cases.targets[parts.test]
    assert np.sqrt((off**2).mean()) < 0.5 * data.cases.targets.std()
    named = train(TCNN1d(), data, parts, seed=0, epochs=1, task=Task("regression", ("height",), tolerance=2.0))
    assert named.task.tolerance == 2.0


def test_several_findings_have_one_logit_each() -> None:
    data = waves(task="multilabel")
    model = train(TCNN1d(rate=5e-3), data, halves(160), seed=0, epochs=6)
    assert model.predict(data.cases.inputs[:3]).shape == (3, 2)
    assert model.task.correct(model.predict(data.cases.inputs[120:]), data.cases.targets[120:]).mean() > 0.8


def test_detectors_of_anomalies_learn_from_normal_cases_alone() -> None:
    data = spots()
    parts = halves(160)
    normal = parts.train[data.cases.targets[parts.train] == 0]
    alone = Parts(normal, parts.validation, parts.test)
    first, second = (train(TAE(), data, rows, seed=0, epochs=2) for rows in (parts, alone))
    assert first.mean == second.mean
    assert first.digest == second.digest


def test_a_stop_leaves_everything_as_before() -> None:
    def stop(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train(TCNN(), patches(), halves(240), seed=0, epochs=3, progress=stop)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


class TestRefused:
    def test_a_recipe_for_other_cases(self) -> None:
        with pytest.raises(PlanError, match="t_cnn can learn"):
            train(TCNN(), waves(), halves(160), seed=0)
        with pytest.raises(PlanError, match="t_ae can learn"):
            train(TAE(), patches(), halves(240), seed=0)

    def test_no_epoch(self) -> None:
        with pytest.raises(PlanError, match="one epoch"):
            train(TCNN(), patches(), halves(240), seed=0, epochs=0)

    def test_parts_without_cases_or_classes(self) -> None:
        data, empty = patches(), np.arange(0)
        with pytest.raises(DataError, match="training cases"):
            train(TCNN(), data, Parts(empty, np.arange(9), empty), seed=0)
        with pytest.raises(DataError, match="validation cases"):
            train(TCNN(), data, Parts(np.arange(9), empty, empty), seed=0)
        with pytest.raises(DataError, match="none of right"):
            train(TCNN(), data, Parts(np.arange(0, 40, 2), np.arange(41, 60), empty), seed=0)

    def test_a_loss_that_is_no_number(self) -> None:
        @dataclass(frozen=True, kw_only=True)
        class Broken(TCNN):
            def loss(self, module: nn.Module, inputs: Tensor, targets: Tensor, task: Task) -> Tensor:
                return super().loss(module, inputs, targets, task) * float("nan")

        with pytest.raises(ModelError, match="lower 'rate'"):
            train(Broken(), patches(), halves(240), seed=0, epochs=1)


def test_the_key_of_a_training_names_all_that_decides_it() -> None:
    data, parts = patches(), halves(240)
    base = {"seed": 0, "epochs": 2}
    key = training_key(TCNN(), data, parts, **base)
    assert train(TCNN(), data, parts, **base).record.key == key
    assert training_key(TCNN(), data, parts, seed=0) == training_key(TCNN(), data, parts, seed=0, epochs=TCNN().epochs)
    others = [
        training_key(TCNN(rate=1e-4), data, parts, **base),
        training_key(TCNN(), patches(seed=1), parts, **base),
        training_key(TCNN(), data, Parts(parts.train[1:], parts.validation, parts.test), **base),
        training_key(TCNN(), data, parts, seed=1, epochs=2),
        training_key(TCNN(), data, parts, seed=0, epochs=3),
    ]
    assert len({key, *others}) == 6
    same = Parts(parts.train, parts.validation, parts.test[:5])
    assert training_key(TCNN(), data, same, **base) == key


def test_task_of_a_data_set() -> None:
    data = patches()
    assert task_of(data) == Task("classes", data.classes, (1,))
    assert task_of(waves(task="regression"), tolerance=3.0).tolerance == 3.0
    with pytest.raises(PlanError, match="tolerance"):
        task_of(waves(task="regression"))


def test_own_recipes_need_a_module_only() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Plain(Recipe):
        name = "plain"
        family = "linear"
        kinds = ("image",)

        def module(self, space: Any, task: Task) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(space.size, task.outputs))

    data: Dataset = patches()
    model = train(Plain(rate=1e-2), data, halves(240), seed=0, epochs=10)
    assert model.task.correct(model.predict(data.cases.inputs[180:]), data.cases.targets[180:]).mean() > 0.9


def test_batches_of_one_left_over_do_not_break_batch_norm() -> None:
    data = patches(132)
    assert len(halves(132).train) == 66
    rows = Parts(np.arange(65), np.arange(65, 100), np.arange(100, 132))
    assert train(TCNN(), data, rows, seed=0, epochs=1).record.epochs == 1
    assert isinstance(data.cases, Batch)
