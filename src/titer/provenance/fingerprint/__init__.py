"""What names the content of one clinical object exactly: one file per kind of data.

Each kind is a module of this folder with `fingerprint(source, limits) -> Fingerprint` and `recognizes(head) -> bool`,
which says from the first 4,096 bytes whether an object is of its kind. Kinds that no first bytes tell apart, such
as plain text, recognize nothing and have to be named. A kind whose opening can say what changed has
`explain_difference(opening_then, fingerprint_now)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from titer.errors import PlanError, did_you_mean
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, digest, refuse

__all__ = ["Digest", "Fingerprint", "Limits", "digest", "explain_difference", "fingerprint_of", "kinds"]

_HEAD_BYTES = 4096


def kinds() -> list[str]:
    """Names of all kinds, sorted: the modules of this folder.

    >>> "dicom" in kinds()
    True
    """
    found = (info.name for info in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_") and name != "fingerprint")


def fingerprint_of(source: Any, kind: str | None = None, limits: Limits | None = None) -> Fingerprint:
    """The fingerprint of one object of any kind.

    Arguments
        source: bytes, a path, an open binary file, or what the kind's own `fingerprint` takes.
        kind: as in `kinds()`; without it the first bytes tell, which needs bytes, a path or a file that can seek.
        limits: how much is read before the object is refused.

    Refuses (`FingerprintError`) what no kind, or more than one, recognizes, and all that the kind itself refuses.

    >>> fingerprint_of(b"not a picture")
    Traceback (most recent call last):
    titer.errors.FingerprintError: expected an object that exactly one kind recognizes, got one that none does; ...
    """
    found = _named(kind) if kind is not None else _recognized(source)
    made: Fingerprint = found.fingerprint(source, limits or Limits())
    return made


def explain_difference(opening_then: Mapping[str, Any], fingerprint_now: Fingerprint) -> tuple[Any, ...]:
    """What is not as it was, as far as the opening from capture can tell; each has a `layer` and a `sentence`.

    Arguments
        opening_then: `Fingerprint.opening` from capture. fingerprint_now: of the object that is at hand.

    >>> now = Fingerprint("dicom", (Digest("rd", 1, bytes(32)),), {"rd": {}})
    >>> [each.sentence for each in explain_difference({"rd": {"(0020,0060)": "00"}}, now)]
    ['Laterality (0020,0060) was removed']
    """
    found = _named(fingerprint_now.kind)
    told: tuple[Any, ...] = found.explain_difference(opening_then, fingerprint_now) if _explains(found) else ()
    return told


def _explains(kind: ModuleType) -> bool:
    return hasattr(kind, "explain_difference")


def _named(kind: str) -> ModuleType:
    if kind not in kinds():
        raise PlanError("a kind of data", repr(kind), f"{did_you_mean(kind, kinds())}known: {', '.join(kinds())}")
    return importlib.import_module(f"{__name__}.{kind}")


def _recognized(source: Any) -> ModuleType:
    with _first_bytes(source) as head:
        modules = [_named(name) for name in kinds()]
        fit = [each for each in modules if hasattr(each, "recognizes") and each.recognizes(head)]
    if len(fit) != 1:
        names = " and ".join(each.__name__.rpartition(".")[2] for each in fit)
        got = f"one that {names} do" if fit else "one that none does"
        raise refuse(
            "unsupported.kind", "an object that exactly one kind recognizes", got, f"name it: {', '.join(kinds())}"
        )
    return fit[0]


@contextmanager
def _first_bytes(source: bytes | bytearray | memoryview | str | Path | BinaryIO) -> Iterator[bytes]:
    """The first bytes of a source, which then stands where it stood."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield bytes(source[:_HEAD_BYTES])
    elif isinstance(source, (str, Path)):
        with Path(source).open("rb") as stream:
            yield stream.read(_HEAD_BYTES)
    elif hasattr(source, "seekable") and source.seekable():
        place = source.tell()
        head = source.read(_HEAD_BYTES)
        source.seek(place)
        yield head
    else:
        raise PlanError("a kind for a source that cannot be read twice", type(source).__name__, "name its kind")
