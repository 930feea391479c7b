"""The acceptance checks of ledger and guard: `python tests/provenance/acceptance.py` runs all proofs, prints one table.

    python tests/provenance/acceptance.py [--only NAME ...] [--quick] [--out FOLDER]

Each `prove_*.py` also runs alone. Under this script it writes its figures into one file, and the table says of each of
the thirteen checks what was measured and whether its target was held, missed, or is absent, with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
_FILE = "TITER_PROOFS"

CHECKS = {
    1: "Foreign verifier",
    2: "Foreign reader",
    3: "Transport matrix",
    4: "Sensitivity",
    5: "Against the standard signature",
    6: "Attack stopped",
    7: "Crash matrix",
    8: "History check",
    9: "Rollback and fork",
    10: "Privacy",
    11: "Erasure",
    12: "Speed",
    13: "Code quality of the trust core",
}

# Script -> the checks it speaks to, its arguments, and those of a quick run.
PROOFS: dict[str, tuple[tuple[int, ...], list[str], list[str]]] = {
    "coverage": ((13,), [], []),
    "proofs": ((1,), [], ["--proofs", "600", "--mutated", "3"]),
    "reader": ((2,), [], ["700"]),
    "transport": ((3,), [], ["--small"]),
    "sensitivity": ((4,), [], ["--changes", "20"]),
    "signature": ((5,), [], []),
    "attack": ((6,), [], []),
    "rollback": ((9,), [], []),
    "privacy": ((10, 11), [], ["20000"]),
    "speed": ((12,), [], ["1", "20000"]),
    "crash": ((7,), [], ["40"]),
    "history": ((8,), [], ["5"]),
    "mutants": ((13,), [], ["--sample", "20"]),
}


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Arguments
        check: its number. what: was measured. figure: the result. state: `held`, `missed` or `absent`.
        proof: the script that found it.
    """

    check: int
    what: str
    figure: str
    state: str
    proof: str = ""


def tell(check: int, what: str, figure: str, *, held: bool) -> None:
    """Note a figure, if this runs under the table."""
    _note(Figure(check, what, figure, "held" if held else "missed", _script()))


def absent(check: int, what: str, reason: str) -> None:
    """Note that something could not be measured here, and why."""
    _note(Figure(check, what, reason, "absent", _script()))


def _script() -> str:
    return Path(sys.argv[0]).stem.removeprefix("prove_")


def _note(figure: Figure) -> None:
    if name := os.environ.get(_FILE):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figure)) + "\n")


def table(figures: list[Figure]) -> str:
    """All checks with their figures and states; a check without figures is absent.

    >>> print(table([Figure(1, "proofs", "12,000 accepted", "held")]).splitlines()[2])
     1  Foreign verifier                 held    proofs: 12,000 accepted
    """
    lines = [f"{'':>2}  {'check':<32} {'state':<7} figures", "-" * 118]
    for number, name in CHECKS.items():
        mine = [each for each in figures if each.check == number]
        states = {each.state for each in mine} or {"absent"}
        state = next(each for each in ("missed", "absent", "held") if each in states)
        told = [f"{'' if each.state == state else f'[{each.state}] '}{each.what}: {each.figure}" for each in mine] or [
            "nothing was measured"
        ]
        for row, each in enumerate(told):
            for line, part in enumerate(textwrap.wrap(each, 74, subsequent_indent="  ")):
                head = f"{number:>2}  {name:<32} {state:<7}" if row == line == 0 else " " * 44
                lines.append(f"{head} {part}")
    counted = {
        state: sum(_state(figures, number) == state for number in CHECKS) for state in ("held", "missed", "absent")
    }
    lines.append(", ".join(f"{many} {state}" for state, many in counted.items()))
    return "\n".join(lines)


def _state(figures: list[Figure], number: int) -> str:
    states = {each.state for each in figures if each.check == number} or {"absent"}
    return next(each for each in ("missed", "absent", "held") if each in states)


def read(path: Path) -> list[Figure]:
    """The figures in a file."""
    return [Figure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def main(arguments: list[str] | None = None) -> int:
    """Run the proofs one after the other and print the table; 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PROOFS, default=list(PROOFS))
    parser.add_argument("--quick", action="store_true", help="small samples: shows that all runs, proves little")
    parser.add_argument("--out", type=Path, default=Path("out/prove-ledger"))
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = (chosen.out / "figures.jsonl").resolve()
    kept = [each for each in read(path) if each.proof not in chosen.only] if path.exists() else []
    path.write_text("".join(json.dumps(asdict(each)) + "\n" for each in kept))
    more = [str(HERE), str(HERE / "ledger"), str(HERE / "fingerprint"), str(HERE / "guard")]
    paths = os.pathsep.join([*more, os.environ.get("PYTHONPATH", "")])
    for name in chosen.only:
        checks, full, quick = PROOFS[name]
        print(f"== {name} (check {', '.join(map(str, checks))})", flush=True)
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, HERE / f"prove_{name}.py", *(quick if chosen.quick else full)],
            env={**os.environ, "PYTHONPATH": paths, _FILE: str(path)},
            check=False,
        )
        print(f"   {time.monotonic() - start:.0f} s, exit code {done.returncode}", flush=True)
        if done.returncode not in (0, 1):
            words = f"the proof itself ended with exit code {done.returncode}"
            _append(path, Figure(checks[0], name, words, "missed", name))
        elif done.returncode == 1 and not any(each.state == "missed" and each.check in checks for each in read(path)):
            _append(path, Figure(checks[0], name, "exit code 1", "missed", name))
    figures = read(path)
    run = {each.proof for each in figures}
    figures += [
        Figure(number, f"prove_{name}", "not run", "absent", name)
        for name, (checks, _, _) in PROOFS.items()
        if name not in run
        for number in checks
    ]
    told = table(figures)
    (chosen.out / "table.txt").write_text(told + "\n", encoding="utf-8")
    print(f"\n{told}")
    return 1 if any(each.state == "missed" for each in figures) else 0


def _append(path: Path, figure: Figure) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(figure)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
