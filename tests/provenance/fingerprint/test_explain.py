"""A difference is named: the frame, the region, the attribute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dicom_made import element, image, minimal, ramp, u16

from titer.errors import PlanError
from titer.provenance.fingerprint import Digest, Fingerprint, explain_difference
from titer.provenance.fingerprint.dicom import Box, changed_boxes, fingerprint


def told(before: bytes, after: bytes) -> list[Any]:
    return list(explain_difference(fingerprint(before).opening, fingerprint(after)))


def test_equal_objects_differ_in_nothing() -> None:
    assert told(image(ramp(70, 70)), image(ramp(70, 70))) == []


def test_changed_blocks_that_touch_are_one_region_clipped_to_the_frame() -> None:
    before = np.zeros((3, 200, 200), dtype="<u2")
    after = before.copy()
    after[1, 10, 70] = after[1, 70, 130] = 1
    after[1, 199, 0] = 1
    [found] = told(image(before, frames=True), image(after, frames=True))
    assert (found.layer, found.frame) == ("px", 1)
    assert found.boxes == (Box(0, 64, 128, 192), Box(192, 0, 200, 64))
    assert found.sentence == "frame 1 differs within rows 0-127, columns 64-191; rows 192-199, columns 0-63"


def test_with_the_original_at_hand_the_box_is_exact() -> None:
    before = np.zeros((3, 200, 200, 3), dtype=np.uint8)
    after = before.copy()
    after[1, 10:13, 70:75, 2] = 9
    assert changed_boxes(before, after) == {1: Box(10, 70, 13, 75)}
    assert changed_boxes(before[..., 0], after[..., 2]) == {1: Box(10, 70, 13, 75)}
    assert changed_boxes(before, before) == {}
    empty = np.array([[np.nan, 1.0]])
    assert changed_boxes(empty, empty.copy()) == {}
    assert changed_boxes(empty, np.array([[0.0, 1.0]])) == {0: Box(0, 0, 1, 1)}
    with pytest.raises(PlanError):
        changed_boxes(before, before[0])


def test_frames_that_changed_places_are_named_as_such() -> None:
    frames = np.stack([ramp(8, 8), ramp(8, 8) + 1, ramp(8, 8) + 2])
    found = told(image(frames, frames=True), image(frames[[1, 0, 2]], frames=True))
    assert [each.sentence for each in found] == ["frame 0 is what frame 1 was", "frame 1 is what frame 0 was"]


def test_missing_and_further_frames_are_counted() -> None:
    frames = np.stack([ramp(8, 8), ramp(8, 8) + 1])
    more = np.concatenate([frames, frames + 9])
    assert told(image(frames, frames=True), image(more, frames=True))[-1].sentence == "there are 4 frames; there were 2"


def test_another_shape_is_told_in_words() -> None:
    [found] = told(image(ramp(8, 8)), image(ramp(8, 9, "<i2")))
    assert found.sentence == "frames are 8 x 9 x 1 with 16 signed bits; they were 8 x 8 x 1 with 16 unsigned bits"


def test_an_attribute_is_named_with_its_tag_and_what_became_of_it() -> None:
    side = {0x00200060: element(0x00200060, "CS", b"L ")}
    other = {0x00200060: element(0x00200060, "CS", b"R ")}
    assert told(minimal(side), minimal(other))[0].sentence == "Laterality (0020,0060) has another value"
    assert told(minimal(side), minimal())[0].sentence == "Laterality (0020,0060) was removed"
    [found] = told(minimal(), minimal(side))
    assert (found.sentence, found.layer, found.place) == ("Laterality (0020,0060) was added", "rd", "(0020,0060)")


def test_an_overlay_that_was_added_is_named() -> None:
    extra = {
        0x60020010: element(0x60020010, "US", u16(2)),
        0x60020011: element(0x60020011, "US", u16(2)),
        0x60023000: element(0x60023000, "OW", b"\x0f\0"),
    }
    assert [each.place for each in told(minimal(), minimal(extra))] == ["(6002,0010)", "(6002,0011)", "(6002,3000)"]
    assert told(minimal(), minimal(extra))[2].sentence == "OverlayData (6002,3000) was added"


def test_the_frame_of_a_functional_group_is_named() -> None:
    def made(*positions: bytes) -> bytes:
        items = b""
        for each in positions:
            inner = element(0x00200032, "DS", each)
            inner = element(0x00209113, "SQ", b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner)
            items += b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
        return minimal({0x52009230: element(0x52009230, "SQ", items)})

    [found] = told(made(b"0\\0\\1", b"0\\0\\2"), made(b"0\\0\\1", b"0\\0\\3"))
    assert found.sentence == "PerFrameFunctionalGroupsSequence (5200,9230)[1] has another value"


def test_a_changed_codestream_is_named_by_its_frame() -> None:
    then = {"cs": {"syntax": "1", "frames": ["a", "b"]}}
    now = Fingerprint("dicom", (Digest("cs", 1, bytes(32)),), {"cs": {"syntax": "1", "frames": ["a", "c"]}})
    assert [(each.layer, each.frame) for each in explain_difference(then, now)] == [("cs", 1)]
    other = Fingerprint("dicom", now.digests, {"cs": {"syntax": "2", "frames": ["x"]}})
    assert explain_difference(then, other) == ()


def test_pixels_of_two_decoders_are_not_compared() -> None:
    then = {"px": {"header": "", "frames": []}, "decoder": {"name": "a", "version": "1"}}
    now = Fingerprint("dicom", (Digest("px", 1, bytes(32)),), {**then, "decoder": {"name": "a", "version": "2"}})
    assert "another program" in explain_difference(then, now)[0].sentence
