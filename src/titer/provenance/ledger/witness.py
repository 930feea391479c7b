"""A witness: another party that cosigns checkpoints of logs it has seen grow (C2SP tlog-witness, tlog-cosignature).

It remembers, for each log, the latest checkpoint that it cosigned, and cosigns another only if that one is proved to
contain it. What it remembers is flushed to disk before it answers. So a log that shows two histories, or goes back to
an older one, gets no further signature; and what it tried to have cosigned is kept, with what was cosigned before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import merkle, note
from titer.provenance.ledger.checkpoint import Checkpoint, decoded, encoded, number

SIZE_TYPE = "text/x.tlog.size"
"""The content type of an answer that tells the size of the latest cosigned checkpoint."""

TEXT_TYPE = "text/plain; charset=utf-8"

LARGEST = note.LARGEST + 4096
"""The most bytes of a request: an old size, 63 hashes, and a checkpoint."""

_HASHES = 63
_SLACK = 60


@dataclass(frozen=True)
class Answer:
    """What a witness answers: an HTTP status, and a body of a content type."""

    status: int
    body: bytes
    kind: str = TEXT_TYPE


class Memory(Protocol):
    """What a witness remembers of one log, held by one request at a time (see `witness_folder`)."""

    def latest(self) -> bytes | None:
        """The latest cosigned checkpoint; None if there was none. LedgerError where what was kept is lost."""

    def keep(self, cosigned: bytes) -> None:
        """Replace it, durably."""

    def suspect(self, tried: bytes, latest: bytes) -> None:
        """Keep a signed checkpoint that does not follow the latest, with that one, as evidence."""


class Witness:
    """One that answers requests for cosignatures.

    Arguments
        signers: its keys, each of which signs as a cosigner.
        logs: verifier keys of the logs that it watches; the name of a key is the log's origin.
        hold: gives, as a context, the memory of an origin to one request at a time.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        signers: Sequence[note.Signer],
        logs: Iterable[note.Verifier],
        hold: Callable[[str], AbstractContextManager[Memory]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signers, self._hold, self._clock = tuple(signers), hold, clock
        self._logs: dict[str, tuple[note.Verifier, ...]] = {}
        for each in logs:
            self._logs[each.name] = (*self._logs.get(each.name, ()), each)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer a request: cosignatures with status 200, or why there are none.

        400 for what is no such request, 404 for a log that is not watched, 403 for a checkpoint that it has not
        signed, 409 with the size that is known for another old size, 409 for another root of the same size, 422 for a
        proof that does not hold, 500 where the memory is lost or the clock has gone back.
        """
        try:
            old, proof, raw = parse_request(body)
            signed = note.Note.parse(raw)
            told = Checkpoint.parse(signed.text)
        except RecordError as error:
            return _refused(400, str(error))
        keys = self._logs.get(told.origin)
        if keys is None:
            return _refused(404, "this log is not watched here")
        try:
            mine = note.opened(signed, keys)
        except RecordError as error:
            return _refused(403, str(error))
        if not mine:
            return _refused(403, "no signature by a known key of this log")
        if old > told.size:
            return _refused(400, f"an old size of {old} for a checkpoint of size {told.size}")
        # Others' signatures do not count here, and are not handed on.
        known = {(key.name, key.key_id) for key in mine}
        signed = note.Note(signed.text, tuple(s for s in signed.signatures if (s.name, s.key_id) in known))
        try:
            with self._hold(told.origin) as memory:
                return self._considered(memory, old, proof, signed, told)
        except LedgerError as error:
            return _refused(500, f"{error.code}: {error.remedy}")

    def latest(self, origin: str) -> bytes | None:
        """The latest cosigned checkpoint of a log, with its signatures and ours; None if there is none."""
        if origin not in self._logs:
            return None
        with self._hold(origin) as memory:
            return memory.latest()

    @property
    def origins(self) -> tuple[str, ...]:
        """The logs that are watched."""
        return tuple(self._logs)

    def _considered(self, memory: Memory, old: int, proof: list[bytes], signed: note.Note, told: Checkpoint) -> Answer:
        kept = memory.latest()
        before = None if kept is None else Checkpoint.parse(note.Note.parse(kept).text)
        size, root = (0, merkle.EMPTY) if before is None else (before.size, before.root)
        if old != size:
            return Answer(409, b"%d\n" % size, SIZE_TYPE)
        if told.size == size and told.root != root:
            if kept is not None:
                memory.suspect(signed.format(), kept)
            return _refused(409, f"another root of size {size} was cosigned")
        try:
            _follows(size, root, told, proof)
        except RecordError as error:
            if kept is not None:
                memory.suspect(signed.format(), kept)
            return _refused(422, str(error))
        cosigned = tuple(each.sign(signed.text, self._now(kept)) for each in self._signers)
        memory.keep(signed.with_(*cosigned).format())
        return Answer(200, "".join(map(str, cosigned)).encode())

    def _now(self, kept: bytes | None) -> int:
        """The time that is told. A cosignature says which tree was the largest then, so times must not go back."""
        now = max(0, int(self._clock()))
        if kept is None:
            return now
        last = max(note.opened(note.Note.parse(kept), [each.verifier for each in self._signers]).values(), default=0)
        if now + _SLACK < last:
            raise LedgerError(
                f"a clock that is not behind the last cosignature, at {last}", str(now),
                "set the clock right; if it was wrong before, begin a witness with a new name", code="witness.clock",
            )  # fmt: skip
        return max(now, last)


def _follows(size: int, root: bytes, told: Checkpoint, proof: list[bytes]) -> None:
    merkle.verify_consistency(size, told.size, root, told.root, proof)


def parse_request(body: bytes) -> tuple[int, list[bytes], bytes]:
    """Old size, proof and checkpoint of a request; RecordError unless it is exactly as `request` writes it."""
    if len(body) > LARGEST:
        raise _invalid(f"at most {LARGEST} bytes", f"{len(body)}")
    head, gap, rest = body.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise _invalid("an old size and a proof in ASCII", str(error)) from error
    word, _, size = lines[0].partition(" ")
    if not gap or word != "old":
        raise _invalid("a first line `old` with a size, and an empty line before the checkpoint", repr(lines[0][:40]))
    if len(lines) - 1 > _HASHES:
        raise _invalid(f"a proof of at most {_HASHES} hashes", f"{len(lines) - 1}")
    proof = [decoded(line) for line in lines[1:]]
    if any(len(each) != merkle.HASH for each in proof):
        raise _invalid(f"hashes of {merkle.HASH} bytes", "others")
    return number(size), proof, rest


def request(old: int, proof: Sequence[bytes], checkpoint: bytes) -> bytes:
    r"""A request's body.

    >>> request(0, [], b"log.example\n1\n...")
    b'old 0\n\nlog.example\n1\n...'
    """
    return "".join(f"{line}\n" for line in (f"old {old}", *map(encoded, proof), "")).encode("ascii") + checkpoint


def _refused(status: int, why: str) -> Answer:
    return Answer(status, why.encode() + b"\n")


def _invalid(expected: str, got: str) -> RecordError:
    return RecordError(f"a request with {expected}", got, "send it as tlog-witness says", code="witness.request")
