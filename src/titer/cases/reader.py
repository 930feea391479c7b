"""Reader: how one file format becomes a data set; one file each in `titer/cases/readers`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from titer.cases.dataset import Dataset


class Reader(ABC):
    """Base of all readers.

    Attributes
        name: as plans call it.
        formats: what it reads, for help texts.
        suffixes: endings of files that can be meant for this reader alone; it then says what is wrong with one that no
            reader accepts.
    """

    name: ClassVar[str]
    formats: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def accepts(self, path: Path) -> bool:
        """Whether this file or folder looks like the format, judged without reading all of it."""

    @abstractmethod
    def read(self, path: Path, **options: Any) -> Dataset:
        """All cases of a file or folder; options are those that the plan gives under `data.options`."""
