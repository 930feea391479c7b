"""Proofs of the ledger before a foreign judge: Go's sumdb/tlog and sumdb/note, which share no code with Titer.

    python tests/provenance/prove_proofs.py [--proofs N] [--mutated M]

Makes inclusion and consistency proofs over all sizes to 300, sizes around multiples of 256, sizes around 65,536, and
random ones; both must accept each. Of M of them, every single bit of proof, root, index, size and leaf is changed, and
both must refuse each. Prints the figures and exits with 1 if one disagrees.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from acceptance import absent, tell
from evidence_tools import LOG, ORIGIN

from titer.errors import RecordError
from titer.provenance.ledger import merkle
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.note import Note, opened

GOCODE = Path("/usr/share/gocode")
LARGEST = 66_000


@dataclass(frozen=True)
class Claim:
    """That a leaf is in a tree, or that a tree begins with another."""

    kind: str
    root: bytes
    size: int
    other: bytes
    number: int
    proof: tuple[bytes, ...]

    def line(self) -> str:
        words = [self.kind, self.root.hex(), str(self.size), self.other.hex(), str(self.number)]
        return " ".join([*words, *(each.hex() for each in self.proof)])

    def ours(self) -> bool:
        try:
            if self.kind == "record":
                merkle.verify_inclusion(self.other, self.number, self.size, self.proof, self.root)
            else:
                merkle.verify_consistency(self.number, self.size, self.other, self.root, self.proof)
        except RecordError:
            return False
        return True

    def mutations(self) -> Iterator[tuple[Claim, bool]]:
        """All claims that differ in one bit of proof, root, leaf (or old root), index (or old size) or size.

        With each goes whether the proof alone must show it. It does not for sizes: from the same leaf the way up may
        take the same turns in trees of several sizes. That is why a size counts only in a signed checkpoint.
        """
        for bit in range(256):
            yield replace(self, root=flipped(self.root, bit)), True
            yield replace(self, other=flipped(self.other, bit)), True
            for at, each in enumerate(self.proof):
                yield replace(self, proof=(*self.proof[:at], flipped(each, bit), *self.proof[at + 1 :])), True
        # Go's tlog counts with 64 bits and a sign, and never ends for sizes beyond 2**62.
        for bit in range(62):
            yield replace(self, number=self.number ^ 1 << bit), self.kind == "record"
            yield replace(self, size=self.size ^ 1 << bit), False


def flipped(raw: bytes, bit: int) -> bytes:
    made = bytearray(raw)
    made[bit // 8] ^= 1 << bit % 8
    return bytes(made)


class Forest:
    """The trees of all sizes over the same leaves, with the hashes of all complete subtrees kept."""

    def __init__(self, size: int) -> None:
        self.levels = [[merkle.leaf_hash(each.to_bytes(4, "big")) for each in range(size)]]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            self.levels.append([merkle.node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])

    def node(self, height: int, position: int) -> bytes:
        return self.levels[height][position]

    def root(self, size: int) -> bytes:
        return merkle.frontier(self.node, size).root()

    def inclusion(self, index: int, size: int) -> Claim:
        proof = tuple(merkle.inclusion(self.node, index, size))
        return Claim("record", self.root(size), size, self.levels[0][index], index, proof)

    def consistency(self, old: int, new: int) -> Claim:
        return Claim("tree", self.root(new), new, self.root(old), old, tuple(merkle.consistency(self.node, old, new)))


def claims(forest: Forest, count: int, rng: random.Random) -> list[Claim]:
    """Proofs over all sizes to 300 (as far as the forest goes), around multiples of 256 and 65,536, and random ones."""
    most = len(forest.levels[0])
    sizes = list(range(1, min(300, most) + 1))
    sizes += [n * 256 + d for n in range(1, most // 256 + 1) for d in (-1, 0, 1)] + [65_536 + d for d in range(-3, 4)]
    sizes = [size for size in sizes if size <= most]
    made = []
    while len(made) < count:
        size = sizes[len(made) // 2 % len(sizes)] if len(made) < 4 * len(sizes) else rng.randint(1, most)
        made += [forest.inclusion(rng.randrange(size), size), forest.consistency(rng.randint(1, size), size)]
    return made


def notes(forest: Forest, sizes: list[int]) -> list[tuple[bytes, bool]]:
    """Signed checkpoints, and the same with one bit of text or signature changed; with each whether it is whole."""
    made = []
    for size in sizes:
        text = Checkpoint(ORIGIN, size, forest.root(size)).text()
        signature = LOG.sign(text)
        made.append((Note(text, (signature,)).format(), True))
        for bit in range(len(text.encode()) * 8):
            made.append((flipped(text.encode(), bit) + f"\n{signature}".encode(), False))
        for bit in range(len(signature.value) * 8):
            other = replace(signature, value=flipped(signature.value, bit))
            made.append((Note(text, (other,)).format(), False))
    return made


def our_note(raw: bytes) -> bool:
    try:
        return LOG.verifier in opened(Note.parse(raw), [LOG.verifier])
    except RecordError:
        return False


def missing() -> str | None:
    """Why there is no foreign judge; None where there is one."""
    if shutil.which("go") is None or not (GOCODE / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        return "needs Go and golang.org/x/mod: install the packages golang-go and golang-golang-x-mod-dev"
    return None


def build(folder: Path) -> Path:
    """The foreign judge, compiled."""
    judge = folder / "tlog"
    settings = {"GO111MODULE": "off", "GOPATH": str(GOCODE), "GOCACHE": str(folder / "cache"), "GOFLAGS": "-p=1"}
    source = Path(__file__).parent / "foreign" / "tlog.go"
    subprocess.run(["go", "build", "-o", judge, source], check=True, env={**os.environ, **settings})
    return judge


def ask(judge: Path, lines: list[str]) -> list[bool]:
    """What the foreign judge says to each line."""
    done = subprocess.run([judge], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    return [answer == "1" for answer in done.stdout.split()]


def prove(judge: Path, proofs: int, mutated: int, largest: int, seed: int = 1) -> dict[str, int]:
    """The figures; those whose name begins with `wrong` must be 0."""
    rng, forest = random.Random(seed), Forest(largest)
    whole = claims(forest, proofs, rng)
    told = ask(judge, [each.line() for each in whole])
    figures = {
        "proofs accepted by both": sum(theirs and each.ours() for each, theirs in zip(whole, told, strict=True)),
        "proofs": len(whole),
        "mutations refused by both": 0,
        "mutations of a size that no proof alone can show": 0,
        "wrong: mutations accepted": 0,
        "wrong: judges that disagree": 0,
    }
    figures["wrong: proofs refused"] = figures["proofs"] - figures["proofs accepted by both"]
    for claim in rng.sample([each for each in whole if each.proof], mutated):
        changed = list(claim.mutations())
        for (each, must), theirs in zip(changed, ask(judge, [each.line() for each, _ in changed]), strict=True):
            ours = each.ours()
            figures["wrong: judges that disagree"] += ours != theirs
            figures["wrong: mutations accepted"] += must and (ours or theirs)
            figures["mutations refused by both"] += not ours and not theirs
            figures["mutations of a size that no proof alone can show"] += ours and theirs and not must
    signed = notes(forest, [1, 7, largest // 2])
    lines = [f"note {LOG.verifier} {base64.b64encode(raw).decode()}" for raw, _ in signed]
    for (raw, good), theirs in zip(signed, ask(judge, lines), strict=True):
        ours = our_note(raw)
        figures["wrong: judges that disagree"] += ours != theirs
        figures["wrong: mutations accepted"] += (ours or theirs) and not good
        figures["wrong: proofs refused"] += good and not (ours and theirs)
        figures["mutations refused by both"] += not (ours or theirs)
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the proof at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proofs", type=int, default=12_000)
    parser.add_argument("--mutated", type=int, default=100)
    chosen = parser.parse_args(arguments)
    if (why := missing()) is not None:
        print(why, file=sys.stderr)
        absent(1, "Go's sumdb/tlog", why)
        return 0 if os.environ.get("CI") != "true" else 2
    with tempfile.TemporaryDirectory() as name:
        figures = prove(build(Path(name)), chosen.proofs, chosen.mutated, LARGEST)
    for name, value in figures.items():
        print(f"{value:>10,}  {name}")
    wrong = sum(value for name, value in figures.items() if name.startswith("wrong"))
    accepted, refused = figures["proofs accepted by both"], figures["mutations refused by both"]
    tell(1, "Go's sumdb/tlog and ours accept", f"{accepted:,} of {figures['proofs']:,} proofs", held=accepted >= 10_000)
    sizes = figures["mutations of a size that no proof alone can show"]
    words = f"{refused:,} changed bits ({sizes:,} changes of size show in no proof, only in the signed checkpoint)"
    tell(1, "both refuse", words, held=not wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
