"""Changes to the trust core that tests must notice: `python tests/provenance/prove_mutants.py [--sample N]`.

mutmut's operators (a comparison turned round, a number one larger, an argument left out, ...) make thousands of copies
of the trust core, each wrong in one place. Each runs, in a process of its own, the tests that reach the changed line,
quickest first; what no test reaches by itself is put before all. Texts for people inside errors are left alone, their
codes are not, and so are names of codecs, which mean the same in capitals.

Prints how many were noticed, and the others as they are found. mutmut's own runner leaves out properties and constants
of modules, where much of this core lives; so only its operators are used.
"""

from __future__ import annotations

import argparse
import difflib
import doctest
import importlib.util
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import libcst as cst
from acceptance import tell
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators
from prove_coverage import PACKAGE, ROOT, TESTS, files

TARGET = 0.95
FOLDER = ROOT / "tests" / "provenance"
MORE = {"_canonical": ("fingerprint/test_row.py", "fingerprint/test_fhir.py"), "_tree": ("fingerprint/test_digest.py",)}
"""Tests of modules that are not the ledger's."""
ERRORS = {
    "RecordError",
    "LedgerError",
    "_invalid",
    "_unknown",
    "_unopened",
    "_refused",
    "_damaged",
    "_wrong",
    "refuse",
    "ValueError",
    "TypeError",
}
SECONDS = 30
"""Of computing, after which a mutant counts as one that never ends; by the clock eight times as long."""
_NONE, _NOTHING_RAN = 8, 9


@dataclass(frozen=True)
class Mutant:
    """One wrong copy of a module: where it differs, and what stands there instead."""

    path: Path
    line: int
    module: cst.Module
    node: cst.CSTNode
    other: cst.CSTNode

    def source(self) -> str | None:
        """The wrong copy; None where it cannot be compiled or does not differ."""
        made = self.module.deep_replace(self.node, self.other)
        assert isinstance(made, cst.Module)
        try:
            compile(made.code, str(self.path), "exec")
        except SyntaxError:
            return None
        return None if made.code == self.module.code else made.code

    def difference(self) -> str:
        """The lines that differ."""
        before, after = self.path.read_text().splitlines(), (self.source() or "").splitlines()
        lines = [each for each in difflib.unified_diff(before, after, lineterm="", n=0) if each[:1] in "+-"]
        told = [f"{each[0]} {each[1:].strip()}" for each in lines if each[:3] not in ("+++", "---")]
        return f"{self.path.stem}.py:{self.line}\n" + "\n".join(f"    {each[:150]}" for each in told[:6])


class _Finder(cst.CSTVisitor):
    """Collects what may be put in place of what."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.found: list[tuple[int, cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        # Types, imports and decorators say nothing at run time that a test could ask about; docstrings neither.
        if isinstance(node, cst.Annotation | cst.Import | cst.ImportFrom | cst.Decorator | cst.Expr) and not (
            isinstance(node, cst.Expr) and not isinstance(node.value, cst.SimpleString | cst.Ellipsis)
        ):
            return False
        if isinstance(node, cst.Assign) and isinstance(node.value, cst.Subscript):
            return _is_value(node.value)
        if isinstance(node, cst.Call) and _name(node.func) in ERRORS:
            for argument in node.args:
                if isinstance(argument.value, cst.SimpleString) and _is_code(argument.value.raw_value):
                    self._mutate(argument.value)
            return False
        self._mutate(node)
        return True

    def _mutate(self, node: cst.CSTNode) -> None:
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                line = self.get_metadata(PositionProvider, node).start.line if _placed(self, node) else 0
                self.found += [(line, node, other) for other in operator(node) if not _same(node, other)]


def _placed(finder: _Finder, node: cst.CSTNode) -> bool:
    return finder.get_metadata(PositionProvider, node, None) is not None


def _name(function: cst.BaseExpression) -> str:
    return function.attr.value if isinstance(function, cst.Attribute) else getattr(function, "value", "")


def _same(node: cst.CSTNode, other: cst.CSTNode) -> bool:
    """Whether both name the same codec."""
    texts = [each.raw_value.lower() for each in (node, other) if isinstance(each, cst.SimpleString)]
    return len(texts) == 2 and texts[0] == texts[1] and texts[0] in ("ascii", "latin-1", "utf-8")


def _is_code(text: str) -> bool:
    return "." in text and text.replace(".", "").replace("_", "").isalpha() and text.islower()


def _is_value(node: cst.Subscript) -> bool:
    """Whether a subscript at the right of an assignment is an element, not a type such as `Callable[...]`."""
    return not (isinstance(node.value, cst.Name) and node.value.value[:1].isupper())


def mutants(path: Path) -> list[Mutant]:
    """All wrong copies of a module."""
    wrapper = MetadataWrapper(cst.parse_module(path.read_text()), unsafe_skip_copy=True)
    finder = _Finder()
    wrapper.visit(finder)
    return [Mutant(path, line, wrapper.module, node, other) for line, node, other in finder.found]


# -- which tests reach which lines -------------------------------------------------------------------------------------


def reached(tests: Sequence[Path]) -> dict[tuple[str, int], list[str]]:
    """By file and line the tests that run it, quickest first."""
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name, "settings")
        settings.write_text(f"[run]\ndynamic_context = test_function\ndata_file = {name}/data\ninclude = {PACKAGE}/*\n")
        measured = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-q"]
        command = [*measured, "--durations=0", "--durations-min=0", *map(str, tests)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit("\n".join(line for line in done.stdout.splitlines() if line[:6] in ("FAILED", "ERROR ")))
        report = [sys.executable, "-m", "coverage", "json", "-q", f"--rcfile={settings}", "--show-contexts", "-o"]
        subprocess.run([*report, f"{name}/report"], cwd=ROOT, check=True)
        told = json.loads(Path(name, "report").read_text())["files"]
    took: Counter[str] = Counter()
    for seconds, test in re.findall(r"^([0-9.]+)s call +\S+?::(\w+)", done.stdout, re.MULTILINE):
        took[test] += float(seconds)  # type: ignore[assignment]
    places = {path.stem: path for path in tests}
    found: dict[tuple[str, int], list[str]] = {}
    for file, each in told.items():
        for line, contexts in each["contexts"].items():
            parts = [context.rsplit(".", 1) for context in contexts if "." in context]
            nodes = {f"{places[module]}::{test}": took[test] for module, test in parts if module in places}
            found[str((ROOT / file).resolve()), int(line)] = sorted(nodes, key=lambda node: (nodes[node], node))
    return found


# -- running one -------------------------------------------------------------------------------------------------------


class _Swapped(MetaPathFinder, SourceLoader):
    """Gives the wrong copy where the module is asked for."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._path, loader=self)

    def get_filename(self, name: str) -> str:
        return str(self._path)

    def get_data(self, path: Any) -> bytes:
        return self._source.encode()

    def path_stats(self, path: Any) -> dict[str, Any]:
        raise OSError("nothing compiled is kept")


def start(mutant: Mutant, nodes: Sequence[str], seconds: int) -> int:
    """A child that runs tests against a mutant; its exit code is 0 if they pass."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        signal.alarm(8 * seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        quiet = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(quiet, handle)
        source = mutant.source()
        if source is None:
            os._exit(_NONE)
        _swap(mutant.path, source)
        import pytest

        files = dict.fromkeys(node.split("::")[0] for node in nodes)
        code = int(pytest.main(["-x", "-q", "--no-header", "--tb=no", *files], plugins=[_Chosen(nodes)]))
        # 0 all pass, 4 or 5 nothing ran: that would be this program's own mistake.
        if code == 0:
            # Not by pytest, which would take in the right module again in its own way.
            module = importlib.import_module(f"titer.provenance.{mutant.path.parent.name}.{mutant.path.stem}")
            code = int(doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed > 0)
        os._exit({0: 0, 4: _NOTHING_RAN, 5: _NOTHING_RAN}.get(code, 1))
    except BaseException:
        os._exit(1)


class _Chosen:
    """Keeps the tests that are asked for, in that order: to name each to pytest takes longer than to run them."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self._order = {node: place for place, node in enumerate(nodes)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        def place(item: Any) -> int | None:
            name = getattr(item, "originalname", None) or item.name
            return self._order.get(f"{item.path}::{name}", self._order.get(str(item.path)))

        chosen = [(place(item), number, item) for number, item in enumerate(items)]
        items[:] = [
            item for at, _, item in sorted((each for each in chosen if each[0] is not None), key=lambda e: e[:2])
        ]


def _swap(path: Path, source: str) -> None:
    """Drop what may have taken the right module in, and put the wrong one in its place."""
    package = f"titer.provenance.{path.parent.name}"
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        mine = name.startswith(("titer.provenance", "titer.cli")) or file.startswith(str(ROOT / "tests"))
        if mine and Path(file).name not in ("prove_mutants.py", "prove_coverage.py", "acceptance.py"):
            del sys.modules[name]
    sys.meta_path.insert(0, _Swapped(f"{package}.{path.stem}", path, source))


def run(todo: Sequence[Mutant], reach: dict[tuple[str, int], list[str]], jobs: int) -> Iterator[tuple[Mutant, str]]:
    """What becomes of each mutant: `killed`, `timeout` or `survived`."""
    waiting = list(reversed(todo))
    running: dict[int, Mutant] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            # What runs when a module is taken in is no test's own: then all are asked.
            tests = reach.get((str(mutant.path.resolve()), mutant.line)) or list(map(str, tests_of(mutant.path)))
            running[start(mutant, tests, SECONDS)] = mutant
        child, status = os.waitpid(-1, 0)
        mutant = running.pop(child)
        if os.WIFSIGNALED(status):
            yield mutant, "timeout"
        elif os.WEXITSTATUS(status) == _NOTHING_RAN:
            raise SystemExit(f"no test ran for {mutant.path.stem}:{mutant.line}")
        elif os.WEXITSTATUS(status) != _NONE:
            yield mutant, "killed" if os.WEXITSTATUS(status) else "survived"


def tests_of(path: Path) -> list[Path]:
    """The files of tests that must notice a change of a module."""
    own = [FOLDER / each for each in MORE.get(path.stem, ())]
    return own or [FOLDER / each for each in TESTS]


def main() -> int:
    """Make and run mutants, print the figures and whoever survived; 1 if too many did."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--sample", type=int, default=0, help="so many of each module, drawn at random; 0 for all")
    asked.add_argument("--module", action="append", choices=[path.stem for path in files()])
    asked.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked.add_argument("--seed", type=int, default=0)
    options = asked.parse_args()
    chosen = [path for path in files() if not options.module or path.stem in options.module]
    # Libraries are taken in once, for all children.
    for name in ("click.testing", "hypothesis", "numpy", "pydicom", "pytest", "sqlalchemy", "titer.errors"):
        importlib.import_module(name)
    os.chdir(ROOT)
    reach = reached(sorted({test for path in chosen for test in tests_of(path)}))
    killed = total = 0
    print(f"{'module':<12}{'mutants':>9}{'killed':>9}{'by time':>9}{'survived':>10}{'share':>9}{'seconds':>9}")
    for path in chosen:
        begun = time.monotonic()
        todo = mutants(path)
        made = len(todo)
        if options.sample and options.sample < made:
            todo = random.Random(options.seed).sample(todo, options.sample)
        told = Counter()  # type: ignore[var-annotated]
        for mutant, end in run(todo, reach, options.jobs):
            told[end] += 1
            if end == "survived":
                print(f"survived {mutant.difference()}", flush=True)
        gone, ran = told["killed"] + told["timeout"], sum(told.values())
        killed, total = killed + gone, total + ran
        of = f" (of {made:,})" if len(todo) < made else ""
        print(
            f"{path.stem:<12}{ran:>9}{gone:>9}{told['timeout']:>9}{told['survived']:>10}"
            f"{gone / max(1, ran):>9.1%}{time.monotonic() - begun:>9.0f}{of}",
            flush=True,
        )
    share = killed / max(1, total)
    sampled = f", {options.sample} drawn of each module" if options.sample else ""
    print(f"killed: {killed:,} of {total:,} ({share:.1%}; target: at least {TARGET:.0%}){sampled}")
    tell(13, "mutants killed", f"{killed:,} of {total:,} ({share:.1%}){sampled}", held=share >= TARGET and not sampled)
    return 0 if share >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
