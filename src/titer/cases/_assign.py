"""Patients dealt out to parts, so that every part comes near its share of every class."""

from __future__ import annotations

import numpy as np

from titer.cases.case import Array


def assign(counts: Array, shares: Array, rng: np.random.Generator) -> Array:
    """[P] part of each patient.

    Patients with equal counts are dealt out in bulk by their rounded-down quota; what remains, and all others, go one
    by one, those with most cases first, to the part with the smallest sum over strata of (cases - target)^2 / target;
    all cases together count as one more stratum.
    A stratum that a part then lacks is repaired by moving a patient from the part that can spare one.

    Arguments
        counts: [P, S] cases of each patient in each stratum.
        shares: [parts, S] wanted share of each stratum in each part; columns sum to 1; a part with 0 gets nothing.
        rng: decides among equals.
    """
    goal = shares * counts.sum(axis=0)
    goal = np.column_stack([goal, goal.sum(axis=1)])
    whole = np.column_stack([counts, counts.sum(axis=1)])
    open_parts = np.flatnonzero(shares.sum(axis=1) > 0)
    place = np.full(len(counts), -1, dtype=np.int64)
    order = rng.permutation(len(counts))
    _bulk(counts, shares, order, place)
    held = np.stack([whole[place == part].sum(axis=0) for part in range(len(shares))]).astype(np.float64)
    rest = order[place[order] < 0]
    rest = rest[np.argsort(-counts[rest].sum(axis=1), kind="stable")]
    weight = 1.0 / np.maximum(goal, 1.0)
    for patient in rest:
        mine = whole[patient]
        gap = held[open_parts] - goal[open_parts]
        cost = (weight[open_parts] * (2 * gap * mine + mine**2)).sum(axis=1)
        part = open_parts[int(np.argmin(cost))]
        place[patient] = part
        held[part] += mine
    _repair(counts, shares, place)
    return place


def _bulk(counts: Array, shares: Array, order: Array, place: Array) -> None:
    """Equal patients by their quota, rounded down."""
    kinds, kind = np.unique(counts[order], axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    sizes = np.bincount(kind, minlength=len(kinds))
    # Quotas of rare kinds round down to nothing and are left to the dealing one by one.
    by_kind = np.split(order[np.argsort(kind, kind="stable")], np.cumsum(sizes)[:-1])
    for counted, members in zip(kinds, by_kind, strict=True):
        share = (shares * counted).sum(axis=1) / max(counted.sum(), 1)
        quota = np.floor(share * len(members) + 1e-9).astype(np.int64)
        start = 0
        for part, many in enumerate(quota):
            place[members[start : start + many]] = part
            start += many


def _repair(counts: Array, shares: Array, place: Array) -> None:
    """Give each part one patient of a stratum that it lacks, where another part has two or more."""
    has = counts > 0
    for stratum in np.argsort(has.sum(axis=0), kind="stable"):
        for part in np.flatnonzero(shares[:, stratum] > 0):
            if has[place == part, stratum].any():
                continue
            richest = np.argsort([-has[place == other, stratum].sum() for other in range(len(shares))], kind="stable")
            for giver in richest:
                candidates = np.flatnonzero((place == giver) & has[:, stratum])
                chosen = _spared(has, place, candidates, int(giver), counts)
                if len(candidates) > 1 and chosen is not None:
                    place[chosen] = part
                    break


def _spared(has: Array, place: Array, candidates: Array, giver: int, counts: Array) -> int | None:
    """The smallest patient whose leaving robs the giver of no stratum."""
    mine = has[place == giver].sum(axis=0)
    for patient in candidates[np.argsort(counts[candidates].sum(axis=1), kind="stable")]:
        if ((mine - has[patient] > 0) | ~has[patient]).all():
            return int(patient)
    return None
