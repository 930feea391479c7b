"""Arrays as PNG pictures inside a report: small, exact, the same bytes for the same array."""

from __future__ import annotations

import base64
import math
import struct
import zlib

import numpy as np
import numpy.typing as npt

from titer.errors import DataError

# Told apart by people who see no red or no green, too.
_TRUE, _SAID = (0.0, 0.62, 0.45), (0.90, 0.62, 0.0)
Picture = npt.NDArray[np.floating]
LARGEST_SIDE = 192
"""Pictures are reduced to at most this many pixels per side; the page enlarges them without smoothing."""


def image_uri(image: Picture, *, low: float = 0.0, high: float = 1.0) -> str:
    """A picture as a data URI, reduced by averaging blocks where it is large.

    Arguments
        image: [H, W] gray or [H, W, 3] color, in the unit of the case.
        low, high: values shown as black and white.

    >>> image_uri(np.zeros((2, 2))).startswith("data:image/png;base64,")
    True
    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise DataError("a picture of shape [H, W] or [H, W, 3]", f"shape {image.shape}", "pick one plane or channel")
    if not np.isfinite(image).all():
        raise DataError("finite pixels", "NaN or infinity", "clean the case before it is shown")
    if not high > low:
        raise DataError("a display range with high above low", f"{low} to {high}", "give the range of the space")
    shown = np.clip((_reduced(image.astype(np.float64)) - low) / (high - low), 0.0, 1.0)
    pixels = np.round(shown * 255).astype(np.uint8)
    return "data:image/png;base64," + base64.b64encode(_png(pixels)).decode("ascii")


def perturbation_uri(change: Picture, *, reach: float) -> tuple[str, float]:
    """A change as a picture centered on mid-gray, and how many times it is magnified.

    The factor is a round number (1, 2 or 5 times a power of ten) so that it can be read and compared.

    Arguments
        change: adversarial minus clean, [H, W] or [H, W, 3], in the unit of the case.
        reach: width of the case's range; a change of half of it, magnified once, is shown black or white.

    >>> perturbation_uri(np.full((2, 2), 4 / 255), reach=1.0)[1]
    20.0
    """
    scale = magnification(float(np.abs(change).max(initial=0.0)), reach=reach)
    return image_uri(change * scale, low=-reach / 2, high=reach / 2), scale


def outlined_uri(image: Picture, true: npt.NDArray[np.integer], said: npt.NDArray[np.integer]) -> str:
    """A picture with two outlines: the true one green, the model's orange and drawn last; small pictures are enlarged.

    Arguments
        image: [H, W] gray or [H, W, 3] color, 0 as black and 1 as white.
        true, said: [H, W] class numbers; an outline runs inside of everything that is not class 0, and between classes.

    >>> marked = np.zeros((4, 4), dtype=int)
    >>> outlined_uri(np.zeros((4, 4)), marked, marked) == outlined_uri(np.zeros((4, 4, 3)), marked, marked)
    True
    """
    factor = max(1, LARGEST_SIDE // max(image.shape[:2]))
    block = math.ceil(max(image.shape[:2]) / LARGEST_SIDE)
    shown = _reduced(image.astype(np.float64))
    shown = np.repeat(np.repeat(shown, factor, axis=0), factor, axis=1)
    shown = np.repeat(shown[..., None], 3, axis=2) if shown.ndim == 2 else shown
    for classes, color in ((true, _TRUE), (said, _SAID)):
        small = classes[::block, ::block]
        shown[_outline(np.repeat(np.repeat(small, factor, axis=0), factor, axis=1))] = color
    return image_uri(shown)


def _outline(classes: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Pixels of a class above 0 that have a neighbor of another class, or lie at the border of the picture."""
    around = np.pad(classes, 1, constant_values=0)
    neighbors = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    return np.asarray((classes > 0) & np.logical_or.reduce([classes != each for each in neighbors]))


def magnification(largest: float, *, reach: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... that keeps a change within half of the range."""
    if largest <= 0 or not math.isfinite(largest):
        return 1.0
    room = reach / 2 / largest
    power = 10.0 ** math.floor(math.log10(room) + 1e-9)
    step = max(step for step in (1.0, 2.0, 5.0) if step <= room / power * (1 + 1e-9))
    return float(f"{step * power:.10g}")


def _reduced(image: Picture) -> Picture:
    """The picture with blocks averaged until no side exceeds the largest allowed."""
    block = math.ceil(max(image.shape[:2]) / LARGEST_SIDE)
    if block <= 1:
        return image
    height, width = (math.ceil(side / block) * block for side in image.shape[:2])
    padding = [(0, height - image.shape[0]), (0, width - image.shape[1])] + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, padding, mode="edge")
    blocks = padded.reshape(height // block, block, width // block, block, *image.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3)))


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An 8-bit PNG file (ISO/IEC 15948): signature, header, one data chunk, end. No time, no text."""
    height, width = pixels.shape[:2]
    color = 2 if pixels.ndim == 3 else 0
    rows = b"".join(b"\x00" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
