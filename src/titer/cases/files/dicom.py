"""DICOM pictures: computed tomography in HU, anything else as grey levels as a viewer shows them."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from titer.cases.case import Array
from titer.cases.files.bounds import MOST_PIXELS, reading
from titer.cases.files.picture import Picture
from titer.errors import DataError

# 12 bits with an offset of 1024: what scanners store.
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
_DEFLATED = b"1.2.840.10008.1.2.1.99"
# Files are hostile: GDCM ends the whole process on some damaged JPEGs, where these only complain, so it is not asked.
_DECODERS = ("pylibjpeg", "pyjpegls", "pillow", "pydicom")


def read_dicom(data: bytes, what: str, window: tuple[float, float] | None) -> Picture:
    """One frame of a DICOM file.

    CT: rescale slope and intercept give HU, clipped to `window` or to -1024 to 3071 HU. Other modalities: modality
    table, then `window`, else the file's first window, else the full range of the stored bits, as grey level 0 to 1;
    MONOCHROME1 is inverted so that bright is bright. Colors become RGB of 0 to 1.

    Source: DICOM PS3.3 C.11.1 (modality), C.11.2.1.2 (linear window).

    Arguments
        data: the file. what: name for messages. window: (center, width) in HU or in the file's rescaled unit.

    Refuses (`DataError`) more than one frame, no pixels, deflated files (their size cannot be bounded), damaged ones.
    """
    # Wherever it stands: a header may hold anything before it, and the library inflates without a bound.
    if _DEFLATED in data:
        raise DataError(f"{what} with a plain dataset", "a deflated one", "export it as Explicit VR Little Endian")
    import pydicom

    with reading(what), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(io.BytesIO(data))
        _check_frame(header, what)
        raw = _pixels(header, what)
        kind = str(header.get("PhotometricInterpretation", "MONOCHROME2")).strip()
        values, unit, low, high = (
            _colors(header, raw, kind) if raw.ndim == 3 or kind == "PALETTE COLOR" else _grey(header, raw, kind, window)
        )
        return Picture(values, unit, low, high, _spacing(header), str(header.get("PatientID", "")).strip())


def _check_frame(header: Any, what: str) -> None:
    if "PixelData" not in header:
        raise DataError(f"pixels in {what}", "none", "leave reports and plans out, or export the image again")
    frames = int(header.get("NumberOfFrames", 1) or 1)
    if frames != 1:
        raise DataError(f"one frame in {what}", f"{frames} frames", "save each frame as a file of its own")
    size = int(header.Rows) * int(header.Columns)
    if not 0 < size <= MOST_PIXELS:
        raise DataError(
            f"{what} of 1 to {MOST_PIXELS // 10**6} million pixels", f"{header.Rows} x {header.Columns}", "crop it"
        )


def _pixels(header: Any, what: str) -> Array:
    syntax = header.file_meta.TransferSyntaxUID
    try:
        if syntax.is_compressed:
            header.pixel_array_options(decoding_plugin=_decoder(syntax))
        return np.asarray(header.pixel_array)
    except RuntimeError as error:
        remedy = (
            "export it uncompressed, e.g. by DCMTK's dcmdjpeg; baseline JPEG, JPEG 2000, JPEG-LS (by pyjpegls) "
            "and RLE are read, so such a file is damaged"
        )
        raise DataError(f"pixels of {what} that the safe decoders read", f"{syntax.name!r}", remedy) from error


def _decoder(syntax: Any) -> str:
    """The first of our decoders that is installed and reads a transfer syntax."""
    from pydicom.pixels.decoders.base import get_decoder

    found = next((name for name in _DECODERS if name in get_decoder(syntax).available_plugins), None)
    if found is None:
        raise RuntimeError(f"no safe decoder for {syntax.name}")
    return found


def _grey(header: Any, raw: Array, kind: str, window: tuple[float, float] | None) -> tuple[Array, str, float, float]:
    from pydicom.pixels.processing import apply_modality_lut

    values = np.asarray(apply_modality_lut(raw, header), dtype=np.float64)
    if str(header.get("Modality", "")) == "CT":
        low, high = LOWEST_HU, HIGHEST_HU
        if window is not None:
            low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
        return np.clip(values, low, high).astype(np.float32)[None], "HU", low, high
    shown = _windowed(header, values, window)
    if kind == "MONOCHROME1":
        shown = 1.0 - shown
    return shown.astype(np.float32)[None], "grey level (0-1)", 0.0, 1.0


def _windowed(header: Any, values: Array, window: tuple[float, float] | None) -> Array:
    center, width = window if window is not None else (_first(header, "WindowCenter"), _first(header, "WindowWidth"))
    if center is not None and width is not None and width > 1:
        return np.asarray(np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0))
    bits = int(header.get("BitsStored", header.BitsAllocated))
    signed = int(header.get("PixelRepresentation", 0)) == 1
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1], dtype=np.float64)
    slope, intercept = _first(header, "RescaleSlope"), _first(header, "RescaleIntercept")
    ends = np.sort(ends * (1.0 if slope is None else slope) + (0.0 if intercept is None else intercept))
    return np.asarray(np.clip((values - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0))


def _colors(header: Any, raw: Array, kind: str) -> tuple[Array, str, float, float]:
    if kind == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        raw = np.asarray(apply_color_lut(raw, header))[..., :3]
    # The decoder has already turned YBR into RGB.
    scale = float(np.iinfo(raw.dtype).max) if kind == "PALETTE COLOR" else float(2 ** int(header.BitsStored) - 1)
    values = np.clip(raw.astype(np.float32) / scale, 0.0, 1.0)
    return np.moveaxis(values, -1, 0), "grey level (0-1)", 0.0, 1.0


def _first(header: Any, name: str) -> float | None:
    value = header.get(name)
    if value is None or value == "":
        return None
    if hasattr(value, "__len__") and not isinstance(value, str):
        return float(value[0]) if len(value) else None
    return float(value)


def _spacing(header: Any) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        value = header.get(name)
        if value is not None and len(value) == 2 and min(map(float, value)) > 0:
            return float(value[0]), float(value[1])
    return None
