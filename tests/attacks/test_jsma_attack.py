"""JSMA: the greedy count on linear models, the best of all pairs, the Jacobian, words, and every kind of task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor, nn

from titer.attacks._saliency import pair, single
from titer.attacks.attack import Attack
from titer.attacks.engine import run
from titer.attacks.jsma import JSMA
from titer.attacks.noise import Noise
from titer.attacks.problem import Best, Problem
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.errors import AttackError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.threats.change import Change
from titer.threats.changes.additive import Additive
from titer.threats.changes.substitution import Substitution, choices_table
from titer.threats.goal import Goal
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

FEW = Additive("l0")


def greedy_counts(model: TorchModel, inputs: np.ndarray, truth: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """The fewest values that turn each decision of a linear two-class model: largest gains first."""
    weight, bias = (value.detach().numpy() for value in model.module.parameters())
    counts = []
    for x, y in zip(inputs, truth, strict=True):
        w, b = weight[1 - y] - weight[y], bias[1 - y] - bias[y]
        gains = np.sort(np.abs(w) * np.where(w > 0, 1 - x, x))[::-1]
        reached = w @ x + b + np.cumsum(gains)
        counts.append(1 + np.argmax(reached > 0) if (reached > 0).any() else np.inf)
    return np.array(counts)


def linear_at(level: float | None, seed: int) -> tuple[TorchModel, Batch]:
    model, batch = models.linear(40, 30, seed=seed, low=0.0, high=1.0)
    if level is None:
        return model, batch
    rng = np.random.default_rng(seed)
    # Equal headroom everywhere; the border is moved so that cases differ all the same.
    inputs = np.full_like(batch.inputs, level)
    model.module.bias.data += torch.from_numpy(rng.normal(scale=3, size=2))  # type: ignore[union-attr, operator]
    return model, Batch.of(inputs, model.task.decide(model.predict(inputs)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weigh", ["slope", "gain"])
def test_with_equal_headroom_it_is_the_greedy_count(weigh: Any, seed: int) -> None:
    model, batch = linear_at(0.5, seed)
    counts = greedy_counts(model, batch.inputs, batch.targets)
    threat = ThreatModel(FEW, 40)
    one = run(JSMA(pairs=False, weigh=weigh), model, batch, threat, seed="s")
    two = run(JSMA(weigh=weigh), model, batch, threat, seed="s")
    np.testing.assert_array_equal(one.fooled, np.isfinite(counts))
    np.testing.assert_array_equal(one.cost[one.fooled], counts[one.fooled])
    assert set((two.cost - one.cost)[one.fooled]) <= {0.0, 1.0}


@pytest.mark.parametrize("seed", range(3))
def test_with_unequal_headroom_gain_is_exact_and_saliency_pays_more(seed: int) -> None:
    model, batch = linear_at(None, seed)
    counts = greedy_counts(model, batch.inputs, batch.targets)
    threat = ThreatModel(FEW, 40)
    exact, slope = (run(JSMA(pairs=False, weigh=weigh), model, batch, threat, seed="s") for weigh in ("gain", "slope"))
    np.testing.assert_array_equal(exact.cost[exact.fooled], counts[exact.fooled])
    assert exact.fooled.all()
    gap = (slope.cost - counts)[slope.fooled]
    assert (gap >= 0).all()
    # The price of ranking by slope alone: about a tenth to a third more values than needed.
    assert 0 < gap.mean() < 0.6 * counts.mean()


@pytest.mark.parametrize("seed", range(3))
def test_nobody_falls_below_the_greedy_count(seed: int) -> None:
    model, batch = linear_at(None, seed)
    counts = greedy_counts(model, batch.inputs, batch.targets)
    threat = ThreatModel(FEW, 1)
    attack = JSMA(pairs=False, weigh="gain")
    below = run(attack, model, batch, threat, seed="s", limits=counts - 1)
    at = run(attack, model, batch, threat, seed="s", limits=counts)
    assert not below.fooled.any()
    assert at.fooled.all()


def test_what_is_reported_is_what_was_changed() -> None:
    for kind in ("image", "signal", "table"):
        model, batch = models.network(kind, 30)
        outcome = run(JSMA(), model, batch, ThreatModel(FEW, 6), seed="s")
        changed = (np.abs(outcome.perturbed - batch.inputs) > 1e-9).reshape(30, -1).sum(axis=1)
        np.testing.assert_array_equal(outcome.cost, changed)
        assert changed.max() <= 6
        assert outcome.fooled.any()


def test_a_larger_limit_fools_whom_a_smaller_one_fools() -> None:
    model, batch = models.network("image", 40, answer="two classes")
    wide = run(JSMA(pairs=False), model, batch, ThreatModel(FEW, 12), seed="s")
    for limit in (1, 2, 4, 8):
        some = run(JSMA(pairs=False), model, batch, ThreatModel(FEW, limit), seed="s")
        np.testing.assert_array_equal(some.fooled, wide.fooled & (wide.cost <= limit))


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(2, 9),
    shape=st.sampled_from(("free", "opposed", "ties")),
)
def test_the_pair_found_by_sorting_is_the_best_of_all_pairs(seed: int, size: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 3, size))
    if shape == "opposed":
        b = -a + rng.normal(scale=0.1, size=a.shape)
    if shape == "ties":
        a, b = np.round(a), np.round(b)
    u, v = (torch.from_numpy(np.concatenate([part, -part], axis=1)) for part in (a, b))
    open_ = torch.from_numpy(rng.random((3, 2 * size)) < 0.8)
    move = pair(u, v, open_, 1024)
    alone = single(u, v, open_)
    for row in range(3):

        def helps(p: int, row: int = row) -> bool:
            """A partner that moves both sums the wrong way is left out: without it the other is worth more alone."""
            return bool(u[row, p] > 0 or v[row, p] > 0)

        worth = {
            (p, q): float((u[row, p] + u[row, q]) * (v[row, p] + v[row, q]))
            for p in range(2 * size)
            for q in range(2 * size)
            if p % size != q % size
            and helps(p)
            and helps(q)
            and open_[row, p]
            and open_[row, q]
            and u[row, p] + u[row, q] > 0
            and v[row, p] + v[row, q] > 0
        }
        assert float(move.worth[row]) == pytest.approx(max(worth.values(), default=-np.inf))
        if worth:
            up = [
                int(value + (0 if way > 0 else size))
                for value, way in zip(move.values[row], move.ways[row], strict=True)
            ]
            assert worth[up[0], up[1]] == pytest.approx(max(worth.values()))
        ones = [
            float(u[row, p] * v[row, p]) for p in range(2 * size) if open_[row, p] and u[row, p] > 0 and v[row, p] > 0
        ]
        assert float(alone.worth[row]) == pytest.approx(max(ones, default=-np.inf))


def test_the_pair_of_one_map_is_the_pair_of_two_equal_maps() -> None:
    slope = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 8)))
    u = torch.cat([slope, -slope], dim=1)
    open_ = torch.ones_like(u, dtype=torch.bool)
    short, full = pair(u, u, open_, 1024), pair(u, u.clone(), open_, 1024)
    torch.testing.assert_close(short.worth, full.worth)
    assert torch.equal(short.values.sort(dim=1).values, full.values.sort(dim=1).values)


class Watch(Attack):
    """Looks at the derivatives of a problem, and changes nothing."""

    name: ClassVar[str] = "watch"
    reference: ClassVar[str] = "none"
    searches: ClassVar[Any] = Change

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        here = problem.nothing()
        _, self.seen["jacobian"] = problem.jacobian(here)
        wanted = torch.zeros(len(problem), dtype=torch.int64)
        _, self.seen["rise"], self.seen["others"] = problem.contrast(here, wanted)
        columns = []
        for place in range(here[0].numel()):
            nudge = torch.zeros_like(here[0]).flatten()
            nudge[place] = 1e-4
            nudge = nudge.reshape(here[0].shape)
            columns.append((problem.scores(here + nudge) - problem.scores(here - nudge)) / 2e-4)
        self.seen["central"] = torch.stack(columns, dim=-1).reshape(self.seen["jacobian"].shape)
        return here


@pytest.mark.parametrize("kind", ["image", "signal", "table"])
def test_the_jacobian_agrees_with_central_differences(kind: Any) -> None:
    model, batch = models.network(kind, 4)
    model.module.double()
    exact = Batch.of(batch.inputs.astype(np.float64), batch.targets)
    watch = Watch()
    run(watch, model, exact, ThreatModel(Additive(), 1.0), seed="s")
    torch.testing.assert_close(watch.seen["jacobian"], watch.seen["central"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(watch.seen["rise"], watch.seen["jacobian"][:, 0])
    torch.testing.assert_close(watch.seen["others"], watch.seen["jacobian"][:, 1:].sum(dim=1))


@pytest.mark.parametrize("answer", ["classes", "two classes", "binary", "multilabel", "regression", "anomaly"])
@pytest.mark.parametrize("kind", ["image", "signal", "table", "tokens"])
def test_every_kind_of_task_can_be_attacked(kind: Any, answer: Any) -> None:
    model, batch = models.network(kind, 30, answer=answer)
    words = kind == "tokens"
    threat = ThreatModel(Substitution() if words else FEW, 3)
    table = models.choices(model.space) if words else None
    found, chance = (run(attack, model, batch, threat, seed="s", choices=table) for attack in (JSMA(), Noise()))
    assert found.fooled.mean() > chance.fooled.mean()
    assert not found.violated.any()
    assert not chance.violated.any()


@pytest.mark.parametrize(
    "attack",
    [
        JSMA(targets="maximal"),
        JSMA(weigh="slope"),
        JSMA(weigh="slope", targets="maximal"),
        JSMA(step=0.4),
        JSMA(step=0.4, pairs=False, weigh="gain"),
        JSMA(direction="up"),
        JSMA(direction="down", pairs=False),
        JSMA(candidates=2),
    ],
    ids=repr,
)
def test_settings_do_what_they_say(attack: JSMA) -> None:
    model, batch = models.network("image", 30)
    outcome = run(attack, model, batch, ThreatModel(FEW, 5), seed="s")
    moved = outcome.perturbed - batch.inputs
    assert not outcome.violated.any()
    assert outcome.fooled.mean() > 0.2
    if attack.direction != "both":
        assert (moved * (1 if attack.direction == "up" else -1) >= 0).all()
    if attack.step is None:
        assert set(outcome.perturbed[moved != 0].tolist()) <= {0.0, 1.0}
    else:
        assert len(set(outcome.perturbed[moved != 0].tolist())) > 5


def test_trying_every_class_is_at_least_as_cheap_as_any_target() -> None:
    model, batch = models.network("image", 40)
    every = run(JSMA(), model, batch, ThreatModel(FEW, 8), seed="s")
    for target in range(3):
        aimed = run(JSMA(), model, batch, ThreatModel(FEW, 8, goal=Goal("targeted", target)), seed="s")
        rows = aimed.fooled & (batch.targets != target)
        assert (every.fooled >= rows).all()
        assert (every.cost[rows] <= aimed.cost[rows]).all()
        assert (model.task.decide(aimed.scores)[aimed.fooled] == target).all()


def test_values_move_no_further_than_most() -> None:
    model, batch = models.network("signal", 20)
    outcome = run(JSMA(), model, batch, ThreatModel(Additive("l0", most=0.5), 8), seed="s")
    assert np.abs(outcome.perturbed - batch.inputs).max() <= 0.5 * (1 + 1e-6)
    assert outcome.fooled.any()


class RandomOrder(Attack):
    """One value at a time, in random order, to a random end of its range: the same search without a map."""

    name: ClassVar[str] = "random order"
    reference: ClassVar[str] = "control"
    searches: ClassVar[Any] = Change

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        best = Best.of(problem)
        params, change, rows = problem.nothing(), problem.change, torch.arange(len(problem))
        assert isinstance(change, Additive)
        low, high = (end.flatten(1) for end in change.ends(problem.field))
        ends = torch.where(rng.signs((low.shape[1],), 1) > 0, high, low)
        for place in rng.uniform((low.shape[1],), 0).argsort(dim=1).unbind(dim=1):
            moved = params.flatten(1).scatter(1, place[:, None], ends.gather(1, place[:, None]))
            params = moved.reshape(params.shape)
            fresh = rows[~best.fooled]
            best.offer(params[fresh], problem.advantage(problem.scores(params))[fresh], fresh)
        return best.params


def test_it_needs_a_third_of_what_random_order_needs() -> None:
    digits = load_digits()
    keep = np.isin(digits.target, (3, 5, 8))
    images, labels = (
        (digits.images[keep] / 16).astype(np.float32)[:, None],
        np.searchsorted([3, 5, 8], digits.target[keep]),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 32), nn.ReLU()
        )
        net.append(nn.Linear(32, 3))
    adam = torch.optim.Adam(net.parameters(), 5e-3)
    inputs, truth = torch.from_numpy(images[:400]), torch.from_numpy(labels[:400])
    for _ in range(80):
        adam.zero_grad()
        nn.functional.cross_entropy(net(inputs), truth).backward()
        adam.step()
    model = TorchModel(net, Space("image", (1, 8, 8), "grey level (0-1)"), Task("classes", ("3", "5", "8")))
    batch = Batch.of(images[400:460], labels[400:460])
    assert model.task.correct(model.predict(batch.inputs), batch.targets).mean() > 0.9
    threat = ThreatModel(FEW, 64)
    ours, theirs = (run(attack, model, batch, threat, seed="s") for attack in (JSMA(), RandomOrder()))
    both = ours.fooled & theirs.fooled & (theirs.cost > 0)
    assert ours.fooled.all()
    assert both.mean() > 0.7
    assert ours.cost[both].mean() <= theirs.cost[both].mean() / 3


@dataclass(frozen=True)
class Bag:
    """A linear model of notes: each word has its own weight, so the fewest changes are known."""

    seed: int
    words: int = 30
    length: int = 12

    def build(self) -> tuple[TorchModel, Batch, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        rng = np.random.default_rng(self.seed)
        weights = rng.normal(size=self.words)
        weights[0] = 0.0
        table = choices_table(
            {
                word: tuple(rng.choice(np.arange(1, self.words), size=3, replace=False).tolist())
                for word in range(1, self.words)
            },
            self.words,
        )
        with torch.random.fork_rng():
            module = _Bag(torch.from_numpy(weights))
        vocabulary = ("", *(f"w{number}" for number in range(1, self.words)))
        space = Space("tokens", (self.length,), "word", vocabulary=vocabulary)
        model = TorchModel(module, space, Task("binary", ("a", "b"), positive=(1,)))
        notes = rng.integers(1, self.words, size=(20, self.length))
        notes[:, 9:] = 0
        return model, Batch.of(notes, model.task.decide(model.predict(notes))), weights, table


class _Bag(nn.Module):
    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(weights[:, None])

    def forward(self, notes: Tensor) -> Tensor:
        return self.embedding(notes).sum(dim=1)


@pytest.mark.parametrize("seed", range(3))
def test_words_of_a_linear_model_are_replaced_in_the_best_order(seed: int) -> None:
    model, batch, weights, table = Bag(seed).build()
    outcome = run(JSMA(tries=1), model, batch, ThreatModel(Substitution(), 12), seed="s", choices=table)
    for row, note in enumerate(batch.inputs):
        way = 1 - 2 * int(batch.targets[row])
        gains = np.sort([max(0.0, *(way * (weights[table[word]] - weights[word]))) for word in note])[::-1]
        needed = way * weights[note].sum() + np.cumsum(gains)
        count = 1 + np.argmax(needed > 0) if (needed > 0).any() else np.inf
        assert outcome.fooled[row] == np.isfinite(count)
        if outcome.fooled[row]:
            assert outcome.cost[row] == count
    assert outcome.fooled.any()


def test_more_tries_find_cheaper_rewordings() -> None:
    model, batch = models.network("tokens", 40, answer="two classes")
    table = models.choices(model.space)
    costs = []
    for tries in (1, 8):
        outcome = run(JSMA(tries=tries), model, batch, ThreatModel(Substitution(), 9), seed="s", choices=table)
        costs.append(np.where(outcome.fooled, outcome.cost, 10).mean())
    assert costs[1] <= costs[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"step": 0},
        {"step": -1.0},
        {"weigh": "size"},
        {"targets": "any"},
        {"direction": "left"},
        {"tries": 0},
        {"candidates": 1},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(AttackError, match="expected"):
        JSMA(**settings)
