"""PneumoniaMNIST: chest X-rays of children, 28 x 28."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from titer.cases.dataset import Dataset, DatasetSource
from titer.cases.datasets._medmnist import Subset
from titer.cases.options import refuse_unknown

_SUBSET = Subset(
    name="pneumoniamnist",
    file="pneumoniamnist.npz",
    sha256=("ce8250bf5debc3c389b89affcc1d9feac579b26e875a848301e9f937bb0c2eee",),
    fetched="pneumoniamnist.npz",
    md5="28209eda62fecd6e6a2d98b1501bb15f",
    python="PneumoniaMNIST",
    pixels=28,
    title="Chest X-rays of children, normal or pneumonia",
    sources="Kermany et al., Cell 172:1122 (2018)",
    subjects="none published: every picture counts as its own patient",
    cautions=(
        "18 training pictures repeat another one exactly.",
        "Several X-rays of one child may stand in two parts.",
        "Shares X-rays with cxr_pediatric: do not train on one and test on the other.",
    ),
)


class PneumoniaMnist(DatasetSource):
    """5,856 pictures: 0 normal, 1 pneumonia. No options."""

    name: ClassVar[str] = "pneumoniamnist"
    fetched_by: ClassVar[str] = "medmnist"

    def load(self, root: Path | None, **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        return _SUBSET.dataset(*_SUBSET.read(root), ("normal", "pneumonia"), (1,))
