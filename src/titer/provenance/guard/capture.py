"""Capture: the fingerprint of one object, committed to in a signed record, with its opening kept in the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from titer.errors import GuardError
from titer.provenance.fingerprint import Fingerprint, Limits, fingerprint_of
from titer.provenance.guard.index import Index
from titer.provenance.guard.subject import digests_of
from titer.provenance.guard.trail.event import event_of
from titer.provenance.guard.trail.listeners import Listener, Listeners
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.ledger import Appended
from titer.provenance.ledger.record import Opening


@dataclass(frozen=True)
class Captured:
    """What was done.

    Arguments
        leaf: the record's bytes in the ledger. appended: where they stand.
        fingerprint: of the object. opening: to be kept beside the object, or in the index alone.
    """

    leaf: bytes
    appended: Appended
    fingerprint: Fingerprint
    opening: Opening

    @property
    def leaf_hash(self) -> bytes:
        """The leaf's hash."""
        return self.appended.leaf_hash


class Capture:
    """A capture point, or a party that signs what it derives.

    Arguments
        chain: its key and the ledger. index: where openings are kept. limits: how much of an object is read.
        listeners: told of each record once it is durable, see `titer.provenance.guard.trail`.
    """

    def __init__(
        self, chain: Chain, index: Index, limits: Limits | None = None, listeners: Sequence[Listener] = ()
    ) -> None:
        self.chain, self.index, self.limits = chain, index, limits or Limits()
        self.listeners = Listeners(listeners)

    def capture(
        self,
        source: Any,
        kind: str | None = None,
        *,
        subject: str | None = None,
        wait: Literal["published", "durable"] = "published",
    ) -> Captured:
        """Record one object at the place where it is born.

        Arguments
            source, kind: as in `fingerprint_of`.
            subject: whom it is about, for data that does not say so itself, such as text and signals.
            wait: whether to return once a checkpoint covers the record, or once it is durable.
        """
        return self._add("capture", source, kind, subject, (), {}, wait)

    def derive(
        self,
        source: Any,
        parents: Sequence[bytes],
        *,
        program: str,
        parameters: str,
        kind: str | None = None,
        subject: str | None = None,
        wait: Literal["published", "durable"] = "published",
    ) -> Captured:
        """Record an object that was made from others.

        Arguments
            source, kind, subject, wait: as in `capture`.
            parents: leaf hashes of what it was made from.
            program, parameters: digests (hexadecimal) of the program with its version, and of its parameters.
        """
        if not parents:
            raise GuardError(
                "leaf hashes of what was derived from", "none", "capture what has no parents", code="derive.parents"
            )
        ext: Mapping[str, str | int] = {"program": program, "parameters": parameters}
        return self._add("derive", source, kind, subject, tuple(each.hex() for each in parents), ext, wait)

    def _add(
        self,
        record: str,
        source: Any,
        kind: str | None,
        subject: str | None,
        refs: tuple[str, ...],
        ext: Mapping[str, str | int],
        wait: Literal["published", "durable"],
    ) -> Captured:
        made = fingerprint_of(source, kind, self.limits)
        opening = Opening.of(((each.label, each.value) for each in digests_of(made, subject)), made.opening)
        # The opening is kept first: one without a leaf is harmless, a leaf without its opening proves nothing.
        leaf, done = self.chain.add(
            record,
            data=made.kind,
            fp=opening.commitments(),
            refs=refs,
            ext=ext,
            before=lambda leaf: self.index.put(leaf, opening),
            wait=wait,
        )
        self.listeners(lambda: event_of(leaf, done.leaf_hash, done.index, "recorded"))
        return Captured(leaf, done, made, opening)
