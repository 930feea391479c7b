"""Small DICOM images for tests, written by pydicom."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage


def dataset(values: np.ndarray[Any, Any], stored: int = 0, frames: bool = False, **attributes: Any) -> pydicom.Dataset:
    """A data set with pixels: (rows, columns), (frames, rows, columns) or with colors last."""
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.4"
    shape = values.shape[1:] if frames else values.shape
    made.Rows, made.Columns = shape[:2]
    made.SamplesPerPixel = shape[2] if len(shape) == 3 else 1
    made.PhotometricInterpretation = "RGB" if made.SamplesPerPixel == 3 else "MONOCHROME2"
    if made.SamplesPerPixel == 3:
        made.PlanarConfiguration = 0
    if frames:
        made.NumberOfFrames = len(values)
    made.BitsAllocated = values.dtype.itemsize * 8
    made.BitsStored = stored or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    data = values.tobytes()
    made.add_new(0x7FE00010, "OW", data + b"\0" * (len(data) % 2))
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def written(made: pydicom.Dataset) -> bytes:
    """The file of a data set."""
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(out, made, enforce_file_format=True)
    return out.getvalue()


def image(values: np.ndarray[Any, Any], stored: int = 0, frames: bool = False, **attributes: Any) -> bytes:
    """A file with pixels."""
    return written(dataset(values, stored, frames, **attributes))


def ramp(rows: int, columns: int, dtype: str = "<u2") -> np.ndarray[Any, Any]:
    """Pixels that are all different where their type allows it."""
    return np.arange(rows * columns, dtype=np.int64).reshape(rows, columns).astype(dtype)


def header(*elements: bytes) -> bytes:
    """A file of hand-made elements in Explicit VR Little Endian."""
    uid = b"1.2.840.10008.1.2.1\0"
    meta = b"\x02\0\x10\0UI" + len(uid).to_bytes(2, "little") + uid
    return bytes(128) + b"DICM\x02\0\0\0UL\x04\0" + len(meta).to_bytes(4, "little") + meta + b"".join(elements)


_LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One hand-made element in Explicit VR Little Endian."""
    value += b"\0" * (len(value) % 2)
    size = b"\0\0" + len(value).to_bytes(4, "little") if vr in _LONG else len(value).to_bytes(2, "little")
    return (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr.encode() + size + value


def nested(path: tuple[int, ...], tag: int, vr: str, value: bytes) -> tuple[int, bytes]:
    """An element inside sequences, as the tag and bytes of the outermost one."""
    made = element(tag, vr, value)
    for sequence in reversed(path):
        made = element(sequence, "SQ", b"\xfe\xff\x00\xe0" + len(made).to_bytes(4, "little") + made)
    return (path[0] if path else tag), made


def u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def minimal(extra: dict[int, bytes] | None = None, rows: int = 2, columns: int = 2) -> bytes:
    """A hand-made image of 8-bit zeros with further elements, in order."""
    elements = {
        0x00280002: element(0x00280002, "US", u16(1)),
        0x00280004: element(0x00280004, "CS", b"MONOCHROME2 "),
        0x00280010: element(0x00280010, "US", u16(rows)),
        0x00280011: element(0x00280011, "US", u16(columns)),
        0x00280100: element(0x00280100, "US", u16(8)),
        0x00280101: element(0x00280101, "US", u16(8)),
        0x00280102: element(0x00280102, "US", u16(7)),
        0x00280103: element(0x00280103, "US", u16(0)),
        0x7FE00010: element(0x7FE00010, "OW", bytes(rows * columns)),
    } | (extra or {})
    return header(*(elements[tag] for tag in sorted(elements)))
