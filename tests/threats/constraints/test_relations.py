"""Relations: how their text is read, judged and made linear."""

from __future__ import annotations

import pytest
import torch

from titer.errors import ThreatError
from titer.threats.constraints.constraint import OneOf, Relation, Steps
from titer.threats.constraints.expression import linear, read
from titer.threats.constraints.rules import Rules

KNOWN = ("a", "b", "c", "mean radius (pixels)", "odd/name")
ROWS = torch.tensor([[2.0, 3.0, 5.0, 7.0, 11.0], [1.0, 4.0, -2.0, 0.5, 3.0]])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a <= b", [True, True]),
        ("a >= b", [False, False]),
        ("c = a + b", [True, False]),
        ("a + b * 2 = 8", [True, False]),
        ("(a + b) * 2 = 10", [True, True]),
        ("a - b - c = -6", [True, False]),
        ("12 / a / b = 2", [True, False]),
        ("-c <= 1.5e0", [True, False]),
        ("mean radius = a + c", [True, False]),
        ("`odd/name` >= 2 * c + 1", [True, True]),
        ("a / (b - 4) <= 100", [True, False]),
    ],
)
def test_relations_are_read_with_the_usual_precedence(text: str, kept: list[bool]) -> None:
    assert Relation(text).holds(ROWS, ROWS, KNOWN).tolist() == kept


def test_rounding_to_float32_breaks_no_equation_but_a_real_gap_does() -> None:
    parts = torch.tensor([[1234.567, 0.321, 0.0]])
    parts[:, 2] = parts[:, 0] + parts[:, 1]
    assert bool(Relation("c = a + b").holds(parts, parts, KNOWN[:3]))
    parts[:, 2] += 0.1
    assert not bool(Relation("c = a + b").holds(parts, parts, KNOWN[:3]))
    assert bool(Relation("c = a + b", tolerance=1e-3).holds(parts, parts, KNOWN[:3]))


@pytest.mark.parametrize("text", ["a * b <= 1", "a / b <= 1", "1 / a <= 1", "(a + 1) * (b - 2) = 0"])
def test_products_of_features_are_not_linear(text: str) -> None:
    assert linear(read(text).left) is None


def test_long_texts_are_refused_before_they_are_read() -> None:
    with pytest.raises(ThreatError, match="400 characters"):
        read("(" * 500 + "a" + ")" * 500 + " <= 1")


def test_equations_that_feed_each_other_are_computed_in_order_and_circles_are_not() -> None:
    chain = Rules((Relation("c = b + 1"), Relation("b = 2 * a")), KNOWN)
    assert [at for at, _ in chain.derived] == [1, 2]
    wanted = ROWS.clone().double()
    wanted[:, 0] += 1
    made = chain.repair(ROWS.double(), wanted)
    assert made[:, 1].tolist() == [6.0, 4.0]
    assert made[0, 2] == 7.0
    circle = Rules((Relation("b = 2 * a"), Relation("a = b / 2")), KNOWN)
    assert [at for at, _ in circle.derived] == [1]


def test_slopes_pass_through_rounding_and_follow_equations() -> None:
    rules = Rules((Steps("a"), Relation("c = a * b")), KNOWN)
    wanted = (ROWS.double() + 0.3).requires_grad_(True)
    made = rules.repair(ROWS.double(), wanted)
    assert made[0, 0] == 2.0
    made[:, 2].sum().backward()
    assert wanted.grad is not None
    torch.testing.assert_close(wanted.grad[:, 0], ROWS[:, 1].double() + 0.3)
    torch.testing.assert_close(wanted.grad[:, 1], torch.tensor([2.0, 1.0]).double())
    assert wanted.grad[:, 2].tolist() == [0.0, 0.0]


def test_a_category_has_exactly_one_member() -> None:
    rows = torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 1, 0], [0.5, 0.5, 0]])
    assert OneOf("group", ("a", "b", "c")).holds(rows, rows, KNOWN[:3]).tolist() == [True, False, False, False]
