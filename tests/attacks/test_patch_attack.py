"""Patches that work anywhere: exact on linear models, far above noise and real tissue on a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from chest_example import chest

from titer.attacks.engine import learn, run
from titer.attacks.natural_patch import NaturalPatch
from titer.attacks.noise import Noise
from titer.attacks.patch import AdversarialPatch
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.patch import Patch
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

SIDE = 8


def linear(task: Task) -> tuple[TorchModel, Batch, np.ndarray[Any, Any]]:
    """One number per picture, w . x, and the weights as a picture."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(1, SIDE * SIDE))
    module = models.Affine(torch.from_numpy(weight), torch.zeros(1, dtype=torch.float64))
    model = TorchModel(module, Space("image", (1, SIDE, SIDE), "grey level (0-1)"), task)
    inputs = rng.uniform(size=(60, 1, SIDE, SIDE))
    scores = model.predict(inputs)
    targets = scores[:, 0] if task.kind == "regression" else task.decide(scores)
    return model, Batch.of(inputs, targets), weight.reshape(SIDE, SIDE)


@pytest.mark.parametrize("place", [(0.0, 0.0), (0.5, 0.25), (1.0, 0.75)])
def test_the_content_on_a_linear_model_is_the_end_of_the_range_that_the_weights_ask_for(
    place: tuple[float, float],
) -> None:
    task = Task("regression", ("age",), tolerance=0.01)
    model, batch, weight = linear(task)
    threat = ThreatModel(Patch("square"), 0.5, goal=Goal("raise"))
    learned = learn(AdversarialPatch(place=place, epochs=30), model, batch.take(range(30)), threat, seed="s")
    unseen = batch.take(range(30, 60))
    outcome = run(learned, model, unseen, threat, seed="s")
    down, across = (round(each * (SIDE - 4)) for each in place)
    best = unseen.inputs.copy()
    best[:, 0, down : down + 4, across : across + 4] = weight[down : down + 4, across : across + 4] > 0
    helped = outcome.cost > 0
    assert helped.all()
    np.testing.assert_array_equal(outcome.perturbed, best)


def test_the_best_place_is_what_exhaustive_search_finds() -> None:
    model, batch, weight = linear(Task("regression", ("age",), tolerance=0.01))
    threat = ThreatModel(Patch("square"), 0.5, goal=Goal("raise"))
    blank = replace(batch, inputs=np.full_like(batch.inputs, 0.5))
    blank = replace(blank, targets=model.predict(blank.inputs)[:, 0])
    gains, sums = {}, {}
    for down in range(5):
        for across in range(5):
            attack = AdversarialPatch(place=(down / 4, across / 4), epochs=15)
            learned = learn(attack, model, blank.take(range(30)), threat, seed="s")
            outcome = run(learned, model, blank.take([40]), threat, seed="s")
            gains[down, across] = float((outcome.scores - outcome.clean_scores)[0, 0])
            sums[down, across] = 0.5 * float(np.abs(weight[down : down + 4, across : across + 4]).sum())
    assert gains == pytest.approx(sums)
    assert max(gains, key=lambda at: gains[at]) == max(sums, key=lambda at: sums[at])


@pytest.mark.parametrize("attack", [AdversarialPatch(epochs=2), NaturalPatch()], ids=lambda attack: attack.name)
@pytest.mark.parametrize("answer", ["classes", "binary", "multilabel", "regression", "anomaly"])
def test_no_patch_of_size_zero_does_anything_whatever_the_task(attack: Any, answer: Any) -> None:
    model, batch = models.network("image", 30, answer=answer)
    threat = ThreatModel(Patch(), 0.0)
    learned = learn(attack, model, batch.take(range(15)), threat, seed="s")
    unseen = batch.take(range(15, 30))
    outcome = run(learned, model, unseen, threat, seed="s")
    np.testing.assert_array_equal(outcome.perturbed, unseen.inputs)
    assert not outcome.fooled.any()
    wide = run(learned, model, unseen, threat.at(0.6), seed="s")
    assert not wide.violated.any()
    assert not wide.queries.any()
    assert (wide.perturbed != unseen.inputs).any()


def test_each_case_gets_the_patch_of_what_it_is_not() -> None:
    model, batch, _ = linear(Task("binary", ("negative", "positive")))
    learned = learn(AdversarialPatch(epochs=10), model, batch.take(range(30)), ThreatModel(Patch(), 0.8), seed="s")
    unseen = batch.take(range(30, 60))
    outcome = run(learned, model, unseen, ThreatModel(Patch(), 0.8), seed="s")
    moved = (outcome.scores - outcome.clean_scores)[:, 0]
    wanted = np.where(unseen.targets == 0, 1, -1)
    np.testing.assert_array_equal(learned.contents.keys() == {"raise", "lower"}, True)  # type: ignore[attr-defined]
    assert (moved * wanted > 0).mean() > 0.7


def test_places_follow_from_the_case_and_the_seed() -> None:
    model, batch = models.network("image", 30)
    threat = ThreatModel(Patch(), 0.4)
    learned = learn(AdversarialPatch(epochs=1), model, batch.take(range(15)), threat, seed="s")
    unseen = batch.take(range(15, 30))
    one, two, other = (run(learned, model, unseen, threat, seed=seed).perturbed for seed in ("s", "s", "t"))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_natural_patch_is_a_piece_of_a_case_of_the_pool() -> None:
    model, batch = models.network("image", 40)
    pool, unseen = batch.take(range(30)), batch.take(range(30, 40))
    threat = ThreatModel(Patch("square"), 0.5)
    learned = learn(NaturalPatch(place=(0.5, 0.0)), model, pool, threat, seed="s")
    outcome = run(learned, model, unseen, threat, seed="s")
    windows = {
        pool.inputs[case, 0, down : down + 4, across : across + 4].tobytes()
        for case in range(30)
        for down in range(5)
        for across in range(5)
    }
    for picture in outcome.perturbed:
        assert picture[0, 2:6, 0:4].tobytes() in windows


def success(attack: Any, scale: float) -> float:
    """Share of unseen healthy pictures called diseased under a patch of this scale."""
    model, pool, unseen = chest()
    healthy = unseen.take(unseen.targets == 0)
    threat = ThreatModel(Patch(), scale, goal=Goal("raise"))
    ready = learn(attack, model, pool.take(range(300)), threat, seed="s") if attack.learns else attack
    return float(run(ready, model, healthy, threat, seed="s").fooled.mean())


@pytest.fixture(scope="module")
def learned() -> dict[float, float]:
    return {scale: success(AdversarialPatch(epochs=20), scale) for scale in (0.1, 0.2, 0.3, 0.4)}


def test_a_learned_patch_fools_a_network_more_the_larger_it_is(learned: dict[float, float]) -> None:
    assert learned[0.4] >= 0.9
    assert learned[0.1] < learned[0.2] < learned[0.3] < learned[0.4]


def test_hiding_a_disease_takes_a_known_place_where_showing_one_works_anywhere() -> None:
    """A sign of disease elsewhere in the picture must be outweighed: this network lets a patch at any place do that in
    half of the cases (whatever steps, starts and pools it is learned with), one that is learned for its place in nearly
    all; noise of the same size, where it covers the sign, in a quarter.
    """
    model, pool, unseen = chest()
    sick = unseen.take(unseen.targets == 1)
    threat = ThreatModel(Patch(), 0.4, goal=Goal("lower"))
    found = {}
    for place in (None, (0.5, 0.5)):
        ready = learn(AdversarialPatch(epochs=20, place=place), model, pool.take(range(300)), threat, seed="s")
        found[place] = float(run(ready, model, sick, threat, seed="s").fooled.mean())
    assert found[None] >= 0.4
    assert found[0.5, 0.5] >= 0.9
    assert float(run(Noise(), model, sick, threat, seed="s").fooled.mean()) <= found[0.5, 0.5] / 3


def test_noise_of_the_same_size_does_a_third_at_most(learned: dict[float, float]) -> None:
    assert success(Noise(), 0.4) <= learned[0.4] / 3


def test_real_tissue_stays_thirty_points_behind(learned: dict[float, float]) -> None:
    assert learned[0.4] - success(NaturalPatch(), 0.4) >= 0.3


def test_a_patch_learned_for_one_place_fails_when_it_is_moved(learned: dict[float, float]) -> None:
    model, pool, unseen = chest()
    healthy = unseen.take(unseen.targets == 0)
    threat = ThreatModel(Patch(), 0.3, goal=Goal("raise"))
    fixed = learn(AdversarialPatch(epochs=20, place=(0.5, 0.5)), model, pool.take(range(300)), threat, seed="s")
    there, corner, anywhere = (
        float(run(replace(fixed, place=place), model, healthy, threat, seed="s").fooled.mean())  # type: ignore[type-var]
        for place in ((0.5, 0.5), (1.0, 1.0), None)
    )
    assert there >= 0.9
    assert corner <= there / 3
    assert anywhere < learned[0.3] < there


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 0}, {"batch": 0}, {"smallest": 0.0}, {"place": (0.5, 2.0)}, {"place": ()}, {"loss": "x"}, {"pool": 0}],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(AttackError):
        AdversarialPatch(**settings)


def test_a_place_of_other_dimensions_is_refused() -> None:
    model, batch = models.network("signal", 6)
    for attack in (AdversarialPatch(place=(0.5, 0.5)), NaturalPatch(place=(0.5, 0.5))):
        with pytest.raises(AttackError, match="a place of 1 numbers"):
            learn(attack, model, batch, ThreatModel(Patch(), 0.4), seed="s")


def test_only_patches_are_searched() -> None:
    assert not AdversarialPatch().fits(Additive())
    assert not NaturalPatch().fits(Additive())
