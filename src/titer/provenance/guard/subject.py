"""Whom data is about, where the data itself does not say: one more digest, told at capture by whoever captures.

It commits to the subject's identifier. Its digest can be found by trying out identifiers, so an opening that leaves the
site need not hold it: a layer `id.*` that is closed keeps nobody from verifying the content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from titer.provenance.fingerprint import Digest, Fingerprint, digest
from titer.provenance.ledger.record import Opening

_NAME, _VERSION = "id.subject", 1
LABEL = f"{_NAME}.v{_VERSION}"
"""The label of the digest."""


def digests_of(made: Fingerprint, subject: str | None) -> tuple[Digest, ...]:
    """The digests to commit to or to look for, with that of the subject."""
    if subject is None:
        return made.digests
    return (*made.digests, Digest(_NAME, _VERSION, digest(_NAME, _VERSION, [subject.encode()])))


def about(made: Fingerprint, subject: str | None) -> Fingerprint:
    """A fingerprint with the digest of the subject."""
    return replace(made, digests=tuple(sorted(digests_of(made, subject), key=lambda each: each.name)))


def without_subject(opening: Opening) -> Opening:
    """The opening with the subject's layer closed."""

    def others(told: Mapping[str, bytes]) -> dict[str, bytes]:
        return {label: each for label, each in told.items() if label != LABEL}

    return replace(opening, salts=others(opening.salts), digests=others(opening.digests))
