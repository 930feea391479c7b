"""DICOM waveforms (PS3.3, C.10.9): the stored integers of every multiplex group, channel by channel.

What a reader needs for them stands in `rd`: sampling frequency, sensitivity with its correction, baseline, units,
delay, label and the codes of the source. Filters that the device says it used, and annotations, are in neither digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from titer.provenance.fingerprint._canonical import fraction, packed
from titer.provenance.fingerprint._channels import Channel, Channels, integers, malformed
from titer.provenance.fingerprint._elements import Element, Walker
from titer.provenance.fingerprint._part10 import CHARSET, Identifiers, is_waveform, read_meta
from titer.provenance.fingerprint._rd import Texts
from titer.provenance.fingerprint._stream import Inflated, Stream
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, refuse

_GROUPS, _DEFINITIONS, _SOURCE, _MODIFIERS, _UNITS = 0x54000100, 0x003A0200, 0x003A0208, 0x003A0209, 0x003A0211
_COUNT, _SAMPLES, _RATE, _BITS, _FORM, _DATA = 0x003A0005, 0x003A0010, 0x003A001A, 0x54001004, 0x54001006, 0x54001010
_LABEL, _SENSITIVITY, _CORRECTION, _BASELINE = 0x003A0203, 0x003A0210, 0x003A0212, 0x003A0213
_GROUP_DELAY, _TIME_SKEW, _SAMPLE_SKEW, _OFFSET = 0x00181068, 0x003A0214, 0x003A0215, 0x003A0218
_CODE, _SCHEME, _LONG_CODE, _URN_CODE = 0x00080100, 0x00080102, 0x00080119, 0x00080120
_GROUP_TAGS = frozenset((_COUNT, _SAMPLES, _RATE, _BITS, _FORM, _GROUP_DELAY))
_CHANNEL_TAGS = frozenset((_LABEL, _SENSITIVITY, _CORRECTION, _BASELINE, _TIME_SKEW, _SAMPLE_SKEW, _OFFSET))
_CODE_TAGS = (_CODE, _SCHEME, _LONG_CODE, _URN_CODE)
# Sample interpretation: bytes, and whether they have a sign (PS3.3, C.10.9.1.5).
_FORMS = {b"SB": (1, True), b"UB": (1, False), b"SS": (2, True), b"US": (2, False), b"SL": (4, True), b"UL": (4, False)}
_PIECE = 1 << 20

Path = tuple[tuple[int, int], ...]

recognizes = is_waveform


def read(stream: Stream, limits: Limits, channels: Channels) -> Fingerprint:
    """The fingerprint of one file.

    Identifiers have the names and canonical forms that images give them. Refuses compressed samples (mu-law, A-law),
    32-bit samples in big-endian files, and groups whose description does not fit their data.
    """
    syntax = read_meta(stream, limits)
    dataset = Stream(Inflated(stream, limits), limits) if syntax.deflated else stream
    recording = _Recording(dataset, channels, syntax.little)
    for element in (walker := Walker(dataset, syntax.explicit, syntax.little, limits)).elements():
        recording.take(element, walker)
    return recording.finish()


@dataclass
class _Recording:
    """One recording under way."""

    stream: Stream
    channels: Channels
    little: bool
    texts: Texts = field(default_factory=lambda: Texts(""))
    named: Identifiers = field(default_factory=Identifiers)
    # Values of the group that is being read, by where they stand below it.
    group: dict[tuple[Path, int], bytes] = field(default_factory=dict)
    number: int = -1
    read: int = 0

    def take(self, element: Element, walker: Walker) -> None:
        path, tag = element.path, element.tag
        if not path:
            if self.named.wants(tag):
                self.named.keep(tag, walker.value(element))
            elif tag == CHARSET:
                self.texts = Texts(walker.value(element).strip(b" \0").decode("ascii", "replace"))
            return
        if path[0][0] != _GROUPS:
            return
        if path[0][1] != self.number:
            self._next(path[0][1])
        inside = path[1:]
        if inside == () and tag == _DATA:
            self._data(element)
            self.read += 1
        elif _wanted(inside, tag):
            self.group[inside, tag] = walker.value(element)

    def finish(self) -> Fingerprint:
        self._next(self.number + 1)
        made = self.channels.fingerprint({}, {"groups": self.read})
        found: list[Digest] = [*made.digests, *self.named.digests(self.texts)]
        return Fingerprint("signal", tuple(sorted(found, key=lambda each: each.name)), made.opening, made.notes)

    def _next(self, number: int) -> None:
        if self.read != self.number + 1 or number != self.number + 1:
            raise malformed("waveform", "samples in every multiplex group", "a group without")
        self.number, self.group = number, {}

    def _data(self, element: Element) -> None:
        """The samples of the group, after all that describes them."""
        count, samples = self._whole(_COUNT, 2), self._whole(_SAMPLES, 4)
        form = self.group.get(((), _FORM), b"").strip(b" \0")
        if form not in _FORMS or element.length is None:
            remedy = "store plain integers at capture"
            raise refuse("unsupported.samples", f"samples of {b', '.join(_FORMS).decode()}", "others", remedy)
        width, signed = _FORMS[form]
        if not self.little and (width == 4 or (width == 2 and element.vr != "OW")):
            got = f"{8 * width}-bit samples in {element.vr}"
            raise refuse("unsupported.byte_order", "words in the order of the file", got, "convert it at capture")
        size = count * samples * width
        if self._whole(_BITS, 2) != 8 * width or size == 0 or element.length != size + size % 2:
            raise malformed("waveform", "as many samples as the group describes", f"{element.length} bytes")
        first = [self.channels.open(channel) for channel in self._described(count)]
        frame = count * width
        many = max(1, _PIECE // frame)
        for start in range(0, samples, many):
            data = self.stream.take(min(many, samples - start) * frame)
            values = _values(data, width, signed, not self.little).reshape(-1, count)
            for at, number in enumerate(first):
                self.channels.add(number, values[:, at])
        self.stream.skip(size % 2)

    def _described(self, count: int) -> Iterator[Channel]:
        """How each channel of the group is read."""
        found: dict[int, dict[tuple[Path, int], bytes]] = {}
        for (inside, tag), value in self.group.items():
            if inside:
                found.setdefault(inside[0][1], {})[inside[1:], tag] = value
        if max(found, default=0) >= count:
            raise malformed("waveform", f"{count} descriptions of channels", "more")
        rate = _number(self.group.get(((), _RATE), b""), 0)
        if rate <= 0:
            raise malformed("rate", "a positive sampling frequency", "none")
        start = _number(self.group.get(((), _GROUP_DELAY), b""), 0) / 1000
        for at in range(count):
            yield self._channel(found.get(at, {}), rate, start)

    def _channel(self, values: dict[tuple[Path, int], bytes], rate: Fraction, start: Fraction) -> Channel:
        own = {tag: value for (inside, tag), value in values.items() if not inside}
        codes = sorted((inside, tag, self.texts.canonical(value)) for (inside, tag), value in values.items() if inside)
        unit = next((value for inside, _, value in codes if inside[0][0] == _UNITS), b"")
        source = [piece for inside, tag, value in codes for piece in (_place(inside, tag), value)]
        return Channel(
            label=self.texts.canonical(own.get(_LABEL, b"")),
            unit=unit,
            rate=rate,
            scale=_number(own.get(_SENSITIVITY, b""), 1) * _number(own.get(_CORRECTION, b""), 1),
            offset=_number(own.get(_BASELINE, b""), 0),
            delay=start
            + _number(own.get(_TIME_SKEW, b""), 0)
            + _number(own.get(_OFFSET, b""), 0)
            + _number(own.get(_SAMPLE_SKEW, b""), 0) / rate,
            source=packed(*source),
        )

    def _whole(self, tag: int, width: int) -> int:
        data = self.group.get(((), tag), b"")
        if len(data) != width:
            raise malformed("waveform", "a complete description of the group", "a number that is missing")
        return int.from_bytes(data, "little")


def _wanted(inside: Path, tag: int) -> bool:
    """Whether an element of a group says how its samples are read."""
    if not inside:
        return tag in _GROUP_TAGS
    if inside[0][0] != _DEFINITIONS:
        return False
    if len(inside) == 1:
        return tag in _CHANNEL_TAGS
    return len(inside) == 2 and inside[1][0] in (_SOURCE, _MODIFIERS, _UNITS) and tag in _CODE_TAGS


def _place(inside: Path, tag: int) -> bytes:
    return b"".join(each.to_bytes(4, "big") for pair in inside for each in pair) + tag.to_bytes(4, "big")


def _number(data: bytes, otherwise: int) -> Fraction:
    text = data.strip(b" \0").decode("ascii", "replace")
    return fraction(text) if text else Fraction(otherwise)


def _values(data: bytes, width: int, signed: bool, big: bool) -> NDArray[np.integer]:
    if signed:
        return integers(data, width, big)
    return np.frombuffer(data, f"{'>' if big else '<'}u{width}").astype(np.int64)
