"""MRI slices of the head: three kinds of tumor, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource, TaskKind
from titer.cases.datasets._local import Fixed
from titer.cases.datasets._pictures import read_listed
from titer.cases.labels import parts
from titer.cases.options import one_of, refuse_unknown

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")
_FILES = Fixed(
    "brain_tumor_mri",
    {
        "images.zip": ("ce908c6ab59cb3cd375b857f0f5c308667c0b2534a9e5f39144122bf99240983",),
        "labels.csv": ("aac0e8109fd52d12c900c96b37af9ccf40bfbdfbbc8e91fcb89d309f25787e8e",),
    },
    "set --data or TITER_DATA to a folder with brain_tumor_mri/, or give the path of your own class folders",
)


class BrainTumorMri(DatasetSource):
    """1,400 slices, 350 each of glioma, meningioma, pituitary tumor and no tumor.

    Options
        size: pixels per side (64; the files have 96).
        task: "classes" (four), "tumor" (none or any) or "anomaly" (no tumor is normal).

    Group: `kind`, the four classes, where the task joins them.

    Source: M. Nickparvar, Brain Tumor MRI Dataset (2021), which joins doi 10.6084/m9.figshare.1512427 and others.
    """

    name: ClassVar[str] = "brain_tumor_mri"

    def load(self, root: Path | None, *, size: Any = 64, task: str = "classes", **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        one_of(task, "task", ("classes", "tumor", "anomaly"))
        folder = _FILES.located(root)
        columns, inputs, space = read_listed(folder, size)
        kinds = np.array(columns["label"])
        people = np.arange(len(kinds), dtype=np.int64)
        ids = tuple(f"mri-{number:04d}" for number in range(len(kinds)))
        official = parts(columns["split"], self.name)
        if task == "classes":
            targets = np.array([CLASSES.index(kind) for kind in kinds], dtype=np.int64)
            return Dataset(_CARD, space, "classes", CLASSES, (0, 1, 3), Batch(inputs, targets, people, ids), official)
        targets = (kinds != "notumor").astype(np.int64)
        batch = Batch(inputs, targets, people, ids, {"kind": kinds})
        kind: TaskKind = "anomaly" if task == "anomaly" else "classes"
        return Dataset(_CARD, space, kind, ("no tumor", "tumor"), (1,), batch, official)


_CARD = DataCard(
    name="brain_tumor_mri",
    title="MRI slices of the head: glioma, meningioma, pituitary tumor, no tumor",
    licence="CC0 as published on Kaggle; the part of J. Cheng is CC BY 4.0",
    citation="M. Nickparvar, Brain Tumor MRI Dataset (2021); J. Cheng, brain tumor dataset, "
    "doi 10.6084/m9.figshare.1512427",
    source="a balanced sample, re-encoded as grey JPEG of 96 x 96, without pictures whose average hash repeats",
    subjects="none published: every slice counts as its own patient",
    cautions=(
        "Several slices of one patient may stand on both sides of any split: scores are too good.",
        "Slices without tumor come from another source than those with: a model may tell the sources apart.",
        "Planes, sequences and scanners are mixed.",
    ),
    digests=_FILES.used(),
)
