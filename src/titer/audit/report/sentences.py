"""Sentences that remember where their numbers come from."""

from __future__ import annotations

import re
from typing import Any

from titer.audit.report.formats import bare, number, spoken
from titer.audit.report.paths import resolve
from titer.audit.report.schema import Draft, Index, Paragraph, Reference, Totals

Piece = str | Reference


class Writer:
    """Looks values up by path, so that what is written and where it stands cannot part."""

    def __init__(self, draft: Draft, totals: Totals, index: Index) -> None:
        self.draft = draft
        self.index = index
        self._tree: dict[str, Any] = draft.model_dump(mode="json")
        self._tree["index"] = index.model_dump(mode="json")
        self._tree["summary"] = {"totals": totals.model_dump(mode="json")}

    def word(self, path: str) -> Reference:
        """A string of the report, word for word."""
        return Reference(text=str(resolve(self._tree, path)), path=path)

    def number(self, path: str, unit: str = "count") -> Reference:
        """A number of the report, in the house's format for its unit."""
        return Reference(text=number(resolve(self._tree, path), unit), path=path)

    def measure(self, path: str, of: str = "") -> tuple[Piece, ...]:
        """A measure with its interval: '61.3% of cases (95% interval 57.3 to 65.1)'."""
        found = resolve(self._tree, path)
        unit = found["unit"]
        value = self.number(f"{path}.value", unit)
        if found["low"] is None:
            return value, of
        level = Reference(text=f"{100 * found['level']:g}%", path=f"{path}.level")
        low, high = (
            Reference(text=bare(found[end], unit).removesuffix("%"), path=f"{path}.{end}") for end in ("low", "high")
        )
        return value, of, " (", level, " interval ", low, " to ", high, ")"

    def limit(self, path: str) -> tuple[Piece, ...]:
        """A limit as people write it, with its unit where the label does not name it."""
        label, unit = self.word(f"{path}.label"), self.word(f"{path}.unit")
        if re.search(r"[^\W\d]", label.text):
            return (label,)
        said = spoken(unit.text)
        return (label, " ", unit if said == unit.text else said)

    def has(self, path: str) -> bool:
        """Whether the report says something there."""
        return resolve(self._tree, path) is not None


def paragraph(*pieces: Piece | tuple[Piece, ...]) -> Paragraph:
    """Pieces joined to a paragraph whose references stand in the order of the text.

    Words may not contain digits: a number must come as a reference.

    >>> paragraph("Of ", Reference(text="6", path="$.summary.totals.traps"), " traps all passed.").text
    'Of 6 traps all passed.'
    """
    flat = [part for piece in pieces for part in (piece if isinstance(piece, tuple) else (piece,))]
    loose = next((part for part in flat if isinstance(part, str) and re.search(r"\d", part)), None)
    if loose is not None:
        raise ValueError(f"a number without a source in {loose!r}")
    return Paragraph(
        text="".join(part if isinstance(part, str) else part.text for part in flat),
        references=tuple(part for part in flat if isinstance(part, Reference)),
    )
