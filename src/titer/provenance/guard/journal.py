"""Why each decision was made: a leaf holds a digest of the reasons, this private file the reasons themselves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from titer.errors import GuardError
from titer.provenance.guard.inprocess import Answer


@dataclass(frozen=True)
class Why:
    """What is kept of one decision.

    Arguments
        action, verdict, reasons, sentence: as the guard gave them. kind: of data, "" where it could not be told.
        differences: sentences on what is not as it was, which name layers, frames and regions but no value.
        record: leaf hash of the record (hexadecimal), "" without. held: name in the quarantine, "" where it passed.
        index: of the decision's leaf; -1 where it had none yet.
    """

    action: str
    verdict: str
    reasons: tuple[str, ...]
    sentence: str
    kind: str
    differences: tuple[str, ...]
    record: str
    held: str
    index: int


class Journal:
    """A private database of reasons by leaf hash of the decision.

    Arguments
        path: of the SQLite file, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS decisions (leaf BLOB PRIMARY KEY, why TEXT NOT NULL)")
        path.chmod(0o600)

    def keep(self, answer: Answer) -> None:
        """Keep the reasons of an answer; nothing where its decision could not be noted."""
        if answer.decision is None:
            return
        checked = answer.checked
        why = Why(
            answer.action,
            answer.verdict,
            answer.reasons,
            checked.sentence,
            "" if checked.fingerprint is None else checked.fingerprint.kind,
            tuple(each.sentence for each in checked.differences),
            "" if checked.leaf_hash is None else checked.leaf_hash.hex(),
            answer.held,
            -1 if answer.decision.index is None else answer.decision.index,
        )
        row = (answer.decision.leaf_hash, json.dumps(asdict(why)))
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO decisions VALUES (?, ?)", row)

    def get(self, leaf: bytes) -> Why | None:
        """The reasons of a decision, None where none are kept."""
        with self._open() as connection:
            row = connection.execute("SELECT why FROM decisions WHERE leaf = ?", (leaf,)).fetchone()
        if row is None:
            return None
        told: dict[str, Any] = json.loads(row[0])
        told |= {name: tuple(told[name]) for name in ("reasons", "differences")}
        return Why(**told)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self._path, timeout=30)
            try:
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise GuardError(
                "a journal of decisions that can be read and written",
                str(error),
                "make room, or look at the disk",
                code="journal.unavailable",
            ) from error
