"""Words that few patients share are withheld before anything is written: they could point at a person."""

from __future__ import annotations

import numpy as np

from titer.audit.report.schema.subgroups import SMALLEST_GROUP
from titer.audit.table import Array
from titer.cases.dataset import Dataset

RARE = f"withheld: fewer than {SMALLEST_GROUP} patients"


def withheld(values: Array, patients: Array) -> Array:
    """Values of a group column in which those of fewer than ten patients have no name any more, but one in common.

    >>> few = withheld(np.array(["F"] * 12 + ["94107"]), np.arange(13))
    >>> few.tolist()[0], few.tolist()[-1]
    ('F', 'withheld: fewer than 10 patients')
    """
    text = values.astype(str)
    counts = {value: len(np.unique(patients[text == value])) for value in np.unique(text)}
    return np.array([str(value) if counts[value] >= SMALLEST_GROUP else RARE for value in text])


def shared_words(dataset: Dataset) -> frozenset[int] | None:
    """Token numbers that may be shown: words without digits in the notes of at least ten patients.

    None where no patient was involved, so that every word may.
    """
    if dataset.card.synthetic:
        return None
    found: frozenset[int] | None = dataset.__dict__.get("_shared_words")
    if found is None:
        holders: dict[int, set[int]] = {}
        for note, patient in zip(dataset.cases.inputs, dataset.cases.patients.tolist(), strict=True):
            for number in np.unique(note).tolist():
                holders.setdefault(int(number), set()).add(patient)
        words = dataset.space.vocabulary
        found = frozenset(
            number
            for number, people in holders.items()
            if len(people) >= SMALLEST_GROUP and not any(sign.isdigit() for sign in words[number])
        )
        object.__setattr__(dataset, "_shared_words", found)
    return found
