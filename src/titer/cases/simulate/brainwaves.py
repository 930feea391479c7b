"""Parts of simulated EEGs: electrodes, colored noise, rhythms and discharges, for many records at once."""

from __future__ import annotations

import numpy as np

from titer.cases.case import Array

# Electrodes of the 10-20 system seen from above (nose up, ears at -1 and 1); the first eight cover the whole head.
ELECTRODES = {
    "Fp1": (-0.31, 0.95), "Fp2": (0.31, 0.95), "C3": (-0.5, 0.0), "C4": (0.5, 0.0),
    "T7": (-1.0, 0.0), "T8": (1.0, 0.0), "O1": (-0.31, -0.95), "O2": (0.31, -0.95),
    "F3": (-0.42, 0.54), "F4": (0.42, 0.54), "P3": (-0.42, -0.54), "P4": (0.42, -0.54),
    "F7": (-0.81, 0.59), "F8": (0.81, 0.59), "P7": (-0.81, -0.59), "P8": (0.81, -0.59),
    "Fz": (0.0, 0.5), "Cz": (0.0, 0.0), "Pz": (0.0, -0.5),
}  # fmt: skip


def places(count: int) -> Array:
    """[count, 2] where the first electrodes are.

    >>> places(3)[2].tolist()
    [-0.5, 0.0]
    """
    return np.array(list(ELECTRODES.values())[:count])


def reach(electrodes: Array, sources: Array, width: float) -> Array:
    """How strongly each electrode sees each source: a Gaussian of their distance.

    Arguments
        electrodes: [C, 2]. sources: [..., K, 2].

    Returns [..., C, K].
    """
    squared = ((electrodes[:, None] - sources[..., None, :, :]) ** 2).sum(axis=-1)
    return np.asarray(np.exp(-0.5 * squared / width**2))


def colored(white: Array, rate: float, *, slope: Array, low: float, high: float) -> Array:
    """White noise [n, K, T] given a power spectrum of 1 / f^slope between two frequencies, root mean square 1.

    Arguments
        slope: [n] exponents; 0 stays white within the band.
    """
    lines = np.fft.rfft(white.astype(np.float64))
    where = np.fft.rfftfreq(white.shape[-1], 1 / rate)
    inside = (where >= low) & (where <= high)
    size = np.where(inside, np.maximum(where, 1e-9), 1.0) ** (-0.5 * slope[:, None]) * inside
    return even(np.fft.irfft(lines * size[:, None], n=white.shape[-1]))


def even(waves: Array) -> Array:
    """Waves [..., T] brought to a root mean square of 1; silence stays.

    >>> even(np.array([2.0, -2.0])).tolist()
    [1.0, -1.0]
    """
    return np.asarray(waves / np.maximum(np.sqrt((waves**2).mean(axis=-1, keepdims=True)), 1e-9))


def rhythm(clock: Array, frequency: Array, phase: Array, waxing: Array) -> Array:
    """A sine [n, T] whose height waxes and wanes once in about two seconds.

    Arguments
        clock: [T] seconds. frequency: [n] Hz. phase, waxing: [n] of a turn.
    """
    height = 1 + 0.6 * np.sin(2 * np.pi * (0.45 * clock + waxing[:, None]))
    return even(height * np.sin(2 * np.pi * (frequency[:, None] * clock + phase[:, None])))


def discharge(clock: Array, frequency: Array, fall: Array, phase: Array, lag: Array) -> Array:
    """A rhythmic discharge [n, C, T] that slows down and grows: sharp waves, a sine with two harmonics.

    Arguments
        clock: [T] seconds. frequency: [n] Hz at the start. fall: [n] part of it lost by the end. phase: [n] of a
        turn. lag: [n, C] radians by which each channel follows the focus.
    """
    seconds = clock[-1] + clock[1]
    turns = frequency[:, None] * (clock - 0.5 * fall[:, None] * clock**2 / seconds) + phase[:, None]
    angle = 2 * np.pi * turns[:, None] - lag[..., None]
    wave = np.sin(angle) + 0.55 * np.sin(2 * angle + 0.9) + 0.3 * np.sin(3 * angle + 1.8)
    return np.asarray((0.6 + 0.4 * clock / seconds) * wave)


def blinks(clock: Array, times: Array, heights: Array) -> Array:
    """Lids closing, [n, T]: smooth humps of a quarter of a second.

    Arguments
        times: [n, B] seconds of their middles. heights: [n, B]; 0 for none.
    """
    away = (clock - times[..., None]) / 0.1
    return np.asarray((heights[..., None] * np.exp(-0.5 * away**2)).sum(axis=1))
