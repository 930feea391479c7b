"""Signed notes: a text and the signatures of those who vouch for it (C2SP signed-note and tlog-cosignature).

Three kinds of signatures are known: Ed25519 over the text, and the two cosignatures, which also tell when a checkpoint
was seen: Ed25519, and ML-DSA-44, which holds against quantum computers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from titer.errors import RecordError
from titer.provenance.ledger.checkpoint import LARGEST as LATEST
from titer.provenance.ledger.checkpoint import Checkpoint, decoded, encoded

ED25519, COSIGNATURE, ML_DSA_44 = 0x01, 0x04, 0x06
"""Kinds of signatures, by the byte that the documents assign."""

LARGEST = 1 << 17
"""The most bytes of a note: 32 signatures with ML-DSA-44 fit."""

_KEY_BYTES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: 8 + 64, ML_DSA_44: 8 + 2420}
_TEXT = re.compile(r"[^\x00-\x09\x0b-\x1f]*\n")
_NAME = re.compile(r"[^\s+\x00-\x1f\x85]+")
_LINE = re.compile(r"— ([^\s+\x00-\x1f\x85]+) ([A-Za-z0-9+/]+=*)")
_VKEY = re.compile(r"([^\s+\x00-\x1f\x85]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")


@dataclass(frozen=True)
class Signature:
    """One signature line: name and identifier of the key (4 bytes), and what it made."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"— {self.name} {encoded(self.key_id + self.value)}\n"


@dataclass(frozen=True)
class Note:
    r"""A text, which ends with a line's end, and its signatures.

    >>> Note("a\n\nb\n", (Signature("example.org/k", bytes(4), b"x"),)).format().decode()
    'a\n\nb\n\n— example.org/k AAAAAHg=\n'
    """

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        if not _TEXT.fullmatch(self.text):
            raise _invalid("a text that ends with a line's end, without control characters", repr(self.text[-40:]))

    def format(self) -> bytes:
        """The note as a file."""
        return (self.text + "\n" + "".join(map(str, self.signatures))).encode()

    def with_(self, *signatures: Signature) -> Note:
        """The note with more signatures."""
        return Note(self.text, self.signatures + signatures)

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        """Read a note; nothing in it may be believed before `opened` has found a signature that counts."""
        if len(raw) > LARGEST:
            raise _invalid(f"a note of at most {LARGEST} bytes", f"{len(raw)}")
        try:
            text, gap, rest = raw.decode().rpartition("\n\n")
        except UnicodeDecodeError as error:
            raise _invalid("a note in UTF-8", str(error)) from error
        lines = rest.split("\n")
        if not gap or len(lines) < 2 or lines.pop():
            raise _invalid("a text, an empty line, and lines with signatures", repr(rest[-40:]))
        return cls(text + "\n", tuple(map(_signature, lines)))


def _signature(line: str) -> Signature:
    found = _LINE.fullmatch(line)
    raw = decoded(found[2]) if found else b""
    if found is None or len(raw) < 5:
        raise _invalid("a dash, a key's name and a signature in base 64", repr(line[:60]))
    return Signature(found[1], raw[:4], raw[4:])


@dataclass(frozen=True)
class Verifier:
    """A public key that signatures on notes are checked with.

    Arguments
        name: the key's name. kind: `ED25519`, `COSIGNATURE` or `ML_DSA_44`. key: the public key's bytes.
    """

    name: str
    kind: int
    key: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise _unknown("a key's name without spaces and plus signs", repr(self.name))
        if len(self.key) != _KEY_BYTES.get(self.kind):
            raise _unknown(
                "a key for Ed25519 (0x01, 0x04) or ML-DSA-44 (0x06)", f"{len(self.key)} bytes of {self.kind}"
            )

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encoded(bytes([self.kind]) + self.key)}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read a verifier key: name, identifier and key, with plus signs between."""
        found = _VKEY.fullmatch(text)
        if found is None:
            raise _unknown("name+identifier+key", repr(text[:80]))
        raw = decoded(found[3])
        made = cls(found[1], raw[0], raw[1:])
        if str(made) != text:
            raise _unknown(f"the identifier {made.key_id.hex()} for this key", found[2])
        return made

    def verify(self, text: str, value: bytes) -> int:
        """Check a signature on a text; the time that a cosignature tells (0 where none), RecordError if it is wrong."""
        if len(value) != _SIGNATURE_BYTES[self.kind]:
            raise self._wrong(f"{len(value)} bytes")
        if self.kind == ED25519:
            time, signature = 0, value
        else:
            time, signature = int.from_bytes(value[:8], "big"), value[8:]
            if time > LATEST:
                raise self._wrong("a time beyond all calendars")
        key = (MLDSA44PublicKey if self.kind == ML_DSA_44 else Ed25519PublicKey).from_public_bytes(self.key)
        try:
            key.verify(signature, message(self.name, self.kind, text, time))
        except InvalidSignature as error:
            raise self._wrong("another") from error
        return time

    def _wrong(self, got: str) -> RecordError:
        return RecordError(
            f"a signature of {self.name}", got, "do not trust this note; fetch it again", code="note.signature"
        )


@dataclass(frozen=True)
class Signer:
    """A private key that signs notes under a name; `cosigner` makes an Ed25519 key sign as a witness does."""

    name: str
    key: Ed25519PrivateKey | MLDSA44PrivateKey
    cosigner: bool = False

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self._kind, self.key.public_key().public_bytes_raw())

    @property
    def _kind(self) -> int:
        if isinstance(self.key, MLDSA44PrivateKey):
            return ML_DSA_44
        return COSIGNATURE if self.cosigner else ED25519

    def sign(self, text: str, time: int = 0) -> Signature:
        """Sign a text.

        Arguments
            time: seconds since 1970, told by cosignatures; plain Ed25519 signatures tell none.
        """
        told = b"" if self._kind == ED25519 else time.to_bytes(8, "big")
        return Signature(
            self.name, self.verifier.key_id, told + self.key.sign(message(self.name, self._kind, text, time))
        )


def message(name: str, kind: int, text: str, time: int) -> bytes:
    """The bytes that a key signs for a note.

    >>> message("w", COSIGNATURE, "log\\n", 7)
    b'cosignature/v1\\ntime 7\\nlog\\n'
    """
    if kind == ED25519:
        return text.encode()
    if kind == COSIGNATURE:
        return f"cosignature/v1\ntime {time}\n{text}".encode()
    told = Checkpoint.parse(text)
    cosigner, origin = name.encode(), told.origin.encode()
    if max(len(cosigner), len(origin)) > 255:
        raise _invalid("names of at most 255 bytes", f"{len(cosigner)} and {len(origin)}")
    start, end = bytes(8), told.size.to_bytes(8, "big")
    return b"".join((
        b"subtree/v1\n\0", bytes([len(cosigner)]), cosigner, time.to_bytes(8, "big"),
        bytes([len(origin)]), origin, start, end, told.root,
    ))  # fmt: skip


def opened(note: Note, verifiers: Iterable[Verifier]) -> dict[Verifier, int]:
    """The keys of those given that have signed, each with the latest time it tells.

    Signatures of other keys are passed over; one under the name and identifier of a given key that is wrong makes the
    whole note refused (RecordError).
    """
    known = {(each.name, each.key_id): each for each in verifiers}
    found: dict[Verifier, int] = {}
    for signature in note.signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is not None:
            found[verifier] = max(found.get(verifier, 0), verifier.verify(note.text, signature.value))
    return found


def _invalid(expected: str, got: str) -> RecordError:
    return RecordError(expected, got, "fetch the note again", code="note.invalid")


def _unknown(expected: str, got: str) -> RecordError:
    return RecordError(expected, got, "copy the key as its owner printed it", code="key.invalid")
