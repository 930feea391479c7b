"""SVG figures of signals on paper: ECG with its millimeter grid, EEG with seconds; recorded, changed, difference."""

from __future__ import annotations

from html import escape

import numpy as np

from gallery.pictures import magnified
from titer.cases.case import Array
from titer.cases.space import Space

_WIDTH, _LEFT, _RIGHT, _TOP = 800.0, 52.0, 16.0, 22.0
_BETWEEN, _PITCH = 14.0, 40.0
_STYLE = (
    "text{fill:#222;font:12px sans-serif}.paper{fill:#fffaf7}.fine{stroke:#f6d9d2;stroke-width:.5}"
    ".coarse{stroke:#eeb3a7;stroke-width:.8}.line{stroke:#d8cfc9;stroke-width:.6}.bar{stroke:#222;stroke-width:1.6}"
    ".trace,.moved{fill:none;stroke:#111;stroke-width:1.1;stroke-linejoin:round;vector-effect:non-scaling-stroke}"
    ".moved{stroke:#b3261e}"
)


def rows(clean: Array, changed: Array, space: Space) -> tuple[str, int]:
    """One channel [T]: three strips one below the other, and by how much the last is magnified.

    In mV it is drawn on ECG paper, 25 mm/s and 10 mm/mV: a large square is 0.2 s wide and 0.5 mV high.
    """
    rate, ecg = space.rate or 1.0, space.unit == "mV"
    seconds = len(clean) / rate
    across = (_WIDTH - _LEFT - _RIGHT) / seconds
    low, high = float(min(clean.min(), changed.min())), float(max(clean.max(), changed.max()))
    # ECG paper fixes how high a millivolt is; an EEG fills its strip.
    down = across * 0.4 if ecg else 110 / (high - low)
    step = 0.5 if ecg else _round((high - low) / 3)
    low, high = float(np.floor(low / step) * step), float(np.ceil(high / step) * step)
    height = (high - low) * down
    factor = magnified(float(np.abs(changed - clean).max()), (high - low) / 3)
    parts, top = [_paper(height, seconds, across, down * step, ecg)], _TOP
    for title, values in (("as recorded", clean), ("as changed", changed), ("", (changed - clean) * factor)):
        zero = top + high * down if title else top + height / 2
        parts.append(f'<use href="#paper" x="{_LEFT}" y="{top:.1f}"/>')
        parts.append(_trace(values, across / rate, zero, down, "trace" if title else "moved", _LEFT))
        parts.append(f'<text x="{_LEFT}" y="{top - 5:.1f}">{title or f"difference x {factor:,}"}</text>')
        parts.append(_scale(top + height, down * step, step if title else step / factor, space.unit))
        top += height + 26
    ticks = np.arange(0, seconds + 1e-9, 1.0 if seconds > 4 else 0.5)
    parts += [
        f'<text x="{_LEFT + tick * across:.1f}" y="{top - 10:.1f}" text-anchor="middle">{tick:g} s</text>'
        for tick in ticks
    ]
    return _whole(parts, top), factor


def columns(clean: Array, changed: Array, space: Space) -> tuple[str, int]:
    """Several channels [C, T]: three blocks side by side, and by how much the last is magnified."""
    rate = space.rate or 1.0
    seconds, wide = clean.shape[1] / rate, (_WIDTH - _LEFT - 2 * _BETWEEN - 8) / 3
    across = wide / seconds
    middles = clean.mean(axis=1)
    reach = 2.2 * float(np.percentile(np.abs(clean - middles[:, None]), 99))
    step, down = _round(reach / 2), _PITCH / reach
    factor = magnified(float(np.abs(changed - clean).max()), reach / 2)
    high = _PITCH * len(clean) + 8
    blocks = (
        ("as recorded", clean - middles[:, None], 1),
        ("as changed", changed - middles[:, None], 1),
        (f"difference x {factor:,}", (changed - clean) * factor, factor),
    )
    parts = []
    for column, (title, values, times) in enumerate(blocks):
        start = _LEFT + column * (wide + _BETWEEN)
        parts.append(f'<rect class="paper" x="{start:.1f}" y="{_TOP}" width="{wide:.1f}" height="{high:.1f}"/>')
        parts.append(f'<text x="{start:.0f}" y="{_TOP - 5}">{title}</text>')
        lines = "".join(f"M{start + tick * across:.1f} {_TOP}v{high:.1f}" for tick in np.arange(0, seconds + 1e-9, 0.5))
        parts.append(f'<path class="line" d="{lines}"/>')
        kind = "trace" if column < 2 else "moved"
        zeros = [_TOP + 4 + (channel + 0.5) * _PITCH for channel in range(len(values))]
        parts += [
            _trace(trace, across / rate, zero, down, kind, start) for trace, zero in zip(values, zeros, strict=True)
        ]
        if column == 0:
            names = space.names or tuple(str(channel + 1) for channel in range(len(values)))
            parts += [
                f'<text x="{_LEFT - 6}" y="{zero + 4:.0f}" text-anchor="end">{escape(name)}</text>'
                for name, zero in zip(names, zeros, strict=True)
            ]
        foot = _TOP + high + 6
        parts.append(
            f'<path class="bar" d="M{start + 4:.1f} {foot:.1f}v{step * down:.1f}'
            f'M{start + wide - 0.5 * across:.1f} {foot + 6:.1f}h{0.5 * across:.1f}"/>'
            f'<text x="{start + 10:.1f}" y="{foot + step * down / 2 + 5:.1f}">{step / times:.3g} '
            f"{escape(space.unit)}</text>"
            f'<text x="{start + wide:.1f}" y="{foot + 20:.1f}" text-anchor="end">0.5 s</text>'
        )
    return _whole(parts, _TOP + high + max(step * down, 20) + 12), factor


def _round(about: float) -> float:
    """The round number next below: 1, 2 or 5 times a power of ten."""
    power = 10 ** np.floor(np.log10(about))
    return float(max(step for step in (1, 2, 5) if step * power <= about) * power)


def _paper(height: float, seconds: float, across: float, square: float, ecg: bool) -> str:
    """One strip of paper at the origin, which each strip uses."""
    wide = seconds * across
    parts = [f'<rect class="paper" width="{wide:.1f}" height="{height:.1f}"/>']
    large = 0.2 * across if ecg else across
    if ecg:
        parts.append(_grid("fine", height, wide, large / 5, large / 5))
    parts.append(_grid("coarse" if ecg else "line", height, wide, large, square))
    return f'<defs><g id="paper">{"".join(parts)}</g></defs>'


def _grid(kind: str, height: float, wide: float, across: float, down: float) -> str:
    upright = "".join(f"M{x:.1f} 0v{height:.1f}" for x in np.arange(0, wide + 0.01, across))
    level = "".join(f"M0 {y:.1f}h{wide:.1f}" for y in np.arange(0, height + 0.01, down))
    return f'<path class="{kind}" d="{upright}{level}"/>'


def _trace(values: Array, across: float, zero: float, down: float, kind: str, start: float) -> str:
    """A line in steps of one sample and a tenth of a pixel, which the transform stretches: short, and never adrift."""
    heights = np.round(-values * down * 10).astype(int)
    steps = "".join(f" 1{move:+d}" for move in np.diff(heights))
    place = f"translate({start:.1f} {zero:.1f})scale({across:.5f} .1)"
    return f'<path class="{kind}" transform="{place}" d="M0 {heights[0]}l{steps[1:]}"/>'


def _scale(bottom: float, height: float, value: float, unit: str) -> str:
    """A bar of one step at the left of a strip, with what it stands for."""
    return (
        f'<path class="bar" d="M{_LEFT - 6} {bottom:.1f}v{-height:.1f}"/>'
        f'<text x="{_LEFT - 10}" y="{bottom - height / 2:.1f}" text-anchor="end">{value:.3g}</text>'
        f'<text x="{_LEFT - 10}" y="{bottom - height / 2 + 13:.1f}" text-anchor="end">{escape(unit)}</text>'
    )


def _whole(parts: list[str], height: float) -> str:
    # A ground of its own, so that black ink stays legible where a page is dark.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height:.0f}">'
        f'<style>{_STYLE}</style><rect width="{_WIDTH:.0f}" height="{height:.0f}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
