"""A receipt: offline proof that a record is in a log, in one text file (C2SP tlog-proof).

The record's leaf stands in the `extra` line of that format, which nothing authenticates by itself: only that its hash
leads through the proof to the signed root makes it the record of the log.
"""

from __future__ import annotations

from dataclasses import dataclass

from titer.errors import RecordError
from titer.provenance.ledger.checkpoint import Checkpoint, decoded, encoded, number
from titer.provenance.ledger.merkle import leaf_hash, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"

LARGEST = 1 << 18
"""The most bytes of a receipt: a leaf, 63 hashes, and dozens of signatures after the quantum computer."""


@dataclass(frozen=True)
class Receipt:
    """A record's place in a log.

    Arguments
        leaf: the record's bytes in the ledger. index: its place. proof: hashes from the leaf up to the root.
        note: the checkpoint with all its signatures, as the log published it.
    """

    leaf: bytes
    index: int
    proof: tuple[bytes, ...]
    note: bytes

    def format(self) -> bytes:
        """The receipt as a file."""
        lines = [HEADER, f"extra {encoded(self.leaf)}", f"index {self.index}", *map(encoded, self.proof), ""]
        return "".join(f"{line}\n" for line in lines).encode("ascii") + self.note

    @classmethod
    def parse(cls, raw: bytes) -> Receipt:
        """Read a file; RecordError unless it is exactly as `format` writes it."""
        if len(raw) > LARGEST:
            raise _invalid(f"at most {LARGEST} bytes", f"{len(raw)}")
        head, _, note = raw.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise _invalid("a proof in ASCII before the checkpoint", str(error)) from error
        if len(lines) < 3 or lines[0] != HEADER:
            raise _invalid(f"a first line {HEADER}, then `extra` and `index`", repr(lines[0][:40]))
        extra, index = lines[1].partition("extra "), lines[2].partition("index ")
        if not (extra[1] and index[1]) or extra[0] or index[0]:
            raise _invalid("`extra` with the record, then `index`", repr((lines[1][:12], lines[2][:12])))
        return cls(decoded(extra[2]), number(index[2]), tuple(decoded(line) for line in lines[3:]), note)

    def check(self, checkpoint: Checkpoint) -> None:
        """Check that the leaf is under a checkpoint whose signatures the caller has checked; RecordError if not."""
        verify_inclusion(leaf_hash(self.leaf), self.index, checkpoint.size, self.proof, checkpoint.root)


def _invalid(expected: str, got: str) -> RecordError:
    return RecordError(
        f"a receipt with {expected}", got, "fetch the receipt again from the ledger", code="receipt.invalid"
    )
