"""Attacks that look for the smallest change, on models whose smallest change is known.

Tolerances, relative to the exact distance: DeepFool 1e-4 beyond its overshoot, FAB and FMN 1 %, Carlini-Wagner 2 %.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize
from test_linear_bounds import exact_limits
from torch import nn

from titer.attacks.attack import Attack
from titer.attacks.carlini_wagner import CarliniWagner
from titer.attacks.deepfool import DeepFool
from titer.attacks.engine import run
from titer.attacks.fab import FAB
from titer.attacks.fmn import FMN
from titer.attacks.jsma import JSMA
from titer.attacks.sigma_zero import SigmaZero
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

Array = np.ndarray[Any, Any]
FEATURES, CASES = 12, 24
WIDE = 1000.0
# Attack, how near it must come, and whether it weighs all classes, so that the nearest is found among several.
MET: list[tuple[Attack, float, bool]] = [
    (DeepFool(refine=0), 0.02 + 1e-4, True),
    (FAB(steps=10), 1e-2, True),
    (FAB(steps=10, targeted=True), 1e-2, True),
    (FMN(steps=60, restarts=1), 1e-2, False),
    (CarliniWagner(), 2e-2, False),
]


@pytest.mark.parametrize("boxed", [False, True], ids=["free", "boxed"])
@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(("attack", "near", "many"), MET, ids=lambda value: getattr(value, "name", ""))
def test_distances_of_linear_models_are_found(
    attack: Attack, near: float, many: bool, norm: str, outputs: int, boxed: bool
) -> None:
    change = Additive(norm)  # type: ignore[arg-type]
    if not attack.fits(change):
        return
    edge = 1.3 if boxed else 100.0
    model, batch = models.linear(FEATURES, CASES, seed=outputs, outputs=outputs, low=-edge, high=edge)
    exact = exact_limits(model, batch.inputs, batch.targets, norm)
    batch, exact = batch.take(np.isfinite(exact)), exact[np.isfinite(exact)]
    outcome = run(attack, model, batch, ThreatModel(change, WIDE), seed="s")
    assert outcome.fooled.all()
    assert not outcome.violated.any()
    assert (outcome.cost >= exact * (1 - 1e-6)).all()
    reached = outcome.cost <= exact * (1 + near)
    assert reached.all() if many or outputs < 3 else reached.mean() > 0.75


@pytest.mark.parametrize(
    "attack", [DeepFool(), FAB(steps=10), FMN(steps=60, restarts=1), CarliniWagner()], ids=lambda a: a.name
)
def test_a_limit_decides_who_falls(attack: Attack) -> None:
    model, batch = models.linear(FEATURES, CASES, seed=2)
    exact = exact_limits(model, batch.inputs, batch.targets, "l2")
    threat = ThreatModel(Additive("l2"), 1.0)
    below = run(attack, model, batch, threat, seed="s", limits=exact * 0.99)
    assert not below.fooled.any()
    assert not below.violated.any()
    # What cannot be fooled within the limit is pushed as far as it goes.
    gap = lambda scores: np.abs(scores[:, 1] - scores[:, 0])  # noqa: E731
    assert (gap(below.scores) < 0.2 * gap(below.clean_scores)).all()
    above = run(attack, model, batch, threat, seed="s", limits=exact * 1.03)
    assert above.fooled.all()
    assert not above.violated.any()


@pytest.mark.parametrize("attack", [DeepFool(), FAB(steps=10), FMN(), CarliniWagner()], ids=lambda a: a.name)
@pytest.mark.parametrize("answer", ["multilabel", "regression", "anomaly", "binary"])
def test_every_task_has_its_border(attack: Attack, answer: models.Answer) -> None:
    rng = np.random.default_rng(3)
    asked = models.task(answer)
    if answer in ("binary", "anomaly"):
        asked = asked.at(0.3)
    weight, bias = rng.normal(size=(asked.outputs, 6)), rng.normal(size=asked.outputs)
    module = models.Affine(torch.from_numpy(weight), torch.from_numpy(bias))
    model = TorchModel(module, Space("table", (6,), "unit", -100.0, 100.0), asked)
    inputs = rng.normal(size=(CASES, 6))
    scores = model.predict(inputs)
    size = np.linalg.norm(weight, axis=1)
    if answer == "regression":
        truth = scores[:, 0] + rng.uniform(-0.09, 0.09, CASES)
        exact = (0.1 - np.abs(scores[:, 0] - truth)) / size[0]
    else:
        truth = asked.decide(scores)
        exact = (np.abs(asked.shifted(scores)) / size).min(axis=1)
    outcome = run(attack, model, Batch.of(inputs, truth), ThreatModel(Additive("l2"), WIDE), seed="s")
    assert outcome.fooled.all()
    ratio = outcome.cost / exact
    assert ratio.min() >= 1 - 1e-5
    assert np.median(ratio) <= 1.02
    if answer != "multilabel" or attack.name in ("deepfool", "fab"):
        assert ratio.max() <= 1.02 + 1e-4


def test_goals_that_name_what_is_wanted_have_one_border() -> None:
    model, batch = models.linear(FEATURES, CASES, seed=1, outputs=1)
    weight = next(model.module.parameters()).detach().numpy()[0]
    scores = model.predict(batch.inputs)[:, 0]
    for attack in (DeepFool(), FAB(steps=5), FMN(steps=60, restarts=1)):
        outcome = run(attack, model, batch, ThreatModel(Additive(), WIDE, goal=Goal("raise")), seed="s")
        needed = np.maximum(-scores, 0) / np.abs(weight).sum()
        np.testing.assert_allclose(outcome.cost, needed, rtol=0.021)
    three, batch = models.linear(FEATURES, CASES, seed=3, outputs=3)
    threat = ThreatModel(Additive("l2"), WIDE, goal=Goal("targeted"))
    for attack in (DeepFool(), FAB(steps=20), FMN(), CarliniWagner()):
        outcome = run(attack, three, batch, threat, seed="s")
        wanted = (batch.targets + 1) % 3
        assert outcome.fooled.mean() > 0.9
        assert (three.task.decide(outcome.scores) == wanted)[outcome.fooled].all()


@pytest.mark.parametrize("attack", [DeepFool(), FAB(steps=6), FMN(steps=20, restarts=1), CarliniWagner(weights=2)])
def test_units_do_not_matter(attack: Attack) -> None:
    rng = np.random.default_rng(0)
    weight, inputs = rng.normal(size=(2, 8)), rng.uniform(-1, 1, size=(CASES, 8))
    found = []
    # A power of two, so that every number only moves its exponent.
    for unit in (1.0, 4096.0):
        module = models.Affine(torch.from_numpy(weight / unit), torch.zeros(2, dtype=torch.float64))
        model = TorchModel(module, Space("table", (8,), "unit", -2 * unit, 2 * unit), models.task("classes", 2))
        batch = Batch.of(inputs * unit, model.task.decide(model.predict(inputs * unit)))
        found.append(run(attack, model, batch, ThreatModel(Additive("l2"), 100 * unit), seed="s").cost / unit)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def greedy(model: TorchModel, batch: Batch, most: float) -> Array:
    """The fewest values that flip each decision of a linear model: those that gain most, each to its end."""
    weight, bias = (value.detach().numpy() for value in model.module.parameters())
    if len(weight) == 1:
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    low, high = model.space.bounds()
    counts = []
    for x, y in zip(batch.inputs, batch.targets, strict=True):
        ways = [np.inf]
        for other in set(range(len(weight))) - {int(y)}:
            w, b = weight[other] - weight[y], bias[other] - bias[y]
            gains = np.sort(np.abs(w) * np.minimum(np.where(w > 0, high - x, x - low), most))[::-1].cumsum()
            enough = gains > -(w @ x + b)
            ways.append(enough.argmax() + 1 if enough.any() else np.inf)
        counts.append(min(ways))
    return np.array(counts)


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_sigma_zero_needs_as_few_values_as_the_greedy_count(outputs: int) -> None:
    model, batch = models.linear(60, CASES, seed=outputs, outputs=outputs, low=-1.3, high=1.3)
    exact = greedy(model, batch, 0.3)
    assert np.median(exact) > 3
    outcome = run(SigmaZero(), model, batch, ThreatModel(Additive("l0", most=0.3), 60.0), seed="s")
    np.testing.assert_array_equal(outcome.cost, np.where(np.isfinite(exact), exact, outcome.cost))
    # Where the limit does not allow that many, what is kept is inside it, and nobody is fooled by more.
    few = run(SigmaZero(), model, batch, ThreatModel(Additive("l0", most=0.3), 3.0), seed="s")
    assert not few.violated.any()
    np.testing.assert_array_equal(few.fooled, exact <= 3)
    assert (few.cost <= 3).all()


def test_fmn_counts_values_too() -> None:
    model, batch = models.linear(60, CASES, seed=2, low=-1.3, high=1.3)
    exact = greedy(model, batch, 0.3)
    outcome = run(FMN(), model, batch, ThreatModel(Additive("l0", most=0.3), 60.0), seed="s")
    assert (outcome.cost >= exact).all()
    assert (outcome.cost <= exact + 1).all()


def test_sigma_zero_needs_no_more_values_than_jsma_on_a_network() -> None:
    model, batch = models.network("signal", 30, answer="two classes", seed=4)
    threat = ThreatModel(Additive("l0", most=0.5), 40.0)
    ours, theirs = (run(attack, model, batch, threat, seed="s") for attack in (SigmaZero(), JSMA()))
    assert ours.fooled.sum() >= theirs.fooled.sum()
    both = ours.fooled & theirs.fooled
    assert both.mean() > 0.5
    assert ours.cost[both].mean() <= theirs.cost[both].mean()


def exact_distance(net: nn.Sequential, x: Array) -> float:
    """The smallest L-infinity change that turns a two-layer ReLU net's sign: one linear program per pattern."""
    first, second = net[0], net[2]
    w, b = first.weight.detach().numpy(), first.bias.detach().numpy()  # type: ignore[union-attr, operator]
    v, c = second.weight.detach().numpy()[0], float(second.bias.detach())  # type: ignore[union-attr, operator, arg-type]
    side = np.sign(v @ np.maximum(w @ x + b, 0) + c)
    best = np.inf
    for pattern in itertools.product((0.0, 1.0), repeat=len(b)):
        on = np.array(pattern)
        sign = np.where(on > 0, -1.0, 1.0)[:, None]
        slope, offset = (v * on) @ w, (v * on) @ b + c
        # Variables: the perturbed case, and the size of the change.
        no = np.zeros((len(b), 1))
        one, eye = np.ones((len(x), 1)), np.eye(len(x))
        rows = np.concatenate(
            [
                np.concatenate([sign * w, no], axis=1),
                np.concatenate([eye, -one], axis=1),
                np.concatenate([-eye, -one], axis=1),
                np.concatenate([side * slope, [0.0]])[None],
            ]
        )
        ends = np.concatenate([-sign[:, 0] * b, x, -x, [-side * offset]])
        bounds = [(-9.0, 9.0)] * len(x) + [(0.0, None)]
        solved = optimize.linprog(np.eye(len(x) + 1)[-1], A_ub=rows, b_ub=ends, bounds=bounds, method="highs")
        if solved.status == 0:
            best = min(best, float(solved.x[-1]))
    return best


@pytest.mark.parametrize("seed", [0, 1])
def test_the_enumerated_optimum_of_a_small_relu_net_is_found(seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1)).double()
    net[2].bias.data.zero_()  # type: ignore[union-attr, operator]
    model = TorchModel(net, Space("table", (4,), "unit", -9.0, 9.0), models.task("binary"))
    inputs = np.random.default_rng(seed).normal(size=(6, 4))
    batch = Batch.of(inputs, model.task.decide(model.predict(inputs)))
    exact = np.array([exact_distance(net, x) for x in inputs])
    reachable = exact < 8
    assert reachable.sum() >= 3
    threat = ThreatModel(Additive(), 18.0)
    for attack, near in ((FAB(steps=30, restarts=8), 1e-2), (FMN(restarts=3), 1e-2), (DeepFool(), 0.3)):
        outcome = run(attack, model, batch, threat, seed="relu")
        cost = np.where(outcome.fooled, outcome.cost, np.inf)
        assert (cost >= exact - 1e-7).all()
        assert np.median(cost[reachable] / exact[reachable]) <= 1 + near


def test_smooth_changes_are_searched_without_the_range() -> None:
    model, batch = models.network("signal", 8, answer="two classes", seed=1)
    for attack in (DeepFool(), FMN(steps=20), FAB(steps=10)):
        outcome = run(attack, model, batch, ThreatModel(LowPass("linf"), 3.0), seed="s")
        assert outcome.fooled.mean() > 0.5
        assert not outcome.violated.any()


def test_a_flat_model_is_left_at_once() -> None:
    model, batch = models.constant("table", 5)
    for attack in (DeepFool(), FMN(), FAB(), CarliniWagner(), SigmaZero()):
        norm = "l0" if attack.name == "sigma_zero" else "l2"
        outcome = run(attack, model, batch, ThreatModel(Additive(norm), 2.0), seed="s")  # type: ignore[arg-type]
        assert not outcome.fooled.any()
        assert outcome.queries.max() <= 170
        if attack.name in ("deepfool", "fab", "fmn", "carlini_wagner"):
            assert outcome.queries.max() <= 3


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (DeepFool, {"steps": 0}),
        (DeepFool, {"refine": -1}),
        (FMN, {"steps": 0}),
        (FMN, {"rate": 0.0}),
        (FMN, {"loss": "none"}),
        (FAB, {"pull": 0.0}),
        (FAB, {"backstep": 1.0}),
        (FAB, {"overshoot": 0.5}),
        (CarliniWagner, {"weights": 0}),
        (SigmaZero, {"losses": ()}),
        (SigmaZero, {"losses": ("none",)}),
        (SigmaZero, {"sigma": -1.0}),
    ],
)
def test_bad_settings_are_refused(kind: type[Attack], wrong: dict[str, Any]) -> None:
    with pytest.raises(AttackError, match=r"expected .*, got .*; "):
        kind(**wrong)
