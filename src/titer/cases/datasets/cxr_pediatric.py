"""Chest X-rays of children, normal or with pneumonia."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource, TaskKind
from titer.cases.datasets._local import Fixed
from titer.cases.datasets._pictures import read_listed
from titer.cases.labels import parts, patient_codes
from titer.cases.options import one_of, refuse_unknown

_FILES = Fixed(
    "cxr_pediatric",
    {
        "images.zip": ("a36667d9d9702449f59c38a1f4d98c9c9e8d5effed38d6e618739490457ff0f8",),
        "labels.csv": ("a2faadd499638d7a3b9f7d5a7229e5c926eee3ff83ccdc6fda2854e28e3804e7",),
    },
    "set --data or TITER_DATA to a folder with cxr_pediatric/, or give the path of your own class folders",
)


class CxrPediatric(DatasetSource):
    """1,040 chest X-rays of children aged one to five: 520 normal, 260 bacterial and 260 viral pneumonia.

    Options
        size: pixels per side (64; the files have 224). The antialiased shrinking keeps values within 0 to 1.
        task: "classes" (normal, pneumonia), "subtypes" (normal, bacteria, virus) or "anomaly" (normal is 0).

    Groups: `subtype` and `origin` (the folder of the original collection: train or test).

    Source: Kermany et al., Cell 172:1122 (2018), doi 10.1016/j.cell.2018.02.010.
    """

    name: ClassVar[str] = "cxr_pediatric"

    def load(self, root: Path | None, *, size: Any = 64, task: str = "classes", **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        one_of(task, "task", ("classes", "subtypes", "anomaly"))
        folder = _FILES.located(root)
        columns, inputs, space = read_listed(folder, size)
        classes = ("normal", "bacteria", "virus") if task == "subtypes" else ("normal", "pneumonia")
        cells = columns["subtype" if task == "subtypes" else "label"]
        targets = np.array([classes.index(cell) for cell in cells], dtype=np.int64)
        groups = {
            "subtype": np.array(columns["subtype"]),
            "origin": np.array([subject.partition("-")[0] for subject in columns["subject"]]),
        }
        ids = tuple(f"cxr-{number:04d}" for number in range(len(cells)))
        batch = Batch(inputs, targets, patient_codes(columns["subject"]), ids, groups)
        kind: TaskKind = "anomaly" if task == "anomaly" else "classes"
        official = parts(columns["split"], self.name)
        return Dataset(_CARD, space, kind, classes, tuple(range(1, len(classes))), batch, official)


_CARD = DataCard(
    name="cxr_pediatric",
    title="Chest X-rays of children, normal or pneumonia",
    licence="CC BY 4.0",
    citation="Kermany et al., Identifying medical diagnoses and treatable diseases by image-based deep learning, "
    "Cell 172:1122-1131 (2018), doi 10.1016/j.cell.2018.02.010; data doi 10.17632/rscbjbr9sj",
    source="a balanced sample of the collection, already resized to 224 x 224 without keeping proportions",
    subjects="read from the file names of the collection, a best reading and not an official field; one picture each",
    cautions=(
        "The original test folder is another population: models rank it well, but thresholds fixed elsewhere miss it.",
        "Shares X-rays with PneumoniaMNIST: do not train on one and test on the other.",
        "One hospital, children only: says nothing about adults or other devices.",
    ),
    digests=_FILES.used(),
)
