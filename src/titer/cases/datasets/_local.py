"""Where the files of a named data set are: a local folder, else fetched once into the user's cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from titer.cases.files.bounds import reading
from titer.digest import digest_file
from titer.errors import DataError


@dataclass(frozen=True)
class Fixed:
    """Files of a source that does not change.

    Arguments
        folder: name of the folder below the root.
        digests: file name -> SHA-256 values that are known; the first is the one Titer was tested with.
        remedy: what a reader can do who has none of them.
    """

    folder: str
    digests: Mapping[str, tuple[str, ...]]
    remedy: str

    def located(self, root: Path | None, fetch: Callable[[Path], None] | None = None) -> Path:
        """The folder that holds every file, each with a known digest.

        Arguments
            root: folder of data sets, or None.
            fetch: fills an empty folder from the network; asked only where the local folder lacks a file.
        """
        places = [] if root is None else [root / self.folder, root]
        for place in places:
            if all((place / name).is_file() for name in self.digests):
                return self._checked(place)
        if fetch is not None:
            target = cache_folder() / self.folder
            if not all((target / name).is_file() for name in self.digests):
                with reading(f"a writable cache folder ({target})"):
                    target.mkdir(parents=True, exist_ok=True)
                fetch(target)
            return target
        raise DataError(self._expected(), self.missing(root), self.remedy)

    def missing(self, root: Path | None) -> str:
        """Where was looked, in words."""
        if root is None:
            return "no folder of data sets (neither --data nor TITER_DATA is set)"
        return f"not all of them in {root / self.folder} or {root}"

    def used(self) -> dict[str, str]:
        """File name -> SHA-256, for the data card."""
        return {name: known[0] for name, known in self.digests.items()}

    def _expected(self) -> str:
        return f"the files {', '.join(self.digests)} of {self.folder}"

    def _checked(self, place: Path) -> Path:
        for name, known in self.digests.items():
            with reading(f"{name} of {self.folder}"):
                found = digest_file(place / name)
            if found not in known:
                raise DataError(
                    f"{name} of {self.folder} with SHA-256 {known[0][:16]}...",
                    f"{found[:16]}...",
                    "copy the file again; to audit on another file, give its path instead of the name",
                )
        return place


def cache_folder() -> Path:
    """Where fetched data sets are kept: TITER_CACHE, else XDG_CACHE_HOME or ~/.cache, in `titer/data`."""
    told = os.environ.get("TITER_CACHE")
    if told:
        return Path(told) / "data"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "titer" / "data"


def not_fetched(expected: str, missing: str, package: str, error: BaseException | None, remedy: str) -> DataError:
    """The error for files that are neither there nor could be fetched."""
    if error is None or isinstance(error, ImportError):
        why = f"the package {package} is not installed"
    else:
        why = f"{package} could not fetch them ({type(error).__name__})"
    return DataError(expected, f"{missing}, and {why}", remedy)
