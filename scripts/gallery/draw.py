"""Pictures of a clean case, the changed one and the difference: PNG for films and volumes, SVG for strips."""

from __future__ import annotations

import io
import math
from html import escape

import numpy as np
from PIL import Image

from titer.cases.case import Array
from titer.cases.space import Space

_PANEL, _GAP = 256, 6
# Blue for what became darker or lower, red for brighter or higher.
_COLD, _WARM = np.array([33.0, 102.0, 172.0]), np.array([178.0, 24.0, 43.0])
_STRIP_WIDTH, _STRIP_HEIGHT = 720, 150


def magnified(change: Array, reach: float) -> int:
    """By how much a change is magnified so that its largest value reaches `reach`: 1, 2, 5, 10 and so on."""
    largest = float(np.abs(change).max())
    if largest == 0 or largest >= reach:
        return 1
    power = 10 ** math.floor(math.log10(reach / largest))
    return max(1, int(power * max(step for step in (1, 2, 5) if step * power * largest <= reach)))


def panels(clean: Array, changed: Array, space: Space) -> tuple[bytes, int]:
    """A PNG of clean | changed | difference, one row per plane, and by how much the difference is magnified."""
    low, high = (float(np.ravel(end)[0]) for end in space.bounds())
    rows = [(clean[0], changed[0])] if clean.ndim == 3 else _planes(clean[0], changed[0])
    factor = magnified(changed - clean, (high - low) / 2)
    lines = []
    for before, after in rows:
        three = (_grey(before, low, high), _grey(after, low, high), _signed((after - before) * factor / (high - low)))
        lines.append(np.concatenate([_framed(each) for each in three], axis=1))
    picture = Image.fromarray(np.concatenate(lines, axis=0).astype(np.uint8), mode="P")
    picture.putpalette(_palette())
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue(), factor


def _planes(before: Array, after: Array) -> list[tuple[Array, Array]]:
    """Axial, coronal and sagittal planes through where most was changed, head up."""
    moved = np.abs(after - before)
    place = [int(moved.sum(axis=tuple({0, 1, 2} - {axis})).argmax()) for axis in range(3)]
    # Voxels lie [left to right, back to front, foot to head].
    found = []
    for axis in (2, 1, 0):
        found.append(tuple(np.flipud(np.take(each, place[axis], axis=axis).T) for each in (before, after)))
    return [(one, two) for one, two in found]


def _palette() -> bytes:
    """128 greys, then 128 colors from blue over white to red."""
    grey = np.repeat(np.linspace(0, 255, 128)[:, None], 3, axis=1)
    share = np.linspace(-1, 1, 128)[:, None]
    signed = 255 * (1 - np.abs(share)) + np.where(share < 0, _COLD, _WARM) * np.abs(share)
    return np.concatenate([grey, signed]).round().astype(np.uint8).tobytes()


def _grey(plane: Array, low: float, high: float) -> Array:
    return np.round(127 * np.clip((plane - low) / (high - low), 0, 1))


def _signed(plane: Array) -> Array:
    # Nothing changed is the white in the middle.
    return np.where(plane == 0, 191, 128 + np.round(63.5 + 63.5 * np.clip(2 * plane, -1, 1)))


def _framed(panel: Array) -> Array:
    times = max(1, _PANEL // panel.shape[0])
    large = panel.repeat(times, axis=0).repeat(times, axis=1)
    return np.pad(large, ((0, _GAP), (0, _GAP)), constant_values=127)


def strips(clean: Array, changed: Array, space: Space) -> tuple[str, int]:
    """An SVG per channel: recorded and changed over each other, the difference below with a scale of its own."""
    rate = space.rate or 1.0
    change = changed - clean
    middle, half = _scale(np.concatenate([clean, changed]))
    factor = magnified(change, half)
    parts, top = [], 20.0
    for channel in range(len(clean)):
        name = space.names[channel] if space.names else ""
        parts.append(_axis(top, half, space.unit, name))
        parts.append(_line(clean[channel] - middle, half, top, "was"))
        parts.append(_line(changed[channel] - middle, half, top, "now"))
        top += _STRIP_HEIGHT + 14
        parts.append(_axis(top, half / factor, space.unit, f"difference, {factor} times as large"))
        parts.append(_line(change[channel] * factor, half, top, "moved"))
        top += _STRIP_HEIGHT + 14
    seconds = clean.shape[1] / rate
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = 60 + share * _STRIP_WIDTH
        parts.append(f'<text x="{x:.0f}" y="{top + 8:.0f}" text-anchor="middle">{share * seconds:.3g} s</text>')
    style = (
        "text{fill:#222;font:12px sans-serif}path{fill:none;stroke-width:1.4}.was{stroke:#777}.now{stroke:#b2182b}"
        ".moved{stroke:#00697a}.axis{stroke:#bbb}"
        "@media (prefers-color-scheme:dark){text{fill:#e6e6e6}.was{stroke:#aaa}.now{stroke:#ff8a80}"
        ".moved{stroke:#4fc3d9}.axis{stroke:#555}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_STRIP_WIDTH + 90} {top + 16:.0f}" role="img">'
        f"<style>{style}</style>{''.join(parts)}</svg>\n"
    ), factor


def _scale(values: Array) -> tuple[float, float]:
    """The middle of what a strip shows, and half of its height, a round number."""
    low, high = float(values.min()), float(values.max())
    half = max((high - low) / 2, 1e-9) * 1.05
    power = 10 ** math.floor(math.log10(half))
    return (low + high) / 2, next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10) if step * power >= half)


def _axis(top: float, half: float, unit: str, title: str) -> str:
    middle = top + _STRIP_HEIGHT / 2
    lines = "".join(
        f'<path class="axis" d="M60 {y:.0f}H{60 + _STRIP_WIDTH}"/>' for y in (top, middle, top + _STRIP_HEIGHT)
    )
    bar = f'<text x="54" y="{top + 12:.0f}" text-anchor="end">+{half:.3g}</text>'
    base = f'<text x="54" y="{top + _STRIP_HEIGHT:.0f}" text-anchor="end">-{half:.3g}</text>'
    label = f'<text x="54" y="{middle + 4:.0f}" text-anchor="end">{escape(unit)}</text>'
    return f'{lines}{bar}{base}{label}<text x="66" y="{top + 12:.0f}">{escape(title)}</text>'


def _line(values: Array, half: float, top: float, kind: str) -> str:
    across = 60 + _STRIP_WIDTH * np.arange(len(values)) / max(1, len(values) - 1)
    down = top + _STRIP_HEIGHT * (0.5 - np.clip(values / half, -1, 1) / 2)
    points = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(across, down, strict=True))
    return f'<path class="{kind}" d="M{points}"/>'
