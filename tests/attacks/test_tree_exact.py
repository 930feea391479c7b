"""Trees: exact answers by enumeration, and what a forest looks like from inside."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from titer.attacks._tree_program import Program, Wish, wishes
from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.attacks.square import Square
from titer.attacks.tree_exact import TreeExact
from titer.cases.case import Batch
from titer.cases.datasets.breast_biopsies import BreastBiopsies
from titer.cases.space import Space
from titer.errors import AttackError, ThreatError
from titer.models.adapters.sklearn import SklearnModel, sklearn_model
from titer.models.task import Task
from titer.models.trees import Forest, Tree
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

Array = np.ndarray[Any, Any]
TWO = Task("classes", ("well", "ill"), (1,))
RAISED = [Wish(np.array([[1.0]]), np.array([0.0]))]


def stump(feature: int, threshold: float, left: float, right: float) -> Tree:
    return Tree(
        np.array([feature, -1, -1]), np.array([threshold, 0, 0]), np.array([1, 0, 0]), np.array([2, 0, 0]),
        np.array([[0.0], [left], [right]]),
    )  # fmt: skip


def program(trees: list[Tree], clean: list[float], norm: Any = "linf", base: float = 0.0) -> Program:
    point = np.array(clean)
    edge = np.full(len(point), 10.0)
    return Program(Forest(tuple(trees), np.array([base]), "scores"), point, -edge, edge, np.ones(len(point)), norm)


def fitted(estimator: Any, classes: int = 2, seed: int = 0, count: int = 200, features: int = 3) -> SklearnModel:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(count, features)).astype(np.float32)
    value = inputs[:, 0] + inputs[:, 1] * inputs[:, 2] + 0.1 * rng.normal(size=count)
    space = Space("table", (features,), "unit", -6.0, 6.0, scale=(1.0, 0.5, 2.0, *[1.0] * (features - 3)))
    if "Regressor" in type(estimator).__name__:
        return SklearnModel(estimator.fit(inputs, value), space, Task("regression", ("age",), tolerance=0.4))
    labels = np.searchsorted(np.quantile(value, np.arange(1, classes) / classes), value)
    task = TWO if classes == 2 else Task("classes", tuple("abcde"[:classes]))
    return SklearnModel(estimator.fit(inputs, labels), space, task)


def cells(forest: Forest, clean: Array, low: Array, high: Array) -> list[Array]:
    """The point nearest to the clean one in each cell of the grid of all thresholds, within a box."""
    sides = []
    for feature, value in enumerate(clean):
        cuts = sorted({float(t) for tree in forest.trees for f, t in zip(tree.feature, tree.threshold, strict=True)
                       if f == feature})  # fmt: skip
        edges = [-np.inf, *cuts, np.inf]
        points = []
        for down, up in itertools.pairwise(edges):
            bottom = np.nextafter(np.float32(down), np.float32(np.inf)) if np.isfinite(down) else np.float32(-1e9)
            while np.isfinite(down) and float(np.nextafter(bottom, np.float32(-np.inf))) > down:
                bottom = np.nextafter(bottom, np.float32(-np.inf))
            top = np.float32(up) if np.isfinite(up) else np.float32(1e9)
            top = top if float(top) <= up else np.nextafter(top, np.float32(-np.inf))
            found = min(max(value, float(bottom)), float(top))
            if low[feature] <= found <= high[feature]:
                points.append(found)
        sides.append(points)
    return [np.array(point) for point in itertools.product(*sides)]


def by_enumeration(model: SklearnModel, row: Array, truth: Any, bound: float, norm: str, goal: Goal) -> float:
    forest = model.trees()
    assert forest is not None
    scale = np.asarray(model.space.scale)
    reach = bound * scale if norm == "linf" else np.full(len(row), np.inf)
    points = np.stack(cells(forest, row, np.maximum(row - reach, -6), np.minimum(row + reach, 6)))
    before = model.predict(row[None])
    scores = model.predict(points.astype(np.float32))
    truths = np.full(len(points), truth)
    fooled = goal.fooled(model.task, truths, np.repeat(before, len(points), axis=0), scores)
    moved = np.abs(points - row) / scale
    sizes = moved.max(axis=1) if norm == "linf" else (moved > 0).sum(axis=1)
    return float(sizes[fooled].min()) if fooled.any() else float("inf")


def test_a_single_stump_is_crossed_at_its_threshold() -> None:
    found = program([stump(0, 1.5, -1.0, 1.0)], [0.5, 0.0]).nearest(RAISED, 1000, 0.0)
    assert found.proven
    assert found.row is not None
    assert found.row[0] == np.nextafter(np.float32(1.5), np.float32(2))
    assert found.distance == pytest.approx(1.0, abs=1e-6)
    assert found.bound == pytest.approx(1.0, abs=1e-6)


def test_two_stumps_are_crossed_where_that_is_nearest() -> None:
    trees = [stump(0, 1.0, -1.0, 3.0), stump(1, -0.25, 2.0, -1.0)]
    # Either alone is enough from a base of 0; from -2 both are needed.
    assert program(trees, [0.0, 0.0]).nearest(RAISED, 1000, 0.0).distance == pytest.approx(0.25, abs=1e-6)
    assert program(trees, [0.0, 0.0], base=-2.0).nearest(RAISED, 1000, 0.0).distance == pytest.approx(1.0, abs=1e-6)
    assert program(trees, [0.0, 0.0], "l0", base=-2.0).nearest(RAISED, 1000, 0.0).distance == 2
    never = program(trees, [0.0, 0.0], base=-6.0).nearest(RAISED, 1000, 0.0)
    assert never.proven
    assert (never.distance, never.row) == (np.inf, None)


ESTIMATORS = [
    (DecisionTreeClassifier(max_depth=4, random_state=0), 2),
    (RandomForestClassifier(5, max_depth=3, random_state=0), 2),
    (RandomForestClassifier(4, max_depth=3, random_state=1), 3),
    (ExtraTreesClassifier(5, max_depth=3, random_state=0), 2),
    (GradientBoostingClassifier(n_estimators=6, max_depth=2, random_state=0), 2),
    (GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0), 3),
    (HistGradientBoostingClassifier(max_iter=5, max_depth=3, max_bins=12), 2),
    (DecisionTreeRegressor(max_depth=4, random_state=0), 0),
    (RandomForestRegressor(4, max_depth=3, random_state=0), 0),
    (GradientBoostingRegressor(n_estimators=6, max_depth=2, random_state=0), 0),
    (HistGradientBoostingRegressor(max_iter=5, max_depth=3, max_bins=12), 0),
]


@pytest.mark.parametrize("norm", ["linf", "l0"])
@pytest.mark.parametrize(("estimator", "classes"), ESTIMATORS, ids=[f"{type(e).__name__}-{c}" for e, c in ESTIMATORS])
def test_the_program_finds_what_trying_every_cell_finds(estimator: Any, classes: int, norm: Any) -> None:
    model = fitted(estimator, classes)
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(8, 3)).astype(np.float32)
    predicted = model.predict(rows)
    truth = predicted[:, 0] if model.task.kind == "regression" else model.task.decide(predicted)
    bound = 0.8 if norm == "linf" else 2.0
    exact = np.array(
        [by_enumeration(model, r.astype(float), t, bound, norm, Goal()) for r, t in zip(rows, truth, strict=True)]
    )
    exact = np.where(exact <= bound, exact, np.inf)
    threat = ThreatModel(Additive(norm), bound, knowledge="structure")
    outcome = run(TreeExact(), model, Batch.of(rows, truth), threat, seed="s")
    assert not outcome.violated.any()
    assert np.isfinite(exact).any()
    np.testing.assert_array_equal(outcome.fooled, np.isfinite(exact))
    np.testing.assert_allclose(outcome.cost[outcome.fooled], exact[outcome.fooled], rtol=1e-5, atol=1e-6)
    assert outcome.queries.sum() == 0


@pytest.mark.parametrize("goal", [Goal("raise"), Goal("lower"), Goal("targeted", 1)])
def test_other_goals_and_thresholds_are_met_exactly(goal: Goal) -> None:
    model = fitted(RandomForestClassifier(5, max_depth=3, random_state=0))
    model = model.calibrated(TWO.at(0.4))
    rows = np.random.default_rng(6).normal(size=(8, 3)).astype(np.float32)
    truth = model.task.decide(model.predict(rows))
    exact = np.array(
        [by_enumeration(model, r.astype(float), t, 0.8, "linf", goal) for r, t in zip(rows, truth, strict=True)]
    )
    outcome = run(
        TreeExact(),
        model,
        Batch.of(rows, truth),
        ThreatModel(Additive(), 0.8, goal=goal, knowledge="structure"),
        seed="s",
    )
    np.testing.assert_array_equal(outcome.fooled, np.isfinite(exact))
    np.testing.assert_allclose(outcome.cost[outcome.fooled], exact[outcome.fooled], rtol=1e-5, atol=1e-6)


def test_nobody_beats_the_exact_attack_and_black_boxes_find_some() -> None:
    data = BreastBiopsies().load(None)
    inputs, targets = data.cases.inputs, data.cases.targets
    estimator = RandomForestClassifier(20, max_depth=5, random_state=0).fit(inputs[:300], targets[:300])
    model = SklearnModel(estimator, data.space, Task("classes", data.classes, data.positive))
    right = model.task.correct(model.predict(inputs), targets)
    batch = data.cases.take(np.flatnonzero(right & (np.arange(569) >= 300))[:30])
    exact = run(TreeExact(), model, batch, ThreatModel(Additive(), 0.6, knowledge="structure"), seed="s")
    boxed = ThreatModel(Additive(), 0.6, knowledge="scores")
    square = run(Square(queries=200), model, batch, boxed, seed="s")
    chance = run(RandomSearch(queries=30), model, batch, boxed, seed="s")
    assert not exact.violated.any()
    assert exact.fooled.sum() > 3
    assert square.fooled.any()
    assert not (square.fooled & ~exact.fooled).any()
    assert not (chance.fooled & ~exact.fooled).any()
    assert (exact.cost[square.fooled] <= square.cost[square.fooled] + 1e-6).all()


@pytest.mark.parametrize(("estimator", "classes"), ESTIMATORS, ids=[f"{type(e).__name__}-{c}" for e, c in ESTIMATORS])
def test_trees_as_arrays_answer_what_the_estimator_answers(estimator: Any, classes: int) -> None:
    model = fitted(estimator, classes)
    forest = model.trees()
    assert forest is not None
    rows = np.random.default_rng(9).normal(size=(50, 3)).astype(np.float32)
    made = forest.answer(rows)
    made = np.log(np.maximum(made, 1e-12)) if forest.outputs == "shares" else made
    told = model.predict(rows)
    shift = 0.0 if model.task.kind == "regression" else 1.0
    np.testing.assert_allclose(made - shift * made[:, :1], told - shift * told[:, :1], rtol=1e-6, atol=1e-7)


def test_a_search_out_of_nodes_still_tells_a_bound() -> None:
    model = fitted(RandomForestClassifier(15, max_depth=5, random_state=0), features=6, count=300)
    forest = model.trees()
    assert forest is not None
    row = np.random.default_rng(1).normal(size=6).astype(np.float32).astype(float)
    ways = wishes(model.task, Goal(), float(model.task.decide(model.predict(row[None]))[0]), np.zeros(2), forest)
    full = Program(forest, row, row - 1, row + 1, np.ones(6), "linf")
    few, many = full.nearest(ways, 1, 0.0), full.nearest(ways, 20000, 0.0)
    assert many.proven
    assert many.bound == pytest.approx(many.distance, rel=1e-4)
    assert few.bound <= many.distance + 1e-6 <= few.distance + 2e-6


def test_pairings_that_cannot_be_are_refused_with_what_to_do() -> None:
    model, batch = models.network("table", 4)
    with pytest.raises(ThreatError, match="sees no more than the model gives"):
        run(TreeExact(), model, batch, ThreatModel(Additive(), 0.1, knowledge="structure"), seed="s")
    with pytest.raises(AttackError, match="set the threat's 'knowledge' to 'structure'"):
        run(TreeExact(), model, batch, ThreatModel(Additive(), 0.1), seed="s")
    assert "no sum of decision trees" in str(TreeExact().accepts(model))
    forest, cases = models.forest(4)
    with pytest.raises(AttackError, match="gradients for pgd"):
        run(PGD(), forest, cases, ThreatModel(Additive(), 0.1, knowledge="structure"), seed="s")
    with pytest.raises(AttackError, match="a change that tree_exact can search"):
        run(TreeExact(), forest, cases, ThreatModel(Additive("l2"), 0.1, knowledge="structure"), seed="s")
    with pytest.raises(AttackError, match="gap"):
        TreeExact(gap=1.0)


def test_the_threat_says_what_the_attacker_has_read() -> None:
    model, _ = models.forest(4)
    said = ThreatModel(Additive(), 0.1, knowledge="structure").sentence(model.space, model.task)
    assert said.startswith("An attacker who sees the structure may change every value")


def test_models_without_plain_trees_show_none() -> None:
    rows, labels = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    space = Space("table", (3,), "unit", -6.0, 6.0)
    assert sklearn_model(LogisticRegression().fit(rows, labels), space, TWO).trees() is None
    odd = GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()).fit(rows, labels)
    assert SklearnModel(odd, space, TWO).trees() is None
    exponential = GradientBoostingClassifier(n_estimators=2, loss="exponential").fit(rows, labels)
    # Its probabilities are not those of its sums, so the comparison with the estimator refuses it.
    assert SklearnModel(exponential, space, TWO).trees() is None
