"""Notes word by word: what was replaced, put in or left out."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from titer.audit.report.schema import NoteToken
from titer.audit.table import Array
from titer.cases.space import Space


def note_fields(clean: Array, attacked: Array, space: Space) -> dict[str, Any] | None:
    """Fields of a `NoteItem`; padding is left out, and a note without words gives None.

    Arguments
        clean, attacked: [L] token numbers.
    """
    tokens = tuple(_tokens(*(_words(note, space) for note in (clean, attacked))))
    return {"kind": "note", "tokens": tokens} if tokens else None


def _words(note: Array, space: Space) -> list[str]:
    return [space.vocabulary[int(number)] for number in note if int(number) != space.padding]


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
