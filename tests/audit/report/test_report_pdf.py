"""The document: both standards kept, the data inside, the page's numbers on its pages, the same bytes twice."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from report_example import example_draft, example_report

from titer.audit.report.files import canonical_json
from titer.audit.report.pdf import render as rendering
from titer.audit.report.pdf.drawings import lettering, picture, styles, words_of
from titer.audit.report.pdf.render import Attachment, render_pdf
from titer.audit.report.pdf.tree import tree_of
from titer.audit.report.schema import Report
from titer.audit.report.summary import complete
from titer.audit.report.view.page import page
from titer.errors import ReportError

pytest.importorskip("typst", reason="needs the extra titer[pdf]")
pikepdf = pytest.importorskip("pikepdf", reason="needs the extra titer[pdf]")


@pytest.fixture(scope="module")
def made() -> bytes:
    return render_pdf(example_report())


@pytest.fixture(scope="module")
def document(made: bytes) -> Any:
    return pikepdf.open(io.BytesIO(made))


def structure(node: Any) -> list[Any]:
    """All elements of the structure tree."""
    found: list[Any] = []
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if isinstance(here, pikepdf.Array):
            waiting += list(here)
        elif isinstance(here, pikepdf.Dictionary):
            found += [here] if "/S" in here else []
            waiting += [here["/K"]] if "/K" in here else []
    return found


def test_two_builds_have_the_same_bytes(made: bytes) -> None:
    assert render_pdf(Report.model_validate(example_report().model_dump(mode="json"))) == made


def test_the_date_is_that_of_the_report_and_no_clock_is_asked(document: Any) -> None:
    assert str(document.docinfo["/CreationDate"]).startswith("D:20260302091400")


def test_both_standards_are_declared(document: Any) -> None:
    metadata = document.Root.Metadata.read_bytes().decode()
    assert re.search(r"pdfaid:part[>=\"]+3", metadata)
    assert re.search(r"pdfaid:conformance[>=\"]+A", metadata)
    assert re.search(r"pdfuaid:part[>=\"]+1", metadata)


def test_what_both_standards_ask_of_the_catalog_is_there(document: Any) -> None:
    root = document.Root
    assert bool(root.MarkInfo.Marked)
    assert str(root.Lang) == "en"
    assert bool(root.ViewerPreferences.DisplayDocTitle)
    assert str(document.docinfo["/Title"]) == example_report().identity.title
    assert "/OutputIntents" in root
    assert not document.is_encrypted
    names = [str(key) for key in root]
    assert "/OpenAction" not in names
    assert "/AA" not in names


def test_every_letter_is_embedded(document: Any) -> None:
    seen = 0
    for each in document.objects:
        if isinstance(each, pikepdf.Dictionary) and each.get("/Type") == "/FontDescriptor":
            seen += 1
            assert {"/FontFile2", "/FontFile3", "/FontFile"} & {str(key) for key in each}
    assert seen


def test_figures_have_words_tables_have_heads_and_headings_descend(document: Any) -> None:
    elements = structure(document.Root.StructTreeRoot.K)
    kinds = [str(each["/S"]) for each in elements]
    figures = [each for each in elements if each["/S"] == "/Figure"]
    pictures = [each for each in figures if "/Alt" in each]
    assert len(pictures) >= 10
    assert all(str(each["/Alt"]).strip() for each in pictures)
    assert {"/Table", "/TH", "/TR", "/TD", "/H1", "/Caption"} <= set(kinds)
    levels = [int(kind[2:]) for kind in kinds if re.fullmatch(r"/H[1-6]", kind)]
    assert min(levels) == 1
    assert max(levels) <= 2


def test_no_picture_stands_outside_an_element_with_words(document: Any) -> None:
    """Every figure either has words itself, or holds nothing but elements that have."""
    for each in structure(document.Root.StructTreeRoot.K):
        if each["/S"] == "/Figure":
            assert "/Alt" in each


def test_the_report_stands_inside_bit_by_bit(document: Any) -> None:
    spec = document.attachments["report.json"]
    assert spec.get_file().read_bytes() == canonical_json(example_report()).encode()
    assert spec.obj["/AFRelationship"] == "/Data"
    assert "/AF" in document.Root


def test_further_files_stand_inside_under_their_names() -> None:
    extra = Attachment("bom.json", b"{}", "A bill of materials.", relationship="supplement")
    with pikepdf.open(io.BytesIO(render_pdf(example_report(), (extra,)))) as opened:
        assert set(opened.attachments) == {"report.json", "bom.json"}
        assert opened.attachments["bom.json"].get_file().read_bytes() == b"{}"


def texts(part: Any) -> list[str]:
    if isinstance(part, str):
        return [part]
    if isinstance(part, dict):
        return [text for value in part.values() for text in texts(value)]
    return [text for value in part for text in texts(value)] if isinstance(part, list | tuple) else []


def test_the_document_has_every_section_and_says_why_one_is_empty() -> None:
    tree, _ = tree_of(example_report(), ())
    assert [each["id"] for each in tree["sections"]] == [f"R{number}" for number in range(1, 19)]
    assert all(each["reason"] and each["state"] for each in tree["sections"])
    empty = {each["id"] for each in tree["sections"] if not each["blocks"]}
    assert empty == {"R8", "R9", "R10", "R14", "R15"}


def test_the_numbers_of_the_document_are_those_of_the_page() -> None:
    tree, _ = tree_of(example_report(), ())
    said = texts(tree)
    laid = page(example_report(), room=10**7)
    tables = [laid.glance, laid.models, laid.datasets, laid.attacks, laid.drops, laid.shifts, laid.rules, *laid.groups]
    tables += [block.table for block in laid.results] + [table for _, table in laid.comparisons]
    for table in tables:
        assert table is not None
        for group in table.groups:
            for row in group.rows:
                for entry in row:
                    shown = f"{entry.text} → {entry.after}" if entry.after else entry.text
                    assert shown in said
                    assert entry.small in said


def test_the_pages_print_the_numbers_of_the_report(made: bytes, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs pdftotext: install poppler-utils")
    file = tmp_path / "report.pdf"
    file.write_bytes(made)
    run = subprocess.run(["pdftotext", "-layout", str(file), "-"], capture_output=True, check=True)
    text = re.sub(r"\s+", " ", run.stdout.decode())
    for paragraph in (example_report().summary.headline, *example_report().summary.findings):
        for reference in paragraph.references:
            assert reference.text in text
    for cell in example_report().cells:
        assert cell.id.split("/")[0] in text
    assert "not tested" in text


def test_characters_without_letters_are_written_as_their_numbers() -> None:
    draft = example_draft()
    named = draft.model_dump_json().replace("T-CNN", "模型 ✕ \\u0001x")
    made = render_pdf(complete(type(draft).model_validate_json(named)))
    with pikepdf.open(io.BytesIO(made)) as opened:
        inside = json.loads(opened.attachments["report.json"].get_file().read_bytes())
    assert any(card["name"].startswith("模型") for card in inside["models"])


def test_hostile_text_stays_text() -> None:
    draft = example_draft()
    hostile = '#panic(1) $x$ <b> @a \\u{41} #eval("1") ]['
    identity = draft.identity.model_copy(update={"title": hostile})
    with pikepdf.open(io.BytesIO(render_pdf(complete(draft.model_copy(update={"identity": identity}))))) as opened:
        assert str(opened.docinfo["/Title"]) == hostile


def test_a_document_that_breaks_a_standard_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rendering.template()
    monkeypatch.setattr(rendering, "template", lambda: whole.replace(", alt: panel.alt", ""))
    with pytest.raises(ReportError, match=r"PDF/A-3a and PDF/UA-1.*alt"):
        render_pdf(example_report())


def test_charts_become_pictures_with_their_words() -> None:
    chart = page(example_report(), room=0).curves.panels[0].chart  # type: ignore[union-attr]
    drawn = picture(chart)
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert "var(" not in drawn
    assert "rgb(24 28 33" not in styles()
    assert "T-CNN on chest phantom" in words_of(chart)
    assert "4/255" in lettering(chart)
