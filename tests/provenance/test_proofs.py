"""A short form of `prove_proofs.py`: proofs before a foreign judge."""

from __future__ import annotations

import os
from pathlib import Path

import prove_proofs
import pytest


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if (why := prove_proofs.missing()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return prove_proofs.build(tmp_path_factory.mktemp("judge"))


def test_go_accepts_our_proofs_and_notes_and_refuses_what_we_refuse(judge: Path) -> None:
    figures = prove_proofs.prove(judge, proofs=600, mutated=3, largest=600)
    assert figures["proofs accepted by both"] == 600
    assert figures["mutations refused by both"] > 5_000
    assert {name: value for name, value in figures.items() if name.startswith("wrong") and value} == {}


def test_go_reads_the_note_that_it_has_signed_as_we_do(judge: Path) -> None:
    import base64

    from test_evidence import SUMDB, SUMDB_NOTE

    assert prove_proofs.ask(judge, [f"note {SUMDB} {base64.b64encode(SUMDB_NOTE).decode()}"]) == [True]
