"""The dynamical ECG model of McSharry et al., solved for many patients at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.cases.case import Array

# Angle of the middle (radians; R is at 0), and width (radians), of P, Q, R, S and T at 60 beats a minute.
ANGLES = np.array([-np.pi / 3, -np.pi / 12, 0.0, np.pi / 12, np.pi / 2])
WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
_RETURN = 1.0  # The trace falls back to its baseline with this rate, per second.
_STEPS = 2  # Steps of the solver per sample.


@dataclass(frozen=True, eq=False)
class Beats:
    """What every heart beat of n patients looks like; wave w of beat b of patient p.

    Arguments
        times: [n, B] seconds at which the R waves stand, rising; the first before the record, the last after it.
        heights: [n, B, W] height of each wave in mV; 0 leaves a wave out. angles, widths: [n, B, W] middle and width
        of each wave in radians of the beat's own cycle, at 60 beats a minute.
    """

    times: Array
    heights: Array
    angles: Array
    widths: Array


def solve(beats: Beats, *, rate: float, samples: int) -> Array:
    """The trace [n, samples] in mV.

    The model moves on the unit circle, (x, y) = (cos, sin)(angle), once per beat, and is pulled up and down by Gaussian
    waves on the way:

        dz/dt = - sum_w h_w omega (d_w / b_w^2) exp(-d_w^2 / 2 b_w^2) - z,  d_w = angle - angle_w,  omega = 2 pi / RR

    On the circle, which attracts every other path, the angle is known: it grows evenly from one R wave to the
    next. What is left is linear in z and is solved exactly for a pull that is constant over half a sample (its value
    in the middle). The trace starts where its waves stand, without the memory of earlier ones.

    Source: McSharry, Clifford, Tarassenko, Smith 2003, IEEE Trans Biomed Eng 50:289, doi 10.1109/TBME.2003.808805.
    Different from them: heights are in mV (their a_w is h_w omega / b_w^2), so that a wave keeps its height when the
    heart races; angles and widths grow with the square root of the rate, as their program does for Bazett's law; wander
    is added by the caller.

    >>> times = np.arange(-1.0, 4.0)[None]
    >>> one = np.ones((1, 5, 1))
    >>> trace = solve(Beats(times, one, 0.0 * one, 0.1 * one), rate=125.0, samples=250)
    >>> int(trace[0, 60:190].argmax()) + 60  # the R wave of the second at 1 s
    125
    """
    from scipy.signal import lfilter

    fine = rate * _STEPS
    middles = (np.arange(samples * _STEPS) + 0.5) / fine
    keep = np.exp(-_RETURN / fine)
    start, _ = _waves(beats, np.zeros(1))
    _, pull = _waves(beats, middles)
    # z[k + 1] = keep z[k] + (1 - keep) / return * pull[k]
    trace, _ = lfilter([0.0, (1.0 - keep) / _RETURN], [1.0, -keep], pull, axis=1, zi=start)
    return np.asarray(trace[:, ::_STEPS])


def _waves(beats: Beats, clock: Array) -> tuple[Array, Array]:
    """Sum of the waves in mV, and how it would change in mV per second, at each moment; [n, moments]."""
    times = beats.times
    before = np.stack([np.searchsorted(row, clock, side="right") - 1 for row in times])
    last = np.take_along_axis(times, before, axis=1)
    interval = np.take_along_axis(times, before + 1, axis=1) - last
    part = (clock - last) / interval
    # The first half of a cycle belongs to the beat behind, the second half to the beat ahead.
    ahead = part >= 0.5
    angle = 2 * np.pi * (part - ahead)
    beat = before + ahead
    speed, grow = 2 * np.pi / interval, np.sqrt(1.0 / interval)
    total, change = np.zeros_like(angle), np.zeros_like(angle)
    for wave in range(beats.heights.shape[2]):
        height, middle, wide = (
            np.take_along_axis(each[:, :, wave], beat, axis=1) for each in (beats.heights, beats.angles, beats.widths)
        )
        width = wide * grow
        away = (angle - middle * grow) / width
        shape = height * np.exp(-0.5 * away**2)
        total += shape
        change -= shape * speed * away / width
    return total, change
