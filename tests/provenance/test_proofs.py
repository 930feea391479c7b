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


def test_go_takes_what_a_witness_answers_and_refuses_each_changed_bit(judge: Path, tmp_path: Path) -> None:
    import base64

    from evidence_tools import LOG, ORIGIN

    from titer.errors import RecordError
    from titer.provenance.ledger import merkle, witness_folder
    from titer.provenance.ledger.checkpoint import Checkpoint
    from titer.provenance.ledger.note import Note, Verifier, opened
    from titer.provenance.ledger.witness import request

    witness_folder.create(tmp_path, "witness.example/w")
    witness_folder.trust(tmp_path, [str(LOG.verifier)])
    witness, key = witness_folder.opened(tmp_path), witness_folder.verifier_keys(tmp_path)[0]
    leaves = [merkle.leaf_hash(b"%d" % n) for n in range(40)]
    lines, before = [], 0
    for size in (1, 7, 8, 40):
        text = Checkpoint(ORIGIN, size, merkle.root(leaves[:size])).text()
        signed = Note(text, (LOG.sign(text),)).format()
        proof = merkle.consistency(leaves[:size], before, size)
        answer = witness.add_checkpoint(request(before, proof, signed))
        assert answer.status == 200
        before = size
        raw = signed + answer.body
        # Both keys of the note count, among signatures of a kind that Go does not know.
        for word, verifier in (("note", str(LOG.verifier)), ("cosigned", key)):
            lines.append(f"{word} {verifier} {base64.b64encode(raw).decode()}")
    assert prove_proofs.ask(judge, lines) == [True] * 8
    text = Note.parse(raw).text
    line = next(each for each in Note.parse(raw).signatures if each.key_id == Verifier.parse(key).key_id)
    whole = f"{text}\n{line}".encode()
    changed = [prove_proofs.flipped(whole, bit) for bit in range(len(whole) * 8)]
    told = prove_proofs.ask(judge, [f"cosigned {key} {base64.b64encode(each).decode()}" for each in changed])
    refused = 0
    for each, theirs in zip(changed, told, strict=True):
        try:
            ours = bool(opened(Note.parse(each), [Verifier.parse(key)]))
        except RecordError:
            ours = False
        assert not ours
        # A text in base 64 can end in bits that carry nothing: Go takes other spellings of the same signature.
        same = theirs and base64.b64decode(each.split(b" ")[-1]) == line.key_id + line.value
        assert same == theirs
        refused += not theirs
    assert refused > len(changed) - 5
