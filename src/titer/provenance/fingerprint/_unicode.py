"""Canonical text piece by piece, and counts of characters that people do not see but models do.

NFC (Unicode Standard Annex 15) can be computed in pieces that begin where nothing before can change or join what
follows: at a character whose canonical decomposition begins with a starter that is the second half of no composition.

NFC is stable over versions of Unicode only for characters that have a meaning in the version at hand, so others are
refused: an older machine then cannot decide, instead of deciding otherwise.
"""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from titer.provenance.fingerprint.fingerprint import refuse

# Far above any language and the 30 of the Stream-Safe Text Format (UAX 15, section 13); longer runs take long to sort.
LONGEST_RUN = 255
_PIECE = 1 << 16
_ORDINARY_WORD = 64
_LETTERS = re.compile(r"[^\W\d_]+")
# Unicode's Bidi_Control property.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Unicode's Default_Ignorable_Code_Point property without the bidirectional controls and what is unassigned.
_UNSEEN_RANGES = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200D),
    (0x2060, 0x2064), (0x206A, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0001, 0xE0001), (0xE0020, 0xE007F), (0xE0100, 0xE01EF),
)  # fmt: skip
_UNSEEN = frozenset(chr(code) for first, last in _UNSEEN_RANGES for code in range(first, last + 1))
# First words of names that are no script: what follows names it, or the letter belongs to all scripts.
_WIDTHS = ("FULLWIDTH ", "HALFWIDTH ")
_COMMON = frozenset((
    "ALEF", "BET", "GIMEL", "DALET", "BLACK-LETTER", "CARON", "DOUBLE-STRUCK", "EULER", "INFORMATION",
    "KATAKANA-HIRAGANA", "MASU", "MATHEMATICAL", "MICRO", "MODIFIER", "PLANCK", "SCRIPT", "VEDIC", "VERTICAL",
))  # fmt: skip
_OTHERWISE = dict.fromkeys(
    ("ANGSTROM", "FEMININE", "KELVIN", "MASCULINE", "ROMAN", "SUPERSCRIPT", "SUBSCRIPT", "TURNED"), "LATIN"
)
_OTHERWISE |= dict.fromkeys(("BOPOMOFO", "CJK", "HANGUL", "HENTAIGANA", "HIRAGANA", "IDEOGRAPHIC", "KATAKANA"), "CJK")
_OTHERWISE["OHM"] = "GREEK"


def canonical(pieces: Iterable[bytes]) -> Iterator[str]:
    """UTF-8 in pieces as text in NFC with one line feed per line end.

    Refuses what is no UTF-8, characters without a meaning in this machine's version of Unicode, and more than 255
    characters in a row that modify the one before.

    >>> "".join(canonical([b"caf", "e\\u0301".encode(), b"\\r", b"\\n"])) == "caf\\u00e9\\n"
    True
    """
    waiting = ""
    for text in _decoded(pieces):
        waiting += text
        if end := _last_start(waiting):
            yield _normal(waiting[:end])
            waiting = waiting[end:]
    if waiting:
        yield _normal(waiting)


class Oddities:
    """Counts over a text that comes in pieces.

    Attributes
        zero_width: characters that show nothing (Default_Ignorable_Code_Point), among them joiners and variation
            selectors of ordinary emoji. bidi: bidirectional controls. mixed_script: words, as runs of letters, in
            which two scripts meet. All are over the canonical text.

    >>> seen = Oddities()
    >>> seen.add("p\\u0430in\\u200b")
    >>> seen.counts()
    {'bidi': 0, 'mixed_script': 1, 'zero_width': 1}
    """

    def __init__(self) -> None:
        self._zero_width = self._bidi = self._mixed = 0
        # Scripts of a word that the last piece may have cut.
        self._open: frozenset[str] = frozenset()

    def add(self, text: str) -> None:
        """The next piece of the text."""
        if not text:
            return
        letters = frozenset("a") if text.isascii() else frozenset(text)
        self._bidi += sum(map(text.count, _BIDI & letters))
        self._zero_width += sum(map(text.count, _UNSEEN & letters))
        if not _LETTERS.match(text):
            self._close()
        if len(self._open.union(*map(_scripts, letters))) < 2:
            # Nothing can mix here; only a last word that may go on matters.
            last = _last_word(text)
            self._open = _scripts(last) | (self._open if len(last) == len(text) else frozenset())
            return
        for word in _LETTERS.finditer(text):
            self._open |= _scripts(word[0])
            if word.end() < len(text):
                self._close()

    def counts(self) -> dict[str, int]:
        """The counts so far, a cut word as it stands."""
        mixed = self._mixed + (len(self._open) > 1)
        return {"bidi": self._bidi, "mixed_script": mixed, "zero_width": self._zero_width}

    def _close(self) -> None:
        self._mixed += len(self._open) > 1
        self._open = frozenset()


def script(letter: str) -> str:
    """The script of a letter, from its Unicode name; empty where the letter belongs to all scripts.

    A name begins with the script (`CYRILLIC SMALL LETTER A`), and names never change. Scripts that one language writes
    together (Han with the Japanese syllabaries, with Hangul, with Bopomofo) count as one, `CJK`; modifier and
    mathematical letters belong to all.

    >>> script("a"), script("\\u0430"), script("\\u00b5")
    ('LATIN', 'CYRILLIC', '')
    """
    name = unicodedata.name(letter, "")
    for width in _WIDTHS:
        name = name.removeprefix(width)
    first = name.split(" ", 1)[0]
    return "" if first in _COMMON else _OTHERWISE.get(first, first)


def _last_word(text: str) -> str:
    at = 0 if text.isalpha() else len(text)
    while at and _LETTERS.match(text[at - 1]):
        at -= 1
    return text[at:]


def _scripts(word: str) -> frozenset[str]:
    if len(word) > _ORDINARY_WORD:
        return frozenset().union(*map(_scripts_of_word, set(word)))
    return _scripts_of_word(word)


@lru_cache(maxsize=8192)
def _scripts_of_word(word: str) -> frozenset[str]:
    return frozenset(script(each) for each in set(word) if each.isalpha()) - {""}


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("strict"), translate=True)
    done = 0
    try:
        for piece in pieces:
            for at in range(0, len(piece), _PIECE):
                yield decoder.decode(piece[at : at + _PIECE])
                done += len(piece[at : at + _PIECE])
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise refuse(
            "malformed.utf8", "text in UTF-8", f"other bytes after {done} bytes", "send the text in UTF-8"
        ) from error


def _normal(text: str) -> str:
    """Text in NFC, once it is known that every version of Unicode agrees on it and that it does not take long."""
    if text.isascii():
        return text
    letters = set(text)
    for each in letters:
        if unicodedata.category(each) == "Cn" and not _is_noncharacter(ord(each)):
            raise refuse(
                "unsupported.unicode",
                f"characters of Unicode {unicodedata.unidata_version}",
                f"U+{ord(each):04X}, which it does not know",
                "decide on a machine with a newer Python",
            )
    joining = _joining().intersection(letters)
    if sum(map(text.count, joining)) > LONGEST_RUN and (found := _run().search(text)):
        got = f"{len(found[0])} or more"
        raise refuse(
            "limit.combining", f"at most {LONGEST_RUN} characters that join one", got, "send the text as written"
        )
    return unicodedata.normalize("NFC", text)


def _last_start(text: str) -> int:
    """Where the last character stands before which a text may be cut; 0 where there is none."""
    if text.isascii():
        return max(0, len(text) - 1)
    at = len(text) - 1
    while at > 0 and text[at] in _joining():
        at -= 1
    return max(0, at)


def _is_noncharacter(code: int) -> bool:
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


@cache
def _joining() -> frozenset[str]:
    """Characters that may change or join what stands before them."""
    first: dict[str, str] = {}
    second = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    # Planes 4 to 13 hold no characters, the last three only tags and private ones.
    for code in range(0x80, 0x40000):
        letter = chr(code)
        parts = unicodedata.decomposition(letter)
        if parts and not parts.startswith("<"):
            halves = [chr(int(part, 16)) for part in parts.split()]
            first[letter] = halves[0]
            second.update(halves[1:])
    found = set(second)
    for code in range(0x80, 0x40000):
        start = letter = chr(code)
        while start in first:
            start = first[start]
        if start in second or unicodedata.combining(start):
            found.add(letter)
    return frozenset(found)


@cache
def _run() -> re.Pattern[str]:
    letters = "".join(sorted(_joining()))
    return re.compile(f"[{letters}]{{{LONGEST_RUN + 1}}}")
