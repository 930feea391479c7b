"""Names for contents: SHA-256 over one canonical form, so that equal things have equal names everywhere."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import inspect
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_CHUNK = 1 << 20


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spare space; dataclasses become objects that carry their class name.

    >>> canonical({"b": 1, "a": (2, 3)})
    '{"a":[2,3],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, in hexadecimal.

    >>> digest({"a": 1})[:12]
    '015abd7f5cc5'
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            state.update(piece)
    return state.hexdigest()


def digest_arrays(*arrays: np.ndarray[Any, Any]) -> str:
    """SHA-256 over element types, shapes and bytes of arrays, in order."""
    import numpy as np

    state = hashlib.sha256()
    for array in arrays:
        state.update(f"{array.dtype.str}{array.shape}".encode())
        state.update(
            np.ascontiguousarray(array).tobytes() if array.dtype.kind != "O" else canonical(array.tolist()).encode()
        )
    return state.hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"no canonical form for {type(value).__name__}")


def digest_code(*things: Any) -> str:
    """SHA-256 over the source of the modules of some classes or functions, and of all that these import.

    Only modules of the same packages are followed (of `titer`, or of the package that an extension comes from); what
    others contribute is named by their versions. So results made by other code get another name.

    >>> digest_code(digest) == digest_code(digest, canonical)
    True
    """
    names: set[str] = set()
    for thing in things:
        for each in thing.__mro__ if isinstance(thing, type) else (thing,):
            names |= _reached(each.__module__)
    return digest(sorted((name, _source(name)) for name in names))


@cache
def _reached(name: str) -> frozenset[str]:
    """A module and the modules of its own package that it imports, at any remove; a builtin reaches nothing."""
    top = name.partition(".")[0]
    if name == "builtins" or top in sys.stdlib_module_names:
        return frozenset()
    found, waiting = {name}, [name]
    while waiting:
        for value in list(vars(importlib.import_module(waiting.pop())).values()):
            other = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            # The package's own face is no code of a method: it carries the version and what is loaded on demand.
            if isinstance(other, str) and other.startswith(f"{top}.") and other not in found and other in sys.modules:
                found.add(other)
                waiting.append(other)
    return frozenset(found)


@cache
def _source(name: str) -> str:
    module = importlib.import_module(name)
    try:
        return hashlib.sha256(inspect.getsource(module).encode()).hexdigest()
    except (OSError, TypeError):
        # Without source, as in a notebook or a compiled extension: its file, else its name.
        file = getattr(module, "__file__", None)
        return digest_file(Path(file)) if file else name
