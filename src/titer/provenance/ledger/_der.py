"""Certificates of a time-stamp answer in the order that DER asks for.

Many authorities send them as they are configured, above all those that run OpenSSL, and strict readers then refuse the
answer. No signature covers that order, so to put it right changes nothing that was signed.
"""

from __future__ import annotations

_SEQUENCE, _FIRST = 0x30, 0xA0

# Answer -> token -> [0] -> signed data: which element to enter at each level, and its tag.
_WAY = ((0, _SEQUENCE), (1, _SEQUENCE), (1, _FIRST), (0, _SEQUENCE), (3, _FIRST))


def with_sorted_certificates(raw: bytes) -> bytes:
    """An answer with its certificates sorted; the same bytes where there is nothing to sort, or no answer at all."""
    start, end = 0, len(raw)
    try:
        for number, tag in _WAY:
            here = _elements(raw, start, end)
            if number >= len(here) or raw[here[number][0]] != tag:
                return raw
            _, start, end = here[number]
        parts = sorted(raw[first:last] for first, _, last in _elements(raw, start, end))
    except IndexError:
        return raw
    return raw[:start] + b"".join(parts) + raw[end:]


def _elements(raw: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """First byte, first byte of the content, and end of each element; IndexError where one goes beyond the end."""
    found = []
    while at < end:
        length, start = raw[at + 1], at + 2
        if length >= 0x80:
            start += length & 0x7F
            length = int.from_bytes(raw[at + 2 : start], "big")
        if start + length > end:
            raise IndexError
        found.append((at, start, start + length))
        at = start + length
    return found
