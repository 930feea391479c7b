"""Small recordings for tests: WFDB records in every format, EDF and BDF files, DICOM waveforms."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

Samples = np.ndarray[Any, Any]
BITS = {8: 8, 16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10}


def packed(values: Sequence[int], form: int) -> bytes:
    """Samples as signal(5) of the WFDB manual describes each format, one by one."""
    if form in (16, 24, 32):
        return b"".join(int(each).to_bytes(form // 8, "little", signed=True) for each in values)
    if form == 61:
        return b"".join(int(each).to_bytes(2, "big", signed=True) for each in values)
    if form in (80, 160):
        width = BITS[form] // 8
        return b"".join((int(each) + (1 << (BITS[form] - 1))).to_bytes(width, "little") for each in values)
    out = b""
    held = {212: 2, 310: 3, 311: 3}[form]
    mask = (1 << BITS[form]) - 1
    padded = [int(each) & mask for each in values] + [0] * (-len(values) % held)
    for at in range(0, len(padded), held):
        part = padded[at : at + held]
        if form == 212:
            out += bytes([part[0] & 255, part[0] >> 8 | part[1] >> 8 << 4, part[1] & 255])
        elif form == 310:
            first = part[0] << 1 | (part[2] & 31) << 11
            second = part[1] << 1 | part[2] >> 5 << 11
            out += struct.pack("<2H", first, second)
        else:
            out += struct.pack("<I", part[0] | part[1] << 10 | part[2] << 20)
    return out


def record(
    values: Samples, form: int = 16, name: str = "a", gain: str = "200(-5)/mV", rate: str = "500"
) -> dict[str, bytes]:
    """A WFDB record. `values`: samples by channel."""
    count, channels = values.shape
    if form == 8:
        data = np.diff(values, axis=0, prepend=np.zeros((1, channels), int)).astype(np.int8).tobytes()
    else:
        data = packed(values.reshape(-1).tolist(), form)
    lines = [f"{name} {channels} {rate} {count}"]
    lines += [f"{name}.dat {form} {gain} 12 0 0 0 0 lead {number}" for number in range(channels)]
    return {f"{name}.hea": ("\n".join(lines) + "\n").encode(), f"{name}.dat": data}


def _column(values: Sequence[Any], width: int) -> bytes:
    return b"".join(str(each).encode("latin-1").ljust(width) for each in values)


def edf(
    values: Samples,
    each: int = 100,
    bits: int = 16,
    duration: str = "0.2",
    reserved: str = "",
    **columns: Sequence[Any],
) -> bytes:
    """An EDF or BDF file. `values`: samples by channel; `each`: samples per record; `columns`: of the header."""
    count, channels = values.shape
    most = (1 << (bits - 1)) - 1
    parts = {
        "label": [f"lead {number}" for number in range(channels)], "transducer": [""] * channels,
        "unit": ["uV"] * channels, "low": [-most - 1] * channels, "high": [most] * channels,
        "least": [-most - 1] * channels, "most": [most] * channels, "filter": [""] * channels,
        "samples": [each] * channels, "more": [""] * channels,
    } | columns  # fmt: skip
    widths = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
    start = b"\xffBIOSEMI" if bits == 24 else b"0       "
    head = start + b"P1 X X X".ljust(80) + b"Startdate 01-MAY-2024".ljust(80) + b"01.05.2410.00.00"
    head += str(256 * (channels + 1)).encode().ljust(8) + reserved.encode().ljust(44)
    head += str(count // each).encode().ljust(8) + duration.encode().ljust(8) + str(channels).encode().ljust(4)
    head += b"".join(_column(parts[name], width) for name, width in zip(parts, widths, strict=True))
    blocks = values.reshape(count // each, each, channels).transpose(0, 2, 1).reshape(-1)
    return head + (blocks.astype("<i2").tobytes() if bits == 16 else packed(blocks.tolist(), bits))


def waveform(values: Samples, form: str = "SS", **group: Any) -> pydicom.Dataset:
    """A DICOM waveform with one multiplex group. `values`: samples by channel."""
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.5"
    made.PatientID = "P1"
    made.WaveformSequence = [multiplex(values, form, **group)]
    return made


def multiplex(values: Samples, form: str = "SS", **group: Any) -> pydicom.Dataset:
    """One multiplex group."""
    dtype = {"SB": "i1", "UB": "u1", "SS": "<i2", "US": "<u2", "SL": "<i4", "UL": "<u4"}[form]
    made = pydicom.Dataset()
    made.WaveformOriginality = "ORIGINAL"
    made.NumberOfWaveformSamples, made.NumberOfWaveformChannels = values.shape
    made.SamplingFrequency = "500"
    made.WaveformBitsAllocated = int(dtype[-1]) * 8
    made.WaveformSampleInterpretation = form
    made.ChannelDefinitionSequence = [_channel(number) for number in range(values.shape[1])]
    data = values.astype(dtype).tobytes()
    made.add_new(0x54001010, "OW" if int(dtype[-1]) > 1 else "OB", data + b"\0" * (len(data) % 2))
    for name, value in group.items():
        setattr(made, name, value)
    return made


def _channel(number: int) -> pydicom.Dataset:
    made = pydicom.Dataset()
    made.ChannelLabel = f"lead {number}"
    source, unit = pydicom.Dataset(), pydicom.Dataset()
    source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = f"5.6.3-9-{number + 1}", "SCPECG", "Lead"
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
    made.ChannelSourceSequence, made.ChannelSensitivityUnitsSequence = [source], [unit]
    made.ChannelSensitivity, made.ChannelSensitivityCorrectionFactor, made.ChannelBaseline = "1.25", "1", "0"
    made.ChannelSampleSkew, made.WaveformBitsStored = "0", 16
    return made
