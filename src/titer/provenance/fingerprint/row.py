"""One row of a table: `tr`, over column names in order, declared types and exact values.

What stands for what: a number is its exact decimal value (1.50 is 1.5, an integer is a number); a `double` is its 64
bits; text has the canonical form of `text.py`; a missing value is none of these and differs from empty text and zero.
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Mapping
from decimal import Decimal
from io import IOBase
from pathlib import Path
from typing import Any

from titer.errors import PlanError, did_you_mean
from titer.provenance.fingerprint._canonical import decimal_text, packed
from titer.provenance.fingerprint._json import Number, read, written
from titer.provenance.fingerprint._stream import Source
from titer.provenance.fingerprint._unicode import canonical
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, digest, refuse, within

TYPES = ("binary", "boolean", "date", "double", "number", "text", "timestamp")
_REMEDY = "declare the type of the column and give its values as that type"
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_TRUTH = {"true": b"\1", "false": b"\0"}


def fingerprint(
    source: Mapping[str, Any] | Source, limits: Limits | None = None, *, types: Mapping[str, str] | None = None
) -> Fingerprint:
    """The fingerprint of one row.

    Arguments
        source: column name to value (`None` is missing), or a flat JSON object as bytes, path or open binary file.
        limits: `elements` bounds the columns, `value_bytes` each value.
        types: column name to one of `number`, `double`, `text`, `boolean`, `date`, `timestamp` and `binary`. Without
            it a value's own type is declared: int and Decimal as number, float as double, str as text, and so on.
            With it, text (as from a CSV file) is read as the type that its column declares, and every column must
            be named.

    Refuses (`FingerprintError`, with a code) values that do not fit their type, doubles that are not a number, and
    names that are equal in NFC. A timestamp with an offset is compared in UTC, one without stays local.

    >>> one = fingerprint({"age": "61.0", "note": ""}, types={"age": "number", "note": "text"})
    >>> two = fingerprint(b'{"note": "", "age": 61}')
    >>> one["tr"] == two["tr"], one["tr"] == fingerprint({"age": 61, "note": None})["tr"]
    (True, False)
    """
    limits = limits or Limits()
    row = source if isinstance(source, Mapping) else _flat(source, limits)
    within("limit.elements", "columns", len(row), limits.elements, "elements")
    _check(types, row)
    cells: dict[bytes, bytes] = {}
    for name, value in row.items():
        key = _text(name, "a column name")
        if key in cells:
            raise refuse("malformed.duplicate_key", "each column once", "two names equal in NFC", "rename one")
        kind, content = _cell(name, value, types)
        within("limit.value", "bytes in a cell", len(content), limits.value_bytes, "value_bytes")
        cells[key] = packed(kind.encode("ascii"), content)
    parts = {key: packed(key, cells[key]) for key in sorted(cells)}
    made = Digest("tr", 1, digest("tr", 1, parts.values()))
    columns = {key.decode("utf-8"): digest("tr.cell", 1, [part]).hex() for key, part in parts.items()}
    missing = sum(value is None for value in row.values())
    return Fingerprint("row", (made,), {"columns": columns}, {"columns": len(row), "missing": missing})


def normal_form(source: Source, limits: Limits | None = None) -> bytes:
    """The row that `tr` is over, as a flat JSON object in the order of RFC 8785 with exact decimals and text in NFC.

    >>> normal_form(b'{"b": 1.50, "a": "x"}')
    b'{"a":"x","b":1.5}'
    """
    row = _flat(source, limits or Limits())
    made = {_text(name, "a column name").decode(): _plain(value) for name, value in row.items()}
    if len(made) < len(row):
        raise refuse("malformed.duplicate_key", "each column once", "two names equal in NFC", "rename one")
    return written(made)


def _plain(value: Any) -> Any:
    return _text(value, "text").decode() if type(value) is str else value


def _flat(source: Source, limits: Limits) -> Mapping[str, Any]:
    if not isinstance(source, (bytes, bytearray, memoryview, Path, str)) and not isinstance(source, IOBase):
        raise PlanError("a mapping or a JSON object", type(source).__name__, "give a dictionary of column to value")
    row = read(source, limits)
    if not isinstance(row, dict) or any(isinstance(each, (dict, list)) for each in row.values()):
        raise refuse("malformed.row", "a JSON object of plain values", "other JSON", "send one row as a flat object")
    return row


def _check(types: Mapping[str, str] | None, row: Mapping[str, Any]) -> None:
    for name, kind in (types or {}).items():
        if kind not in TYPES:
            raise PlanError(f"a type for {name!r}", repr(kind), f"{did_you_mean(kind, TYPES)}known: {', '.join(TYPES)}")
    if types is not None and (undeclared := sum(name not in types for name in row)):
        raise PlanError("a type for every column", f"{undeclared} columns without", "declare all or none")


def _cell(name: str, value: Any, types: Mapping[str, str] | None) -> tuple[str, bytes]:
    """Declared type and canonical bytes; a missing value has no type, since none can be seen in it."""
    if value is None:
        return "missing", b""
    kind = types[name] if types is not None else _own_type(value)
    content = _content(value, kind)
    if content is None:
        raise refuse("malformed.cell", f"a {kind}", type(value).__name__, _REMEDY)
    return kind, content


def _own_type(value: Any) -> str:
    # Order matters: a boolean is an int, a timestamp is a date, and a JSON number is text.
    for cls, kind in (
        (bool, "boolean"),
        ((int, Decimal, Number), "number"),
        (float, "double"),
        (str, "text"),
        ((bytes, bytearray), "binary"),
        (datetime.datetime, "timestamp"),
        (datetime.date, "date"),
    ):
        if isinstance(value, cls):
            return kind
    raise refuse("unsupported.type", f"a value of {', '.join(TYPES)}", type(value).__name__, _REMEDY)


def _content(value: Any, kind: str) -> bytes | None:
    """Canonical bytes of a value under its type; none where it does not fit."""
    plain = isinstance(value, str) and not isinstance(value, Number)
    if kind == "number" and isinstance(value, (int, Decimal, str)) and not isinstance(value, bool):
        return _number(value)
    if kind == "double" and isinstance(value, (float, str)):
        return _double(value)
    if kind == "text" and plain:
        return _text(value, "text")
    if kind == "boolean" and isinstance(value, bool):
        return b"\1" if value else b"\0"
    if kind == "boolean" and plain:
        return _TRUTH.get(value)
    if kind == "date":
        return _date(value)
    if kind == "timestamp":
        return _timestamp(value)
    if kind == "binary" and isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return None


def _number(value: int | Decimal | str) -> bytes:
    # By way of Decimal, which writes whole numbers of any length.
    text = str(Decimal(value)) if isinstance(value, int) else str(value)
    return decimal_text(text).encode("ascii")


def _double(value: float | str) -> bytes:
    # Python's own reader also takes spaces, underscores and words.
    number = float(decimal_text(value)) if isinstance(value, str) else value
    if number != number:  # noqa: PLR0124 - the one value that differs from itself
        raise refuse("malformed.cell", "a number", "NaN, which has many spellings", "give None for a missing value")
    return struct.pack(">d", number)


def _text(value: str, what: str) -> bytes:
    if not isinstance(value, str):
        raise refuse("malformed.cell", what, type(value).__name__, _REMEDY)
    try:
        data = value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise refuse("malformed.unicode", "whole characters", "half of a surrogate pair", _REMEDY) from error
    return "".join(canonical([data])).encode("utf-8")


def _date(value: Any) -> bytes | None:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat().encode("ascii")
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return datetime.date.fromisoformat(value).isoformat().encode("ascii")
        except ValueError:
            return None
    return None


def _timestamp(value: Any) -> bytes | None:
    if isinstance(value, str) and _TIMESTAMP.fullmatch(value):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime.datetime):
        return None
    zone = ""
    if value.utcoffset() is not None:
        try:
            value = value.astimezone(datetime.UTC)
        except OverflowError:
            return None
        zone = "Z"
    text: str = value.replace(tzinfo=None).isoformat(timespec="microseconds")
    return (text + zone).encode("ascii")
