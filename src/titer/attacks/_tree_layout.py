"""Variables and rows of the program that looks for the nearest case which trees answer otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from titer.models.trees import Forest, Tree

Array = np.ndarray[Any, Any]


class Layout:
    """Variables of the program: one per threshold that can be crossed, one per reachable leaf, and the cost's own.

    A threshold's variable is 1 if the value is up to it. Of each tree one leaf is chosen; what lies left of a node is
    allowed by the node's variable, what lies right of it by its opposite. So leaves are whole by themselves.

    Source: Kantchelian, Tygar, Joseph 2016 (arXiv 1509.07892).
    """

    def __init__(
        self, forest: Forest, clean: Array, low: Array, high: Array, scale: Array, norm: Literal["linf", "l0"]
    ) -> None:
        self.forest, self.clean, self.scale, self.norm = forest, clean, scale, norm
        asked: dict[int, set[float]] = {}
        for tree in forest.trees:
            for node in np.flatnonzero(tree.feature >= 0):
                asked.setdefault(int(tree.feature[node]), set()).add(float(tree.threshold[node]))
        self.fixed: dict[tuple[int, float], bool] = {}
        self.splits: list[tuple[int, float, float, float]] = []
        for feature, thresholds in sorted(asked.items()):
            for threshold in sorted(thresholds):
                below, above = _edges(threshold)
                down, up = below >= low[feature], above <= high[feature]
                left = bool(self._seen(clean[feature]) <= threshold)
                # Where the clean value lies, it may stay.
                down, up = down or left, up or not left
                if down and up:
                    self.splits.append((feature, threshold, below, above))
                else:
                    self.fixed[feature, threshold] = down
        self.place = {(feature, threshold): k for k, (feature, threshold, _, _) in enumerate(self.splits)}
        self.leaves = [list(self._reach(tree, 0, (), ())) for tree in forest.trees]

    def spread(self, weights: Array) -> float:
        """How far the trees can move the conditions at most, or 1."""
        total = sum(np.ptp(tree.value @ weights.T, axis=0) for tree in self.forest.trees)
        return float(np.max(total)) or 1.0

    def possible(self, weights: Array, constants: Array, margin: float) -> bool:
        """Whether each condition could hold if every tree gave its best leaf."""
        best = weights @ self.forest.base + constants
        for tree, leaves in zip(self.forest.trees, self.leaves, strict=True):
            best = best + (tree.value[[leaf for leaf, _, _ in leaves]] @ weights.T).max(axis=0)
        return bool((best >= margin).all())

    def _size(self) -> int:
        """Variables apart from the cost's own."""
        return len(self.splits) + sum(map(len, self.leaves))

    def _linked(self) -> Iterator[tuple[dict[int, float], float, float]]:
        """Rows that make variables one case, as (weights, lowest, highest)."""
        for k, (feature, *_) in enumerate(self.splits[:-1]):
            if self.splits[k + 1][0] == feature:
                yield {k: 1.0, k + 1: -1.0}, -math.inf, 0.0
        first = len(self.splits)
        for leaves in self.leaves:
            yield {first + k: 1.0 for k in range(len(leaves))}, 1.0, 1.0
            sides: dict[tuple[int, bool, int], dict[int, float]] = {}
            for k, (_, nodes, path) in enumerate(leaves):
                for node, (split, left) in zip(nodes, path, strict=True):
                    sides.setdefault((split, left, node), {})[first + k] = 1.0
            for (split, left, _), weights in sides.items():
                yield weights | {split: -1.0 if left else 1.0}, -math.inf, 0.0 if left else 1.0
            first += len(leaves)

    def rows(
        self, weights: Array, constants: Array, margin: float
    ) -> tuple[Array, Any, tuple[Array, Array], Array, Any]:
        """Cost, rows, their ends, which variables are whole, and the box, as the solver wants them."""
        from scipy.optimize import Bounds
        from scipy.sparse import csr_array

        rows = list(self._linked())
        count = self._size()
        spread = self.spread(weights)
        for wanted, constant in zip(weights, constants, strict=True):
            row, first = {}, len(self.splits)
            for tree, leaves in zip(self.forest.trees, self.leaves, strict=True):
                for k, (leaf, _, _) in enumerate(leaves):
                    row[first + k] = float(tree.value[leaf] @ wanted) / spread
                first += len(leaves)
            low = margin - float(constant) - float(wanted @ self.forest.base)
            rows.append((row, low / spread, math.inf))
        moving = sorted({feature for feature, *_ in self.splits})
        single = self.norm == "linf"
        extra = 1 if single else len(moving)
        for k, (feature, threshold, below, above) in enumerate(self.splits):
            clean, scale = self.clean[feature], self.scale[feature]
            left = bool(self._seen(clean) <= threshold)
            length = (abs((above if left else below) - clean) / scale) if single else 1.0
            at = count if single else count + moving.index(feature)
            # The cost is at least the length wherever the variable is not what it is for the clean case.
            rows.append(({k: length, at: 1.0}, length, math.inf) if left else ({k: -length, at: 1.0}, 0.0, math.inf))
        data = [(number, at, weight) for number, (line, _, _) in enumerate(rows) for at, weight in line.items()]
        index = np.array([[number, at] for number, at, _ in data]).reshape(-1, 2).T
        matrix = csr_array((np.array([weight for *_, weight in data]), index), shape=(len(rows), count + extra))
        whole = np.concatenate((np.ones(len(self.splits)), np.zeros(count - len(self.splits)), np.zeros(extra)))
        top = np.concatenate((np.ones(count), np.full(extra, math.inf if single else 1.0)))
        if not single:
            whole[count:] = 1
        cost = np.concatenate((np.zeros(count), np.ones(extra)))
        ends = np.array([low for _, low, _ in rows]), np.array([high for *_, high in rows])
        return cost, matrix, ends, whole, Bounds(np.zeros(count + extra), top)

    def row(self, found: Array) -> Array:
        """The case nearest to the clean one on these sides of all thresholds."""
        made = self.clean.copy()
        for (feature, threshold, below, above), value in zip(self.splits, found, strict=False):
            # Left alone where it stands on the right side, whatever rounding to float32 makes of it.
            if bool(self._seen(made[feature]) <= threshold) != bool(value > 0.5):
                made[feature] = below if value > 0.5 else above
        return np.asarray(made)

    def _reach(
        self, tree: Tree, node: int, nodes: tuple[int, ...], path: tuple[tuple[int, bool], ...]
    ) -> Iterator[tuple[int, tuple[int, ...], tuple[tuple[int, bool], ...]]]:
        """Leaves that some case within reach ends in: (leaf, nodes on the way, side taken at each)."""
        feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
        if feature < 0:
            yield node, nodes, path
            return
        split = self.place.get((feature, threshold))
        for left, following in ((True, tree.left[node]), (False, tree.right[node])):
            if split is None:
                if self.fixed[feature, threshold] == left:
                    yield from self._reach(tree, int(following), nodes, path)
            elif not self._against(path, split, left):
                yield from self._reach(tree, int(following), (*nodes, node), (*path, (split, left)))

    def _against(self, path: tuple[tuple[int, bool], ...], split: int, left: bool) -> bool:
        """Whether a side contradicts those taken before at thresholds of the same feature."""
        feature = self.splits[split][0]
        for other, side in path:
            if self.splits[other][0] == feature and side != left and ((other <= split) if side else (other >= split)):
                return True
        return False

    def _seen(self, value: float) -> float:
        return float(np.float32(value)) if self.forest.single else float(value)


def _edges(threshold: float) -> tuple[float, float]:
    """The largest float32 up to a threshold and the smallest one above it.

    >>> _edges(0.5)
    (0.5, 0.5000000596046448)
    """
    near = np.float32(threshold)
    below = near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))
    return float(below), float(np.nextafter(below, np.float32(np.inf)))
