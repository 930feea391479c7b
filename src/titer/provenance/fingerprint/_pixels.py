"""Pixels in one form, whatever wrote them: stored values in blocks of 64 x 64, and what lies beside the stored bits."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.provenance.fingerprint._elements import malformed
from titer.provenance.fingerprint._stream import Stream
from titer.provenance.fingerprint._tree import leaf_hash, root
from titer.provenance.fingerprint.fingerprint import Digest, digest, refuse

BLOCK = 64
_FIRST_CHROMA = ("YBR_FULL_422", "YBR_PARTIAL_422")

Words = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Frame:
    """What the header says about each frame.

    Arguments
        rows, columns, samples: shape. allocated, stored, high: bits per word, bits in use, position of the highest.
        sign: 0 unsigned, 1 two's complement, 2 floating point.
        planar: whether whole color planes follow each other. photometric: as stored.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high: int
    sign: int
    planar: bool
    photometric: str

    @property
    def header(self) -> bytes:
        """Rows, columns, samples, BitsStored and sign: what the stored values need to be read."""
        return struct.pack(">IIHHB", self.rows, self.columns, self.samples, self.stored, self.sign)

    @property
    def halved(self) -> bool:
        """Whether native words hold two pixels in four samples."""
        return self.photometric in _FIRST_CHROMA and self.samples == 3

    @property
    def bits(self) -> int:
        """Bits of one native frame."""
        count = self.rows * self.columns * (2 if self.halved else self.samples)
        return count * self.allocated

    @property
    def words(self) -> np.dtype[Any]:
        """Type of one native word, without sign."""
        return np.dtype(f"<u{max(1, self.allocated // 8)}")

    @property
    def values(self) -> np.dtype[Any]:
        """Type of one canonical value: the narrowest of 1, 2, 4 or 8 bytes that holds BitsStored."""
        width = next(each for each in (1, 2, 4, 8) if each * 8 >= self.stored)
        return np.dtype(f"<{'i' if self.sign == 1 else 'u'}{width}")


def canonical(words: Words, frame: Frame) -> tuple[Words, bytes]:
    """Stored values of one frame, and what the bits outside BitsStored hold.

    Arguments
        words: unsigned native words, (rows, columns, samples). frame: their header.

    Returns the values masked to BitsStored and sign-extended, and the leaf for `hb`: one zero byte where the other bits
    of all words are zero, or of all words copies of the sign; else a digest of these bits.

    >>> frame = Frame(1, 2, 1, 16, 12, 11, 1, False, "MONOCHROME2")
    >>> values, outside = canonical(np.array([[[0x0FFF], [0x07FF]]], dtype="<u2"), frame)
    >>> values.ravel().tolist(), outside
    ([-1, 2047], b'\\x00')
    """
    width = words.dtype.itemsize * 8
    if frame.stored == width:
        return words.view(frame.values), b"\0"
    above, below = width - 1 - frame.high, frame.high + 1 - frame.stored
    aligned = np.left_shift(words, above) if above else words
    filled = np.right_shift(aligned.view(f"<i{words.dtype.itemsize}") if frame.sign == 1 else aligned, above + below)
    clean = _clean(words, filled.view(words.dtype), frame, below)
    outside = b"\0"
    if not clean:
        mask = (1 << frame.stored) - 1 << below
        rest = np.bitwise_and(words, words.dtype.type((1 << width) - 1 ^ mask))
        outside = b"\1" + hashlib.sha256(bytes([width]) + np.ascontiguousarray(rest).tobytes()).digest()
    return filled.astype(frame.values, copy=False), outside


def _clean(words: Words, filled: Words, frame: Frame, below: int) -> bool:
    """Whether the bits outside are all zero, or all copies of the sign."""
    placed = np.left_shift(filled, below) if below else filled
    if np.array_equal(placed, words):
        return True
    if frame.sign != 1:
        return False
    kept = words.dtype.type((1 << frame.stored) - 1 << below)
    return bool(np.array_equal(np.bitwise_and(words, kept), words))


def block_hashes(values: Words) -> bytes:
    """RFC 6962 leaf hashes of the blocks of a frame, row by row; blocks at the right and lower edge are smaller.

    >>> len(block_hashes(np.zeros((65, 64, 1), dtype="<u2"))) // 32
    2
    """
    rows, columns, samples = values.shape
    width = samples * values.dtype.itemsize
    hashes = []
    # Whole blocks of a band are laid one after the other, each behind the 0x00 of its leaf, and hashed in place.
    whole = columns // BLOCK
    for top in range(0, rows, BLOCK):
        band = np.ascontiguousarray(values[top : top + BLOCK]).view(np.uint8)
        height = band.shape[0]
        band = band.reshape(height, columns * width)
        size = height * BLOCK * width
        if whole:
            laid = np.zeros((whole, 1 + size), dtype=np.uint8)
            part = band[:, : whole * BLOCK * width].reshape(height, whole, BLOCK * width)
            laid[:, 1:].reshape(whole, height, BLOCK * width)[...] = part.transpose(1, 0, 2)
            hashes += [hashlib.sha256(block).digest() for block in laid]
        if whole * BLOCK < columns:
            hashes.append(leaf_hash(band[:, whole * BLOCK * width :].tobytes()))
    return b"".join(hashes)


class Pictures:
    """`px` and `hb` under way: frames go in one by one.

    Arguments
        frame: their header. keep: gets the values of each frame as they are digested.
    """

    def __init__(self, frame: Frame, keep: Callable[[Words], None] | None = None) -> None:
        self._frame, self._keep = frame, keep
        self._frames: list[bytes] = []
        self._blocks: list[str] = []
        self._outside: list[bytes] = []

    def add(self, words: Words) -> None:
        """One frame of native words, (rows, columns, samples)."""
        values, outside = canonical(words, self._frame)
        hashes = block_hashes(values)
        if self._keep is not None:
            self._keep(values)
        self._frames.append(leaf_hash(frame_digest(self._frame.header, hashes)))
        self._blocks.append(base64.b64encode(hashes).decode("ascii"))
        self._outside.append(outside)

    def px(self) -> Digest:
        """The digest over all frames."""
        pieces = (struct.pack(">I", len(self._frames)), root(self._frames))
        return Digest("px", 1, digest("px", 1, pieces))

    def hb(self) -> Digest:
        """The statement about the bits outside BitsStored: clean, or their digest."""
        if not self.dirty:
            return Digest("hb", 1, digest("hb", 1, [b"\0"]))
        tree = root([leaf_hash(each) for each in self._outside])
        return Digest("hb", 1, digest("hb", 1, [b"\1", struct.pack(">I", len(self._outside)), tree]))

    @property
    def dirty(self) -> int:
        """How many frames hold anything outside BitsStored."""
        return sum(each != b"\0" for each in self._outside)

    def opening(self) -> dict[str, Any]:
        """Header and block hashes of each frame, for `explain_difference`."""
        return {"header": self._frame.header.hex(), "frames": list(self._blocks)}


def frame_digest(header: bytes, hashes: bytes) -> bytes:
    """The digest of one frame: its header and the root over its block hashes."""
    leaves = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    return digest("px.frame", 1, [header, root(leaves)])


def native_frames(stream: Stream, frame: Frame, count: int, length: int, swapped: bool) -> Iterator[Words]:
    """Frames of uncompressed words, one in memory at a time.

    Arguments
        length: of the whole element in bytes. swapped: 16-bit words in big-endian order, as `OW` has in that syntax.

    Refuses words of more than 16 bits in big-endian order, because toolkits disagree on them.
    """
    if swapped and frame.allocated > 16:
        raise refuse(
            "unsupported.byte_order",
            "big-endian words of at most 16 bits",
            f"{frame.allocated} bits",
            "convert it where it was captured: toolkits disagree on the order of longer words",
        )
    needed = -(-frame.bits * count // 8)
    if length not in (needed, needed + needed % 2):
        raise malformed("pixels", f"{needed} bytes of pixels", f"{length}")
    supply = _Supply(stream, swapped)
    for _ in range(count):
        if frame.allocated == 1:
            yield _shaped(supply.bits(frame.bits), frame)
        else:
            yield _shaped(np.frombuffer(supply.bytes(frame.bits // 8), dtype=frame.words), frame)
    stream.skip(length - (supply.taken))


class _Supply:
    """Words of a native element across the borders of frames, which may lie inside a byte or a 16-bit word."""

    def __init__(self, stream: Stream, swapped: bool) -> None:
        self._stream, self._swapped = stream, swapped
        self._rest = b""
        self._bits = np.zeros(0, dtype=np.uint8)
        self.taken = 0

    def bytes(self, count: int) -> bytes:
        need = count - len(self._rest)
        if not self._swapped:
            self.taken += count
            return self._stream.take(count)
        need += need % 2
        fresh = self._stream.take(need)
        self.taken += need
        data = self._rest + np.frombuffer(fresh, dtype="<u2").byteswap().tobytes()
        self._rest = data[count:]
        return data[:count]

    def bits(self, count: int) -> Words:
        need = max(0, -(-(count - self._bits.size) // 8))
        fresh = np.unpackbits(np.frombuffer(self.bytes(need), dtype=np.uint8), bitorder="little")
        bits = np.concatenate([self._bits, fresh])
        self._bits = bits[count:]
        return bits[:count]


def _shaped(words: Words, frame: Frame) -> Words:
    if frame.halved:
        # Two pixels share one pair of chroma samples: Y1 Y2 Cb Cr (PS3.3 C.7.6.3.1.2).
        pairs = words.reshape(frame.rows, frame.columns // 2, 4)
        full = np.empty((frame.rows, frame.columns // 2, 2, 3), dtype=words.dtype)
        full[..., 0] = pairs[..., :2]
        full[..., 1:] = pairs[..., None, 2:]
        return full.reshape(frame.rows, frame.columns, 3)
    return shaped(words, frame, frame.planar)


def shaped(words: Words, frame: Frame, planar: bool) -> Words:
    """Flat words as (rows, columns, samples)."""
    if planar and frame.samples > 1:
        return words.reshape(frame.samples, frame.rows, frame.columns).transpose(1, 2, 0)
    return words.reshape(frame.rows, frame.columns, frame.samples)
