"""Signals: `sg` the digital integers per channel, `rd` how they are read, `id.` one digest per identifier.

WFDB records, EDF, EDF+ and BDF files, DICOM waveforms. Equal integers that are read alike have equal `sg` and `rd`
whatever the format, number of bits, interleaving and length of records; see `_channels.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from titer.errors import PlanError
from titer.provenance.fingerprint import _edf, _waveform, _wfdb
from titer.provenance.fingerprint._channels import Channel, Channels
from titer.provenance.fingerprint._stream import Source, opened
from titer.provenance.fingerprint.fingerprint import Fingerprint, Limits, refuse

_HEAD_BYTES = 4096


def recognizes(head: bytes) -> bool:
    """Whether the first bytes are those of a signal in one of the formats.

    >>> recognizes(b"not a signal")
    False
    """
    return _edf.recognizes(head) or _waveform.recognizes(head) or _wfdb.recognizes(head)


def fingerprint(source: Source | Mapping[str, Source], limits: Limits | None = None) -> Fingerprint:
    """The fingerprint of one recording, read forward once in pieces.

    Arguments
        source: an EDF, BDF or DICOM file as bytes, path or open binary file. A WFDB record is the path of its `.hea`
            file, beside which the others stand, or a mapping from the names of all its files to their content.
        limits: `frames` bounds the channels, `pixels` the samples of one, `segments` the records of EDF.

    Refuses (`FingerprintError`, with a code) what the readers of the formats refuse: truncated files, content after
    the end, interrupted or skewed recordings, compressed samples.

    >>> record = {"a.hea": b"a 1 500 2\\na.dat 16 200/mV 16 0 0 0 0 II\\n", "a.dat": bytes([1, 0, 2, 0])}
    >>> other = {"b.hea": b"b 1 500 2\\nb.dat 80 200/mV 8 0 0 0 0 II\\n", "b.dat": bytes([129, 130])}
    >>> [fingerprint(record)[name] == fingerprint(other)[name] for name in ("sg", "rd", "id.record")]
    [True, True, False]
    """
    limits = limits or Limits()
    return _read(source, limits, Channels(limits))


def digital(
    source: Source | Mapping[str, Source], limits: Limits | None = None
) -> tuple[Fingerprint, tuple[tuple[Channel, NDArray[np.int32]], ...]]:
    """The fingerprint of one recording, and each channel with its integers: just what `sg` and `rd` were made of.

    What is made of these cannot differ between two files of equal digests, whatever their format, and whatever another
    library makes of samples of several rates, of values that mark missing ones, or of ranges in a header.

    Arguments
        source, limits: as in `fingerprint`; `object_bytes` also bounds the integers, which are held.

    >>> record = {"a.hea": b"a 1 500 2\\na.dat 16 200/mV 16 0 0 0 0 II\\n", "a.dat": bytes([1, 0, 2, 0])}
    >>> [(channel.label, integers.tolist()) for channel, integers in digital(record)[1]]
    [(b'II', [1, 2])]
    """
    limits = limits or Limits()
    channels = Channels(limits, keep=True)
    return _read(source, limits, channels), channels.kept()


def _read(source: Source | Mapping[str, Source], limits: Limits, channels: Channels) -> Fingerprint:
    if isinstance(source, Mapping):
        return _record(source, limits, channels)
    with opened(source, limits) as stream:
        head = stream.peek(_HEAD_BYTES)
        if _edf.recognizes(head):
            return _edf.read(stream, limits, channels)
        if _waveform.recognizes(head):
            return _waveform.read(stream, limits, channels)
        if not _wfdb.recognizes(head):
            remedy = "give an EDF, BDF or DICOM file, or the header of a WFDB record"
            raise refuse("unsupported.format", "a signal in a known format", "another file", remedy)
        if not isinstance(source, (str, Path)):
            remedy = "give its path, or a mapping from file names to content"
            raise refuse("unsupported.no_samples", "a WFDB record", "its header alone", remedy)
        return _wfdb.read(stream, _beside(Path(source).parent), limits, channels)


def _record(files: Mapping[str, Source], limits: Limits, channels: Channels) -> Fingerprint:
    headers = [name for name in files if name.endswith(".hea")]
    if len(headers) != 1:
        raise PlanError("one header (.hea) among the files", str(len(headers)), "give the files of one record")

    def named(name: str) -> Source:
        if name not in files:
            raise refuse("malformed.missing", "every file that the header names", "a missing one", "add the file")
        return files[name]

    with opened(files[headers[0]], limits) as stream:
        return _wfdb.read(stream, named, limits, channels)


def _beside(folder: Path) -> Callable[[str], Source]:
    def named(name: str) -> Source:
        if not (folder / name).is_file():
            raise refuse("malformed.missing", "every file that the header names", "a missing one", "add the file")
        return folder / name

    return named
