"""Strict JSON, read without rounding a number or losing a key, and written in the order of RFC 8785.

Parsers disagree about keys that come twice, about large numbers and about lone surrogates (RFC 8259, sections 4, 6
and 8.2), so two programs may see two different objects in the same bytes. Here the first and last are refused, and
numbers stay text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from json.encoder import encode_basestring
from typing import Any

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
    try:
        return "".join(_written(value, number)).encode("utf-8")
    except UnicodeEncodeError as error:
        raise refuse("malformed.unicode", "whole characters", "half of a surrogate pair", _REMEDY) from error


def _written(value: Any, number: Callable[[str], str]) -> Iterator[str]:
    if isinstance(value, Number):
        yield number(value)
    elif isinstance(value, str):
        yield encode_basestring(value)
    elif isinstance(value, dict):
        mark = "{"
        for key in sorted(value, key=utf16):
            yield f"{mark}{encode_basestring(key)}:"
            yield from _written(value[key], number)
            mark = ","
        yield "}" if value else "{}"
    elif isinstance(value, list):
        mark = "["
        for each in value:
            yield mark
            yield from _written(each, number)
            mark = ","
        yield "]" if value else "[]"
    else:
        yield {None: "null", True: "true", False: "false"}[value]


def utf16(key: str) -> bytes:
    """What RFC 8785 sorts keys by: their UTF-16 code units.

    >>> sorted(["\\ufb33", "\\U0001f600"], key=utf16) == ["\\U0001f600", "\\ufb33"]
    True
    """
    return key.encode("utf-16-be")


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
