"""NumPy archives of plain numbers: headers are checked before any memory is taken, and nothing is unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from titer.cases.case import Array
from titer.cases.files.bounds import check_size, reading
from titer.errors import DataError


def npz_names(path: Path) -> list[str]:
    """Names of the arrays, without reading them; empty where the file is no archive of arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return []


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, Array]:
    """Arrays by name.

    Arguments
        path: an `.npz` file. names: the arrays that must be there; others are not read.

    Refuses (`DataError`) a damaged archive, a missing array, Python objects, a header that promises other data than
    the archive holds, and more than `bounds.MOST_BYTES`.
    """
    what = f"an npz file ({path.name})"
    with reading(what), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        missing = [name for name in names if name not in members]
        if missing:
            raise DataError(
                f"arrays {', '.join(names)} in {path.name}",
                f"{', '.join(sorted(members)) or 'no arrays'}",
                "check that this is the right file",
            )
        check_size(sum(members[name].file_size for name in names), what)
        return {name: _array(archive.read(members[name]), f"array {name!r} of {path.name}") for name in names}


def _array(data: bytes, what: str) -> Array:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.kind not in "biufU":
        raise DataError(f"numbers or words in {what}", str(dtype), "save it again as plain numbers")
    promised, held = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    if promised != held:
        raise DataError(f"{promised} bytes in {what}", f"{held} bytes", "copy the file again from its source")
    stream.seek(0)
    return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
