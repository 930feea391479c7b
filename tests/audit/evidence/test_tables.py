"""The tables of requirements, evidence and taxonomies: whole, known, and refused where they are not."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from report_example import example_draft

from titer.audit.evidence.found import looks
from titer.audit.evidence.table import ITEMS, SECTIONS, items, read_requirements, requirements, sections, text_of
from titer.audit.evidence.taxonomy import evasion_identifiers, known, taxonomies
from titer.audit.report import schema as s
from titer.errors import ReportError

ROW = {
    "source": "Law", "section": "Art. 1", "year": 2024, "status": "in force", "question": "Which?",
    "evidence": "[E01]", "place": "[R7]", "seen": "[N]",
}  # fmt: skip


def table(**columns: object) -> str:
    """A table of one row; a column that is None is left out."""
    row = {**ROW, **columns}
    told = "".join(f"\n    {name}: {value}" for name, value in row.items() if value is not None)
    return f"version: '1'\nchecked: 2026-11-01\nSomewhere:\n  -{told[4:]}\n"


def test_the_table_that_comes_along_has_every_row_of_every_region() -> None:
    rows = requirements().rows
    regions = [row.region for row in rows]
    counts = {region: regions.count(region) for region in dict.fromkeys(regions)}
    assert counts == {"United States": 28, "European Union": 21, "Standards and taxonomies": 19}
    assert all(row.source and row.section and row.year and row.status and row.checked for row in rows)
    assert all(row.place and row.seen and (row.evidence or row.owner) for row in rows)


def test_every_kind_of_evidence_and_every_section_is_asked_for() -> None:
    assert tuple(items()) == ITEMS == tuple(looks())
    assert tuple(sections()) == SECTIONS
    assert {name for row in requirements().rows for name in row.evidence} == set(ITEMS)
    assert {name for row in requirements().rows for name in row.place} == set(SECTIONS)
    # Each kind of evidence has a section that shows it.
    assert {name for section in sections().values() for name in section.items} == set(ITEMS)


@pytest.mark.parametrize("column", ["source", "section", "year", "status", "question", "evidence", "place", "seen"])
def test_a_row_that_lacks_a_column_is_refused_by_its_name(column: str) -> None:
    with pytest.raises(ReportError, match=f"row 1 of 'Somewhere'.*{column}"):
        read_requirements(table(**{column: None}))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"evidence": "[E31]"}, "evidence.0"),
        ({"place": "[R19]"}, "place.0"),
        ({"seen": "[X]"}, "seen.0"),
        ({"needs": "[E02]"}, "needs E02"),
        ({"evidence": "[]"}, "owner: true"),
        ({"place": "[]"}, "its place"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_row_that_names_what_does_not_exist_is_refused(columns: dict[str, str], words: str) -> None:
    with pytest.raises(ReportError, match=words):
        read_requirements(table(**columns))


def test_a_table_that_is_no_table_is_refused() -> None:
    with pytest.raises(ReportError, match="correct the file"):
        read_requirements("- a\n- b\n")
    with pytest.raises(ReportError, match="correct the file"):
        read_requirements("a: [")


def test_all_stands_for_every_id() -> None:
    row = read_requirements(table(evidence="all", place="all")).rows[0]
    assert row.evidence == ITEMS
    assert row.place == SECTIONS


def test_identifiers_of_the_stored_taxonomies_are_known_and_others_refused() -> None:
    assert {taxonomy.version for taxonomy in taxonomies()} == {"e2025", "5.6.0"}
    assert known("NISTAML.025") == "black-box evasion"
    assert known("AML.M0015") == "mitigation"
    with pytest.raises(ReportError, match=r"did you mean 'AML.T0015'"):
        known("AML.T0115")


def test_a_threat_with_an_unknown_identifier_makes_no_report() -> None:
    tree = example_draft().model_dump(mode="json")
    tree["threats"][0]["taxonomy"] = ["NISTAML.022", "NISTAML.999"]
    with pytest.raises(ValidationError, match=r"NISTAML\.999"):
        s.Draft.model_validate(tree)


def test_what_an_attacker_sees_decides_the_identifiers() -> None:
    white, black = (evasion_identifiers("values", knowledge, ("pgd",)) for knowledge in ("gradients", "labels"))
    assert "AML.T0043.000" in white
    assert "NISTAML.025" in black
    assert "AML.T0005" in evasion_identifiers("values", "labels", ("transfer",))
    assert evasion_identifiers("natural", "labels", ("natural",)) == ()


def test_names_in_the_tables_are_short_and_hold_no_sentence_of_a_document() -> None:
    text = text_of("requirements.yaml")
    assert "shall" not in text
    assert all(len(row.question) < 180 for row in requirements().rows)
