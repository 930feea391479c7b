"""The document itself: data and pictures handed to the typesetter, which refuses what the two standards forbid."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from titer.audit.report.files import canonical_json
from titer.audit.report.pdf.drawings import lettering
from titer.audit.report.pdf.tree import tree_of
from titer.audit.report.schema import Report
from titer.errors import ReportError

STANDARDS = ("a-3a", "ua-1")
"""PDF/A-3a for archives, PDF/UA-1 for readers who do not see; the typesetter refuses what would break either."""


@dataclass(frozen=True)
class Attachment:
    """A file that stands inside the document.

    Arguments
        name: its name inside, without any folder. data: its bytes. about: what it is, in words.
        type: its media type. relationship: how it relates to the document, in the words of PDF/A-3.
    """

    name: str
    data: bytes
    about: str
    type: str = "application/json"
    relationship: str = "data"


def render_pdf(report: Report, attachments: Iterable[Attachment] = ()) -> bytes:
    """The document of a report, with the report as JSON inside it. Equal reports give equal bytes.

    The letters are those that come with the typesetter, whatever a machine has installed; a character that they lack is
    written as its number, such as [U+4E2D].

    Arguments
        report: a finished report.
        attachments: further files to stand inside, such as the bill of materials or the signed statement.

    Errors: `ReportError` where the typesetter is not installed, or refuses.
    """
    try:
        import typst
    except ImportError as error:
        raise ReportError("the typesetter Typst", "no module 'typst'", "pip install 'titer[pdf]'") from error
    data = canonical_json(report).encode()
    about = "The report as data: every number of this document, with its interval and method."
    inside = (Attachment("report.json", data, about), *attachments)
    tree, pictures = tree_of(report, tuple((each.name, each.type, each.about) for each in inside))
    moment = datetime.fromisoformat(report.identity.created).astimezone(UTC)
    tree["date"] = list(moment.timetuple()[:6])
    tree["attached"] = [
        {"path": each.name, "type": each.type, "about": each.about, "relationship": each.relationship}
        for each in inside
    ]
    tree, pictures = _written(tree, pictures, _missing(typst, _characters(tree, pictures)))
    with tempfile.TemporaryDirectory(prefix="titer-pdf-") as place:
        folder = Path(place)
        for name, content in {**pictures, **{each.name: each.data for each in inside}}.items():
            (folder / name).write_bytes(content)
        (folder / "data.json").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
        (folder / "report.typ").write_text(template(), encoding="utf-8")
        return _typeset(typst, folder / "report.typ", folder, moment)


def template() -> str:
    """The layout, as the typesetter reads it."""
    return files("titer.audit.report").joinpath("templates/report.typ").read_text(encoding="utf-8")


def _typeset(typst: Any, source: Path | bytes, folder: Path | None, moment: datetime) -> bytes:
    try:
        made = typst.compile(
            source, root=folder, format="pdf", pdf_standards=list(STANDARDS), timestamp=moment, ignore_system_fonts=True
        )
    except typst.TypstError as error:
        hints = " ".join(getattr(error, "hints", None) or [])
        raise ReportError(
            "a report that PDF/A-3a and PDF/UA-1 allow", f"{error} {hints}".strip(), "correct it"
        ) from error
    return bytes(made)


def _characters(tree: Any, pictures: Mapping[str, bytes]) -> set[str]:
    """Every character that the document draws, in its text and in its charts."""
    found = set("".join(_texts(tree)))
    for name, data in pictures.items():
        if name.endswith(".svg"):
            found |= set(lettering(_markup(data)))
    return {sign for sign in found if not sign.isascii()} | {sign for sign in found if ord(sign) < 32}


def _missing(typst: Any, signs: set[str]) -> set[str]:
    """Those characters that the document's letters lack, found by asking the typesetter for halves of them."""
    asked = sorted(sign for sign in signs if sign not in "\n\t")
    return set(_lacking(typst, asked))


def _lacking(typst: Any, signs: list[str]) -> Iterator[str]:
    if not signs or _has(typst, signs):
        return
    if len(signs) == 1:
        yield signs[0]
        return
    middle = len(signs) // 2
    yield from _lacking(typst, signs[:middle])
    yield from _lacking(typst, signs[middle:])


def _has(typst: Any, signs: list[str]) -> bool:
    if any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 or 0xE000 <= ord(sign) < 0xF900 for sign in signs):
        return False
    text = "".join(f"\\u{{{ord(sign):x}}} " for sign in signs)
    source = f'#set document(title: "t")\n#set text(font: "Libertinus Serif", lang: "en")\n#"{text}"\n#raw("{text}")'
    try:
        typst.compile(source.encode(), format="pdf", pdf_standards=list(STANDARDS), ignore_system_fonts=True)
    except typst.TypstError:
        return False
    return True


def _written(tree: Any, pictures: dict[str, bytes], lacking: set[str]) -> tuple[Any, dict[str, bytes]]:
    """The same with characters that cannot be drawn written as their numbers."""
    if not lacking:
        return tree, pictures
    table = {ord(sign): f"[U+{ord(sign):04X}]" for sign in lacking}

    def through(part: Any) -> Any:
        if isinstance(part, str):
            return part.translate(table)
        if isinstance(part, dict):
            return {key: through(value) for key, value in part.items()}
        return [through(value) for value in part] if isinstance(part, list) else part

    drawn = {
        name: data.decode().translate(table).encode() if name.endswith(".svg") else data
        for name, data in pictures.items()
    }
    return through(tree), drawn


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)


def _markup(data: bytes) -> Any:
    from markupsafe import Markup

    return Markup(data.decode())
