"""Asking witnesses for cosignatures, all at once, and no longer than until the policy is met.

Each witness has a thread of its own that always works on the newest checkpoint. Whoever waits for a round stops when
the signatures suffice, and does not wait long for witnesses that have failed before; these are asked in the background
until they answer again. Nothing that a witness says can stop a log, but for one thing: a checkpoint with the log's own
signature that its tree does not grow from. That is proof of two histories: both checkpoints are kept, and the copy that
has no quorum stops.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from titer.errors import LedgerError, LedgerRolledBack, ProvenanceError, RecordError
from titer.provenance.ledger import merkle, note
from titer.provenance.ledger.checkpoint import Checkpoint, number
from titer.provenance.ledger.publish import put
from titer.provenance.ledger.witness import SIZE_TYPE, request

_LOG = logging.getLogger(__name__)
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
        mine: the log's own keys. send: carries requests.
    """

    def __init__(self, name: str, key: note.Verifier, mine: Sequence[note.Verifier], send: Send) -> None:
        self.name, self.key, self._mine, self._send = name, key, tuple(mine), send
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


class Witnesses:
    """Asks all witnesses of a policy; what `titer.provenance.ledger.sequencer.Signing` calls `cosign`.

    Arguments
        askers: one for each witness.
        satisfied: whether a note's signatures meet the policy.
        evidence: a folder where proofs of two histories are kept.
        patience: seconds to wait in a round for witnesses that have answered before.
        grace: seconds to wait for those that have failed.
    """

    def __init__(
        self,
        askers: Sequence[Asker],
        satisfied: Callable[[bytes], bool],
        evidence: Path,
        *,
        patience: float = 5.0,
        grace: float = 0.25,
    ) -> None:
        self._askers, self._satisfied, self._evidence = tuple(askers), satisfied, evidence
        self._patience, self._grace = patience, grace
        self._ready = threading.Condition()
        self._round: Round | None = None
        self._closed = False
        self._done: dict[str, Round] = {}
        self._threads: list[threading.Thread] = []

    def __call__(self, raw: bytes, prove: Prove) -> bytes:
        """A signed checkpoint, with what cosignatures could be had; LedgerRolledBack for proof of two histories."""
        now = Round(raw, prove)
        start = time.monotonic()
        with self._ready:
            self._round = now
            if not self._threads:
                self._begin()
            self._ready.notify_all()
        try:
            with now.turn:
                while now.error is None and not self._suffices(now):
                    left = start + self._longest(now) - time.monotonic()
                    if left <= 0:
                        break
                    now.turn.wait(left)
                made, suffices = now.note.with_(*now.signatures).format(), self._suffices(now)
        finally:
            now.close()
        if now.error is not None:
            raise now.error
        if now.conflicts and not suffices:
            raise now.conflicts[0]
        return made

    @property
    def failures(self) -> Mapping[str, str]:
        """Reason codes by the names of witnesses that failed when they were asked last."""
        return {each.name: each.failure for each in self._askers if each.failure}

    def keep(self, conflict: LedgerRolledBack) -> None:
        """Keep the proof, once for each checkpoint that a witness shows."""
        if not isinstance(conflict, Conflict):
            return
        told = Checkpoint.parse(note.Note.parse(conflict.theirs).text)
        path = self._evidence / f"{conflict.code.rpartition('.')[2]}-{told.size}-{told.root.hex()[:16]}.txt"
        if path.exists():
            return
        _LOG.critical("a witness shows a checkpoint of ours that this one does not grow from: %s", conflict.code)
        try:
            self._evidence.mkdir(parents=True, exist_ok=True)
            put(path, b"cosigned by a witness:\n\n" + conflict.theirs + b"\nsigned here:\n\n" + conflict.ours)
        except (OSError, LedgerError):
            # It is in the error as well, whose message goes to whoever appends.
            _LOG.exception("evidence could not be kept")

    def close(self) -> None:
        """Ask no more; threads that wait for an answer end with it."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def _suffices(self, now: Round) -> bool:
        return bool(now.signatures) and self._satisfied(now.note.with_(*now.signatures).format())

    def _longest(self, now: Round) -> float:
        """How long a round may last, by those that it still waits for."""
        with self._ready:
            waiting = [each for each in self._askers if self._done.get(each.name) is not now]
        return max((self._grace if each.failure else self._patience for each in waiting), default=0.0)

    def _begin(self) -> None:
        for each in self._askers:
            thread = threading.Thread(target=self._ask, args=(each,), name="witness", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _ask(self, asker: Asker) -> None:
        last: Round | None = None
        while True:
            with self._ready:
                while not self._closed and (self._round is None or self._round is last):
                    self._ready.wait()
                if self._closed or self._round is None:
                    return
                last = self._round
            self._answer(asker, last)

    def _answer(self, asker: Asker, now: Round) -> None:
        signature, proof = None, None
        try:
            signature = asker.cosignature(now)
            failure = ""
        except Conflict as conflict:
            proof, failure = conflict, conflict.code
            # Two roots of one size are proof by themselves; of a larger tree, only the holder of the lease can tell
            # whether it is another's who took over.
            if conflict.code == "ledger.forked":
                self.keep(conflict)
        except ProvenanceError as other:
            failure = asker.failure if other.code == "witness.late" else other.code
        except Exception:
            # A thread that ended here would never ask this witness again.
            _LOG.exception("witness %s", asker.name)
            failure = "witness.bug"
        if failure != asker.failure:
            _LOG.warning("witness %s: %s", asker.name, failure or "answers again")
        asker.failure = failure
        with now.turn:
            if signature is not None:
                now.signatures.append(signature)
            if proof is not None:
                now.conflicts.append(proof)
            with self._ready:
                self._done[asker.name] = now
            now.turn.notify_all()


def _size(body: bytes) -> int:
    try:
        return number(body.decode("ascii").removesuffix("\n"))
    except (UnicodeDecodeError, RecordError) as error:
        raise _failed("a size", repr(body[:40]), "witness.answer") from error


def _failed(expected: str, got: str, code: str) -> LedgerError:
    return LedgerError(expected, got, "it is asked again; tell its operator if that lasts", code=code)
