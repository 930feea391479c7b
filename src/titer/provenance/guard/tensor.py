"""Digests of what is handed to a model and of what it answers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from titer.errors import GuardError
from titer.provenance.fingerprint import digest


def tensor_digest(value: Any) -> bytes:
    """SHA-256 over type, shape and bytes of an array, or over those inside lists, tuples and mappings.

    Arguments
        value: NumPy arrays, tensors that NumPy can read, numbers, strings, bytes, None, or these nested.

    Arrays count by value and type, not by byte order or by how they lie in memory. `GuardError` refuses arrays of
    objects and other types.

    >>> a = np.arange(6, dtype="<f4").reshape(2, 3)
    >>> tensor_digest(a) == tensor_digest(a.astype(">f4")) == tensor_digest(np.asfortranarray(a))
    True
    >>> tensor_digest(a) == tensor_digest(a.astype("<f8")), tensor_digest(a) == tensor_digest(a.ravel())
    (False, False)
    """
    return digest("tensor", 1, _pieces(value))


def program_digest(name: str, version: str, parameters: Mapping[str, Any] | None = None) -> str:
    """The number of a preparation: SHA-256 (hexadecimal) over name, version and parameters of a program.

    Arguments
        name, version: of the program. parameters: plain JSON values.

    >>> program_digest("window", "1", {"low": 0}) == program_digest("window", "2", {"low": 0})
    False
    """
    told = json.dumps([name, version, parameters or {}], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return digest("program", 1, [told.encode()]).hex()


def private_copy(value: Any) -> Any:
    """The same values in memory that nobody else holds."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: private_copy(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(private_copy(each) for each in value) if type(value) in (list, tuple) else value
    return value.clone() if hasattr(value, "clone") else value


def _pieces(value: Any) -> Iterator[bytes]:
    if value is None:
        yield b"n"
    elif isinstance(value, str):
        yield from _sized(b"s", value.encode())
    elif isinstance(value, (bytes, bytearray)):
        yield from _sized(b"b", bytes(value))
    elif isinstance(value, Mapping):
        yield b"m" + struct.pack(">Q", len(value))
        for key in sorted(value):
            yield from _pieces(key)
            yield from _pieces(value[key])
    elif isinstance(value, (list, tuple)):
        yield b"l" + struct.pack(">Q", len(value))
        for each in value:
            yield from _pieces(each)
    else:
        yield from _array(value)


def _sized(mark: bytes, raw: bytes) -> Iterator[bytes]:
    yield mark + struct.pack(">Q", len(raw))
    yield raw


def _array(value: Any) -> Iterator[bytes]:
    try:
        array = np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _refused(type(value).__name__) from error
    if array.dtype.kind not in "biufcSU":
        raise _refused(f"{type(value).__name__} of {array.dtype}")
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    yield from _sized(b"a", little.dtype.str.encode())
    yield struct.pack(f">Q{array.ndim}Q", array.ndim, *array.shape)
    yield little.tobytes()


def _refused(got: str) -> GuardError:
    return GuardError(
        "arrays, numbers or text, alone or nested", got, "convert it to arrays first", code="tensor.unsupported"
    )
