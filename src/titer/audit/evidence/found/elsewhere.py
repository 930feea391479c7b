"""Evidence that other suites produce; it counts where a record of it is attached to the report."""

from __future__ import annotations

from titer.audit.evidence.seen import Seen, absent
from titer.audit.report.schema import Draft


def e06(_: Draft) -> Seen:
    """Poisoning and backdoors."""
    return absent("This audit attacked at the time of use only; it poisoned no training data.")


def e07(_: Draft) -> Seen:
    """What the model gives away."""
    return absent("This audit did not try to draw the model or its training data out of its answers.")


def e19(_: Draft) -> Seen:
    """Proofs of a ledger."""
    return absent("No receipt of a ledger is attached.")


def e20(_: Draft) -> Seen:
    """Decisions of a guard."""
    return absent("No guard was part of this audit.")


def e21(_: Draft) -> Seen:
    """Faults put into ledger and guard."""
    return absent("No result of fault injection is attached.")


def e22(_: Draft) -> Seen:
    """Malformed input."""
    return absent("Only well-formed input was given to the model.")


def e23(_: Draft) -> Seen:
    """Settings of access."""
    return absent("No guard was part of this audit, so there are no settings of access to export.")


def e26(_: Draft) -> Seen:
    """Watching the model in use."""
    return Seen("owner elsewhere", "The plan for monitoring is a document of the manufacturer; none is attached.")
