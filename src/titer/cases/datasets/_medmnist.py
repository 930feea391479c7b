"""The MedMNIST subsets: found locally, else fetched with the package `medmnist`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.datasets._local import Fixed, not_fetched
from titer.cases.files.npz import read_npz
from titer.cases.files.picture import GREY
from titer.cases.readers.medmnist_npz import as_channels
from titer.cases.space import Kind, Space
from titer.errors import DataError

_PARTS = {"train": "train", "val": "validation", "test": "test"}
_CITATION = "Yang et al., MedMNIST v2, Scientific Data 10:41 (2023), doi 10.1038/s41597-022-01721-8"


@dataclass(frozen=True)
class Subset:
    """One subset.

    Arguments
        name: as MedMNIST calls it. file: name of the local file. sha256: known digests of it.
        fetched: name of the file that the package fetches. md5: its published digest.
        python: name of the package's class. pixels: `size` that the package is asked for.
        title, sources, subjects, cautions: for the data card.
    """

    name: str
    file: str
    sha256: tuple[str, ...]
    fetched: str
    md5: str
    python: str
    pixels: int
    title: str
    sources: str
    subjects: str
    cautions: tuple[str, ...]

    def read(self, root: Path | None) -> tuple[Array, Array, Array]:
        """Images [n, ...], labels [n] and parts [n]."""
        found = self._find(root)
        names = tuple(f"{part}_{what}" for part in _PARTS for what in ("images", "labels"))
        arrays = read_npz(found, names)
        images = np.concatenate([arrays[f"{part}_images"] for part in _PARTS])
        labels = np.concatenate([arrays[f"{part}_labels"] for part in _PARTS]).reshape(-1).astype(np.int64)
        parts = np.concatenate([np.repeat(name, len(arrays[f"{part}_images"])) for part, name in _PARTS.items()])
        return images, labels, parts

    def dataset(
        self,
        images: Array,
        labels: Array,
        parts: Array,
        classes: tuple[str, ...],
        positive: tuple[int, ...],
        *,
        groups: dict[str, Array] | None = None,
    ) -> Dataset:
        """Cases as grey levels of 0 to 1; every one counts as its own patient."""
        inputs = as_channels(images, volume=False, what=self.file)
        kind: Kind = "volume" if inputs.ndim == 5 else "image"
        names = ("red", "green", "blue") if inputs.shape[1] == 3 else ()
        space = Space(kind, inputs.shape[1:], GREY, names=names)
        ids = tuple(f"{self.name}-{number:05d}" for number in range(len(labels)))
        batch = Batch(inputs, labels, np.arange(len(labels), dtype=np.int64), ids, groups or {})
        return Dataset(self.card, space, "classes", classes, positive, batch, parts)

    @property
    def card(self) -> DataCard:
        """The data card."""
        return DataCard(
            name=self.name,
            title=self.title,
            licence="CC BY 4.0",
            citation=f"{_CITATION}; {self.sources}",
            source="MedMNIST, https://medmnist.com",
            subjects=self.subjects,
            cautions=self.cautions,
            digests={self.file: self.sha256[0]},
        )

    def _find(self, root: Path | None) -> Path:
        """The local file, else the published one wherever it is, else the published one fetched."""
        files = Fixed("medmnist", {self.file: self.sha256}, "")
        places = [] if root is None else [root / "medmnist", root]
        for place in places:
            if (place / self.fetched).is_file() and _md5(place / self.fetched) == self.md5:
                return place / self.fetched
        try:
            return files.located(root) / self.file
        except DataError:
            if any((place / self.file).is_file() for place in places):
                raise
        return self._fetch(files, root)

    def _fetch(self, files: Fixed, root: Path | None) -> Path:
        published = Fixed("medmnist", {self.fetched: ()}, "")
        return published.located(None, lambda target: self._download(target, files.missing(root))) / self.fetched

    def _download(self, target: Path, missing: str) -> None:
        remedy = "set --data or TITER_DATA to a folder with medmnist/, or pip install medmnist where there is a network"
        expected = f"the file {self.file}"
        try:
            import medmnist

            kind: Any = getattr(medmnist, self.python)
            kind(split="train", download=True, root=str(target), size=self.pixels)
        except Exception as error:  # the package raises whatever its downloader does
            raise not_fetched(expected, missing, "medmnist", error, remedy) from error
        if _md5(target / self.fetched) != self.md5:
            (target / self.fetched).unlink()
            raise DataError(f"{self.fetched} with MD5 {self.md5}", "another file", "fetch it again")


def _md5(path: Path) -> str:
    # The publisher's digest; it tells damage, not forgery.
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
