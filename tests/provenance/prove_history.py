"""The history check at length: `python tests/provenance/prove_history.py SECONDS [URL]` (600 in CI, 3600 at night)."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "ledger"))

import histories
from acceptance import tell
from provenance_tools import address


def main(seconds: float = 600.0, url: str | None = None, *, processes: int = 8, threads: int = 16) -> int:
    """Kill and pause clients for a while; print and return how much of what they were told is not so."""
    folder = Path(tempfile.mkdtemp(prefix="titer-history-"))
    try:
        where = url or address(folder / "log")
        wrong = histories.run(folder / "log", where, processes=processes, threads=threads, seconds=seconds, harm=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for words in wrong[:50]:
        print(f"  {words}")
    print(f"history of {seconds:g} s, {processes} processes of {threads} threads: {len(wrong)} wrong")
    words = f"{len(wrong)} wrong in {seconds:g} s of {processes} processes of {threads} threads, killed and paused"
    tell(8, "acknowledged records against the final log", words, held=not wrong and seconds >= 600)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(1 if main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0, *sys.argv[2:3]) else 0)
