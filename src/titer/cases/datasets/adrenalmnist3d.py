"""AdrenalMNIST3D: shapes of adrenal glands from computed tomography, 32 x 32 x 32."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from titer.cases.case import Array
from titer.cases.dataset import Dataset, DatasetSource
from titer.cases.datasets._medmnist import Subset
from titer.cases.options import refuse_unknown

_SUBSET = Subset(
    name="adrenalmnist3d",
    file="adrenalmnist3d_32.npz",
    sha256=("af6a897da536f5d47b783e60332fd46bf038c743877aeb74879c74678a71a656",),
    fetched="adrenalmnist3d_64.npz",
    md5="17721accfe9fb005146a47d33bc54b2f",
    python="AdrenalMNIST3D",
    pixels=64,
    title="Shapes of adrenal glands from CT, normal or hyperplasia",
    sources="Zhongshan Hospital, Fudan University, in MedMNIST v2",
    subjects="left and right gland of 792 patients, without a key: every gland counts as its own patient",
    cautions=("Voxels are 0 or 1, a mask and not a CT value.", "Only the published parts are by patient."),
)


class AdrenalMnist3D(DatasetSource):
    """1,584 volumes: 0 normal, 1 hyperplasia. The published 64-cube is reduced to a 32-cube by its maximum.
    No options.
    """

    name: ClassVar[str] = "adrenalmnist3d"
    fetched_by: ClassVar[str] = "medmnist"

    def load(self, root: Path | None, **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        images, labels, parts = _SUBSET.read(root)
        return _SUBSET.dataset(halved(images), labels, parts, ("normal", "hyperplasia"), (1,))


def halved(volumes: Array) -> Array:
    """[n, 64, 64, 64] as [n, 32, 32, 32], the maximum of each 2 x 2 x 2; smaller ones stay."""
    if volumes.shape[1] != 64:
        return volumes
    blocks = volumes.reshape(len(volumes), 32, 2, 32, 2, 32, 2)
    reduced: Array = blocks.max(axis=(2, 4, 6))
    return reduced
