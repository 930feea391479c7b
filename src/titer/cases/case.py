"""Case and Batch: what is examined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titer.errors import DataError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Case:
    """One input with its truth.

    Arguments
        id: name of the case, unique in its data set; never a patient's identifier.
        input: values in the unit of the space, of the space's shape.
        target: class number, 0/1 vector (several findings), a number (regression), or 0/1 (normal/abnormal).
        patient: number that all cases of one patient share; a code, not an identifier.
        groups: attributes for subgroup results, e.g. {"sex": "F", "site": "3"}.
        mask: where the lesion, or another region of interest such as the brain, is (1) and is not (0), if known.
    """

    id: str
    input: Array
    target: Any
    patient: int
    groups: Mapping[str, str] = field(default_factory=dict)
    mask: Array | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Cases side by side; the first dimension of every array is the case.

    Arguments
        inputs: [n, *shape].
        targets: [n] or, for several findings, [n, K].
        patients: [n] whole numbers; equal means same patient.
        ids: n names; unique.
        groups: attribute name -> [n] strings.
        masks: [n, *shape] masks of lesions or regions of interest, if known.

    >>> batch = Batch.of(np.zeros((3, 2)), np.array([0, 1, 1]))
    >>> len(batch.take([2, 0])), batch.take([2, 0]).ids
    (2, ('2', '0'))
    """

    inputs: Array
    targets: Array
    patients: Array
    ids: tuple[str, ...]
    groups: Mapping[str, Array] = field(default_factory=dict)
    masks: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.inputs)
        lengths = {"targets": len(self.targets), "patients": len(self.patients), "ids": len(self.ids)}
        lengths |= {f"group {name!r}": len(column) for name, column in self.groups.items()}
        if self.masks is not None:
            lengths["masks"] = len(self.masks)
        for what, length in lengths.items():
            if length != n:
                raise DataError(f"{n} {what}, one per case", str(length), "give every case its own")

    @classmethod
    def of(cls, inputs: Array, targets: Array, patients: Array | None = None) -> Batch:
        """A batch from plain arrays; every case is its own patient unless told otherwise."""
        count = len(inputs)
        people = np.arange(count) if patients is None else np.unique(patients, return_inverse=True)[1]
        return cls(inputs, np.asarray(targets), people.astype(np.int64), tuple(map(str, range(count))))

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[Case]:
        for row in range(len(self)):
            yield Case(
                id=self.ids[row],
                input=self.inputs[row],
                target=self.targets[row],
                patient=int(self.patients[row]),
                groups={name: str(column[row]) for name, column in self.groups.items()},
                mask=None if self.masks is None else self.masks[row],
            )

    def take(self, rows: Any) -> Batch:
        """The cases at the given row numbers (or where a boolean array is true), in that order."""
        index = np.asarray(rows)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        return Batch(
            self.inputs[index],
            self.targets[index],
            self.patients[index],
            tuple(self.ids[row] for row in index),
            {name: column[index] for name, column in self.groups.items()},
            None if self.masks is None else self.masks[index],
        )
