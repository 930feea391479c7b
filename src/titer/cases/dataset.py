"""Dataset, its card, and where data sets come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.space import Space
from titer.digest import digest, digest_arrays
from titer.errors import DataError

TaskKind = Literal["classes", "binary", "multilabel", "regression", "anomaly", "segmentation"]


@dataclass(frozen=True)
class DataCard:
    """What a reader must know about a data set before believing a number measured on it.

    Arguments
        name, title: short name and one-line description.
        licence, citation, source: how it may be used, whom to cite, where it comes from.
        subjects: what the patient key is read from, or why there is none.
        cautions: known shifts, shortcuts, duplicates.
        synthetic: true when no patient was involved.
        digests: file name -> SHA-256 of the files that the cases were read from, where they are few and fixed.
    """

    name: str
    title: str
    licence: str
    citation: str
    source: str
    subjects: str
    cautions: tuple[str, ...] = ()
    synthetic: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Cases with their space, task and card.

    Arguments
        card: see `DataCard`.
        space: what a valid input is.
        task: "classes" (one of K >= 2), "multilabel", "regression", "anomaly" (0 normal, 1 abnormal) or "segmentation"
            (a map of class numbers per case).
        classes: class or finding names in the order of target numbers; for regression the predicted quantity; for
            segmentation the background first.
        positive: class numbers that mean disease (sensitivity is measured on them); empty when none does.
        cases: all cases.
        official: [n] of "train" | "validation" | "test" where the source fixes its own split, else None.
        synonyms: for notes, token number -> token numbers that keep the meaning.
    """

    card: DataCard
    space: Space
    task: TaskKind
    classes: tuple[str, ...]
    positive: tuple[int, ...]
    cases: Batch
    official: Array | None = None
    synonyms: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.space.check(self.cases.inputs, f"cases of {self.card.name}")
        self._check_targets()
        self._check_names()

    @property
    def digest(self) -> str:
        """SHA-256 over cases with names, groups and masks, space, task and synonyms; the card is left out.

        Another value anywhere is another data set.
        """
        found: str | None = self.__dict__.get("_digest")
        if found is None:
            cases = self.cases
            columns = [cases.groups[name].astype(str) for name in sorted(cases.groups)]
            optional = [array for array in (cases.masks, self.official) if array is not None]
            found = digest(
                {
                    "arrays": digest_arrays(cases.inputs, cases.targets, cases.patients, *columns, *optional),
                    "names": [cases.ids, sorted(cases.groups), cases.masks is None, self.official is None],
                    "space": self.space,
                    "task": [self.task, self.classes, self.positive],
                    "synonyms": sorted(self.synonyms.items()),
                }
            )
            object.__setattr__(self, "_digest", found)
        return found

    def called(self, name: str) -> Dataset:
        """The same cases under another name."""
        made = replace(self, card=replace(self.card, name=name))
        object.__setattr__(made, "_digest", self.digest)
        return made

    def _check_names(self) -> None:
        """Names of cases seed their random numbers, so that two of one name would draw the same."""
        if len(set(self.cases.ids)) != len(self.cases):
            raise DataError("a name of its own for every case", "the same name twice", "number the cases")
        if self.official is not None and len(self.official) != len(self.cases):
            raise DataError(f"{len(self.cases)} official parts", str(len(self.official)), "give one per case")
        if any(not 0 <= number < len(self.classes) for number in self.positive):
            raise DataError(f"positive classes of 0 to {len(self.classes) - 1}", str(self.positive), "correct them")

    def _check_targets(self) -> None:
        targets = self.cases.targets
        if len(self.cases) == 0:
            raise DataError("at least one case", "none", "check the path and the filter of the data set")
        if self.task == "regression":
            if not np.isfinite(targets.astype(float)).all():
                raise DataError("finite target values", "NaN or infinity", "repair or leave out these cases")
            return
        if targets.dtype.kind not in "iub":
            raise DataError("whole-number labels", str(targets.dtype), "encode labels as class numbers")
        if self.task == "multilabel":
            if targets.ndim != 2 or targets.shape[1] != len(self.classes) or not np.isin(targets, (0, 1)).all():
                raise DataError(
                    f"labels of 0 or 1 in {len(self.classes)} columns",
                    f"shape {targets.shape}",
                    "one column per finding",
                )
            return
        count = 2 if self.task == "anomaly" else len(self.classes)
        maps = self.task == "segmentation"
        if (targets.ndim < 2 if maps else targets.ndim != 1) or targets.min() < 0 or targets.max() >= count:
            raise DataError(
                f"{'maps' if maps else 'labels'} of 0 to {count - 1} ({', '.join(self.classes)})",
                f"{targets.min()} to {targets.max()} with shape {targets.shape}",
                "correct the labels or name all classes",
            )
        missing = [self.classes[k] for k in range(count) if not (targets == k).any()]
        if missing:
            raise DataError("cases of every class", f"no case of {', '.join(missing)}", "drop the class or add cases")


class DatasetSource(ABC):
    """Where one named data set comes from; a subclass per file in `titer/cases/datasets`.

    `embedded` sources need neither network nor folder. The others look for their own folder below `root`
    (from `--data DIR` or `TITER_DATA`); those that name a package in `fetched_by` can fetch what is public with it,
    where there is a network.
    """

    name: ClassVar[str]
    embedded: ClassVar[bool] = False
    fetched_by: ClassVar[str] = ""

    @abstractmethod
    def load(self, root: Path | None, **options: Any) -> Dataset:
        """Read all cases; options are those that the plan gives under `data.options`."""
