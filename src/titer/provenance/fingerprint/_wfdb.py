"""WFDB records: a header and the files of samples that it names, in every format that stores integers as bits.

Source: Moody et al., WFDB Applications Guide: header(5), signal(5) (physionet.org/physiotools/wag).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from titer.provenance.fingerprint._canonical import fraction
from titer.provenance.fingerprint._channels import Channel, Channels, malformed
from titer.provenance.fingerprint._samples import BLOCKS, decode, least
from titer.provenance.fingerprint._stream import Source, Stream, opened
from titer.provenance.fingerprint.fingerprint import Fingerprint, Limits, refuse, within

_RECORD = re.compile(rb"[-\w]+(/\d+)?[ \t]+\d+([ \t]+[\d.].*)?")
_SIGNAL = re.compile(rb"(\S+)[ \t]+(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?([ \t].*)?")
_GAIN = re.compile(r"([^(/\s]+)(?:\((-?\d{1,10})\))?(?:/(\S+))?")
_FILE = re.compile(r"[\w~][-\w.~]*", re.ASCII)
_DEFAULT_RATE, _DEFAULT_GAIN = Fraction(250), Fraction(200)
_PIECE = 1 << 20
_DIGITS = 18


@dataclass(frozen=True)
class _Signal:
    """One line of the header."""

    file: str
    form: int
    frame: int
    start: int
    first: int
    channel: Channel


def recognizes(head: bytes) -> bool:
    """Whether the first bytes are those of a WFDB header.

    >>> recognizes(b"100 2 360 650000\\n100.dat 212 200 11 1024 995 -22131 0 MLII\\n")
    True
    """
    lines = _lines(head.split(b"\0", 1)[0])
    if not lines or not _RECORD.fullmatch(lines[0]):
        return False
    # The head may have cut the second line.
    return b"/" in lines[0].split()[0] or (len(lines) > 1 and _SIGNAL.fullmatch(lines[1]) is not None)


def read(header: Stream, folder: Callable[[str], Source], limits: Limits, channels: Channels) -> Fingerprint:
    """The fingerprint of one record.

    Arguments
        header: the `.hea` file. folder: gives a file of samples by its name, which is never a path.
        channels: where they go.

    Refuses records of several segments (each is a record of its own), skewed signals, FLAC formats, and files with
    more or fewer samples than the header says.
    """
    names, frames, signals = _header(header, limits)
    for signal in signals:
        channels.open(signal.channel)
    first = 0
    for group in _groups(signals):
        with opened(folder(group[0].file), limits) as stream:
            _Group(stream, group, first, channels).read(frames)
        first += len(group)
    return channels.fingerprint(names)


@dataclass
class _Group:
    """Signals that share a file, frame by frame."""

    stream: Stream
    signals: list[_Signal]
    first: int
    channels: Channels

    def read(self, frames: int | None) -> None:
        form, width = self.signals[0].form, sum(signal.frame for signal in self.signals)
        self.stream.skip(self.signals[0].start)
        self.sums = [signal.first for signal in self.signals]
        kept = np.zeros(0, np.int32)
        count = 0
        for samples in self._samples(form, None if frames is None else frames * width):
            joined = np.concatenate([kept, samples])
            whole = joined.size // width
            self._add(joined[: whole * width].reshape(whole, width), form)
            kept = joined[whole * width :]
            count += whole
        if kept.size:
            raise malformed("truncated", "whole frames", "a part of one at the end")
        if count == 0:
            raise malformed("no_signal", "a recording with samples", "none")

    def _samples(self, form: int, count: int | None) -> Iterator[NDArray[np.integer]]:
        """All samples of the file, in blocks; `count` of them, or up to its end."""
        size, held = BLOCKS[form]
        many = _PIECE // size
        while count is None and (data := self.stream.peek(many * size)):
            # Without a count an incomplete block says nothing certain.
            if len(data) % size:
                raise malformed("truncated", "whole blocks of samples", "a part of one at the end")
            yield decode(self.stream.take(len(data)), form)
        left = count or 0
        while left:
            some = min(left, many * held)
            need = least(form, some)
            data = self.stream.take(need) + bytes(-need % size)
            yield decode(data, form)[:some]
            left -= some
            if not left:
                # A last block may be filled up.
                rest = self.stream.peek(size)
                self.stream.skip(min(len(rest), -need % size))
        if not self.stream.ended():
            raise malformed("trailing", "as many samples as the header says", "more")

    def _add(self, frames: NDArray[np.integer], form: int) -> None:
        at = 0
        for number, signal in enumerate(self.signals):
            samples = frames[:, at : at + signal.frame].reshape(-1)
            if form == 8 and samples.size:
                # Differences: the header has the value before the first.
                samples = np.cumsum(samples, dtype=np.int64) + self.sums[number]
                self.sums[number] = int(samples[-1])
            self.channels.add(self.first + number, samples)
            at += signal.frame


def _lines(data: bytes) -> list[bytes]:
    lines = (line.strip(b" \t\r") for line in data.split(b"\n"))
    return [line for line in lines if line and not line.startswith(b"#")]


def _header(stream: Stream, limits: Limits) -> tuple[dict[str, bytes], int | None, list[_Signal]]:
    data = stream.peek(limits.value_bytes + 1)
    within("limit.value", "bytes of header", len(data), limits.value_bytes, "value_bytes")
    lines = _lines(data)
    if not lines or not _RECORD.fullmatch(lines[0]):
        raise malformed("header", "a line that names the record", "another beginning")
    name, count, *more = lines[0].split()
    if b"/" in name:
        remedy = "fingerprint each segment as a record of its own"
        raise refuse("unsupported.segments", "a record of one segment", "several", remedy)
    signals = _number(count, "signals")
    within("limit.frames", "channels", signals, limits.frames, "frames")
    if len(lines) != signals + 1:
        raise malformed("header", f"a line for each of {signals} signals", str(len(lines) - 1))
    rate = fraction(more[0].split(b"/")[0].decode("ascii", "replace")) if more else _DEFAULT_RATE
    if rate <= 0:
        raise malformed("rate", "a positive number of samples per second", "zero or less")
    frames = _number(more[1], "samples") if len(more) > 1 else 0
    found = [_signal(line, rate) for line in lines[1:]]
    # The record's name, and when it began.
    return {"record": name, "start": b" ".join(more[2:4])}, frames or None, found


def _signal(line: bytes, rate: Fraction) -> _Signal:
    found = _SIGNAL.fullmatch(line)
    if found is None:
        raise malformed("header", "a file and a format for each signal", "another line")
    file, form = found[1].decode("utf-8", "replace"), _number(found[2], "format")
    if form not in BLOCKS:
        raise refuse("unsupported.format", f"a format of {', '.join(map(str, BLOCKS))}", str(form), "convert it to one")
    if not _FILE.fullmatch(file):
        raise refuse("unsafe.path", "a plain file name beside the header", "another", "keep the files in one folder")
    frame = _number(found[3] or b"1", "samples in a frame")
    if frame < 1:
        raise malformed("rate", "at least one sample in a frame", "none")
    if _number(found[4] or b"0", "skew"):
        raise refuse("unsupported.skew", "signals that begin together", "a skewed one", "remove the skew at capture")
    # gain(baseline)/units, resolution, zero, initial value, checksum, block size, description
    fields = (found[6] or b"").decode("utf-8", "surrogateescape").split(None, 6)
    gain = _GAIN.fullmatch(fields[0]) if fields else None
    if fields and gain is None:
        raise malformed("header", "a gain", "another text")
    steps = (fraction(gain[1]) if gain else Fraction(0)) or _DEFAULT_GAIN
    zero = _signed(fields[2]) if len(fields) > 2 else 0
    baseline = int(gain[2]) if gain and gain[2] else zero
    first = _signed(fields[3]) if len(fields) > 3 else zero
    unit = (gain[3] if gain and gain[3] else "mV").encode("utf-8", "surrogateescape")
    label = (fields[6] if len(fields) > 6 else "").strip().encode("utf-8", "surrogateescape")
    channel = Channel(label, unit, rate * frame, 1 / steps, -baseline / steps)
    return _Signal(file, form, frame, _number(found[5] or b"0", "offset"), first, channel)


def _groups(signals: list[_Signal]) -> list[list[_Signal]]:
    """Runs of signals that share a file."""
    groups: list[list[_Signal]] = []
    for signal in signals:
        if groups and groups[-1][0].file == signal.file:
            groups[-1].append(signal)
        else:
            groups.append([signal])
    if len({group[0].file for group in groups}) != len(groups):
        raise malformed("header", "signals of one file beside each other", "others between them")
    if any({(each.form, each.start) for each in group} != {(group[0].form, group[0].start)} for group in groups):
        raise malformed("header", "one format and offset per file", "several")
    return groups


def _number(data: bytes, what: str) -> int:
    if not data.isdigit() or len(data) > _DIGITS:
        raise malformed("header", f"a number of {what}", "another text")
    return int(data)


def _signed(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", text):
        raise malformed("header", "a whole number", "another text")
    return int(text)
