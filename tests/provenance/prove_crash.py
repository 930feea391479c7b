"""The whole matrix of faults: `python tests/provenance/prove_crash.py` prints how many were produced and survived.

Kills and errors at every file-related system call of a workload that commits and publishes, power failures after every
recorded call, writes that take fewer bytes, and three ledgers that are broken on purpose and must be found out.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "ledger"))

import crashing
from acceptance import tell
from crashing import Tally


def main(every: int = 1) -> int:
    """Produce all faults (or one of `every`), print the table, and return how many things went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="titer-crash-"))
    wrong = 0
    total = 0
    caught: list[str] = []
    try:
        source = crashing.template(folder / "template")
        calls = crashing.counted(source, crashing.scratch_in(folder))
        print(f"workload: {sum(calls.values())} file-related system calls: {dict(calls.most_common())}")
        for what in (crashing.kills, crashing.refusals, crashing.power_failures):
            tally, start = Tally(), time.monotonic()
            what(source, crashing.scratch_in(folder), tally, every=every)
            total += tally.total
            wrong += len(tally.broken)
            for kind, number in tally.faults.items():
                print(f"{kind}: {number} faults")
            print(f"  {what.__name__}: {len(tally.broken)} not survived, {time.monotonic() - start:.0f} s")
            for words in tally.broken:
                print(f"  {words}")
        for patch in (crashing.without_fsync, crashing.rename_before_write):
            tally = Tally()
            crashing.power_failures(source, crashing.scratch_in(folder), tally, every=max(5, every), patch=patch)
            found = len(tally.broken)
            print(f"broken on purpose, {patch.__name__}: found out by {found} of {tally.total} faults")
            wrong += found == 0
            caught.append(f"{patch.__name__} ({found})")
        refused = crashing.width_off_by_one(crashing.scratch_in(folder))
        print(f"broken on purpose, tile width off by one: {refused or 'not found out'}")
        wrong += not refused
        caught += ["width_off_by_one"] if refused else []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"faults: {total} (target: at least 500), not survived: {wrong}")
    tell(7, "faults", f"{total} produced, {wrong} not survived", held=total >= 500 and not wrong)
    tell(7, "broken on purpose, found out", ", ".join(caught), held=len(caught) == 3 and not wrong)
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(int(sys.argv[1]) if len(sys.argv) > 1 else 1) else 0)
