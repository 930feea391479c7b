"""A foreign reader: `python tests/provenance/prove_reader.py [ENTRIES]` has Go read a whole log and find our root.

The log is served as static files on the loopback interface. The reader stands on golang.org/x/mod/sumdb and knows
checkpoint, tiles and bundles by their published layout alone. Then single bytes of the files are changed, and it must
refuse each.
"""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import prove_proofs
from acceptance import absent, tell
from provenance_tools import ORIGIN, mark_of, signed_leaf

from titer.provenance.ledger import settings
from titer.provenance.ledger.serve import Server


def build(folder: Path) -> Path:
    """The reader, compiled."""
    program = folder / "reader"
    more = {
        "GO111MODULE": "off", "GOPATH": str(prove_proofs.GOCODE), "GOCACHE": str(folder / "cache"), "GOFLAGS": "-p=1",
    }  # fmt: skip
    source = Path(__file__).parent / "foreign" / "reader.go"
    subprocess.run(["go", "build", "-o", program, source], check=True, env={**os.environ, **more})
    return program


def main(entries: int = 66_000, changes: int = 40) -> int:
    """Make, serve and read a log; 1 if the reader does not agree."""
    if (why := prove_proofs.missing()) is not None:
        print(why, file=sys.stderr)
        absent(2, "Go's sumdb/tlog reads the log", why)
        return 0 if os.environ.get("CI") != "true" else 2
    with tempfile.TemporaryDirectory(prefix="titer-reader-") as name:
        folder = Path(name) / "log"
        settings.create(folder, ORIGIN, str(mark_of(folder).path))
        with settings.opened(folder) as ledger:
            leaves = [signed_leaf("r", n, sign=False) for n in range(entries)]
            for start in range(0, entries, 8192):
                some = leaves[start : start + 8192]
                ledger.append_admitted(some, [settings.formed(ORIGIN, leaf) for leaf in some], timeout=600)
            ours = ledger.signing.check(ledger.checkpoint())
        (key, *_) = settings.verifier_keys(folder, settings.read(folder))
        program = build(Path(name))
        with Server(folder, "127.0.0.1", 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()

            def read() -> str:
                done = subprocess.run([program, server.address, key], capture_output=True, text=True, check=False)
                return done.stdout.strip() if done.returncode == 0 else ""

            same = read() == f"{ours.size} {entries} {base64.b64encode(ours.root).decode()}"
            refused = sum(not _changed(path, read) for path in _drawn(folder / "public", changes))
    print(f"a log of {entries:,} entries read over HTTP: {'the same root' if same else 'ANOTHER ROOT'}")
    print(f"one bit changed in each of {changes} files drawn at random: {refused} refused")
    tell(
        2, "read end to end by Go's sumdb/tlog", f"{entries:,} entries, {'equal' if same else 'other'} root", held=same
    )
    tell(2, "one changed bit in a file", f"{refused} of {changes} refused", held=refused == changes)
    return 0 if same and refused == changes else 1


def _drawn(public: Path, many: int) -> list[Path]:
    """Files that the reader asks for: the checkpoint and full or last tiles and bundles."""
    files = sorted(path for path in public.rglob("*") if path.is_file() and not _superseded(path))
    return random.Random(3).choices(files, k=many)


def _superseded(path: Path) -> bool:
    """Whether a partial tile has been followed by a larger one."""
    if not path.parent.name.endswith(".p"):
        return False
    widest = max(int(each.name) for each in path.parent.iterdir())
    return int(path.name) < widest or path.parent.with_name(path.parent.name[:-2]).exists()


def _changed(path: Path, read: object) -> str:
    raw = path.read_bytes()
    # In a checkpoint the first lines; signatures of other keys are nobody's concern.
    at = random.Random(path.name).randrange(min(len(raw), 60) if path.name == "checkpoint" else len(raw))
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    try:
        return read()  # type: ignore[operator]
    finally:
        path.write_bytes(raw)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
