"""Signals as channels of integers: what every format is brought to before it is hashed.

sg   per channel: number of samples and a digest over them as 32-bit little-endian integers; channels in order
rd   per channel: label, unit, rate, and the exact line from integers to physical values, as fractions

Physical values are never computed: floats would differ between programs in their last bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from titer.errors import FingerprintError
from titer.provenance.fingerprint._canonical import fraction_bytes, packed
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, Running, digest, refuse, within

_LEAST, _MOST = -(1 << 31), (1 << 31) - 1


@dataclass(frozen=True)
class Channel:
    """How the integers of one channel are read: `physical = scale * digital + offset`.

    Arguments
        label, unit: as the file writes them, without padding. rate: samples per second. scale: physical units per step;
        gain and baseline of WFDB are `1 / scale` and `-offset / scale`. delay: seconds from the start of the recording.
        source: what a coded label means, where a format has codes.

    >>> Channel(b"II", b"mV", Fraction(500), Fraction(1, 200)).canonical().count(b"1/200")
    1
    """

    label: bytes
    unit: bytes
    rate: Fraction
    scale: Fraction
    offset: Fraction = Fraction(0)
    delay: Fraction = Fraction(0)
    source: bytes = b""

    def canonical(self) -> bytes:
        """Bytes that no other reading has."""
        numbers = (self.rate, self.scale, self.offset, self.delay)
        return packed(self.label, self.unit, self.source, *map(fraction_bytes, numbers))


@dataclass
class Channels:
    """The channels of one recording, whose samples come in any interleaving.

    Arguments
        limits: `frames` bounds the channels, `pixels` the samples of one, `object_bytes` what is kept of all.
        keep: whether to keep the integers as well, see `kept`.
    """

    limits: Limits
    keep: bool = False
    _channels: list[Channel] = field(default_factory=list)
    _states: list[Running] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)
    _kept: list[list[bytes]] = field(default_factory=list)

    def open(self, channel: Channel) -> int:
        """Adds a channel behind the others; gives its number."""
        within("limit.frames", "channels", len(self._channels) + 1, self.limits.frames, "frames")
        self._channels.append(channel)
        self._states.append(Running("sg.channel", 1))
        self._counts.append(0)
        self._kept.append([])
        return len(self._channels) - 1

    def add(self, number: int, samples: NDArray[np.integer]) -> None:
        """The next samples of one channel; refuses integers beyond 32 bits."""
        self._counts[number] += samples.size
        within("limit.pixels", "samples in a channel", self._counts[number], self.limits.pixels, "pixels")
        if samples.dtype.itemsize > 4 and samples.size and not _LEAST <= samples.min() <= samples.max() <= _MOST:
            raise refuse(
                "unsupported.range", "samples of at most 32 bits with sign", "larger ones", "store them as captured"
            )
        raw = samples.astype("<i4").tobytes()
        self._states[number].update(raw)
        if self.keep:
            within("limit.object", "bytes of samples", 4 * sum(self._counts), self.limits.object_bytes, "object_bytes")
            self._kept[number].append(raw)

    def kept(self) -> tuple[tuple[Channel, NDArray[np.int32]], ...]:
        """Each channel with its integers, as they were digested."""
        return tuple(
            (channel, np.frombuffer(b"".join(pieces), "<i4"))
            for channel, pieces in zip(self._channels, self._kept, strict=True)
        )

    def fingerprint(self, identifiers: Mapping[str, bytes], notes: Mapping[str, int] | None = None) -> Fingerprint:
        """The digests of what was added. `identifiers`: name to canonical bytes; empty ones are left out."""
        if not self._channels:
            raise malformed("no_signal", "a recording with a signal", "none")
        values = [state.value() for state in self._states]
        forms = [channel.canonical() for channel in self._channels]
        made = [
            Digest(f"id.{name}", 1, digest(f"id.{name}", 1, [value])) for name, value in identifiers.items() if value
        ]
        made.append(Digest("rd", 1, digest("rd", 1, [packed(*forms)])))
        counted = (count.to_bytes(8, "big") + value for count, value in zip(self._counts, values, strict=True))
        made.append(Digest("sg", 1, digest("sg", 1, counted)))
        opening = {
            "channels": [value.hex() for value in values],
            "rd": [digest("rd.channel", 1, [form]).hex() for form in forms],
        }
        found = {"channels": len(values), "samples": sum(self._counts), **(notes or {})}
        return Fingerprint("signal", tuple(sorted(made, key=lambda each: each.name)), opening, found)


def integers(data: bytes, width: int, big: bool = False) -> NDArray[np.integer]:
    """Signed integers of 1 to 4 bytes.

    >>> integers(bytes([0xFF, 0xFF, 0xFF, 1, 0, 0]), 3).tolist()
    [-1, 1]
    """
    if width != 3:
        return np.frombuffer(data, f"{'>' if big else '<'}i{width}")
    parts = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
    whole = parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16
    return (whole ^ 0x800000) - 0x800000


def malformed(code: str, expected: str, got: str) -> FingerprintError:
    """The refusal of a recording that breaks its format; never quotes a value, which may name a person."""
    return refuse(f"malformed.{code}", expected, got, "export the recording again from where it was captured")
