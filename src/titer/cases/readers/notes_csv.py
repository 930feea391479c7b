"""Clinical notes in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.dataset import Dataset
from titer.cases.files.table import header, is_table, need, read_table
from titer.cases.notes import Encoded, encode_notes, synonyms_within, tokenize
from titer.cases.options import whole
from titer.cases.reader import Reader
from titer.cases.readers._common import About, finish
from titer.cases.readers._index import index_of
from titer.errors import DataError


class NotesCsv(Reader):
    """Notes with labels: columns `text`, `label`, and if wanted `patient`, `split` and subgroups.

    Words are small letters and numbers without signs. The vocabulary holds the words that occur in most notes; others
    become `<unknown>`, and words beyond `length` are left out; the data card says how many.

    Options
        length: words per note (128). words: size of the vocabulary (4000).
        synonyms: path of a table with columns `word` and `synonym`, relative to the notes; needed to attack by
            substitution.
        text, label, patient, split: names of the columns. groups: names of subgroup columns.
        title, licence, citation, source, task, classes, positive: as for all readers.
    """

    name: ClassVar[str] = "notes_csv"
    formats: ClassVar[str] = "CSV or TSV of notes, also .gz and .xz"

    def accepts(self, path: Path) -> bool:
        return is_table(path) and {"text", "label"} <= set(header(path))

    def read(
        self,
        path: Path,
        *,
        length: int = 128,
        words: int = 4000,
        synonyms: str | None = None,
        text: str = "text",
        label: str = "label",
        patient: str = "patient",
        split: str = "split",
        groups: Any = None,
        **more: Any,
    ) -> Dataset:
        about = About.taken(more, self.read)
        whole(length, "length", 1, 8192)
        whole(words, "words", 3, 100_000)
        frame = read_table(path)
        index = index_of(
            frame, path, name=text, label=label, patient=patient, split=split, groups=groups, options=("text", "label")
        )
        encoded = encode_notes(index.names, length=length, words=words)
        check_notes(encoded, path.name)
        pairs = read_synonyms(path.parent / synonyms) if synonyms else []
        keyed = "patient column of the table" if index.patients is not None else ""
        card = about.card(path, "notes", keyed=keyed, cautions=coverage(encoded))
        known = synonyms_within(pairs, encoded.space.vocabulary)
        return finish(card, encoded.space, encoded.tokens, index, about.encoded(index.cells), synonyms=known)


def check_notes(encoded: Encoded, what: str) -> None:
    """Refuse notes without words."""
    empty = np.flatnonzero((encoded.tokens == 0).all(axis=1))
    if len(empty):
        raise DataError(
            f"words in every note of {what}", f"none in line {empty[0] + 2} ({len(empty)} notes)", "drop or fill them"
        )


def coverage(encoded: Encoded) -> tuple[str, ...]:
    """What encoding left out, in words."""
    return (
        f"The first {encoded.space.shape[0]} words of a note are kept ({encoded.kept:.0%} of all words).",
        f"{1 - encoded.known:.1%} of the kept words are outside the vocabulary.",
    )


def read_synonyms(path: Path) -> list[tuple[str, str]]:
    """Pairs of single words of one meaning, from columns `word` and `synonym`."""
    frame = read_table(path)
    need(frame, "word", path, "synonyms")
    need(frame, "synonym", path, "synonyms")
    pairs = []
    for row, both in enumerate(zip(frame["word"], frame["synonym"], strict=True)):
        split = [tokenize(cell) for cell in both]
        if any(len(each) != 1 for each in split):
            raise DataError(f"single words in {path.name}", f"{both} in line {row + 2}", "leave phrases out")
        pairs.append((split[0][0], split[1][0]))
    return pairs
