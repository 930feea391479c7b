"""Asking one witness to cosign one checkpoint (C2SP tlog-witness, the client's side)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Protocol

from titer.errors import LedgerError, LedgerRolledBack, ProvenanceError, RecordError
from titer.provenance.ledger import merkle, note
from titer.provenance.ledger.checkpoint import Checkpoint, number
from titer.provenance.ledger.witness import SIZE_TYPE, request

_ATTEMPTS = 4

Prove = Callable[[int], list[bytes]]
"""Gives the consistency proof from an old size."""


class Send(Protocol):
    """Asks a witness: path and body (None to fetch) to status, content type and body; LedgerError where none comes."""

    def __call__(self, path: str, body: bytes | None) -> tuple[int, str, bytes]: ...


class Round:
    """One checkpoint that witnesses are asked to cosign."""

    def __init__(self, raw: bytes, prove: Prove) -> None:
        self.note = note.Note.parse(raw)
        self.told = Checkpoint.parse(self.note.text)
        self.turn = threading.Condition()
        self.signatures: list[note.Signature] = []
        self.conflicts: list[Conflict] = []
        self.error: ProvenanceError | None = None
        self._prove: Prove | None = prove

    def proof(self, old: int) -> list[bytes]:
        """The proof from an old size; LedgerError once nobody waits any more, for the files may have moved on.

        Files that give no proof are this log's own trouble, and end the round.
        """
        with self.turn:
            prove = self.require_open()
            try:
                return prove(old)
            except ProvenanceError as error:
                self.error = error
                raise

    def require_open(self) -> Prove:
        """What proves growth, while somebody waits for this round; LedgerError after that."""
        with self.turn:
            if self._prove is None:
                raise _failed("a round that is still on", "one that has ended", "witness.late")
            return self._prove

    def close(self) -> None:
        """End the round."""
        with self.turn:
            self._prove = None


class Asker:
    """Asks one witness.

    Arguments
        name: as the policy calls it, which is all that is logged of it. key: what its cosignatures are checked with.
        mine: the log's own keys, asked anew each time: they may change. send: carries requests.
    """

    def __init__(self, name: str, key: note.Verifier, mine: Iterable[note.Verifier], send: Send) -> None:
        self.name, self.key, self._mine, self._send = name, key, mine, send
        self.failure = ""
        self._known = 0
        self._have: tuple[str, note.Signature] | None = None

    def cosignature(self, now: Round) -> note.Signature:
        """The witness's signature on a round's checkpoint.

        Raises LedgerError where it fails or answers as it must not; Conflict where it shows a checkpoint with the log's
        own signature that this one does not grow from.
        """
        if self._have is not None and self._have[0] == now.note.text:
            return self._have[1]
        for _ in range(_ATTEMPTS):
            proof = now.proof(self._known)
            status, kind, body = self._send("add-checkpoint", request(self._known, proof, now.note.format()))
            if status == 200:
                signature = self._checked(now, body)
                self._have, self._known = (now.note.text, signature), now.told.size
                return signature
            if status == 409 and kind.partition(";")[0].strip() == SIZE_TYPE and (known := _size(body)) != self._known:
                if known > now.told.size:
                    self._compare(now, known, proof)
                    raise _failed(f"a size of at most {now.told.size}", f"{known}, without proof", "witness.ahead")
                self._known = known
            elif status in (409, 422):
                self._compare(now, self._known, proof)
                raise _failed("a cosignature", f"status {status}, without proof", "witness.disagrees")
            else:
                raise _failed("status 200", f"{status}", f"witness.status.{status}")
        raise _failed("one size", "another each time", "witness.sizes")

    def _checked(self, now: Round, body: bytes) -> note.Signature:
        """The signature among the lines of an answer that is the witness's own; others are ignored."""
        answered = note.Note.parse(now.note.text.encode() + b"\n" + body)
        mine = [s for s in answered.signatures if (s.name, s.key_id) == (self.key.name, self.key.key_id)]
        if not mine:
            raise _failed(f"a cosignature under the key of {self.name}", "none", "witness.signature")
        self.key.verify(now.note.text, mine[0].value)
        return mine[0]

    def _compare(self, now: Round, size: int, proof: list[bytes]) -> None:
        """Fetch what the witness cosigned, and raise Conflict where it proves two histories of this log."""
        place = sha256(now.told.origin.encode()).hexdigest()
        status, _, raw = self._send(f"{place}/checkpoint", None)
        if status != 200:
            return
        theirs = note.Note.parse(raw)
        told = Checkpoint.parse(theirs.text)
        if told.origin != now.told.origin or not note.opened(theirs, self._mine) or told.size != size:
            return
        if told.size > now.told.size:
            # Once the round is over, a later one may have had that larger tree cosigned.
            now.require_open()
            raise Conflict("ledger.rolled_back", raw, now.note.format())
        try:
            merkle.verify_consistency(told.size, now.told.size, told.root, now.told.root, proof)
        except RecordError as error:
            raise Conflict("ledger.forked", raw, now.note.format()) from error


class Conflict(LedgerRolledBack):
    """Two checkpoints of one log, both with its signature, of which neither grows from the other as it stands.

    Arguments
        code: `ledger.rolled_back` where a witness knows a larger tree, `ledger.forked` where it knows another.
        theirs: what the witness cosigned. ours: what it was asked to cosign.
    """

    def __init__(self, code: str, theirs: bytes, ours: bytes) -> None:
        how = "smaller" if code == "ledger.rolled_back" else "with another history"
        super().__init__(
            f"a checkpoint that grows from what a witness has cosigned:\n\n{theirs.decode(errors='replace')}\n",
            f"one {how}:\n\n{ours.decode(errors='replace')}\n",
            "stop every copy of this ledger, keep both checkpoints as evidence, and go on only with the copy that the "
            "witnesses know",
            code=code,
        )
        self.theirs, self.ours = theirs, ours

    def __reduce__(self) -> tuple[object, ...]:
        return Conflict, (self.code, self.theirs, self.ours)


def _size(body: bytes) -> int:
    try:
        return number(body.decode("ascii").removesuffix("\n"))
    except (UnicodeDecodeError, RecordError) as error:
        raise _failed("a size", repr(body[:40]), "witness.answer") from error


def _failed(expected: str, got: str, code: str) -> LedgerError:
    return LedgerError(expected, got, "it is asked again; tell its operator if that lasts", code=code)
