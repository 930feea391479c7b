"""Trees: decision trees as plain arrays, for attackers who have read a model's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Tree:
    """One decision tree; node 0 is the root.

    Arguments
        feature: [m] feature that each node asks about; -1 in leaves.
        threshold: [m] a value up to it goes left.
        left, right: [m] number of the next node.
        value: [m, K] what a leaf adds to each output.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    value: Array

    def leaf(self, inputs: Array) -> Array:
        """[n] the leaf that each case ends in."""
        at = np.zeros(len(inputs), dtype=np.int64)
        rows = np.arange(len(inputs))
        while (self.feature[at] >= 0).any():
            asked = self.feature[at]
            goes = inputs[rows, np.maximum(asked, 0)] <= self.threshold[at]
            at = np.where(asked < 0, at, np.where(goes, self.left[at], self.right[at]))
        return at


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum of trees.

    Arguments
        trees: in any order. base: [K] what all cases have in common.
        outputs: "shares" if the sums are probabilities, of which the scores are the logarithms; "scores" if they are
            scores themselves, or numbers (regression). Two-sided tasks have two outputs, negative and positive.
        single: whether values are rounded to float32 before a threshold sees them.

    >>> stump = Tree(*map(np.array, ([0, -1, -1], [0.5, 0, 0], [1, 0, 0], [2, 0, 0], [[0.0], [1.0], [3.0]])))
    >>> Forest((stump,), np.zeros(1), "scores").answer(np.array([[0.2], [0.7]])).tolist()
    [[1.0], [3.0]]
    """

    trees: tuple[Tree, ...]
    base: Array
    outputs: Literal["shares", "scores"]
    single: bool = True

    def ordered(self, columns: Sequence[Sequence[int]]) -> Forest | None:
        """The same forest with other outputs, each the sum of some of its own; None where scores cannot be added."""
        if self.outputs == "scores" and any(len(each) != 1 for each in columns):
            return None

        def summed(value: Array) -> Array:
            return np.stack([value[..., list(each)].sum(axis=-1) for each in columns], axis=-1)

        trees = tuple(replace(tree, value=summed(tree.value)) for tree in self.trees)
        return replace(self, trees=trees, base=summed(self.base))

    def answer(self, inputs: Array) -> Array:
        """[n, K] sums for cases [n, d]."""
        flat = inputs.reshape(len(inputs), -1)
        seen = flat.astype(np.float32).astype(np.float64) if self.single else flat.astype(np.float64)
        total = np.repeat(self.base[None], len(flat), axis=0)
        for tree in self.trees:
            total = total + tree.value[tree.leaf(seen)]
        return np.asarray(total)
