"""Every error that Titer raises, as one tree.

    TiterError
    ├── PlanError        the plan, a setting or a combination of settings cannot run
    ├── DataError        cases that cannot be used: unreadable, mislabeled, outside their space
    │   └── LeakageError     one patient, or one picture, on both sides of a split
    ├── ModelError       a model that cannot be loaded or whose answers do not fit
    │   ├── CheckpointError  a checkpoint that belongs to another model, or is damaged
    │   └── EndpointError    a remote model that does not answer as its protocol says
    ├── ThreatError      a change, limit or goal that does not fit the space or the model
    ├── AttackError      an attack that was paired with something it cannot search
    │   └── BudgetError      an attack spent more queries than the threat allows
    ├── StoreError       results that cannot be written or read back
    ├── ExecutionError   a worker or scheduler that failed for good
    ├── ReportError      a report that cannot be read, or is of another version
    └── ProvenanceError  evidence that cannot be made, kept or believed; carries a reason code
        ├── FingerprintError   an object that has no exact fingerprint: malformed, too large or unsupported
        ├── RecordError        a record, opening, note or receipt that breaks its format
        ├── LedgerError        the ledger cannot append, publish or answer
        │   └── LedgerRolledBack   its data are older than, or differ from, what was once signed
        └── GuardError         the guard cannot be set up or run as its policy says

A model that withstood an attack is a result, never an error.

Each message has three parts: what was expected, what came (with the value), and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable


class TiterError(Exception):
    """Root of the tree.

    Arguments
        expected: what should have been there, as a noun phrase.
        got: what came instead, with the value.
        remedy: what the reader can do about it, as an instruction.

    >>> print(PlanError("a limit of at least 0", "-0.1", "give the limit as a positive number"))
    expected a limit of at least 0, got -0.1; give the limit as a positive number
    """

    def __init__(self, expected: str, got: str, remedy: str) -> None:
        super().__init__(expected, got, remedy)
        self.expected = expected
        self.got = got
        self.remedy = remedy

    def __str__(self) -> str:
        return f"expected {self.expected}, got {self.got}; {self.remedy}"


class PlanError(TiterError):
    """The plan, a setting or a combination of settings cannot run."""


class DataError(TiterError):
    """Cases that cannot be used."""


class LeakageError(DataError):
    """A patient, or a near-identical case, stands on both sides of a split."""


class ModelError(TiterError):
    """A model that cannot be loaded, or whose answers do not fit its task."""


class CheckpointError(ModelError):
    """A checkpoint that belongs to another model, or is damaged."""


class EndpointError(ModelError):
    """A remote model that does not answer as its protocol says."""


class ThreatError(TiterError):
    """A change, limit or goal that does not fit the space or the model."""


class AttackError(TiterError):
    """An attack that was paired with something it cannot search."""


class BudgetError(AttackError):
    """An attack asked for more queries than the threat allows."""


class StoreError(TiterError):
    """Results that cannot be written or read back."""


class ExecutionError(TiterError):
    """A worker or a scheduler that failed for good."""


class ReportError(TiterError):
    """A report that cannot be read, or is of another version."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a question that goes before a remedy; empty where none is near.

    >>> did_you_mean("pdg", ["fgsm", "pgd"])
    "did you mean 'pgd'? "
    >>> did_you_mean("xyz", ["fgsm", "pgd"])
    ''
    """
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


class ProvenanceError(TiterError):
    """Evidence that cannot be made, kept or believed.

    Arguments
        expected, got, remedy: as everywhere.
        code: a stable reason for programs, words joined by dots, such as `unsupported.byte_order`.
    """

    def __init__(self, expected: str, got: str, remedy: str, *, code: str) -> None:
        super().__init__(expected, got, remedy)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), self.expected, self.got, self.remedy, self.code)


class FingerprintError(ProvenanceError):
    """An object that has no exact fingerprint: malformed, too large or unsupported."""


class RecordError(ProvenanceError):
    """A record, opening, note or receipt that breaks its format."""


class LedgerError(ProvenanceError):
    """The ledger cannot append, publish or answer."""


class LedgerRolledBack(LedgerError):  # noqa: N818 - the name says what happened
    """The ledger's data are older than, or differ from, what was once signed."""


class GuardError(ProvenanceError):
    """The guard cannot be set up or run as its policy says."""


def _restored(kind: type[ProvenanceError], expected: str, got: str, remedy: str, code: str) -> ProvenanceError:
    """A copy of an error that came out of another process."""
    return kind(expected, got, remedy, code=code)
