"""What changed between an image at capture and the same image now: frames, regions, attributes.

The opening alone names frames and regions to blocks of 64 x 64 pixels; with the original at hand `changed_boxes` is
exact.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.errors import PlanError
from titer.provenance.fingerprint._pixels import BLOCK
from titer.provenance.fingerprint._rd import TABLE
from titer.provenance.fingerprint.fingerprint import Fingerprint

_HASH = 32


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of pixels: rows `top` to `bottom - 1`, columns `left` to `right - 1`.

    >>> str(Box(0, 64, 64, 128))
    'rows 0-63, columns 64-127'
    """

    top: int
    left: int
    bottom: int
    right: int

    def __str__(self) -> str:
        return f"rows {self.top}-{self.bottom - 1}, columns {self.left}-{self.right - 1}"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was.

    Arguments
        layer: `px`, `cs` or `rd`. sentence: what changed, in words, without any value of the object.
        frame: its number from 0, for pixels and codestreams. boxes: regions of that frame.
        place: the attribute, for `rd`.
    """

    layer: str
    sentence: str
    frame: int | None = None
    boxes: tuple[Box, ...] = ()
    place: str = ""


def explain_difference(opening_then: Mapping[str, Any], fingerprint_now: Fingerprint) -> tuple[Difference, ...]:
    """What is not as it was, layer by layer; empty where the private material shows no difference.

    Regions are those blocks of 64 x 64 pixels that touch each other, each as one box. A frame that now stands elsewhere
    is named as moved. Pixels are not compared where two programs decoded a lossy capture.

    Arguments
        opening_then: `Fingerprint.opening` from capture. fingerprint_now: of the object that is at hand.

    >>> from titer.provenance.fingerprint import Digest
    >>> then = {"rd": {"(0028,1050)": "00"}}
    >>> now = Fingerprint("dicom", (Digest("rd", 1, bytes(32)),), {"rd": {"(0028,1050)": "01"}})
    >>> explain_difference(then, now)[0].sentence
    'WindowCenter (0028,1050) has another value'
    """
    now = fingerprint_now.opening
    return (*_pixels(opening_then, now), *_codes(opening_then, now), *_attributes(opening_then, now))


def changed_boxes(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> dict[int, Box]:
    """The exact box around all pixels that changed, frame by frame.

    Arguments
        before, after: pixels of equal shape: (rows, columns), (frames, rows, columns) or (frames, rows, columns,
            samples).

    >>> before = np.zeros((8, 8)); after = before.copy(); after[2, 3] = 1; after[4, 3] = 1
    >>> str(changed_boxes(before, after)[0])
    'rows 2-4, columns 3-3'
    """
    if before.shape != after.shape or before.ndim not in (2, 3, 4):
        raise PlanError(
            "two arrays of one shape with 2 to 4 dimensions",
            f"{before.shape} and {after.shape}",
            "give pixels as (rows, columns), (frames, rows, columns) or (frames, rows, columns, samples)",
        )
    # A pixel that is no number before and after has not changed.
    differs = before != after
    if before.dtype.kind == "f" and after.dtype.kind == "f":
        differs &= ~(np.isnan(before) & np.isnan(after))
    differs = differs[None] if differs.ndim == 2 else differs.any(axis=-1) if differs.ndim == 4 else differs
    found = {}
    for number, plane in enumerate(differs):
        if plane.any():
            rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
            found[number] = Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return found


def _pixels(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    if "px" not in then or "px" not in now:
        return []
    if then.get("decoder") != now.get("decoder"):
        return [Difference("px", "the pixels were decoded by another program and cannot be compared; see cs")]
    if then["px"]["header"] != now["px"]["header"]:
        was, is_now = (_described(each["px"]["header"]) for each in (then, now))
        return [Difference("px", f"frames are {is_now}; they were {was}")]
    rows, columns = struct.unpack(">II", bytes.fromhex(then["px"]["header"])[:8])
    old, new = then["px"]["frames"], now["px"]["frames"]
    stood = {blocks: number for number, blocks in reversed(list(enumerate(old)))}
    found = []
    for number, (before, after) in enumerate(zip(old, new, strict=False)):
        if before == after:
            continue
        if after in stood:
            found.append(Difference("px", f"frame {number} is what frame {stood[after]} was", number))
            continue
        boxes = _regions(base64.b64decode(before), base64.b64decode(after), rows, columns)
        where = "; ".join(map(str, boxes))
        found.append(Difference("px", f"frame {number} differs within {where}", number, boxes))
    return found + _missing("px", len(old), len(new))


def _codes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    if "cs" not in then or "cs" not in now or then["cs"]["syntax"] != now["cs"]["syntax"]:
        return []
    old, new = then["cs"]["frames"], now["cs"]["frames"]
    found = [
        Difference("cs", f"the codestream of frame {number} differs", number)
        for number, (before, after) in enumerate(zip(old, new, strict=False))
        if before != after
    ]
    return found + _missing("cs", len(old), len(new))


def _attributes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    old, new = then.get("rd", {}), now.get("rd", {})
    found = []
    for place in sorted({*old, *new}):
        if old.get(place) != new.get(place):
            what = "was removed" if place not in new else "was added" if place not in old else "has another value"
            found.append(Difference("rd", f"{_named(place)} {what}", place=place))
    return found


def _missing(layer: str, then: int, now: int) -> list[Difference]:
    if then == now:
        return []
    return [Difference(layer, f"there are {now} frames; there were {then}")]


def _regions(before: bytes, after: bytes, rows: int, columns: int) -> tuple[Box, ...]:
    """Changed blocks that touch, also at a corner, as one box each, from the upper left."""
    wide = -(-columns // BLOCK)
    count = len(before) // _HASH
    left = {at for at in range(count) if before[at * _HASH : (at + 1) * _HASH] != after[at * _HASH : (at + 1) * _HASH]}
    boxes = []
    while left:
        waiting, region = [left.pop()], set()
        while waiting:
            row, column = divmod(waiting.pop(), wide)
            region.add((row, column))
            near = {
                (row + down) * wide + column + right
                for down in (-1, 0, 1)
                for right in (-1, 0, 1)
                if 0 <= column + right < wide
            }
            waiting += left & near
            left -= near
        top, bottom = min(row for row, _ in region), max(row for row, _ in region) + 1
        first, last = min(column for _, column in region), max(column for _, column in region) + 1
        boxes.append(Box(top * BLOCK, first * BLOCK, min(bottom * BLOCK, rows), min(last * BLOCK, columns)))
    return tuple(sorted(boxes))


def _described(header: str) -> str:
    rows, columns, samples, stored, sign = struct.unpack(">IIHHB", bytes.fromhex(header))
    kind = ("unsigned", "signed", "floating-point")[sign]
    return f"{rows} x {columns} x {samples} with {stored} {kind} bits"


def _named(place: str) -> str:
    """An attribute by its name in the table, with its tag."""
    group, element = int(place[1:5], 16), int(place[6:10], 16)
    tag = group << 16 | element
    tag = tag & 0xFF01FFFF if group & 0xFF01 == 0x6000 else tag
    names = {row.tag: row.name for row in TABLE}
    return f"{names[tag]} {place}" if tag in names else place
