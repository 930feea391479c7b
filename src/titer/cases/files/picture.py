"""Pictures as numbers: PNG and JPEG as grey levels of 0 to 1, DICOM in its clinical unit."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np

from titer.cases.case import Array
from titer.cases.files.bounds import MOST_PIXELS, reading
from titer.errors import DataError

GREY = "grey level (0-1)"
SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded picture.

    Arguments
        values: [C, H, W], one channel (grey) or three (red, green, blue).
        unit, low, high: clinical unit and valid range of the values.
        spacing: millimeters per pixel, down and across, where the file says so.
        patient: the patient key in the file, to be turned into a number at once; never shown.
    """

    values: Array
    unit: str = GREY
    low: float = 0.0
    high: float = 1.0
    spacing: tuple[float, float] | None = None
    patient: str = ""

    def colored(self, color: str | None) -> Picture:
        """With one channel ("grey", by the weights of ITU-R BT.601), three ("rgb"), or as it is (None)."""
        if color == "grey" and len(self.values) == 3:
            weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
            return replace(self, values=np.tensordot(weights, self.values, axes=1)[None])
        if color == "rgb" and len(self.values) == 1:
            return replace(self, values=np.repeat(self.values, 3, axis=0))
        return self

    def resized(self, size: tuple[int, int] | None) -> Picture:
        """With another height and width, by Pillow's antialiased triangle filter, which invents no value."""
        height, width = self.values.shape[1:]
        if size is None or size == (height, width):
            return self
        from PIL import Image

        planes = [
            np.asarray(Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BILINEAR))
            for plane in self.values.astype(np.float32)
        ]
        spacing = None
        if self.spacing is not None:
            spacing = (self.spacing[0] * height / size[0], self.spacing[1] * width / size[1])
        values = np.clip(np.stack(planes), self.low, self.high)
        return replace(self, values=values, spacing=spacing)


def is_dicom(data: bytes) -> bool:
    """Whether bytes begin like a DICOM file."""
    return data[128:132] == b"DICM"


def read_picture(
    data: bytes, what: str, window: tuple[float, float] | None = None, color: str | None = None
) -> Picture:
    """Decode one PNG, JPEG or DICOM file.

    Arguments
        data: the file. what: name for messages. window: center and width for DICOM.
        color: "grey", "rgb", or None for what the file holds.
    """
    if is_dicom(data):
        from titer.cases.files.dicom import read_dicom

        return read_dicom(data, what, window).colored(color)
    return _read_plain(data, what, color).colored(color)


def _read_plain(data: bytes, what: str, color: str | None) -> Picture:
    from PIL import Image, ImageOps

    _check_complete(data, what)
    with reading(what), Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise DataError(
                f"{what} of at most {MOST_PIXELS // 10**6} million pixels",
                f"{opened.width} x {opened.height}",
                "crop or shrink it first",
            )
        frames = getattr(opened, "n_frames", 1)
        if frames > 1:
            raise DataError(f"one picture in {what}", f"{frames} frames", "save each as a file")
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I"):
            values = np.asarray(picture).astype(np.float32) / 65535
        else:
            grey = color == "grey" or picture.mode in ("1", "L", "LA", "La")
            values = np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.float32) / 255
    return Picture(np.moveaxis(values, -1, 0) if values.ndim == 3 else values[None])


def _check_complete(data: bytes, what: str) -> None:
    """Decoders accept some files that were cut off; the end marks of both formats tell."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        whole = b"IEND\xaeB`\x82" in data[-64:]
    elif data.startswith(b"\xff\xd8"):
        whole = b"\xff\xd9" in data[-1024:]
    else:
        raise DataError(f"a PNG, JPEG or DICOM file in {what}", "another format", "convert it")
    if not whole:
        raise DataError(f"{what} with its end mark", "a file that was cut off", "copy it again from its source")
