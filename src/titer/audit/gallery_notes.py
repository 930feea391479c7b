"""Notes word by word: what was replaced, put in or left out."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from titer.audit.report.schema import NoteToken
from titer.audit.table import Array
from titer.cases.space import Space

WITHHELD = "[withheld]"


def note_fields(
    clean: Array, attacked: Array, space: Space, shown: frozenset[int] | None = None
) -> dict[str, Any] | None:
    """Fields of a `NoteItem`; padding is left out, and a note without words gives None.

    Arguments
        clean, attacked: [L] token numbers.
        shown: token numbers that may be shown, from `shared_words`; the others are withheld. None shows all.
    """
    tokens = tuple(_tokens(*(_words(note, space, shown) for note in (clean, attacked))))
    return {"kind": "note", "tokens": tokens} if tokens else None


def _words(note: Array, space: Space, shown: frozenset[int] | None) -> list[str]:
    words = space.vocabulary
    return [
        words[number] if shown is None or number in shown else WITHHELD
        for number in map(int, note)
        if number != space.padding
    ]


def _tokens(before: list[str], after: list[str]) -> list[NoteToken]:
    if len(before) == len(after):
        return [_pair(one, two) for one, two in zip(before, after, strict=True)]
    made = []
    for _, first, last, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        made += [_pair(one, two) for one, two in zip_longest(before[first:last], after[start:end])]
    return made


def _pair(one: str | None, two: str | None) -> NoteToken:
    if one is None:
        return NoteToken(op="insert", text="", replacement=two)
    if two is None:
        return NoteToken(op="delete", text=one)
    if one == two:
        return NoteToken(op="equal", text=one)
    return NoteToken(op="replace", text=one, replacement=two)
