"""EDF, EDF+ and BDF: digital integers, record by record.

Source: Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7 (EDF); Kemp & Olivan 2003, doi:10.1016/S1388-2457(03)00123-8
(EDF+); BioSemi (BDF: 24 bits instead of 16).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from titer.provenance.fingerprint._canonical import fraction
from titer.provenance.fingerprint._channels import Channel, Channels, integers, malformed
from titer.provenance.fingerprint._stream import Stream
from titer.provenance.fingerprint.fingerprint import Fingerprint, Limits, refuse, within

_BDF = b"\xffBIOSEMI"
_EDF = b"0       "
_PIECE = 1 << 20
_SIGNAL_BYTES = 256
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
# In EDF+ and BDF+ alone: elsewhere the label is a label, and readers take what stands there for samples.
_ANNOTATIONS = {b"EDF+": b"EDF Annotations", b"BDF+": b"BDF Annotations"}


@dataclass(frozen=True)
class _Signal:
    """Samples per record, and the channel's number; none for annotations."""

    samples: int
    channel: int | None


def recognizes(head: bytes) -> bool:
    """Whether the first bytes are those of an EDF or BDF file.

    >>> recognizes(b"0       " + bytes(248))
    False
    """
    return head[:8] in (_EDF, _BDF) and head[252:256].strip(b" ").isdigit() and len(head) >= 256


def read(stream: Stream, limits: Limits, channels: Channels) -> Fingerprint:
    """The fingerprint of one recording.

    Annotations are no samples and are left out. Refuses interrupted recordings (EDF+D), whose records have times of
    their own, unfinished ones, and bytes after the last record.
    """
    head = stream.take(256)
    width = 3 if head[:8] == _BDF else 2
    if head[192:197] in (b"EDF+D", b"BDF+D"):
        remedy = "fingerprint its uninterrupted parts as recordings of their own"
        raise refuse("unsupported.interrupted", "an uninterrupted recording", "EDF+D or BDF+D", remedy)
    records, count = _whole(head[236:244], "records"), _whole(head[252:256], "signals")
    within("limit.frames", "channels", count, limits.frames, "frames")
    within("limit.segments", "records", records, limits.segments, "segments")
    if _whole(head[184:192], "header bytes") != 256 + count * _SIGNAL_BYTES:
        raise malformed("header", "256 header bytes and 256 more per signal", "another number")
    duration = _number(head[244:252])
    marks = _ANNOTATIONS.get(head[192:196])
    signals = _signals(stream.take(count * _SIGNAL_BYTES), count, duration, marks, channels)
    sizes = [signal.samples * width for signal in signals]
    within("limit.object", "bytes", stream.at + records * sum(sizes), limits.object_bytes, "object_bytes")
    _samples(stream, signals, records, width, channels)
    if not stream.ended():
        raise malformed("trailing", "nothing after the last record", "more bytes")
    identifiers = {"patient": head[8:88], "recording": head[88:168], "start": head[168:184]}
    found = {name: value.strip(b" \0") for name, value in identifiers.items()}
    return channels.fingerprint(found, {"annotations": sum(signal.channel is None for signal in signals)})


def _signals(data: bytes, count: int, duration: Fraction, marks: bytes | None, channels: Channels) -> list[_Signal]:
    columns, at = [], 0
    for width in _WIDTHS:
        columns.append([data[at + number * width : at + (number + 1) * width] for number in range(count)])
        at += count * width
    signals = []
    for label, _, unit, low, high, least, most, _, samples, _ in zip(*columns, strict=True):
        number = None
        each = _whole(samples, "samples in a record")
        if label.strip(b" \0") != marks:
            if duration <= 0 or each == 0:
                raise malformed("rate", "a positive duration and number of samples", "zero or less")
            steps = _number(most) - _number(least)
            scale = (_number(high) - _number(low)) / steps if steps else Fraction(0)
            if not scale:
                raise malformed("scale", "a range of more than one value", "one value")
            offset = _number(low) - _number(least) * scale
            number = channels.open(Channel(label.strip(b" \0"), unit.strip(b" \0"), each / duration, scale, offset))
        signals.append(_Signal(each, number))
    return signals


def _samples(stream: Stream, signals: list[_Signal], records: int, width: int, channels: Channels) -> None:
    size = width * sum(signal.samples for signal in signals)
    many = _PIECE // max(1, size)
    if not size:
        return
    if many == 0:
        for _ in range(records):
            for signal in signals:
                _long(stream, signal, width, channels)
        return
    for start in range(0, records, many):
        rows = min(many, records - start)
        block = np.frombuffer(stream.take(rows * size), np.uint8).reshape(rows, size)
        at = 0
        for signal in signals:
            end = at + signal.samples * width
            if signal.channel is not None:
                channels.add(signal.channel, integers(block[:, at:end].tobytes(), width))
            at = end


def _long(stream: Stream, signal: _Signal, width: int, channels: Channels) -> None:
    """The samples of one signal in a record that is larger than one piece."""
    left = signal.samples
    while left:
        some = min(left, _PIECE // width)
        data = stream.take(some * width)
        left -= some
        if signal.channel is not None:
            channels.add(signal.channel, integers(data, width))


def _whole(data: bytes, what: str) -> int:
    text = data.strip(b" \0")
    if not text.isdigit():
        raise malformed("header", f"a number of {what}", "none, or one that is not yet known")
    return int(text)


def _number(data: bytes) -> Fraction:
    return fraction(data.strip(b" \0").decode("ascii", "replace"))
