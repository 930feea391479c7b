"""Rollback and fork: `python tests/provenance/prove_rollback.py` restores and copies real folders, asserts exit codes.

Every step is the command line in a process of its own, as an operator would type it. Both checkpoints of a fork are
printed, for they are the evidence.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from acceptance import tell
from provenance_tools import ORIGIN, signed_leaf

from titer.provenance.ledger.settings import read, verifier_keys

STEPS: list[tuple[str, int, int]] = []
"""What was done, the exit code that was asked for, and the one that came."""


def titer(what: str, asked: int, *words: object) -> str:
    command = [sys.executable, "-c", "from titer.cli.main import main; main()", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    STEPS.append((what, asked, done.returncode))
    print(f"{'as asked' if done.returncode == asked else 'WRONG':<9} exit code {done.returncode}: {what}")
    return done.stdout + done.stderr


def record(folder: Path, name: str, counter: int, key: str = "k") -> Path:
    path = folder / name
    path.write_bytes(signed_leaf(key, counter))
    return path


def rollback(folder: Path) -> bool:
    """An older copy of a folder in place of a newer one signs nothing, and says why."""
    log, leaves = folder / "log", folder / "leaves"
    leaves.mkdir()
    titer("a ledger is made", 0, "ledger", "init", log, "--origin", ORIGIN, "--mark", folder / "mark" / "m")
    titer("five records", 0, "ledger", "append", log, *(record(leaves, f"r{n}", n) for n in range(5)))
    shutil.copytree(log, folder / "backup")
    titer("four more", 0, "ledger", "append", log, *(record(leaves, f"r{n}", n) for n in range(5, 9)))
    titer("another party mirrors it", 0, "ledger", "mirror", log / "public", folder / "mirror", *_keys(log))
    shutil.rmtree(log)
    shutil.copytree(folder / "backup", log)
    before = (log / "public" / "checkpoint").read_bytes()
    told = titer("the older copy takes a record", 2, "ledger", "append", log, record(leaves, "new", 5, "other"))
    titer("fsck of the older copy", 1, "ledger", "fsck", log)
    seen = titer(
        "the mirror looks at the older copy", 2, "ledger", "mirror", log / "public", folder / "mirror", *_keys(log)
    )
    silent = (log / "public" / "checkpoint").read_bytes() == before
    print(f"nothing was signed: {silent}")
    print("\n".join(line for line in (told + seen).splitlines() if line and line[0] != "\u2014"))
    return silent and "LedgerRolledBack" in told and "LedgerRolledBack" in seen


def fork(folder: Path) -> bool:
    """Of two copies under one mark the second cannot go on; under two marks a mirror and a verifier tell them apart."""
    log, copy, leaves = folder / "log", folder / "copy", folder / "leaves"
    leaves.mkdir()
    titer("a ledger is made", 0, "ledger", "init", log, "--origin", ORIGIN, "--mark", folder / "mark" / "m")
    titer("five records", 0, "ledger", "append", log, *(record(leaves, f"r{n}", n) for n in range(5)))
    titer("another party mirrors it", 0, "ledger", "mirror", log / "public", folder / "mirror", *_keys(log))
    shutil.copytree(log, copy)
    titer("the ledger goes on", 0, "ledger", "append", log, record(leaves, "a", 5), "--receipts", folder / "receipts")
    told = titer("its copy, under the same mark", 2, "ledger", "append", copy, record(leaves, "b", 0, "other"))
    # An operator who gives the copy a mark of its own can sign a second history.
    shutil.rmtree(copy / "staging", ignore_errors=True)
    text = (copy / "ledger.json").read_text().replace(str(folder / "mark" / "m"), str(folder / "second" / "m"))
    (copy / "ledger.json").write_text(text)
    _own_mark(folder, copy)
    titer("its copy, under a mark of its own", 0, "ledger", "append", copy, folder / "leaves" / "b")
    titer("the mirror follows the ledger", 0, "ledger", "mirror", log / "public", folder / "mirror", *_keys(log))
    seen = titer("the mirror looks at the copy", 2, "ledger", "mirror", copy / "public", folder / "mirror", *_keys(log))
    (folder / "policy").write_text(f"log {verifier_keys(log, read(log))[0]}\nquorum none\n")
    (folder / "note.txt").write_text("x")
    words = ("verify", folder / "note.txt", "--kind", "text", "--receipt", folder / "receipts" / "a.receipt")
    forked = titer("a receipt of one branch against the other", 4, *words, "--policy", folder / "policy",
                   "--log", copy / "public", "--explain")  # fmt: skip
    print("\n".join(line for line in (told + seen + forked).splitlines() if line and line[0] != "\u2014"))
    for branch in (log, copy):
        print((branch / "public" / "checkpoint").read_text().split("\n\n")[0])
    return "LedgerRolledBack" in told and "LedgerRolledBack" in seen and "log.forked" in forked


def _own_mark(folder: Path, copy: Path) -> None:
    from titer.provenance.ledger.mark import Mark, open_mark
    from titer.provenance.ledger.settings import signing

    told = signing(copy, read(copy)).check((copy / "public" / "checkpoint").read_bytes())
    place = open_mark(str(folder / "second" / "m"))
    place.create(Mark(told.origin, told.size, told.root))
    place.close()


def _keys(log: Path) -> list[str]:
    return [word for key in verifier_keys(log, read(log)) for word in ("--key", key)]


def main() -> int:
    """Run both; 1 if an exit code or a message is not as asked."""
    held = {}
    for what in (rollback, fork):
        with tempfile.TemporaryDirectory(prefix="titer-rollback-") as name:
            STEPS.clear()
            found = what(Path(name))
            right = sum(asked == came for _, asked, came in STEPS)
            held[what.__name__] = found and right == len(STEPS)
            tell(9, what.__name__, f"{right} of {len(STEPS)} exit codes as asked", held=held[what.__name__])
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
