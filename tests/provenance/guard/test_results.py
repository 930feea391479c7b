"""What a model says of images that came by C-STORE is kept, whole, for its owner alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from guard_tools import Counting, Hospital
from pydicom import dcmread

from titer.errors import GuardError
from titer.provenance.guard.dicom import NO_RESOURCES, SUCCESS, Receiver, guarding, send
from titer.provenance.guard.results import Results


def _image(intercept: int = 0) -> bytes:
    from pydicom.data import get_testdata_file

    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    dataset.RescaleIntercept = intercept
    held = io.BytesIO()
    dataset.save_as(held)
    return held.getvalue()


def _pixels(raw: Any) -> Any:
    return dcmread(io.BytesIO(raw)).pixel_array


def test_an_image_over_dicom_leaves_what_the_model_said(hospital: Hospital, tmp_path: Path) -> None:
    raw, model = _image(), Counting()
    hospital.point.capture(raw)
    guarded = hospital.guarded(model, hospital.policy("block"), prepare=_pixels)
    answers: list[Any] = []
    accept = guarding(guarded, answers.append, Results(tmp_path / "results").keep)
    with Receiver(accept, port=0) as receiver:
        assert send(raw, receiver.port) == SUCCESS
        assert send(_image(-1000), receiver.port) in (SUCCESS, NO_RESOURCES)
    found = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "results").glob("*.json")}
    assert set(found) == {each.decision.leaf_hash.hex() for each in answers}
    passed, withheld = (found[each.decision.leaf_hash.hex()] for each in answers)
    assert (passed["verdict"], passed["action"]) == ("verified", answers[0].action)
    assert passed["output"] is not None
    assert passed["instance"] == str(dcmread(io.BytesIO(raw)).SOPInstanceUID)
    assert (withheld["verdict"], withheld["output"], model.calls) == ("altered", None, 1)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "results").iterdir()} == {0o600}
    assert not list((tmp_path / "results").glob(".*"))


def test_a_folder_that_cannot_be_made_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuardError, match="correct 'results'"):
        Results(tmp_path / "file" / "results")
