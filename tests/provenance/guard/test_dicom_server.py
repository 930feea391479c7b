"""Capture and guard over DICOM on the loopback interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from guard_tools import Counting, Hospital
from test_guarded_images import _changed, _image, _one_up, _pixels

from titer.errors import LedgerError
from titer.provenance.guard.dicom import NO_RESOURCES, NOT_UNDERSTOOD, SUCCESS, Receiver, capturing, guarding, send


def test_images_are_captured_and_guarded_over_the_network(hospital: Hospital) -> None:
    images = [_image(name) for name in ("MR_small.dcm", "CT_small.dcm", "MR_small_RLE.dcm")]
    captured: list[Any] = []
    with Receiver(capturing(hospital.point, captured.append)) as modality:
        assert [send(raw, modality.port) for raw in images[:2]] == [SUCCESS] * 2
    assert [each.appended.state for each in captured] == ["published"] * 2
    model, answers = Counting(), []
    guarded = hospital.guarded(model, hospital.policy("block"), prepare=_pixels)
    with Receiver(guarding(guarded, answers.append)) as front:
        sent = [*images, _changed(images[0], _one_up)]
        assert [send(raw, front.port) for raw in sent] == [SUCCESS] * 4
    assert [each.verdict for each in answers] == ["verified", "verified", "verified", "altered"]
    assert model.calls == 3
    assert np.array_equal(answers[0].output, Counting()(_pixels(images[0])))


@pytest.mark.parametrize("full", [False, True])
def test_a_sender_hears_why_an_image_was_not_captured(hospital: Hospital, full: bool) -> None:
    def accept(raw: bytes, _: str) -> int:
        if full:
            raise LedgerError("room", "none", "free some space", code="storage.full")
        hospital.point.capture(raw, "text")
        return SUCCESS

    with Receiver(accept) as modality:
        told = send(_image("CT_small.dcm"), modality.port)
    assert told == (NO_RESOURCES if full else NOT_UNDERSTOOD)
