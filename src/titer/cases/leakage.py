"""Leakage: a patient, or a near-identical case, in two parts of a split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from titer.cases._twins import alike, chance_rows, identical, words_for
from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.cases.splits import PARTS, Split, strata
from titer.errors import DataError, LeakageError, PlanError

Mode = Literal["refuse", "drop", "report"]


@dataclass(frozen=True, eq=False)
class LeakageResult:
    """What the check found; prints as its sentence.

    Arguments
        split: the parts to go on with; without the dropped cases.
        sentence: what was compared and what was found.
        patients: patients in all parts together.
        identical: cases with an identical one in another part, counted in the earlier part (train goes before
            validation before test). similar: the same for near-identical ones that are not identical.
        repeated: cases that repeat one of their own part exactly; they stay.
        dropped: row numbers that were left out.
    """

    split: Split
    sentence: str
    patients: int
    identical: int
    similar: int
    repeated: int
    dropped: Array = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __str__(self) -> str:
        return self.sentence


def check_leakage(dataset: Dataset, split: Split, *, near_duplicates: Mode = "refuse") -> LeakageResult:
    """Refuse a patient in two parts, and find cases that are near-identical across parts.

    Near-identical means, for pictures and volumes, a correlation of at least 0.98 once the mean picture of the data
    set is taken away (0.995 without, below 30 pictures); for signals of at least 0.997; for notes at least 80 % of
    three-word phrases in common; for tables equal within 0.001 SD in every feature. Copies that were re-encoded
    or rescaled in brightness are found; copies that were cropped, turned, inverted or shifted in time are not.
    Equal rows of a table so coarse that chance alone gives some are reported and not held against it.

    Arguments
        dataset: the cases. split: rows of each part.
        near_duplicates: "refuse" raises; "drop" leaves out the copy in the earlier part, so that the test part stays
            whole; "report" keeps them and says so.

    Errors: `LeakageError` as above; `DataError` where dropping leaves a part without a class.
    """
    if near_duplicates not in ("refuse", "drop", "report"):
        raise PlanError("'refuse', 'drop' or 'report' for near_duplicates", repr(near_duplicates), "correct it")
    part = np.full(len(dataset.cases), -1, dtype=np.int64)
    for number, rows in enumerate(split.parts().values()):
        if (part[rows] >= 0).any():
            raise LeakageError("every case in one part", f"case {int(rows[part[rows] >= 0][0])} in two", "split again")
        part[rows] = number
    patients = _check_patients(dataset, part)
    same, repeated = identical(dataset.cases.inputs, part)
    near = alike(dataset.cases.inputs, dataset.space, part)
    coarse = 0.0
    if dataset.space.kind == "table":
        coarse = chance_rows(dataset.cases.inputs, dataset.space, part)
    twins = _earlier(same, part)
    similar = np.setdiff1d(_earlier(near, part), twins)
    found = np.union1d(twins, similar)
    excused = coarse >= 0.05
    if len(found) and not excused and near_duplicates == "refuse":
        link = sorted((same if len(same) else near)[0], key=lambda row: part[row])
        raise LeakageError(
            f"no near-identical cases in two parts of {dataset.card.name} ({words_for(dataset.space.kind)})",
            f"{len(found)} cases with a twin in a later part ({len(twins)} identical), first "
            f"{dataset.cases.ids[link[0]]!r} and {dataset.cases.ids[link[1]]!r}",
            "set near_duplicates of the split to 'drop', or to 'report' and explain why they may stay",
        )
    dropped = found if near_duplicates == "drop" and not excused else np.empty(0, dtype=np.int64)
    kept = _without(dataset, split, dropped) if len(dropped) else split
    sentence = _sentence(dataset, part, patients, (len(twins), len(similar), repeated), len(dropped), coarse)
    return LeakageResult(kept, sentence, patients, len(twins), len(similar), repeated, dropped)


def _check_patients(dataset: Dataset, part: Array) -> int:
    """Number of patients; one in two parts is refused."""
    rows = np.flatnonzero(part >= 0)
    both = np.unique(np.column_stack([dataset.cases.patients[rows], part[rows]]), axis=0)
    people, counts = np.unique(both[:, 0], return_counts=True)
    shared = people[counts > 1]
    if len(shared):
        where = " and ".join(PARTS[number] for number in both[both[:, 0] == shared[0], 1])
        raise LeakageError(
            f"every patient of {dataset.card.name} in one part",
            f"{len(shared)} in several, first patient number {shared[0]} in {where}",
            "split by patient, or correct the patient key",
        )
    return len(people)


def _earlier(links: Array, part: Array) -> Array:
    """Rows of links that stand in the earlier part."""
    if not len(links):
        return np.empty(0, dtype=np.int64)
    first = part[links[:, 0]] < part[links[:, 1]]
    return np.unique(np.where(first, links[:, 0], links[:, 1]))


def _without(dataset: Dataset, split: Split, dropped: Array) -> Split:
    parts = {name: np.setdiff1d(rows, dropped) for name, rows in split.parts().items()}
    columns = strata(dataset)
    for name, rows in parts.items():
        before, after = columns[split.parts()[name]].any(axis=0), columns[rows].any(axis=0)
        if dataset.task != "regression" and (before & ~after).any():
            raise DataError(
                f"every class in the {name} part once {len(dropped)} near-identical cases are dropped",
                "a class without cases",
                "add cases, or set near_duplicates to 'report' and explain",
            )
    return Split(**parts, left_out=np.union1d(split.left_out, dropped))


def _sentence(
    dataset: Dataset, part: Array, patients: int, found: tuple[int, int, int], dropped: int, coarse: float
) -> str:
    cases = int((part >= 0).sum())
    first = (
        f"Each of the {cases} cases counts as its own patient; none is in two parts."
        if patients == cases
        else f"None of the {patients} patients of {cases} cases is in two parts."
    )
    same, similar, repeated = found
    meaning = words_for(dataset.space.kind)
    if same + similar == 0:
        second = f"No case is near-identical to one of another part ({meaning})."
    else:
        what = f"{same + similar} cases have a near-identical one in a later part ({meaning}; {same} identical)"
        second = f"{what}; these were left out." if dropped else f"{what}; they were kept."
    third = f" {repeated} cases repeat one of their own part exactly." if repeated else ""
    fourth = (
        f" The table is coarse: chance alone would make about {coarse:.2g} pairs of rows equal; they prove nothing."
        if coarse >= 0.05
        else ""
    )
    return f"{first} {second}{third}{fourth}"
