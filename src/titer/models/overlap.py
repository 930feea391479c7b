"""How well a segmented map agrees with the true one: Dice, or the share of right pixels, case by case."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Measure = Literal["dice", "pixels"]
MEASURES: tuple[Measure, ...] = ("dice", "pixels")


def overlap(decided: Array, targets: Array, classes: tuple[int, ...], measure: Measure = "dice") -> Array:
    """Agreement of class maps [n, *spatial], one number of 0 to 1 per case, in float64.

    "dice" is 2 |A and B| / (|A| + |B|) per class, averaged over `classes`; a class that neither map holds counts as 1,
    one that only one of them holds as 0. "pixels" is the share of pixels of the right class.

    Source: Dice 1945 (doi 10.2307/1932409); empty maps as in Maier-Hein et al. 2024 (doi 10.1038/s41592-023-02151-z),
    who ask that the convention be stated.

    >>> overlap(np.array([[0, 1, 1], [0, 0, 0]]), np.array([[0, 0, 1], [0, 0, 0]]), (1,)).round(3).tolist()
    [0.667, 1.0]
    """
    n = len(decided)
    said_flat, true_flat = (each.reshape(n, int(np.prod(each.shape[1:]))) for each in (decided, targets))
    if measure == "pixels":
        return np.asarray((said_flat == true_flat).mean(axis=1))
    total = np.zeros(n)
    for k in classes:
        said, true = said_flat == k, true_flat == k
        common = (said & true).sum(axis=1).astype(np.float64)
        both = (said.sum(axis=1) + true.sum(axis=1)).astype(np.float64)
        total += np.where(both > 0, 2 * common / np.maximum(both, 1), 1.0)
    return total / len(classes)
