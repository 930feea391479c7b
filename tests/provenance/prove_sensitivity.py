"""Prints how many changes of how many each kind of image shows: bits, frames, overlays, attributes.

python tests/provenance/prove_sensitivity.py [--changes 2000]
"""

from __future__ import annotations

import argparse
import io
import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from acceptance import tell
from pydicom.data import get_testdata_file

from titer.provenance.fingerprint import explain_difference
from titer.provenance.fingerprint.dicom import Box, Difference, fingerprint

# Kind of image -> a file of pydicom.
KINDS = {
    "16-bit signed": "MR_small.dcm",
    "12 of 16 bits, overlay": "examples_overlay.dcm",
    "16-bit, JPEG 2000": "MR_small_jp2klossless.dcm",
    "8-bit RGB, JPEG 2000": "examples_jpeg2k.dcm",
    "16-bit, JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "8-bit RGB, RLE, 2 frames": "SC_rgb_rle_2frame.dcm",
    "8-bit YBR, halved chroma": "SC_ybr_full_422_uncompressed.dcm",
    "8-bit palette": "examples_palette.dcm",
    "32-bit dose, 15 frames": "rtdose.dcm",
    "1-bit segmentation": "liver_1frame.dcm",
}


@dataclass(frozen=True)
class Found:
    """How many changes were made, showed in `px` (or `hb`), and were named with the right frame and block."""

    changes: int
    seen: int
    placed: int


def plain(name: str) -> pydicom.Dataset:
    """A file of pydicom with uncompressed pixels."""
    data = pydicom.dcmread(get_testdata_file(name))
    if data.file_meta.TransferSyntaxUID.is_compressed:
        data.decompress(as_rgb=False)
    return data


def flips(name: str, changes: int, seed: int = 0) -> Found:
    """Single bits of the stored words, drawn at random over frames, pixels, samples and bits."""
    data = plain(name)
    file = bytearray(_written(data))
    start, size = file.rindex(data.PixelData), len(data.PixelData)
    then = fingerprint(bytes(file))
    frames = then.notes["frames"]
    chance = np.random.default_rng(seed)
    seen = placed = made = 0
    used = data.Rows * data.Columns * data.SamplesPerPixel * frames * data.BitsAllocated
    if "422" in data.PhotometricInterpretation:
        used = used * 2 // 3
    while made < changes:
        bit = int(chance.integers(min(used, size * 8)))
        if data.BitsAllocated > 1 and bit % data.BitsAllocated >= data.BitsStored:
            continue
        made += 1
        file[start + bit // 8] ^= 1 << bit % 8
        now = fingerprint(bytes(file))
        file[start + bit // 8] ^= 1 << bit % 8
        seen += now["px"] != then["px"] and now["rd"] == then["rd"]
        placed += _right(data, bit, list(explain_difference(then.opening, now)))
    return Found(changes, seen, placed)


def frames_swapped() -> Found:
    """Every pair of frames of a volume that differ, in each other's place."""
    data = plain("rtdose.dcm")
    pixels = data.pixel_array
    then, seen, placed, made = fingerprint(_written(data)), 0, 0, 0
    for one in range(len(pixels)):
        for other in range(one + 1, len(pixels)):
            if (pixels[one] == pixels[other]).all():
                continue
            made += 1
            swapped = pixels.copy()
            swapped[[one, other]] = pixels[[other, one]]
            data.PixelData = swapped.tobytes()
            now = fingerprint(_written(data))
            seen += now["px"] != then["px"]
            placed += {each.frame for each in explain_difference(then.opening, now)} == {one, other}
    return Found(made, seen, placed)


def overlays_added() -> Found:
    """One overlay plane in each of the sixteen groups, and one bit in one that is there."""
    seen = placed = 0
    then = fingerprint(_written(plain("MR_small.dcm")))
    for group in range(0x6000, 0x6020, 2):
        data = plain("MR_small.dcm")
        data.add_new((group, 0x0010), "US", 64)
        data.add_new((group, 0x0011), "US", 64)
        data.add_new((group, 0x3000), "OW", bytes(512))
        now = fingerprint(_written(data))
        seen += now["rd"] != then["rd"] and now["px"] == then["px"]
        placed += any(each.place == f"({group:04X},3000)" for each in explain_difference(then.opening, now))
    data = plain("examples_overlay.dcm")
    then = fingerprint(_written(data))
    changed = bytearray(data[0x60003000].value)
    changed[7] ^= 1
    data[0x60003000].value = bytes(changed)
    now = fingerprint(_written(data))
    seen += now["rd"] != then["rd"]
    placed += [each.place for each in explain_difference(then.opening, now)] == ["(6000,3000)"]
    return Found(17, seen, placed)


def found(changes: int) -> Iterator[tuple[str, Found]]:
    """All kinds in order."""
    for kind, name in KINDS.items():
        yield f"one bit: {kind}", flips(name, changes)
    yield "two frames swapped", frames_swapped()
    yield "overlay added or changed", overlays_added()


def tested() -> int:
    """How many tests of the other kinds pass, with each attribute inside and outside the `rd` table; 0 if one fails."""
    folder = Path(__file__).parent / "fingerprint"
    files = [folder / f"test_{name}.py" for name in ("rd", "signal", "volume", "text", "fhir", "x12", "row")]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *files], capture_output=True, text=True, check=False)
    passed = [word for word in done.stdout.splitlines()[-1].split(", ") if "passed" in word]
    return int(passed[0].split()[0]) if passed and done.returncode == 0 else 0


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--changes", type=int, default=2000, help="random changes of one bit per kind of image")
    changes = asked.parse_args().changes
    logging.disable(logging.CRITICAL)
    missed = made = seen = placed = 0
    print(f"{'change':<36}{'made':>7}{'detected':>10}{'placed':>8}{'seconds':>9}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        for name, each in found(changes):
            took, start = time.perf_counter() - start, time.perf_counter()
            print(f"{name:<36}{each.changes:>7}{each.seen:>10}{each.placed:>8}{took:>9.1f}", flush=True)
            missed += each.changes * 2 - each.seen - each.placed
            made, seen, placed = made + each.changes, seen + each.seen, placed + each.placed
    others = tested()
    print(f"attributes, samples, characters, codes, decimals, rows: {others or 'a test fails'}")
    tell(4, "one attribute, sample, character, code, decimal, row", f"{others} tests pass", held=others > 0)
    missed += not others
    words = f"{seen:,} of {made:,} changes of {len(KINDS)} kinds of images, {placed:,} named with frame and block"
    tell(4, "detected", words, held=not missed and changes >= 2000)
    return int(missed > 0)


def _right(data: pydicom.Dataset, bit: int, told: list[Difference]) -> bool:
    """Whether exactly one difference names the frame, and one box the block, of a changed bit."""
    [each] = told
    per_frame = data.Rows * data.Columns * data.SamplesPerPixel
    if "422" in data.PhotometricInterpretation:
        word = bit // data.BitsAllocated
        # Two pixels share four words.
        pixel = word // 4 * 2 + (word % 4 == 1)
        return each.frame == 0 and _inside(each.boxes, pixel // data.Columns, pixel % data.Columns)
    frame, word = divmod(bit // data.BitsAllocated, per_frame)
    if data.SamplesPerPixel > 1 and data.PlanarConfiguration == 1:
        pixel = word % (data.Rows * data.Columns)
    else:
        pixel = word // data.SamplesPerPixel
    right = _inside(each.boxes, pixel // data.Columns, pixel % data.Columns)
    return each.frame == frame and right


def _inside(boxes: tuple[Box, ...], row: int, column: int) -> bool:
    [box] = boxes
    inside = box.top <= row < box.bottom and box.left <= column < box.right
    small = box.bottom - box.top <= 64 and box.right - box.left <= 64
    return bool(inside and small)


def _written(data: pydicom.Dataset) -> bytes:
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
