"""What is handed on with an object: whoever gets it checks the object alone, and learns nobody's number from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from guard_tools import Hospital, open_ledger

from titer.errors import GuardError
from titer.provenance.guard.handover import handover
from titer.provenance.guard.subject import LABEL
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import Opening, parse

SUBJECT = "4711"


def test_the_opening_is_that_of_the_record_and_leaves_the_subject_out_unless_asked(hospital: Hospital) -> None:
    done = hospital.point.capture(b"A note on somebody.", "text", subject=SUBJECT)
    name = done.leaf_hash.hex()
    for subject in (False, True):
        made = handover(name, hospital.index, hospital.ledger, subject=subject)
        told, opening = Receipt.parse(made.receipt), Opening.from_json(made.opening)
        assert told.leaf == done.leaf
        assert opening.commitments().items() <= parse(told.leaf).fp.items()
        assert (LABEL in opening.digests, LABEL in opening.salts) == (subject, subject)
        # Neither salt nor digest of the closed layer may be found by trying out numbers.
        assert (done.opening.digests[LABEL].hex().encode() in made.opening) is subject
        assert (done.opening.salts[LABEL].hex().encode() in made.opening) is subject


def test_what_cannot_be_handed_on_is_refused(hospital: Hospital, tmp_path: Path) -> None:
    done = hospital.point.capture(b"A note to be erased.", "text")
    other = open_ledger(tmp_path / "other")
    kept = hospital.point.capture(b"A note that stays.", "text")
    hospital.index.erase(done.leaf_hash)
    for name, ledger, code in (
        ("abc", hospital.ledger, "record.none"),
        ("0" * 64, hospital.ledger, "record.none"),
        (done.leaf_hash.hex(), hospital.ledger, "opening.erased"),
        (kept.leaf_hash.hex(), other, "record.none"),
    ):
        with pytest.raises(GuardError) as told:
            handover(name, hospital.index, ledger)
        assert told.value.code == code
    other.close()
