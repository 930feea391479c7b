"""Clinical notes as token numbers: words, a vocabulary, and synonyms within it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from titer.cases.case import Array
from titer.cases.space import Space

PADDING, UNKNOWN = "<pad>", "<unknown>"
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+(?:\.\d+)?")


def tokenize(text: str) -> list[str]:
    """Words and numbers in small letters; signs are left out.

    >>> tokenize("Patient's BP was 120/80, no X-ray.")
    ["patient's", 'bp', 'was', '120', '80', 'no', 'x', 'ray']
    """
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def vocabulary(notes: Iterable[Sequence[str]], most: int) -> tuple[str, ...]:
    """Padding, the unknown word, and the words that occur in most notes; ties in the order of the alphabet.

    >>> vocabulary([["no", "pain"], ["chest", "pain"]], 4)
    ('<pad>', '<unknown>', 'pain', 'chest')
    """
    counts = Counter(word for note in notes for word in set(note))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return (PADDING, UNKNOWN, *ranked[: most - 2])


@dataclass(frozen=True, eq=False)
class Encoded:
    """Notes as numbers.

    Arguments
        tokens: [n, L] token numbers. space: with the vocabulary. known: share of words that are in the vocabulary.
        kept: share of words that are within the first L.
    """

    tokens: Array
    space: Space
    known: float
    kept: float


def encode_notes(texts: Sequence[str], *, length: int, words: int) -> Encoded:
    """First `length` words of each note as numbers of a vocabulary of at most `words`, made from all notes.

    >>> encode_notes(["no pain", "chest pain"], length=3, words=10).tokens.tolist()
    [[4, 2, 0], [3, 2, 0]]
    """
    notes = [tokenize(text) for text in texts]
    names = vocabulary(notes, words)
    index = {word: number for number, word in enumerate(names)}
    tokens = np.zeros((len(notes), length), dtype=np.int64)
    for row, note in enumerate(notes):
        numbers = [index.get(word, 1) for word in note[:length]]
        tokens[row, : len(numbers)] = numbers
    total = max(sum(map(len, notes)), 1)
    inside = int((tokens > 0).sum())
    space = Space("tokens", (length,), "word", vocabulary=names, padding=0)
    return Encoded(tokens, space, float((tokens > 1).sum()) / max(inside, 1), inside / total)


def synonyms_within(pairs: Iterable[tuple[str, str]], names: Sequence[str]) -> Mapping[int, tuple[int, ...]]:
    """Pairs of words of one meaning as token numbers, both ways; pairs with a word outside the vocabulary are left out.

    >>> synonyms_within([("pain", "ache"), ("pain", "soreness")], ("<pad>", "<unknown>", "ache", "pain"))
    {2: (3,), 3: (2,)}
    """
    index = {word: number for number, word in enumerate(names)}
    found: dict[int, set[int]] = {}
    for left, right in pairs:
        a, b = index.get(left), index.get(right)
        if a is not None and b is not None and a != b:
            found.setdefault(a, set()).add(b)
            found.setdefault(b, set()).add(a)
    return {word: tuple(sorted(found[word])) for word in sorted(found)}
