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
from pathlib import Path

from titer.errors import LedgerError, LedgerRolledBack, ProvenanceError
from titer.provenance.ledger import note
from titer.provenance.ledger.asker import Asker, Conflict, Prove, Round
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.publish import put

_LOG = logging.getLogger(__name__)


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
