"""What was not tested, said where the result is said."""

from __future__ import annotations

from titer.audit.report.schema import Paragraph
from titer.audit.report.sentences import Piece, Writer, paragraph


def paragraph_of(writer: Writer) -> Paragraph:
    """The sections of an assessor's report that this audit leaves empty, by title."""
    pieces: list[Piece] = []
    for position, section in enumerate(writer.index.sections):
        if section.state in ("not tested", "owner elsewhere"):
            pieces += ["; " if pieces else "", writer.word(f"$.index.sections[{position}].title")]
    if not pieces:
        return paragraph("Every section that assessors expect is filled, at least in part.")
    return paragraph("Not tested in this audit: ", *pieces, ". The requirement index says why.")
