"""Threat models, goals and fields: what they refuse and how they read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.cases.space import Space
from titer.errors import ThreatError
from titer.models.task import Task
from titer.testing import models
from titer.threats.change import Change, Field
from titer.threats.changes.additive import Additive
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.lowpass import LowPass
from titer.threats.changes.substitution import Substitution
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel

AGE = Task("regression", ("age",), tolerance=5.0)
TWO = Task("binary", ("normal", "pneumonia"), positive=(1,))
THREE = Task("classes", ("a", "b", "c"))


@pytest.mark.parametrize(
    ("threat", "kind", "task", "said"),
    [
        (
            ThreatModel(Additive("linf"), 4 / 255, label="4/255"),
            "image",
            THREE,
            (
                "An attacker who sees gradients may change every value by at most 4/255 grey level (0-1) "
                "and wants any wrong decision."
            ),
        ),
        (
            ThreatModel(
                Additive("l0", most=0.5), 5, label="5", goal=Goal("targeted", "c"), knowledge="scores", queries=99
            ),
            "signal",
            THREE,
            (
                "An attacker who sees scores and asks at most 99 questions per case may change at most 5 "
                "values, each by at most 0.5 and wants the decision 'c'."
            ),
        ),
        (
            ThreatModel(LowPass(), 0.1, goal=Goal("lower"), where="outside-mask"),
            "signal",
            TWO,
            (
                "An attacker who sees gradients may change every value by at most 0.1 mV, smoothly, never "
                "inside the known lesion, and wants the decision 'normal'."
            ),
        ),
        (
            ThreatModel(Additive(), 0.002, where="inside-mask"),
            "volume",
            AGE,
            (
                "An attacker who sees gradients may change every value by at most 0.002 normalized intensity, only "
                "inside the marked region, and wants an answer off by more than 5."
            ),
        ),
        (
            ThreatModel(Substitution(), 3, label="3", knowledge="labels"),
            "tokens",
            THREE,
            (
                "An attacker who sees labels may replace at most 3 words by listed alternatives and wants "
                "any wrong decision."
            ),
        ),
        (
            ThreatModel(Embedding(), 1.0, label="1.0", goal=Goal("raise")),
            "tokens",
            AGE,
            (
                "An attacker who sees gradients may move the embedded words by at most 1.0 in total "
                "(numbers that no text may reach) and wants an answer of age more than 5 above the "
                "clean one."
            ),
        ),
    ],
)
def test_a_threat_reads_as_a_sentence(threat: ThreatModel, kind: str, task: Task, said: str) -> None:
    space = models.space(kind)  # type: ignore[arg-type]
    threat.check(space, task)
    assert threat.sentence(space, task) == said


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (Additive(), "tokens"),
        (LowPass(), "tokens"),
        (LowPass(), "table"),
        (Embedding(), "image"),
        (Substitution(), "signal"),
    ],
)
def test_changes_are_refused_where_they_have_no_meaning(change: Change, kind: str) -> None:
    with pytest.raises(ThreatError, match=r"expected a change .*, got change"):
        ThreatModel(change, 1.0).check(models.space(kind), THREE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"limit": -0.1},
        {"limit": float("nan")},
        {"limit": float("inf")},
        {"queries": 0},
        {"where": "inside"},
        {"where": "inside_mask"},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ThreatError, match="expected"):
        ThreatModel(**({"change": Additive(), "limit": 0.1} | settings))  # type: ignore[arg-type]


def test_another_limit_is_another_label() -> None:
    threat = ThreatModel(Additive(), 0.1, label="1/10").at(0.25)
    assert (threat.limit, threat.label) == (0.25, "0.25")


@pytest.mark.parametrize(
    ("goal", "task"),
    [
        (Goal("targeted"), TWO),
        (Goal("targeted", 0), AGE),
        (Goal("targeted", 3), THREE),
        (Goal("targeted", "d"), THREE),
        (Goal("raise"), THREE),
        (Goal("lower"), Task("multilabel", ("a", "b"))),
    ],
)
def test_goals_without_an_answer_are_refused(goal: Goal, task: Task) -> None:
    with pytest.raises(ThreatError, match="expected"):
        goal.check(task)


def test_a_goal_must_be_one_of_four() -> None:
    with pytest.raises(ThreatError, match="untargeted, targeted, raise or lower"):
        Goal("chaos")  # type: ignore[arg-type]
    with pytest.raises(ThreatError, match="targeted"):
        Goal("raise", 1)


@pytest.mark.parametrize(
    ("goal", "task", "truth", "clean", "scores", "fooled"),
    [
        (Goal(), TWO, [0, 1], [[-1], [1]], [[0.1], [0.1]], [True, False]),
        (Goal(), TWO.at(0.5), [0, 1], [[-1], [1]], [[0.1], [0.1]], [False, True]),
        (Goal("raise"), TWO, [0, 1], [[-1], [-1]], [[0.1], [-0.1]], [True, False]),
        (Goal("lower"), TWO, [0, 1], [[-1], [1]], [[0.1], [-0.1]], [False, True]),
        (Goal("targeted"), THREE, [0, 2], [[1, 0, 0]] * 2, [[0, 1, 0], [0, 1, 0]], [True, False]),
        (Goal("targeted", 2), THREE, [0, 1], [[1, 0, 0]] * 2, [[0, 1, 0], [0, 0, 1]], [False, True]),
        (Goal(), AGE, [50.0, 50.0], [[50], [50]], [[54.9], [44.9]], [False, True]),
        (Goal("raise"), AGE, [50.0, 50.0], [[40], [60]], [[45.1], [64.9]], [True, False]),
        (Goal("lower"), AGE, [50.0, 50.0], [[40], [60]], [[34.9], [55.1]], [True, False]),
        (Goal(), Task("multilabel", ("a", "b")), [[0, 1], [0, 1]], [[-1, 1]] * 2, [[-1, 1], [1, 1]], [False, True]),
        (Goal(), Task("anomaly", ("n", "a")).at(2.0), [0, 1], [[1], [3]], [[2.1], [1.9]], [True, True]),
    ],
)
def test_what_counts_as_fooled(
    goal: Goal, task: Task, truth: list[object], clean: list[list[float]], scores: list[list[float]], fooled: list[bool]
) -> None:
    goal.check(task)
    arrays = np.array(truth), np.array(clean, dtype=float), np.array(scores, dtype=float)
    assert goal.fooled(task, *arrays).tolist() == fooled


def test_fields_narrow_to_rows_whatever_their_parts_broadcast() -> None:
    clean = torch.arange(6.0).reshape(3, 2)
    index = torch.tensor([2, 0])
    shared = Field(clean, torch.tensor(0.0), torch.tensor(9.0), torch.tensor(1.0), torch.ones(1, 2), rate=125.0)
    own = Field(clean, None, None, torch.tensor(1.0), torch.tensor([[0.0, 1], [1, 0], [1, 1]]))
    assert shared.rows(index).clean.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert shared.rows(index).mask is shared.mask
    assert shared.rows(index).rate == 125.0
    narrowed = own.rows(index).mask
    assert narrowed is not None
    assert narrowed.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert own.clip(clean) is clean


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-1, 0), st.floats(0.1, 1))
def test_clipping_passes_the_gradient_at_the_border(value: float, low: float, high: float) -> None:
    field = Field(torch.zeros(1, 1), torch.tensor(low), torch.tensor(high), torch.tensor(1.0))
    point = torch.tensor([[value]], requires_grad=True)
    clipped = field.clip(point)
    clipped.sum().backward()
    inside = low <= float(torch.tensor(value)) <= high
    assert point.grad is not None
    if abs(value - low) > 1e-6 and abs(value - high) > 1e-6:
        assert float(point.grad) == float(inside)
    at_border = torch.tensor([[low]], requires_grad=True)
    field.clip(at_border).sum().backward()
    assert at_border.grad is not None
    assert float(at_border.grad) == 1.0


def test_space_names_the_unit_of_a_limit() -> None:
    space = Space("table", (2,), "mg/dL", 0.0, 300.0, scale=(30.0, 20.0), limit_unit="SD")
    assert "0.5 SD" in ThreatModel(Additive(), 0.5).sentence(space, TWO)
