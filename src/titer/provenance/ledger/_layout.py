"""Which files a tree of a size has, and where time tokens stand beside it."""

from __future__ import annotations

import re

from titer.provenance.ledger.recompute import WIDTH, place

_PLACE = re.compile(r"tile/(entries|[0-7])((?:/x[0-9]{3}){0,6}/[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)

_TOKENS = re.compile(
    r"tokens/(?:list|(?:0|[1-9][0-9]{0,18})/(?:checkpoint|[a-z0-9][a-z0-9-]{0,62}\.(?:first|last)\.tsr))", re.ASCII
)


def parse_place(path: str) -> tuple[int | str, int, int] | None:
    """Level, number and width of a tile's path; None for what is no such path.

    >>> parse_place("tile/0/x001/x234/067"), parse_place("tile/entries/005.p/17"), parse_place("tile/0/../1")
    ((0, 1234067, 256), ('entries', 5, 17), None)
    """
    match = _PLACE.fullmatch(path)
    if match is None:
        return None
    level: int | str = match[1] if match[1] == "entries" else int(match[1])
    number, width = int(match[2].replace("/", "").replace("x", "")), int(match[3] or WIDTH)
    return (level, number, width) if place(level, number, width) == path else None


def is_token_place(path: str) -> bool:
    """Whether a path is that of the list of time tokens, a token, or the checkpoint under it.

    >>> is_token_place("tokens/list"), is_token_place("tokens/17/checkpoint"), is_token_place("tokens/17/tsa.first.tsr")
    (True, True, True)
    >>> is_token_place("tokens/../keys"), is_token_place("tokens/017/checkpoint")
    (False, False)
    """
    return _TOKENS.fullmatch(path) is not None


def expected(path: str, size: int) -> bool:
    """Whether the tree of a size, or a smaller one before it, has a file at this path.

    >>> expected("tile/0/000", 256), expected("tile/0/000.p/7", 3), expected("index.html", 256)
    (True, False, False)
    """
    told = parse_place(path)
    if told is None:
        return False
    level, number, width = told
    return (number * WIDTH + width) * (1 if isinstance(level, str) else WIDTH**level) <= size
