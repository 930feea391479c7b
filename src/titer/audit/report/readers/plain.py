"""Each headline result in one sentence of everyday words, thirty at most."""

from __future__ import annotations

from titer.audit.report.headlines import Headline
from titer.audit.report.schema import Paragraph
from titer.audit.report.sentences import Piece, Writer, paragraph
from titer.audit.report.vocabulary import LEADING, harm_done

MOST_WORDS = 30


def finding(writer: Writer, headline: Headline) -> Paragraph:
    """The result for somebody who decides about patients; a long name of a model or limit gives way.

    The interval stands in the table beside it.
    """
    name = writer.word(f"$.cells[{headline.cell}].model")
    limit = (" within ", *writer.limit(f"$.cells[{headline.cell}].limit"))
    choices: tuple[tuple[Piece, tuple[Piece, ...]], ...] = ((name, limit), ("the model", limit), ("the model", ()))
    for called, within in choices:
        made = paragraph(*_sentence(writer, headline, called, within))
        if len(made.text.split()) <= MOST_WORDS:
            return made
    raise ValueError(f"a sentence of more than {MOST_WORDS} words: {made.text}")


def _sentence(writer: Writer, headline: Headline, called: Piece, within: tuple[Piece, ...]) -> tuple[Piece, ...]:
    cell, path = writer.draft.cells[headline.cell], f"$.cells[{headline.cell}]"
    names = LEADING[cell.metrics.kind]
    unit = getattr(cell.metrics, names.clean).unit
    before, after = (
        writer.number(f"{path}.metrics.{name}.value", unit) for name in (names.clean, names.attacked)
    )  # fmt: skip
    cases = writer.number(f"{path}.n_cases")
    start: tuple[Piece, ...]
    if harm_done(cell) <= 0:
        start = ("No attack that was tried", *within, " made ", called, " answer worse than before: ")
        return (*start, *_level(cell.metrics.kind, before), ", seen on ", cases, " cases.")
    start = ("When inputs are altered on purpose", *within, ", ", called)
    middle: dict[str, tuple[Piece, ...]] = {
        "classification": (" answers ", after, " of ", cases, " cases correctly instead of ", before, "."),
        "multilabel": (" tells sick from healthy less well on ", cases, " cases: ", after, " instead of ", before, "."),
        "segmentation": (
            " marks areas that agree with the true ones by ",
            after,
            " instead of ",
            before,
            " on ",
            cases,
            " cases.",
        ),
        "regression": (" is typically wrong by ", after, " instead of ", before, " on ", cases, " cases."),
    }
    return (*start, *middle[cell.metrics.kind])


def _level(kind: str, value: Piece) -> tuple[Piece, ...]:
    """A leading measure in everyday words."""
    words: dict[str, tuple[Piece, ...]] = {
        "classification": (value, " correct"),
        "multilabel": (value, " for telling sick from healthy"),
        "segmentation": ("areas agree by ", value),
        "regression": ("typically wrong by ", value),
    }
    return words[kind]
