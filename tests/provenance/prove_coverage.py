"""The trust core measured: `python tests/provenance/prove_coverage.py` runs its tests under coverage.

Prints lines, covered lines and branches of each module, what any of them imports beyond the standard library, and how
many lines a reader has before them. Target: all lines and branches, no network, database or array library, under 1,500
lines.
"""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

from acceptance import tell

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "titer" / "provenance"
CORE = ("merkle", "note", "checkpoint", "tiles", "record", "policy", "receipt", "verify")
"""What a verdict rests on."""
BESIDE = ("ledger/keys", "fingerprint/_canonical", "fingerprint/_tree")
"""Which keys count, and the canonical forms that kinds of data share: held to the same."""
TESTS = ("ledger/test_evidence.py", "ledger/test_tree.py", "ledger/test_keys.py", "ledger/test_core.py")
ALLOWED = {"cryptography", "titer"}
FORBIDDEN = {
    "socket",
    "ssl",
    "http",
    "urllib",
    "urllib3",
    "httpx",
    "sqlite3",
    "sqlalchemy",
    "psycopg",
    "numpy",
    "asyncio",
}
LIMIT = 1500


def files() -> list[Path]:
    return [PACKAGE / f"{name}.py" for name in (*(f"ledger/{each}" for each in CORE), *BESIDE)]


def covered() -> dict[str, tuple[int, int, int, int]]:
    """By module: statements, missed statements, branches, missed branches."""
    with tempfile.TemporaryDirectory() as folder:
        data = {**os.environ, "COVERAGE_FILE": f"{folder}/data"}
        tests = [ROOT / "tests" / "provenance" / each for each in TESTS]
        command = [sys.executable, "-m", "coverage", "run", "--branch", f"--include={PACKAGE}/*", "-m", "pytest", "-q"]
        done = subprocess.run(
            [*command, *tests, *files()], env=data, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stdout[-3000:] + done.stderr[-1000:])
        report = [sys.executable, "-m", "coverage", "json", "-q", "-o", f"{folder}/report"]
        subprocess.run(report, env=data, cwd=ROOT, check=True)
        told = json.loads(Path(folder, "report").read_text())["files"]
    found = {}
    for name, each in told.items():
        module, sums = Path(name).stem, each["summary"]
        if (ROOT / name).resolve() in files():
            found[module] = tuple(
                sums[what] for what in ("num_statements", "missing_lines", "num_branches", "missing_branches")
            )
            for line in each["missing_lines"]:
                print(f"  not run: {module}.py:{line}")
            for a, b in each["missing_branches"]:
                print(f"  not taken: {module}.py:{a} -> {b}")
    return found  # type: ignore[return-value]


def imported(path: Path) -> set[str]:
    """Top names of what a module imports outside the standard library or that reaches for network or database."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name.split(".")[0] for name in names}
    return {
        name for name in found if name in FORBIDDEN or (name not in sys.stdlib_module_names and name not in ALLOWED)
    }


def loaded() -> set[str]:
    """What Python has loaded after the verifier was imported, of what the trust core may not need."""
    program = "import sys, titer.provenance.ledger.verify, titer.provenance.ledger.tiles; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    told = {name.split(".")[0] for name in done.stdout.split()}
    # `cryptography` and `pathlib` take in parts of `urllib` that only split text.
    return told & (FORBIDDEN - {"urllib"})


def lines(path: Path) -> tuple[int, int]:
    """All lines, and those that are neither blank, comment nor docstring."""
    source = path.read_text()
    silent = {
        number
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    code = {
        number
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in skipped
        for number in range(token.start[0], token.end[0] + 1)
    }
    return len(source.splitlines()), len(code - silent)


def main() -> int:
    """Measure and print; 1 if a target was missed."""
    found = covered()
    print(f"{'module':<12}{'lines':>7}{'code':>7}{'statements':>12}{'missed':>8}{'branches':>10}{'missed':>8}")
    for path in files():
        every, code = lines(path)
        sums = found[path.stem]
        print(
            f"{path.stem:<12}{every:>7}{code:>7}"
            + "".join(f"{n:>{w}}" for n, w in zip(sums, (12, 8, 10, 8), strict=True))
        )
    statements, missed, branches, untaken = (sum(column) for column in zip(*found.values(), strict=True))
    whole = sum(lines(path)[0] for path in files() if path.stem in CORE)
    code = sum(lines(path)[1] for path in files())
    foreign = sorted(set.union(*(imported(path) for path in files())) | loaded())
    tell(
        13, "covered", f"{statements - missed} of {statements} statements, {branches - untaken} of {branches} branches",
        held=missed == untaken == 0,
    )  # fmt: skip
    print(f"statements: {statements - missed} of {statements}; branches: {branches - untaken} of {branches}")
    words = f"{whole} in {len(CORE)} modules; {code} lines of code with keys and canonical forms"
    print(f"lines: {words} (target: under {LIMIT})")
    tell(13, "lines", words, held=whole < LIMIT and code < LIMIT)
    print(f"imports of network, database or arrays: {', '.join(foreign) or 'none'}")
    tell(13, "imports of network, database, arrays", ", ".join(foreign) or "none", held=not foreign)
    return 1 if missed or untaken or foreign or whole >= LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
