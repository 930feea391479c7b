"""Annotation files of WFDB in the MIT format, read without the library, which a damaged file can make run forever."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from titer.cases.case import Array
from titer.cases.files.bounds import read_bytes
from titer.errors import DataError

# Code of an annotation -> PhysioNet's symbol.
SYMBOLS = {
    1: "N", 2: "L", 3: "R", 4: "a", 5: "V", 6: "F", 7: "J", 8: "A", 9: "S", 10: "E", 11: "j", 12: "/", 13: "Q",
    14: "~", 16: "|", 18: "s", 19: "T", 20: "*", 21: "D", 22: '"', 23: "=", 24: "p", 25: "B", 26: "^", 27: "t",
    28: "+", 29: "u", 30: "?", 31: "!", 32: "[", 33: "]", 34: "e", 35: "n", 36: "@", 37: "x", 38: "f", 39: "(",
    40: ")", 41: "r",
}  # fmt: skip
_SKIP, _NUMBER, _SUBTYPE, _CHANNEL, _TEXT, _NOTE = 59, 60, 61, 62, 63, 22
_RATE = re.compile(rb"^## time resolution: ([0-9.]+)")


@dataclass(frozen=True, eq=False)
class Beats:
    """Annotations of a record.

    Arguments
        samples: [n] sample numbers. symbols: [n] PhysioNet symbols; custom codes become "".
        rate: samples per second that the file counts in, where it says so.
    """

    samples: Array
    symbols: Array
    rate: float | None = None


def read_beats(base: Path, extension: str, what: str) -> Beats:
    """Annotations of a record, for example of `100.atr`.

    Words of 16 bits hold a code (6 bits) and the samples since the last mark (10 bits); codes from 59 on skip further,
    or describe the mark before them. A zero word ends the file.

    Source: annot(5), WFDB Applications Guide, PhysioNet, doi 10.13026/gjvw-1m31.
    """
    if not extension.isalnum():
        raise DataError("an annotation name such as 'atr'", repr(extension), "give the ending of the annotation file")
    data = read_bytes(base.parent / f"{base.name}.{extension}", f"annotations of {what}")
    if len(data) < 2 or len(data) % 2 or data[-2:] != b"\0\0":
        raise DataError(f"annotations of {what} with their end mark", "a file that was cut off", "copy it again")
    words = np.frombuffer(data, dtype="<u2")
    return _decoded(data, (words >> 10).astype(np.int64), (words & 1023).astype(np.int64), what)


def _decoded(data: bytes, codes: Array, values: Array, what: str) -> Beats:
    samples: list[int] = []
    symbols: list[str] = []
    rate = None
    now, place, last = 0, 0, len(codes) - 1
    while place < last:
        code, value = int(codes[place]), int(values[place])
        place += 1
        if code == 0 and value == 0:
            raise DataError(f"one end mark in the annotations of {what}", "another before it", "copy it again")
        if code == _SKIP:
            if place + 2 > last:
                raise DataError(f"whole annotations of {what}", "a cut-off one", "copy it again")
            high, low = data[2 * place : 2 * place + 2], data[2 * place + 2 : 2 * place + 4]
            now += int.from_bytes(low + high, "little", signed=True)
            place += 2
        elif code == _TEXT:
            text = data[2 * place : 2 * place + value]
            place += (value + 1) // 2
            found = _RATE.match(text)
            if found and now == 0 and symbols and symbols[-1] == SYMBOLS[_NOTE]:
                rate = float(found.group(1))
        elif code not in (_NUMBER, _SUBTYPE, _CHANNEL):
            now += value
            # Code 0 marks nothing; writers use it to move on.
            if code:
                samples.append(now)
                symbols.append(SYMBOLS.get(code, ""))
    if place != last or now < 0 or rate == 0:
        raise DataError(f"whole annotations of {what}", "a cut-off or damaged one", "copy it again")
    return Beats(np.array(samples, dtype=np.int64), np.array(symbols, dtype="U1"), rate)
