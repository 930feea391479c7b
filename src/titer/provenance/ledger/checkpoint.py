"""What a log signs: its name, its size and the root of its tree, as text (C2SP tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from titer.errors import RecordError

LARGEST = (1 << 63) - 1
"""The largest size of a log, and the latest time of a cosignature."""

_LINE = re.compile(r"[^\x00-\x1f]+")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    r"""Size and root of a log.

    Arguments
        origin: the log's name. size: number of leaves. root: 32 bytes. extensions: further lines, best none.

    >>> from titer.provenance.ledger.merkle import EMPTY
    >>> Checkpoint("hospital.example/log", 0, EMPTY).text()
    'hospital.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n'
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= LARGEST:
            raise _invalid("a size from 0 to 2**63 - 1", str(self.size))
        if len(self.root) != 32:
            raise _invalid("a root of 32 bytes", f"{len(self.root)}")
        for line in (self.origin, *self.extensions):
            if not _LINE.fullmatch(line):
                raise _invalid("lines with characters, none of them a control character", repr(line))

    def text(self) -> str:
        """The text that is signed."""
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), encoded(self.root), *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a text; RecordError unless it is exactly as `text` writes it."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop():
            raise _invalid("three lines or more, each with an end", repr(text[:80]))
        return cls(lines[0], number(lines[1]), decoded(lines[2]), tuple(lines[3:]))


def number(text: str) -> int:
    """A whole number in decimal digits, without sign or leading zeros.

    >>> number("20852163")
    20852163
    """
    if not _NUMBER.fullmatch(text):
        raise _invalid("a decimal number without leading zeros", repr(text[:24]))
    return int(text)


def encoded(raw: bytes) -> str:
    """Bytes in the standard base 64 (RFC 4648, section 4)."""
    return base64.b64encode(raw).decode("ascii")


def decoded(text: str) -> bytes:
    """The bytes of a text in base 64; only the one spelling that `encoded` has is taken.

    >>> decoded("AQI="), encoded(b"\\1\\2")
    (b'\\x01\\x02', 'AQI=')
    """
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise _invalid("base 64", repr(text[:24])) from error
    if encoded(raw) != text:
        raise _invalid("base 64 in its one standard spelling", repr(text[-24:]))
    return raw


def _invalid(expected: str, got: str) -> RecordError:
    return RecordError(expected, got, "fetch it again from the log", code="checkpoint.invalid")
