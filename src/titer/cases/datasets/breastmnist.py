"""BreastMNIST: ultrasound of the breast, 28 x 28."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from titer.cases.dataset import Dataset, DatasetSource
from titer.cases.datasets._medmnist import Subset
from titer.cases.options import refuse_unknown

_SUBSET = Subset(
    name="breastmnist",
    file="breastmnist.npz",
    sha256=("ce5b81972a53a35bac77bc672ec94ce0dcf0ea03bfc5e57283c5fb34c98e5c69",),
    fetched="breastmnist.npz",
    md5="750601b1f35ba3300ea97c75c52ff8f6",
    python="BreastMNIST",
    pixels=28,
    title="Ultrasound of the breast, malignant or not",
    sources="Al-Dhabyani et al., Data in Brief 28:104863 (2020)",
    subjects="none published: every picture counts as its own patient",
    cautions=("780 pictures of 28 x 28: intervals are wide.", "The same woman may stand in two parts."),
)


class BreastMnist(DatasetSource):
    """780 ultrasound pictures: 0 malignant, 1 normal or benign. No options."""

    name: ClassVar[str] = "breastmnist"
    fetched_by: ClassVar[str] = "medmnist"

    def load(self, root: Path | None, **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        return _SUBSET.dataset(*_SUBSET.read(root), ("malignant", "normal or benign"), (0,))
