"""Images through the guard: swaps, changes in the archive, and where they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guard_tools import Counting, Hospital

from titer.provenance.fingerprint.dicom import Box

pydicom = pytest.importorskip("pydicom")
NAMES = ("MR_small.dcm", "CT_small.dcm")


def _image(name: str) -> bytes:
    from pydicom.data import get_testdata_file

    return Path(str(get_testdata_file(name))).read_bytes()


def _pixels(raw: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(pydicom.dcmread(io.BytesIO(raw)).pixel_array)


def _changed(raw: bytes, change: Any) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(raw))
    change(dataset)
    made = io.BytesIO()
    dataset.save_as(made, enforce_file_format=True)
    return made.getvalue()


def _one_up(dataset: Any) -> None:
    pixels = dataset.pixel_array.copy()
    pixels[3, 5] += 1
    dataset.PixelData = pixels.tobytes()


@pytest.fixture(scope="module")
def images(hospital: Hospital) -> dict[str, bytes]:
    found = {name: _image(name) for name in NAMES}
    for raw in found.values():
        hospital.point.capture(raw)
    return found


def test_one_changed_pixel_is_altered_with_its_frame_and_block(hospital: Hospital, images: dict[str, bytes]) -> None:
    model = Counting()
    guarded = hospital.guarded(model, hospital.policy("block"), prepare=_pixels)
    for raw in images.values():
        assert guarded(raw).verdict == "verified"
        answer = guarded(_changed(raw, _one_up))
        assert (answer.verdict, answer.reasons) == ("altered", ("content.px",))
        (found,) = answer.checked.differences
        assert (found.frame, found.boxes) == (0, (Box(0, 0, 64, 64),))
    assert model.calls == len(images)


def test_images_written_anew_pass(hospital: Hospital, images: dict[str, bytes]) -> None:
    from pydicom.data import get_testdata_file

    def harmless(dataset: Any) -> None:
        dataset.InstitutionName = "elsewhere"

    guarded = hospital.guarded(Counting(), hospital.policy("block"), prepare=_pixels)
    assert guarded(_changed(images["MR_small.dcm"], harmless)).verdict == "verified"
    assert get_testdata_file("MR_small_RLE.dcm")
    assert guarded(_image("MR_small_RLE.dcm")).verdict == "verified"


def test_pixels_of_one_patient_under_the_name_of_another_are_told(hospital: Hospital, images: dict[str, bytes]) -> None:
    def swap(dataset: Any) -> None:
        dataset.PatientID = "someone else"

    guarded = hospital.guarded(Counting(), hospital.policy("flag"), prepare=_pixels)
    answer = guarded(_changed(images["CT_small.dcm"], swap))
    assert (answer.verdict, answer.action, answer.reasons) == ("mismatch_subject", "quarantine", ("identity.patient",))


def test_attributes_that_change_what_a_reader_sees_are_altered(hospital: Hospital, images: dict[str, bytes]) -> None:
    def rescale(dataset: Any) -> None:
        dataset.RescaleIntercept = -1000

    answer = hospital.guarded(Counting(), prepare=_pixels)(_changed(images["CT_small.dcm"], rescale))
    assert (answer.verdict, answer.reasons) == ("altered", ("content.rd",))


def test_polyglots_are_refused(hospital: Hospital, images: dict[str, bytes]) -> None:
    raw = b"MZ" + images["CT_small.dcm"][2:]
    answer = hospital.guarded(Counting(), hospital.policy("block"), prepare=_pixels)(raw)
    assert (answer.verdict, answer.action) == ("error", "quarantine")


def test_what_is_hidden_outside_the_stored_bits_is_altered(hospital: Hospital) -> None:
    def narrow(dataset: Any) -> None:
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset.PixelData = (dataset.pixel_array.astype(np.uint16) & 0x0FFF).tobytes()

    def hide(dataset: Any) -> None:
        dataset.PixelData = (dataset.pixel_array | 0x8000).astype(np.uint16).tobytes()

    raw = _changed(_image("CT_small.dcm"), narrow)
    hospital.point.capture(raw)
    guarded = hospital.guarded(Counting(), hospital.policy("block"), prepare=_pixels)
    assert guarded(raw).verdict == "verified"
    answer = guarded(_changed(raw, hide))
    assert (answer.verdict, answer.reasons) == ("altered", ("content.hb",))
