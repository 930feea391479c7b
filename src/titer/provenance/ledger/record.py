"""What a capture point signs: a record of commitments, its leaf in the tree, and the opening that stays private.

A record has no room for what names a person, a place or a file: every field is a number, a word of a closed list, or
hexadecimal of a fixed length. It is written as RFC 8785 says, so that equal records have equal bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from titer.errors import RecordError
from titer.provenance.ledger.checkpoint import decoded, encoded
from titer.provenance.ledger.merkle import leaf_hash

CONTEXT = b"titer/record/1\n"
"""What goes before a record when it is signed, so that no other signature can pass for one."""

LARGEST = 8192
"""The most bytes of a leaf."""

FIRST = "0" * 64
"""What `prev` holds in the first record of a capture key."""

CLASSES = ("dicom", "fhir", "none", "row", "signal", "text", "volume", "x12")
"""What kind of data a record is of; `none` for records that commit to none."""

LABEL = re.compile(r"[a-z]{2}(?:\.[a-z]{2,16})?\.v[1-9][0-9]{0,2}")
"""Name and version of a digest, such as `px.v1` or `id.patient.v1`."""

_HASH = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_EXACT = (1 << 53) - 1
_MOST = 64

_VERDICTS = re.compile(
    "verified|derived|altered|unknown|mismatch_subject|replayed|suspect_key|stale_log|forked_log|unsupported|error"
)
_MODES = re.compile("observe|flag|block|override")

EXT: Mapping[str, Mapping[str, re.Pattern[str] | type[int]]] = {
    "capture": {"program": _HASH},
    "derive": {"program": _HASH, "parameters": _HASH},
    "key": {"key": _HASH, "administrator": _HASH, "signature": _SIGNATURE},
    "revoke": {"key": _HASH, "from": int, "administrator": _HASH, "signature": _SIGNATURE},
    "policy": {"digest": _HASH},
    "decision": {"verdict": _VERDICTS, "mode": _MODES}
    | dict.fromkeys(("program", "tensor", "model", "output", "first", "second", "reason"), _HASH),
    "anchor": {"size": int, "root": _HASH, "log": _HASH, "token": _HASH},
    "retire": {"key": _HASH, "administrator": _HASH, "signature": _SIGNATURE},
}
"""What `ext` may hold, by kind of record: digests, keys, signatures, whole numbers and words of closed lists."""

_NEEDED = {"derive": {"program", "parameters"}, "key": {"key"}, "revoke": {"key", "from"}, "policy": {"digest"}}
_NEEDED["decision"] = {"verdict"}


@dataclass(frozen=True)
class Record:
    """One record, without its signature.

    Arguments
        kind: `capture`, `derive`, `key`, `revoke`, `policy`, `decision`, `anchor` or `retire`.
        origin: SHA-256 of the log's name, so that a record counts in one log alone; see `origin_of`.
        capture_key: the Ed25519 public key that signs. counter: how many records it has signed before.
        prev: leaf hash of that key's previous record, `FIRST` for the first. nonce: 16 random bytes.
        claimed_time: seconds since 1970 by the clock of the capture point; nobody vouches for it.
        fp: commitments by label of their digest, such as `px.v1`. data: kind of data, one of `CLASSES`.
        refs: leaf hashes of the records that this one speaks of. ext: more, by kind; see `EXT`.

    All bytes are in lower-case hexadecimal. `RecordError` refuses whatever does not fit.
    """

    kind: str
    origin: str
    capture_key: str
    counter: int
    prev: str
    nonce: str
    claimed_time: int
    data: str = "none"
    fp: Mapping[str, str] = field(default_factory=dict)
    refs: tuple[str, ...] = ()
    ext: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in EXT:
            raise _invalid(f"a kind of record, one of {', '.join(EXT)}", repr(self.kind))
        if self.data not in CLASSES:
            raise _invalid(f"a class, one of {', '.join(CLASSES)}", repr(self.data))
        for name in ("origin", "capture_key", "prev"):
            _require(_HASH, getattr(self, name), name)
        _require(_NONCE, self.nonce, "nonce")
        _require_number(self.counter, "counter")
        _require_number(self.claimed_time, "claimed_time")
        if (self.counter == 0) != (self.prev == FIRST):
            raise _invalid("zeros as `prev` in the first record of a key, and there alone", f"counter {self.counter}")
        if (self.data == "none") != (not self.fp) or (self.kind in ("capture", "derive")) != bool(self.fp):
            raise _invalid("commitments and their class in records of captures, and there alone", self.kind)
        if max(len(self.fp), len(self.refs)) > _MOST:
            raise _invalid(f"at most {_MOST} commitments and references", f"{len(self.fp)} and {len(self.refs)}")
        for label, commitment in self.fp.items():
            _require(LABEL, label, "label of a digest")
            _require(_HASH, commitment, label)
        for each in self.refs:
            _require(_HASH, each, "refs")
        if self.kind == "derive" and not self.refs:
            raise _invalid("the leaf hashes of what was derived from", "none")
        self._check_ext()

    def _check_ext(self) -> None:
        allowed = EXT[self.kind]
        needed = _NEEDED.get(self.kind, set())
        if not needed <= set(self.ext) <= set(allowed):
            raise _invalid(f"in `ext` {', '.join(allowed)}, with {sorted(needed)}", f"{sorted(self.ext)}")
        for name, value in self.ext.items():
            form = allowed[name]
            if isinstance(form, re.Pattern):
                _require(form, value, name)
            else:
                _require_number(value, name)

    def canonical(self) -> bytes:
        """The record as RFC 8785 writes it: what is signed, and the first line of the leaf."""
        # Of ASCII words and whole numbers below 2**53 the standard library writes what RFC 8785 asks, and faster.
        return json.dumps(
            {
                "v": 1,
                "kind": self.kind,
                "origin": self.origin,
                "capture_key": self.capture_key,
                "counter": self.counter,
                "prev": self.prev,
                "nonce": self.nonce,
                "claimed_time": self.claimed_time,
                "class": self.data,
                "fp": dict(self.fp),
                "refs": list(self.refs),
                "ext": dict(self.ext),
            },
            sort_keys=True,
            separators=(",", ":"),
        ).encode("ascii")

    def sign(self, sign: Callable[[bytes], bytes]) -> bytes:
        """The leaf: the record and, on a second line, its signature in base 64.

        Arguments
            sign: signs bytes with the capture key (Ed25519), in memory, on a token or in a TPM.
        """
        raw = self.canonical()
        leaf = raw + b"\n" + encoded(sign(CONTEXT + raw)).encode("ascii") + b"\n"
        # A token that signs with another key, or another algorithm, shows here and not years later.
        verify(leaf)
        return leaf


def parse(leaf: bytes) -> Record:
    """The record in a leaf, its signature unchecked; RecordError unless it has the form that `Record.sign` writes."""
    return _split(leaf)[0]


def verify(leaf: bytes) -> Record:
    """The record in a leaf, its signature checked under the key that it names."""
    record, raw, signature = _split(leaf)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(record.capture_key)).verify(signature, CONTEXT + raw)
    except InvalidSignature as error:
        raise RecordError(
            "a signature of the capture key", "another", "do not trust this record", code="record.signature"
        ) from error
    return record


def _split(leaf: bytes) -> tuple[Record, bytes, bytes]:
    if len(leaf) > LARGEST:
        raise RecordError(
            f"a leaf of at most {LARGEST} bytes", f"{len(leaf)}", "keep openings out of it", code="leaf.too_large"
        )
    raw, _, line = leaf.partition(b"\n")
    record = _record(raw)
    try:
        text = line.decode("ascii")
        signature = decoded(text.removesuffix("\n"))
    except (UnicodeDecodeError, RecordError) as error:
        raise _invalid("a line with a signature in base 64", repr(line[:24])) from error
    if record.canonical() != raw or not text.endswith("\n") or len(signature) != 64:
        raise _invalid("a record as RFC 8785 writes it, and a line with a signature of 64 bytes", repr(leaf[:24]))
    return record, raw, signature


def _record(raw: bytes) -> Record:
    """A record of any spelling; the caller compares it with the canonical one, which also finds double keys."""
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _invalid("a record in JSON", repr(raw[:24])) from error
    if not isinstance(told, dict) or type(told.pop("v", None)) is not int:
        raise _invalid("a record with a version", repr(raw[:24]))
    maps = isinstance(told.get("fp"), dict) and isinstance(told.get("ext"), dict)
    if not maps or not isinstance(told.get("refs"), list):
        raise _invalid("commitments, references and extensions", repr(raw[:24]))
    try:
        return Record(data=told.pop("class"), refs=tuple(told.pop("refs")), **told)
    except (TypeError, KeyError) as error:
        raise _invalid("the fields of a record, each once", repr(error)) from error


def follows(record: Record, previous: bytes | None) -> None:
    """Check that a record is the next of its key; RecordError where one is missing, replayed or of another chain.

    Arguments
        previous: the leaf of that key's previous record, None if there is none.
    """
    if previous is None:
        wanted = (record.capture_key, 0, FIRST)
    else:
        before = parse(previous)
        wanted = (before.capture_key, before.counter + 1, leaf_hash(previous).hex())
    if (record.capture_key, record.counter, record.prev) != wanted:
        raise RecordError(
            f"record {wanted[1]} of its key after {wanted[2][:16]}",
            f"record {record.counter} after {record.prev[:16]}",
            "find the record that is missing, or that was replayed",
            code="record.chain",
        )


def origin_of(name: str) -> str:
    """What `Record.origin` holds for a log's name.

    >>> origin_of("hospital.example/log")[:16]
    '30dd75a70e4d1bd0'
    """
    return hashlib.sha256(name.encode()).hexdigest()


def commitment(salt: bytes, digest: bytes) -> str:
    """HMAC-SHA-256 of a digest: tells nothing about it to whom the salt is unknown."""
    return hmac.new(salt, digest, hashlib.sha256).hexdigest()


def lookup_tag(secret: bytes, name: str, digest: bytes) -> bytes:
    """HMAC-SHA-256 of name and digest under the site's secret: for the private index, never in a leaf."""
    return hmac.new(secret, name.encode("ascii") + digest, hashlib.sha256).digest()


@dataclass(frozen=True)
class Opening:
    """What lets its holder show what a record commits to; without it the leaf cannot be linked to anything.

    Arguments
        salts: 32 random bytes per label. digests: what was committed to.
        material: the fingerprint's private material, which names what changed later (`Fingerprint.opening`).
    """

    salts: Mapping[str, bytes]
    digests: Mapping[str, bytes]
    material: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.salts) != set(self.digests):
            raise _unopened("a salt for each digest", f"{sorted(self.salts)} for {sorted(self.digests)}")
        for label in self.salts:
            if not LABEL.fullmatch(label) or (len(self.salts[label]), len(self.digests[label])) != (32, 32):
                raise _unopened("salts and digests of 32 bytes under the labels of digests", repr(label))

    @classmethod
    def of(cls, digests: Iterable[tuple[str, bytes]], material: Mapping[str, Any]) -> Opening:
        """A new opening, with fresh salts, for digests by label."""
        told = dict(digests)
        return cls({label: secrets.token_bytes(32) for label in told}, told, material)

    def commitments(self) -> dict[str, str]:
        """What the record holds for this opening."""
        return {label: commitment(self.salts[label], digest) for label, digest in sorted(self.digests.items())}

    def to_json(self) -> bytes:
        """The opening as a file."""
        salts = {label: salt.hex() for label, salt in self.salts.items()}
        digests = {label: digest.hex() for label, digest in self.digests.items()}
        told = {"v": 1, "salts": salts, "digests": digests, "material": self.material}
        return json.dumps(told, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Opening:
        """The opening in a file; RecordError where it is none."""
        try:
            told = json.loads(raw)
            if set(told) != {"v", "salts", "digests", "material"} or told["v"] != 1:
                raise ValueError("other fields than those of an opening")
            if not isinstance(told["material"], dict):
                raise TypeError("material that has no fields")
            salts = {label: bytes.fromhex(salt) for label, salt in told["salts"].items()}
            return cls(salts, {label: bytes.fromhex(each) for label, each in told["digests"].items()}, told["material"])
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise _unopened("an opening in JSON", str(error)) from error


def _require(form: re.Pattern[str], value: object, what: str) -> None:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise _invalid(f"{what} of the form {form.pattern[:60]}", repr(value)[:80])


def _require_number(value: object, what: str) -> None:
    if type(value) is not int or not 0 <= value <= _EXACT:
        raise _invalid(f"{what} from 0 to 2**53 - 1", repr(value)[:80])


def _invalid(expected: str, got: str) -> RecordError:
    return RecordError(expected, got, "write records with `Record`, and leave them as they are", code="record.invalid")


def _unopened(expected: str, got: str) -> RecordError:
    return RecordError(expected, got, "take the opening that was stored at capture", code="opening.invalid")
