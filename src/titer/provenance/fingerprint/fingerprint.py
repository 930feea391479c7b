"""What every kind of fingerprint is made of: named digests, their private opening, and limits on what is read.

A digest is SHA-256 over `name || 0x00 || version || canonical bytes`: equal content under two names, or under two
versions of a rule, never has the same digest. A rule that changes gets a new version; older ones stay verifiable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from titer.errors import FingerprintError, PlanError

KINDS = ("dicom", "signal", "volume", "text", "fhir", "x12", "row")
_DIGEST_BYTES = 32


class Running:
    """A digest under way: for content that comes in pieces.

    >>> state = Running("px", 1)
    >>> state.update(b"ab")
    >>> state.value() == digest("px", 1, [b"a", b"b"])
    True
    """

    def __init__(self, name: str, version: int) -> None:
        if not name or not name.isascii() or "\0" in name:
            raise PlanError(
                "a digest name of ASCII characters", repr(name), "name the digest like `px` or `id.patient`"
            )
        if not 0 < version < 256:
            raise PlanError("a digest version from 1 to 255", str(version), "count versions from 1")
        self._state = hashlib.sha256(name.encode("ascii") + b"\0" + bytes([version]))

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Adds the next canonical bytes."""
        self._state.update(piece)

    def value(self) -> bytes:
        """The 32 bytes of the digest so far."""
        return self._state.digest()


def digest(name: str, version: int, chunks: Iterable[bytes | bytearray | memoryview]) -> bytes:
    """SHA-256 over `name || 0x00 || version (one byte) || canonical bytes`.

    Arguments
        name: ASCII name of the digest, such as `px`. version: of its rule, 1 to 255.
        chunks: the canonical bytes in pieces; where they are cut does not matter.

    >>> digest("tx", 1, [b"fever"]).hex()[:16]
    '8829329ab08d7adf'
    """
    state = Running(name, version)
    for chunk in chunks:
        state.update(chunk)
    return state.value()


@dataclass(frozen=True)
class Digest:
    """One named digest.

    Arguments
        name: `px`, `cs`, `rd`, `hb`, `id.patient`, ... version: of the rule that made it, 1 to 255.
        value: 32 bytes.

    >>> Digest("tx", 1, digest("tx", 1, [b"fever"])).label
    'tx.v1'
    """

    name: str
    version: int
    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != _DIGEST_BYTES:
            raise PlanError("a digest of 32 bytes", f"{len(self.value)} bytes", "make it with `digest`")

    @property
    def label(self) -> str:
        """Name and version in one word."""
        return f"{self.name}.v{self.version}"


@dataclass(frozen=True)
class Fingerprint:
    """What names the content of one object exactly.

    Arguments
        kind: `dicom`, `signal`, `volume`, `text`, `fhir`, `x12` or `row`.
        digests: the named digests, sorted by name; these are what a record commits to.
        opening: what helps to explain a later difference (digests of blocks and frames, the decoder's name); plain
            JSON values, kept private beside the data, never in a record.
        notes: counts for detectors, such as invisible characters of a text; no identifier is ever among them.

    >>> Fingerprint("text", (Digest("tx", 1, digest("tx", 1, [b"fever"])),))["tx"].hex()[:8]
    '8829329a'
    """

    kind: str
    digests: tuple[Digest, ...]
    opening: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise PlanError(f"one of the kinds {', '.join(KINDS)}", repr(self.kind), "name the kind of data")
        names = [each.name for each in self.digests]
        if not names or names != sorted(set(names)):
            raise PlanError("digests sorted by name, each once", repr(names), "sort them and drop the second")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the digests, sorted."""
        return tuple(each.name for each in self.digests)

    def __contains__(self, name: object) -> bool:
        return any(each.name == name for each in self.digests)

    def __getitem__(self, name: str) -> bytes:
        """The 32 bytes of one digest."""
        for each in self.digests:
            if each.name == name:
                return each.value
        raise KeyError(name)


@dataclass(frozen=True)
class Limits:
    """How much of an object is read before it is refused: checked before memory is taken, never after.

    Arguments
        object_bytes: whole object, after inflation. value_bytes: one header value that has to be held.
        elements: header elements, keys or cells. depth: sequences or objects inside each other.
        frames: frames, channels or tiles. pixels: rows times columns of one frame, or samples of one channel.
        inflate_ratio: bytes out per byte in of compressed content, once the output has passed 16 MiB.
        segments: segments, lines or records.

    >>> Limits(frames=1).frames
    1
    """

    object_bytes: int = 1 << 34
    value_bytes: int = 1 << 26
    elements: int = 4_000_000
    depth: int = 32
    frames: int = 100_000
    pixels: int = 1 << 28
    inflate_ratio: int = 250
    segments: int = 1_000_000

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise PlanError(f"a whole number of at least 1 for {each.name}", repr(value), "raise the limit")


def refuse(code: str, expected: str, got: str, remedy: str) -> FingerprintError:
    """The refusal of an object; `code` is for programs, e.g. `unsupported.byte_order`, `limit.frames`.

    >>> refuse("limit.frames", "at most 1 frame", "2", "raise Limits.frames").code
    'limit.frames'
    """
    return FingerprintError(expected, got, remedy, code=code)


def within(code: str, what: str, value: int, most: int, setting: str) -> None:
    """Refuses a value beyond a limit.

    >>> within("limit.frames", "frames", 2, 1, "frames")
    Traceback (most recent call last):
    titer.errors.FingerprintError: expected at most 1 frames, got 2; ...
    """
    if value > most:
        raise refuse(code, f"at most {most} {what}", str(value), f"raise Limits.{setting} if the object is trusted")
