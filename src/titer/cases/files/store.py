"""A folder or a zip file, read alike."""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from pathlib import Path

from titer.cases.files.bounds import MOST_FILES, check_size, read_bytes, reading, safe_name
from titer.errors import DataError


class Store(ABC):
    """Files under relative names with forward slashes."""

    @abstractmethod
    def names(self) -> list[str]:
        """All files, sorted; hidden ones are left out."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def read(self, name: str, what: str) -> bytes:
        """Bytes of one file; `what` names it in messages."""


class Folder(Store):
    """Files below a folder; links that lead out of it are refused."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def names(self) -> list[str]:
        with reading("a folder"):
            found = []
            for each in self.path.rglob("*"):
                relative = each.relative_to(self.path)
                if each.is_file() and not any(part.startswith((".", "__MACOSX")) for part in relative.parts):
                    found.append(relative.as_posix())
                if len(found) > MOST_FILES:
                    raise DataError(f"at most {MOST_FILES} files", "more", "choose a smaller folder")
            return sorted(found)

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str, what: str) -> bytes:
        target = (self.path / safe_name(name, what)).resolve()
        if not target.is_relative_to(self.path):
            raise DataError(f"{what} inside its folder", "a link that leads out of it", "copy the file into the folder")
        return read_bytes(target, what)


class Archive(Store):
    """Members of a zip file; their declared sizes are bounded together, and none is read beyond its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading("a zip file"):
            self._zip = zipfile.ZipFile(path)
            members = [info for info in self._zip.infolist() if not info.is_dir()]
        if len(members) > MOST_FILES:
            raise DataError(f"at most {MOST_FILES} files in a zip file", str(len(members)), "split it")
        check_size(sum(info.file_size for info in members), "a zip file")
        self._members = {info.filename: info for info in members}

    def names(self) -> list[str]:
        hidden = (".", "__MACOSX")
        return sorted(n for n in self._members if not any(part.startswith(hidden) for part in n.split("/")))

    def has(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, what: str) -> bytes:
        if name not in self._members:
            raise DataError(what, "no such file in the zip file", "correct the path in the table")
        with reading(what):
            return self._zip.read(self._members[name])


def open_store(path: Path) -> Store:
    """The store behind a folder or a zip file."""
    return Folder(path) if path.is_dir() else Archive(path)


def is_zip(path: Path) -> bool:
    """Whether a file is named and begins like a zip file."""
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    with reading("a zip file"), path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
