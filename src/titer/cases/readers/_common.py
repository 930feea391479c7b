"""What all readers share: options about the data set, and the last step from columns to cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset, TaskKind
from titer.cases.labels import Labels, encode, parts, patient_codes
from titer.cases.options import one_of, refuse_unknown, words
from titer.cases.space import Space
from titer.digest import digest_file

# Columns that become subgroups without being asked for: none of them names a person.
GROUPS = ("sex", "gender", "age_group", "site", "hospital", "device", "scanner", "view", "ethnicity", "race")
_KNOWN = ("title", "licence", "citation", "source", "task", "classes", "positive")
_NO_KEY = "no patient key was given: every case counts as its own patient, so a split cannot keep patients together"


@dataclass(frozen=True)
class About:
    """Options that every reader takes.

    Arguments
        title, licence, citation, source: for the data card.
        task: "classes", "multilabel" (findings joined by |), "regression" or "anomaly".
        classes: class names in the wanted order. positive: those that mean disease.
    """

    title: str = ""
    licence: str = ""
    citation: str = ""
    source: str = ""
    task: TaskKind = "classes"
    classes: tuple[str, ...] | None = None
    positive: tuple[str, ...] | None = None

    @classmethod
    def taken(cls, more: Mapping[str, Any], method: Callable[..., Any]) -> About:
        """From what is left of a plan's options; unknown ones are refused."""
        refuse_unknown({key: value for key, value in more.items() if key not in _KNOWN}, method, _KNOWN)
        chosen: dict[str, Any] = {key: str(more[key]) for key in _KNOWN[:4] if key in more}
        if "task" in more:
            chosen["task"] = one_of(more["task"], "task", ("classes", "multilabel", "regression", "anomaly"))
        chosen |= {key: words(more[key], key) for key in ("classes", "positive") if more.get(key) is not None}
        return cls(**chosen)

    def encoded(self, cells: Sequence[str], quantity: str = "value") -> Labels:
        """Labels of this task."""
        return encode(cells, task=self.task, classes=self.classes, positive=self.positive, quantity=quantity)

    def card(self, path: Path, kind: str, *, keyed: str, cautions: tuple[str, ...] = ()) -> DataCard:
        """The data card of something read by path; `keyed` says where the patient key comes from, or is empty."""
        return DataCard(
            name=path.stem.split(".")[0] or path.name,
            title=self.title or f"{kind} given by path",
            licence=self.licence or "not stated",
            citation=self.citation or "not stated",
            source=self.source or "given by path",
            subjects=keyed or _NO_KEY,
            cautions=cautions,
            digests={path.name: digest_file(path)} if path.is_file() else {},
        )


@dataclass(frozen=True, eq=False)
class Index:
    """One row per file, record, window or note: label and, where given, patient, part and groups.

    Arguments
        names: [n] what to read. cells: [n] labels. patients, splits: [n] words, or None. groups: name -> [n] words.
    """

    names: list[str]
    cells: list[str]
    patients: list[str] | None
    splits: list[str] | None
    groups: dict[str, list[str]]

    def repeated(self, rows: Array) -> Index:
        """The same for cases that several rows of the index give, in order; `rows` [m] are row numbers."""

        def pick(column: list[str]) -> list[str]:
            return [column[row] for row in rows]

        return Index(
            pick(self.names),
            pick(self.cells),
            None if self.patients is None else pick(self.patients),
            None if self.splits is None else pick(self.splits),
            {name: pick(column) for name, column in self.groups.items()},
        )


def finish(
    card: DataCard,
    space: Space,
    inputs: Array,
    index: Index,
    labels: Labels,
    *,
    ids: Sequence[str] | None = None,
    synonyms: Mapping[int, tuple[int, ...]] | None = None,
) -> Dataset:
    """A data set from an index and its decoded cases.

    A case is named by its place, not by its file: file names of hospitals hold names of patients.
    """
    count = len(inputs)
    people = np.arange(count, dtype=np.int64) if index.patients is None else patient_codes(index.patients)
    batch = Batch(
        inputs,
        labels.targets,
        people,
        tuple(ids) if ids is not None else tuple(map(str, range(count))),
        {name: np.asarray(column, dtype=str) for name, column in index.groups.items()},
    )
    official = None if index.splits is None else parts(index.splits, card.name)
    return Dataset(card, space, labels.task, labels.classes, labels.positive, batch, official, synonyms or {})
