"""Splits into train, validation and test: by patient, stratified by class, or as the source fixed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from titer.cases._assign import assign
from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.digest import digest_arrays
from titer.errors import DataError, PlanError

PARTS = ("train", "validation", "test")
By = Literal["patient", "official"]


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of each part, in growing order.

    Arguments
        train, validation, test: row numbers of the data set.
        left_out: rows of no part: beyond a limit, anomalies of an official train part, dropped duplicates.
    """

    train: Array
    validation: Array
    test: Array
    left_out: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        for name in (*PARTS, "left_out"):
            rows = np.sort(np.asarray(getattr(self, name), dtype=np.int64))
            rows.setflags(write=False)
            object.__setattr__(self, name, rows)

    @property
    def digest(self) -> str:
        """SHA-256 over the row numbers of the three parts."""
        return digest_arrays(self.train, self.validation, self.test)

    def parts(self) -> dict[str, Array]:
        """Part name -> row numbers."""
        return {name: getattr(self, name) for name in PARTS}

    def __str__(self) -> str:
        return ", ".join(f"{len(rows)} {name}" for name, rows in self.parts().items()) + " cases"


def split(
    dataset: Dataset,
    *,
    seed: int,
    fractions: Sequence[float] = (0.5, 0.25, 0.25),
    by: By = "patient",
    limit: int | Sequence[int] | None = None,
) -> Split:
    """Divide the cases so that no patient stands in two parts.

    "patient": patients are dealt out one by one, those with most cases first, each to the part that then comes nearest
    to its share of every class (of every finding; of every fifth of the targets of a regression). Patients with the
    same cases per class are dealt out in bulk, so that with one case each the shares are exact but for rounding.
    For anomaly detection the train part holds normal cases alone: its share of all cases where one normal is then left
    for each anomaly, else its share of the normals; validation and test divide the others.

    "official": the parts of the source. Where it fixes no validation part, that is taken from its train part by
    patient. Anomalies in a train part are left out.

    Arguments
        dataset: the cases. seed: the same seed gives the same split. fractions: shares of train, validation and test,
        which sum to 1; a share may be 0. limit: most cases in each part, one number or three, chosen by class.

    Errors: `PlanError` for shares, seed or limit that cannot be; `DataError` where a class has fewer patients than
    parts need it.

    >>> from titer.cases.find import find_dataset
    >>> print(split(find_dataset("breast_biopsies"), seed=0))
    285 train, 142 validation, 142 test cases
    """
    shares = _shares(fractions)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise PlanError("a seed of at least 0", repr(seed), "give a whole number")
    caps = _caps(limit)
    rng = np.random.Generator(np.random.Philox(int(seed)))
    if by == "patient":
        place = _by_patient(dataset, shares, rng)
    elif by == "official":
        place = _official(dataset, shares, rng)
    else:
        raise PlanError("'patient' or 'official' for 'by'", repr(by), "correct 'by'")
    place = _limited(dataset, place, caps, rng)
    wanted = shares if by == "patient" else np.array([shares[0], 1.0, 1.0])
    _check_classes(dataset, place, wanted)
    rows = [np.flatnonzero(place == part) for part in (0, 1, 2, -1)]
    return Split(*rows)


def official_parts(dataset: Dataset) -> Split:
    """The parts exactly as the source fixed them, for a model that was trained elsewhere; nothing is moved.

    Errors: `DataError` where the source fixes none, or no test part, or one without a class.

    >>> import numpy as np
    >>> from dataclasses import replace
    >>> from titer.cases.find import find_dataset
    >>> data = find_dataset("breast_biopsies")
    >>> print(official_parts(replace(data, official=np.array((["train"] * 3 + ["test"]) * 142 + ["train"]))))
    427 train, 0 validation, 142 test cases
    """
    if dataset.official is None:
        raise DataError(f"parts fixed by the source of {dataset.card.name}", "none", "split by patient instead")
    place = np.full(len(dataset.cases), -1, dtype=np.int64)
    for number, part in enumerate(PARTS):
        place[np.asarray(dataset.official) == part] = number
    if not (place == 2).any():
        raise DataError(
            f"a test part in {dataset.card.name}", "none among the parts of the source", "name one, or split by patient"
        )
    _check_classes(dataset, place, np.array([0.0, float((place == 1).any()), 1.0]))
    return Split(*(np.flatnonzero(place == part) for part in (0, 1, 2, -1)))


def thinned(dataset: Dataset, rows: Array, most: int, seed: int) -> Array:
    """At most so many of some rows, in growing order: strata in proportion, none lost while there is room.

    Arguments
        rows: row numbers of the data set. most: how many to keep. seed: the same seed keeps the same rows.

    >>> from titer.cases.find import find_dataset
    >>> len(thinned(find_dataset("breast_biopsies"), np.arange(569), 30, seed=0))
    30
    """
    if len(rows) <= most:
        return np.sort(rows)
    return _kept(_one_stratum(dataset), rows, most, np.random.Generator(np.random.Philox(seed)))


def strata(dataset: Dataset) -> Array:
    """[n, S] counts by which a split is stratified: one column per class, finding or fifth of the targets; maps by how
    much of them is marked.
    """
    targets = dataset.cases.targets
    if dataset.task == "multilabel":
        return np.concatenate([targets, 1 - targets], axis=1).astype(np.int64)
    if dataset.task == "segmentation":
        targets = (targets != 0).reshape(len(targets), -1).mean(axis=1)
    if dataset.task in ("regression", "segmentation"):
        edges = np.quantile(targets.astype(float), (0.2, 0.4, 0.6, 0.8))
        return np.eye(5, dtype=np.int64)[np.searchsorted(edges, targets.astype(float), side="left")]
    count = 2 if dataset.task in ("anomaly", "binary") else len(dataset.classes)
    return np.eye(count, dtype=np.int64)[targets.astype(np.int64)]


def _by_patient(dataset: Dataset, shares: Array, rng: np.random.Generator) -> Array:
    """[n] number of the part of each case."""
    people, counts = _per_patient(dataset)
    if dataset.task != "anomaly":
        return assign(counts, np.tile(shares[:, None], (1, counts.shape[1])), rng)[people]
    return _with_anomalies(counts, shares, rng)[people]


def _per_patient(dataset: Dataset) -> tuple[Array, Array]:
    """[n] row of each case's patient, and [P, S] the cases of each patient in each stratum."""
    people = np.unique(dataset.cases.patients, return_inverse=True)[1].reshape(-1)
    columns = strata(dataset)
    counts = np.zeros((int(people.max()) + 1, columns.shape[1]), dtype=np.int64)
    np.add.at(counts, people, columns)
    return people, counts


def _with_anomalies(counts: Array, shares: Array, rng: np.random.Generator) -> Array:
    """Patients with an anomaly share validation and test; of the others, train gets its share first."""
    sick = counts[:, 1] > 0
    total, normal, free = int(counts.sum()), int(counts[:, 0].sum()), int(counts[~sick, 0].sum())
    wanted = min(shares[0] * total, max(shares[0] * normal, normal - (total - normal)))
    trained = min(1.0, wanted / free) if free else 0.0
    rest = shares[1:] / shares[1:].sum() if shares[1:].sum() else np.array([0.0, 1.0])
    place = np.zeros(len(counts), dtype=np.int64)
    if free:
        cut = np.array([trained, 1 - trained])[:, None]
        place[~sick] = assign(counts[~sick][:, :1], cut, rng)
    if trained > 0 and not (place[~sick] == 0).any():
        raise DataError("patients with normal cases alone, to train on", f"{free} such cases", "add normal cases")
    later = np.flatnonzero(sick | (place == 1))
    place[later] = 1 + assign(counts[later], np.tile(rest[:, None], (1, 2)), rng)
    return place


def _official(dataset: Dataset, shares: Array, rng: np.random.Generator) -> Array:
    if dataset.official is None:
        raise DataError(f"parts fixed by the source of {dataset.card.name}", "none", "split by patient instead")
    place = np.full(len(dataset.cases), -1, dtype=np.int64)
    for number, part in enumerate(PARTS):
        place[np.asarray(dataset.official) == part] = number
    if not (place == 1).any():
        learn = np.flatnonzero(place == 0)
        if not len(learn):
            raise DataError("official cases to fix thresholds on", "none outside the test part", "split by patient")
        share = shares[1] / (shares[0] + shares[1]) if shares[0] + shares[1] > 0 else 1.0
        people, counts = _per_patient(dataset)
        mine = np.unique(people[learn])
        both = np.tile(np.array([1 - share, share])[:, None], (1, counts.shape[1]))
        inside = np.zeros((len(counts), counts.shape[1]), dtype=np.int64)
        np.add.at(inside, people[learn], strata(dataset)[learn])
        moved = mine[assign(inside[mine], both, rng) == 1]
        place[learn[np.isin(people[learn], moved)]] = 1
    if dataset.task == "anomaly":
        place[(place == 0) & (dataset.cases.targets == 1)] = -1
    return place


def _limited(dataset: Dataset, place: Array, caps: list[int | None], rng: np.random.Generator) -> Array:
    """At most so many cases per part, each stratum in its proportion and none lost."""
    place = place.copy()
    stratum = _one_stratum(dataset)
    for part, cap in enumerate(caps):
        rows = np.flatnonzero(place == part)
        if cap is None or len(rows) <= cap:
            continue
        present = len(np.unique(stratum[rows]))
        if cap < present:
            raise PlanError(f"a limit of at least {present}, one case per class", str(cap), "raise 'limit'")
        place[np.setdiff1d(rows, _kept(stratum, rows, cap, rng))] = -1
    return place


def _one_stratum(dataset: Dataset) -> Array:
    """[n] number of each case's class; of multi-label cases whether there is any finding."""
    columns = strata(dataset)
    if dataset.task == "multilabel":
        return np.asarray(columns[:, : len(dataset.classes)].any(axis=1), dtype=np.int64)
    return np.asarray(columns.argmax(axis=1))


def _kept(stratum: Array, rows: Array, cap: int, rng: np.random.Generator) -> Array:
    order = rng.permutation(rows)
    quota = _quota(np.bincount(stratum[rows]), cap)
    return np.sort(np.concatenate([order[stratum[order] == each][: quota[each]] for each in range(len(quota))]))


def _quota(sizes: Array, cap: int) -> Array:
    """Whole numbers that sum to `cap`, in proportion to sizes; at least 1 where there is one, the largest first."""
    quota = np.zeros(len(sizes), dtype=np.int64)
    first = np.argsort(-sizes, kind="stable")[: min(cap, int((sizes > 0).sum()))]
    quota[first] = 1
    ideal = sizes * cap / sizes.sum()
    while quota.sum() < cap:
        quota[int(np.argmax(np.where(quota < sizes, ideal - quota, -np.inf)))] += 1
    return quota


def _check_classes(dataset: Dataset, place: Array, shares: Array) -> None:
    """Every class in every part; for anomalies, both kinds in validation and test."""
    if dataset.task == "regression":
        empty = [name for part, name in enumerate(PARTS) if shares[part] > 0 and not (place == part).any()]
        if empty:
            raise DataError(f"cases in the {empty[0]} part", "none", "add patients, or change the shares")
        return
    columns = _held(dataset) if dataset.task == "segmentation" else strata(dataset)
    names = ("normal", "abnormal") if dataset.task == "anomaly" else dataset.classes
    for part, label in enumerate(PARTS):
        if shares[part] <= 0:
            continue
        for number, name in enumerate(names):
            if dataset.task == "anomaly" and part == 0 and number == 1:
                continue
            mine = columns[:, number] > 0
            if not (mine & (place == part)).any():
                people = len(np.unique(dataset.cases.patients[mine]))
                raise DataError(
                    f"cases of class {name!r} in the {label} part",
                    f"none: its {int(mine.sum())} cases are of {people} patient{'s' if people != 1 else ''}",
                    "add patients with it, leave the class out, or change the shares or the seed",
                )


def _held(dataset: Dataset) -> Array:
    """[n, K] whether the map of each case holds each class."""
    flat = dataset.cases.targets.reshape(len(dataset.cases), -1)
    return np.stack([(flat == number).any(axis=1) for number in range(len(dataset.classes))], axis=1)


def _shares(fractions: Sequence[float]) -> Array:
    shares = np.asarray(list(fractions), dtype=np.float64)
    if shares.shape != (3,) or not np.isfinite(shares).all() or (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise PlanError("three shares of at least 0 that sum to 1", str(tuple(fractions)), "correct the fractions")
    return np.asarray(shares / shares.sum())


def _caps(limit: int | Sequence[int] | None) -> list[int | None]:
    caps: list[Any] = list(limit) if isinstance(limit, (list, tuple)) else [limit] * 3
    good = [cap is None or (isinstance(cap, int) and not isinstance(cap, bool) and cap >= 1) for cap in caps]
    if len(caps) != 3 or not all(good):
        raise PlanError("one or three limits of at least 1", repr(limit), "correct 'limit'")
    return caps
