"""RetinaMNIST: color photographs of the fundus, 28 x 28."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.dataset import Dataset, DatasetSource
from titer.cases.datasets._medmnist import Subset
from titer.cases.options import one_of, refuse_unknown

_SUBSET = Subset(
    name="retinamnist",
    file="retinamnist.npz",
    sha256=("254915f5f0a2074665c4676356824cf4ef4a3bcab233894b4bafcaf48962bd69",),
    fetched="retinamnist.npz",
    md5="bd4c0672f1bba3e3a89f0e4e876791e4",
    python="RetinaMNIST",
    pixels=28,
    title="Fundus photographs, grades of diabetic retinopathy",
    sources="Liu et al., DeepDRiD, Patterns 3:100512 (2022)",
    subjects="none published: every picture counts as its own patient",
    cautions=("Both eyes of one person may stand in two parts.", "Grades are ordered; accuracy ignores how far off."),
)


class RetinaMnist(DatasetSource):
    """1,600 pictures in color with grades 0 to 4.

    Option `task`: "grades" (five classes, the default) or "any" (no retinopathy, or any grade of it).
    """

    name: ClassVar[str] = "retinamnist"
    fetched_by: ClassVar[str] = "medmnist"

    def load(self, root: Path | None, *, task: str = "grades", **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        images, labels, parts = _SUBSET.read(root)
        if one_of(task, "task", ("grades", "any")) == "grades":
            names = tuple(f"grade {grade}" for grade in range(5))
            return _SUBSET.dataset(images, labels, parts, names, (1, 2, 3, 4))
        grades = np.array([f"grade {grade}" for grade in labels])
        found = (labels > 0).astype(np.int64)
        return _SUBSET.dataset(images, found, parts, ("none", "retinopathy"), (1,), groups={"grade": grades})
