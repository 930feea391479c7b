"""The table of acceptance checks, and short forms of the proofs behind it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import acceptance
import prove_attack
import prove_coverage
import prove_privacy
import prove_reader
import prove_rollback
import prove_signature
import pytest
from acceptance import Figure, absent, read, table, tell


def test_a_check_is_held_only_if_all_its_figures_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(1, "unheard", "1", held=True)
    monkeypatch.setenv("TITER_PROOFS", str(tmp_path / "figures"))
    tell(1, "proofs", "12,000 accepted", held=True)
    tell(12, "fast", "1/s", held=True)
    tell(12, "slow", "2/s", held=False)
    absent(5, "dcmsign", "not installed")
    figures = read(tmp_path / "figures")
    assert replace(figures[0], proof="") == Figure(1, "proofs", "12,000 accepted", "held")
    told = table(figures)
    lines = told.splitlines()
    states = {number: next(line for line in lines if line.startswith(f"{number:>2}  ")) for number in acceptance.CHECKS}
    assert "held" in states[1]
    assert "missed" in states[12]
    assert "absent" in states[5]
    assert "nothing was measured" in states[2]
    assert "[held] fast: 1/s" in told
    assert told.splitlines()[-1] == "1 held, 1 missed, 11 absent"


def test_every_check_has_a_proof_and_every_proof_is_there() -> None:
    spoken = {number for checks, _, _ in acceptance.PROOFS.values() for number in checks}
    assert spoken == set(acceptance.CHECKS)
    there = {path.stem.removeprefix("prove_") for path in Path(acceptance.HERE).glob("prove_*.py")}
    assert there == set(acceptance.PROOFS)


def test_the_ledger_gives_nothing_away_and_forgets_what_was_erased(tmp_path: Path) -> None:
    for name, what in (("s", prove_privacy.search), ("e", prove_privacy.erase)):
        (tmp_path / name).mkdir()
        assert what(tmp_path / name)
    (tmp_path / "g").mkdir()
    assert prove_privacy.guess(tmp_path / "g", 2000)


def test_a_search_for_identifiers_finds_each_form() -> None:
    import base64
    import hashlib

    word = "MRN-48151623"
    for shift in range(3):
        hidden = base64.b64encode(b"x" * (3 + shift) + word.encode() + b"more bytes")
        assert any(form in hidden for form in prove_privacy.forms(word))
    for hidden in (
        word.lower().encode(),
        word.encode().hex().encode(),
        hashlib.sha256(word.encode()).digest(),
        b"MRN48151623",
    ):
        assert hidden in set(prove_privacy.forms(word))


def test_the_trust_core_is_short_and_reaches_for_no_network() -> None:
    every = sum(prove_coverage.lines(path)[0] for path in prove_coverage.files() if path.stem in prove_coverage.CORE)
    assert every < prove_coverage.LIMIT
    assert prove_coverage.loaded() == set()
    assert [prove_coverage.imported(path) for path in prove_coverage.files()] == [set()] * len(prove_coverage.files())


def test_the_ledger_verifies_what_the_standard_signature_no_longer_can() -> None:
    if any(shutil.which(name) is None for name in prove_signature.PROGRAMS):
        if os.environ.get("CI") == "true":
            pytest.fail("needs DCMTK: install the package dcmtk")
        pytest.skip("needs DCMTK: install the package dcmtk")
    assert prove_signature.main() == 0


def test_a_changed_line_of_the_trust_core_is_made_and_named() -> None:
    prove_mutants = pytest.importorskip("prove_mutants", reason="needs mutmut and libcst: install titer[dev]")
    (path,) = (each for each in prove_coverage.files() if each.stem == "receipt")
    made = prove_mutants.mutants(path)
    assert len(made) > 50
    told = [each.difference() for each in made[:10]]
    assert all(each.startswith("receipt.py:") for each in told)
    assert any("+ " in each for each in told)


@pytest.mark.slow
def test_rollback_fork_and_attacks_are_stopped_and_go_reads_the_log() -> None:
    assert prove_rollback.main() == 0
    assert prove_attack.main() == 0
    assert prove_reader.main(1500, 10) == 0
