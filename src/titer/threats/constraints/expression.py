"""Expressions over features, as a plan writes them: 'diastolic <= systolic', 'bmi = weight / (height * height)'.

They are read by a parser of our own and never evaluated as Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from titer.errors import ThreatError

Sign = Literal["<=", ">=", "="]
_SIGNS: dict[str, Sign] = {"<=": "<=", ">=": ">=", "=": "=", "==": "="}
_LONGEST = 400
# Names may hold blanks between words; names with other characters stand in backticks.
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)|`(?P<quoted>[^`]+)`|(?P<name>[^\W\d]\w*(?:[ \t]+[^\W\d]\w*)*)"
    r"|(?P<sign><=|>=|==|=|<|>)|(?P<mark>[-+*/()]))"
)


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Name:
    """A feature."""

    name: str


@dataclass(frozen=True)
class Pair:
    """Two expressions joined by +, -, * or /."""

    operator: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression


Expression = Number | Name | Pair


@dataclass(frozen=True)
class Comparison:
    """Two sides with <=, >= or = between them."""

    left: Expression
    sign: Sign
    right: Expression


def read(text: str) -> Comparison:
    """A comparison from its text.

    >>> read("total = a + 2 * b").sign
    '='
    """
    parser = _Parser(text)
    if len(text) > _LONGEST:
        raise parser.fault(f"at most {_LONGEST} characters", f"{len(text)}")
    left = parser.sum()
    _, word = parser.take()
    sign = _SIGNS.get(word)
    if sign is None:
        raise parser.fault("one of <=, >= or =", word or "the end")
    right = parser.sum()
    kind, word = parser.take()
    if kind:
        raise parser.fault("the end", word)
    return Comparison(left, sign, right)


def names(expression: Expression) -> tuple[str, ...]:
    """Features that an expression speaks of, each once, in order."""
    if isinstance(expression, Name):
        return (expression.name,)
    if isinstance(expression, Pair):
        return tuple(dict.fromkeys(names(expression.left) + names(expression.right)))
    return ()


def value(expression: Expression, column: Callable[[str], Tensor]) -> Tensor | float:
    """The value for each row, differentiable; `column` gives a feature by its name."""
    if isinstance(expression, Number):
        return expression.value
    if isinstance(expression, Name):
        return column(expression.name)
    left, right = value(expression.left, column), value(expression.right, column)
    if expression.operator == "/":
        # A division by 0 is no valid row; torch gives infinity where Python would stop. A number becomes a tensor
        # without dimensions, which may meet those of any device.
        return torch.as_tensor(left, dtype=torch.float64) / torch.as_tensor(right, dtype=torch.float64)
    return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right}[expression.operator]()


def size(expression: Expression, column: Callable[[str], Tensor]) -> Tensor | float:
    """The magnitude of the terms that meet in an expression, by which rounding is measured."""
    if isinstance(expression, Pair) and expression.operator in "+-":
        return size(expression.left, column) + size(expression.right, column)
    found = value(expression, column)
    return found.abs() if isinstance(found, Tensor) else abs(found)


def linear(expression: Expression) -> tuple[dict[str, float], float] | None:
    """Weights of the features and the constant, or None if the expression is not linear.

    >>> linear(read("a <= 2 * (b - 3) / 4 + b").right)
    ({'b': 1.5}, -1.5)
    """
    if isinstance(expression, Number):
        return {}, expression.value
    if isinstance(expression, Name):
        return {expression.name: 1.0}, 0.0
    left, right = linear(expression.left), linear(expression.right)
    if left is None or right is None:
        return None
    if expression.operator in "+-":
        sign = 1.0 if expression.operator == "+" else -1.0
        weights = dict(left[0])
        for name, weight in right[0].items():
            weights[name] = weights.get(name, 0.0) + sign * weight
        return weights, left[1] + sign * right[1]
    if expression.operator == "*" and not left[0]:
        left, right = right, left
    if right[0] or (expression.operator == "/" and right[1] == 0):
        return None
    factor = right[1] if expression.operator == "*" else 1 / right[1]
    return {name: weight * factor for name, weight in left[0].items()}, left[1] * factor


def place(name: str, known: Sequence[str]) -> int:
    """Where a feature stands, by its whole name or by the name without a unit in brackets; else refused.

    >>> place("mean radius", ["mean radius (pixels)", "mean area (pixels^2)"])
    0
    """
    if name in known:
        return list(known).index(name)
    bare = [re.sub(r"\s*[(\[][^()\[\]]*[)\]]$", "", each) for each in known]
    if bare.count(name) == 1:
        return bare.index(name)
    near = get_close_matches(name, [*known, *bare], n=1, cutoff=0.5)
    listed = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ThreatError("a feature of this table", repr(name), f"{hint}known: {listed}")


def picked(rows: Float[Tensor, "n d"], known: Sequence[str]) -> Callable[[str], Tensor]:
    """A function that gives the column of a feature."""
    return lambda name: rows[:, place(name, known)]


class _Parser:
    """Recursive descent: sum = product (+|- product)*, product = atom (*|/ atom)*."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def take(self) -> tuple[str, str]:
        kind, word, self.at = self._look()
        return kind, word

    def sum(self) -> Expression:
        found = self._product()
        while self._next("+", "-"):
            found = Pair(self.take()[1], found, self._product())  # type: ignore[arg-type]
        return found

    def fault(self, expected: str, got: str) -> ThreatError:
        remedy = "write for example 'diastolic <= systolic' or 'total = a + b'; odd names go into `backticks`"
        return ThreatError(f"{expected} in the relation {self.text!r}", repr(got), remedy)

    def _product(self) -> Expression:
        found = self._atom()
        while self._next("*", "/"):
            found = Pair(self.take()[1], found, self._atom())  # type: ignore[arg-type]
        return found

    def _atom(self) -> Expression:
        kind, word = self.take()
        if kind == "number":
            return Number(float(word))
        if kind in ("name", "quoted"):
            return Name(" ".join(word.split()) if kind == "name" else word)
        if word == "-":
            return Pair("*", Number(-1.0), self._atom())
        if word == "(":
            found = self.sum()
            if self.take()[1] != ")":
                raise self.fault("a closing bracket", self.text[self.at :] or "the end")
            return found
        raise self.fault("a feature or a number", word or "the end")

    def _next(self, *marks: str) -> bool:
        kind, word, _ = self._look()
        return kind == "mark" and word in marks

    def _look(self) -> tuple[str, str, int]:
        if not self.text[self.at :].strip():
            return "", "", len(self.text)
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise self.fault("features, numbers and + - * / ( ) <= >= =", self.text[self.at :].strip()[0])
        kind = str(match.lastgroup)
        return kind, match[kind], match.end()
