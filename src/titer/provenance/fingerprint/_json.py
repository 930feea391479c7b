"""Strict JSON, read without rounding a number or losing a key, and written in the order of RFC 8785.

Parsers disagree about keys that come twice, about large numbers and about lone surrogates (RFC 8259, sections 4, 6
and 8.2), so two programs may see two different objects in the same bytes. Here the first and last are refused, and
numbers stay text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from itertools import accumulate
from json.encoder import encode_basestring
from typing import Any

from titer.errors import FingerprintError
from titer.provenance.fingerprint._canonical import decimal_text
from titer.provenance.fingerprint._stream import Source, opened
from titer.provenance.fingerprint.fingerprint import Limits, refuse, within

# Possessive, and ending at the end of the text at the latest: time grows with the length whatever the text is.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
# What the parser's and our own recursion bear on every platform, whatever the limits say.
_DEEPEST = 200
_REMEDY = "send JSON as RFC 8259 describes it"


class Number(str):
    """A number as it was written.

    >>> Number("1.50") == "1.50"
    True
    """

    __slots__ = ()


def read(source: Source, limits: Limits) -> Any:
    """The value in a JSON document: dictionaries, lists, strings, `Number`, `True`, `False` and `None`.

    Arguments
        source: UTF-8 (a byte order mark is ignored, as RFC 8259 allows). limits: `value_bytes` bounds the document,
            `depth` its nesting and `elements` its keys and members; all are checked before values are made.

    Refuses what is no JSON, keys that come twice in one object, lone surrogates, NaN and infinity.

    >>> read(b'{"dose": 1.50}', Limits())
    {'dose': '1.50'}
    """
    text = _text(source, limits)
    outline = _STRING.sub("", text)
    members = sum(map(outline.count, ",[{"))
    within("limit.elements", "members", members, limits.elements, "elements")
    deepest = max(accumulate(_STEP[each] for each in _BRACKET.findall(outline)), default=0)
    within("limit.depth", "values inside each other", deepest, min(limits.depth, _DEEPEST), "depth")
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_float=Number, parse_int=Number, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        raise refuse("malformed.json", "JSON", f"{error.msg} at character {error.pos}", _REMEDY) from error


def written(value: Any, number: Callable[[str], str] = decimal_text) -> bytes:
    """Bytes of a value as RFC 8785 orders and escapes them; numbers are written by `number`.

    >>> written({"b": Number("1.0"), "a": [None, True, "\\n"]})
    b'{"a":[null,true,"\\\\n"],"b":1}'
    """
    pieces: list[str] = []
    _write(value, number, pieces.append)
    try:
        return "".join(pieces).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _half() from error


def _write(value: Any, number: Callable[[str], str], put: Callable[[str], None]) -> None:
    if type(value) is str:
        put(encode_basestring(value))
    elif isinstance(value, Number):
        put(number(value))
    elif isinstance(value, dict):
        mark = "{"
        for key in ordered(value):
            put(f"{mark}{encode_basestring(key)}:")
            _write(value[key], number, put)
            mark = ","
        put("}" if value else "{}")
    elif isinstance(value, list):
        mark = "["
        for each in value:
            put(mark)
            _write(each, number, put)
            mark = ","
        put("]" if value else "[]")
    else:
        put({None: "null", True: "true", False: "false"}[value])


def ordered(keys: Iterable[str]) -> list[str]:
    """Keys as RFC 8785 sorts them: by their UTF-16 code units.

    >>> ordered(["\\ufb33", "\\U0001f600", "b", "a"]) == ["a", "b", "\\U0001f600", "\\ufb33"]
    True
    """
    found = list(keys)
    # Below the surrogates this is the order of characters, which is quicker to find.
    if "".join(found).isascii():
        return sorted(found)
    try:
        return sorted(found, key=lambda key: key.encode("utf-16-be"))
    except UnicodeEncodeError as error:
        raise _half() from error


def _half() -> FingerprintError:
    return refuse("malformed.unicode", "whole characters", "half of a surrogate pair", _REMEDY)


def _text(source: Source, limits: Limits) -> str:
    with opened(source, limits) as stream:
        data = stream.peek(limits.value_bytes + 1)
    within("limit.value", "bytes of JSON", len(data), limits.value_bytes, "value_bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("malformed.utf8", "UTF-8", f"other bytes at offset {error.start}", _REMEDY) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise refuse("malformed.duplicate_key", "each key once in an object", "one that comes twice", _REMEDY)
    return found


def _no_constant(name: str) -> Any:
    raise refuse("malformed.json", "a JSON number", name, _REMEDY)
