"""PNG figures of films and volumes: as recorded, as changed, and the signed difference with its scale."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from titer.cases.case import Array

_PANEL, _GAP, _HEAD, _FOOT = 224, 8, 24, 38
# One palette for everything: greys, then signed colors from blue (darker) over black (as it was) to orange (brighter).
_GREYS, _SIGNED = 96, 63
_GROUND, _INK = 22, 232
_COLD, _WARM, _YELLOW = np.array([86.0, 180.0, 255.0]), np.array([255.0, 150.0, 30.0]), np.array([[255.0, 214.0, 10.0]])
_MARK = _GREYS + _SIGNED


@dataclass(frozen=True, eq=False)
class Plane:
    """One view of a case.

    Arguments
        clean, changed: [H, W] values. before, after: [H, W] what a segmentation marks, or None.
        name: "axial"; empty for a film. sides: letters at the left, right, upper and lower edge, where known.
    """

    clean: Array
    changed: Array
    before: Array | None = None
    after: Array | None = None
    name: str = ""
    sides: tuple[str, str, str, str] = ("", "", "", "")


def magnified(largest: float, reach: float) -> int:
    """By how much a change is magnified so that its largest value comes near `reach`: 1, 2, 5, 10 and so on."""
    if not 0 < largest < reach:
        return 1
    power = 10 ** math.floor(math.log10(reach / largest))
    # What rounding alone puts above the reach still fits.
    return max(1, int(power * max(step for step in (1, 2, 5) if step * power * largest <= reach * (1 + 1e-6))))


def film(planes: list[Plane], *, low: float, high: float, factor: int, reach: float, ends: tuple[str, str]) -> bytes:
    """A PNG with one row per plane; equal values give equal pixels.

    Arguments
        low, high: values shown black and white. factor: how many times the difference is magnified.
        reach: the magnified difference that has the full color. ends: what the two ends of its color bar say.
    """
    zoom = _PANEL / max(max(each.clean.shape) for each in planes)
    rows = []
    for plane in planes:
        shown = [_grey(each, low, high, zoom) for each in (plane.clean, plane.changed)]
        for panel, marked in zip(shown, (plane.before, plane.after), strict=True):
            if marked is not None:
                panel[_outline(_zoomed(marked, zoom) > 0)] = _MARK
        shown.append(_signed((plane.changed - plane.clean) * factor / reach, zoom))
        rows.append(np.concatenate([_framed(each) for each in shown], axis=1))
    ground = np.pad(np.concatenate(rows), ((_HEAD, _FOOT), (_GAP, 0)), constant_values=_shade(_GROUND))
    picture = Image.fromarray(ground)
    picture.putpalette(_palette())
    pen = ImageDraw.Draw(picture)
    for column, head in enumerate(("as recorded", "as changed", f"difference x {factor:,}")):
        _write(pen, _left(column) + _PANEL // 2, 4, head, "ma")
    top = _HEAD
    for plane, row in zip(planes, rows, strict=True):
        _letter(pen, plane, top, len(row) - _GAP)
        top += len(row)
    _bar(picture, pen, top, ends)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _left(column: int) -> int:
    return _GAP + column * (_PANEL + _GAP)


def _letter(pen: ImageDraw.ImageDraw, plane: Plane, top: int, height: int) -> None:
    """Name of the plane, and the sides of the patient at its edges."""
    left, right, up, down = plane.sides
    for column in range(2):
        start = _left(column)
        _write(pen, start + 3, top + height // 2, left, "lm")
        _write(pen, start + _PANEL - 3, top + height // 2, right, "rm")
        _write(pen, start + _PANEL // 2, top + 2, up, "ma")
        _write(pen, start + _PANEL // 2, top + height - 2, down, "md")
    if plane.name:
        _write(pen, _left(0) + 3, top + 2, plane.name, "la")


def _bar(picture: Image.Image, pen: ImageDraw.ImageDraw, top: int, ends: tuple[str, str]) -> None:
    """The color bar of the difference."""
    start = _left(2)
    picture.paste(Image.fromarray(_signed(np.linspace(-1, 1, _PANEL)[None].repeat(8, axis=0), 1.0)), (start, top + 2))
    for place, said, anchor in ((0, ends[0], "la"), (_PANEL // 2, "0", "ma"), (_PANEL - 1, ends[1], "ra")):
        _write(pen, start + place, top + 14, said, anchor)


def _write(pen: ImageDraw.ImageDraw, across: int, down: int, said: str, anchor: str) -> None:
    if said:
        pen.text((across, down), said, fill=_shade(_INK), font=ImageFont.load_default(13), anchor=anchor)


def _shade(value: float) -> int:
    """The place of a grey of 0 to 255 in the palette."""
    return round(value / 255 * (_GREYS - 1))


def _palette() -> bytes:
    greys = np.linspace(0, 255, _GREYS)[:, None].repeat(3, axis=1)
    share = np.linspace(-1, 1, _SIGNED)[:, None]
    # The root brings out small changes beside large ones.
    signed = np.where(share < 0, _COLD, _WARM) * np.abs(share) ** 0.7
    return np.concatenate([greys, signed, _YELLOW]).round().astype(np.uint8).tobytes()


def _grey(plane: Array, low: float, high: float, zoom: float) -> Array:
    share = np.clip((plane - low) / (high - low), 0, 1).astype(np.float32)
    size = (round(plane.shape[1] * zoom), round(plane.shape[0] * zoom))
    smooth = np.asarray(Image.fromarray(share).resize(size, Image.Resampling.BICUBIC))
    return np.round(np.clip(smooth, 0, 1) * (_GREYS - 1)).astype(np.uint8)


def _signed(share: Array, zoom: float) -> Array:
    levels = _GREYS + np.round((np.clip(share, -1, 1) + 1) / 2 * (_SIGNED - 1))
    return _zoomed(levels, zoom).astype(np.uint8)


def _zoomed(plane: Array, zoom: float) -> Array:
    """Each pixel enlarged as it is, never mixed with its neighbors."""
    down, across = (((np.arange(round(size * zoom)) + 0.5) / zoom).astype(int) for size in plane.shape)
    return np.asarray(plane)[down][:, across]


def _outline(marked: Array) -> Array:
    """The inner edge of what is marked."""
    inside = np.pad(marked, 1)
    core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return marked & ~core


def _framed(panel: Array) -> Array:
    """A panel in the middle of its column."""
    spare = _PANEL - panel.shape[1]
    sides = (spare // 2, spare - spare // 2 + _GAP)
    return np.pad(panel, ((0, _GAP), sides), constant_values=_shade(_GROUND))
