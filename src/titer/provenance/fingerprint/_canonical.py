"""Small canonical forms that several kinds share: fields with their lengths, and decimal numbers without rounding."""

from __future__ import annotations

import re
from fractions import Fraction

from titer.provenance.fingerprint.fingerprint import refuse

_DECIMAL = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?)0*([0-9]+))?")
_EXPONENT_DIGITS = 18
# A fraction writes its zeros out: beyond this no gain, rate or range of an instrument lies.
_FRACTION_EXPONENT = 400
_FRACTION_DIGITS = 400


def packed(*fields: bytes) -> bytes:
    """Fields one after the other, each behind its length (8 bytes, big-endian): no two lists give the same bytes.

    >>> packed(b"ab", b"").hex()
    '000000000000000261620000000000000000'
    """
    return b"".join(len(each).to_bytes(8, "big") + each for each in fields)


def decimal_text(text: str) -> str:
    """The one spelling of a decimal number: digits as ECMAScript's Number::toString lays them out, never rounded.

    For a number that a double holds as its shortest decimal this is what RFC 8785 writes. Zero has no sign; the
    exponent may have up to 18 digits and is never expanded.

    Source: RFC 8785, section 3.2.2.3; ECMA-262, Number::toString. Exact digits instead of doubles are ours.

    >>> decimal_text("1.50"), decimal_text("-0.0"), decimal_text("1E-7"), decimal_text("0.10000000000000000001")
    ('1.5', '0', '1e-7', '0.10000000000000000001')
    """
    sign, digits, exponent = _parsed(text)
    point = exponent + len(digits)
    if not digits:
        return "0"
    if len(digits) <= point <= 21:
        body = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        body = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        body = f"0.{'0' * -point}{digits}"
    else:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        body = f"{digits[0]}{rest}e{point - 1:+d}"
    return sign + body


def fraction(text: str) -> Fraction:
    """A decimal number as an exact fraction; refuses magnitudes and precisions that no instrument has.

    >>> fraction("-0.25")
    Fraction(-1, 4)
    """
    sign, digits, exponent = _parsed(text)
    if abs(exponent) > _FRACTION_EXPONENT or len(digits) > _FRACTION_DIGITS:
        raise refuse("limit.number", "a number of ordinary size", f"{len(text)} characters", "write the number out")
    value = Fraction(int(digits or "0")) * Fraction(10) ** exponent
    return -value if sign else value


def fraction_bytes(value: Fraction) -> bytes:
    """A fraction in lowest terms as ASCII.

    >>> fraction_bytes(Fraction(2, 4))
    b'1/2'
    """
    return f"{value.numerator}/{value.denominator}".encode("ascii")


def _parsed(text: str) -> tuple[str, str, int]:
    """Sign, digits without zeros at either end, and the power of ten of the last digit."""
    found = _DECIMAL.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        # Not quoted: where a number should stand there may be a name.
        got = f"{len(text)} characters that are none"
        raise refuse("malformed.number", "a decimal number", got, "write it like 1.25 or 1.25e-3")
    if found[5] and len(found[5]) > _EXPONENT_DIGITS:
        got = f"{len(found[5])} digits"
        raise refuse("limit.exponent", f"an exponent of at most {_EXPONENT_DIGITS} digits", got, "write the number out")
    fractional = found[3] or ""
    digits = (found[2] + fractional).lstrip("0")
    exponent = int((found[4] or "") + found[5]) if found[5] else 0
    exponent += len(digits) - len(digits.rstrip("0")) - len(fractional)
    digits = digits.rstrip("0")
    return ("-" if found[1] == "-" and digits else ""), digits, exponent
