"""The summary: every number in it stands in the report, and it says what the facts say."""

from __future__ import annotations

import json
import re

import pytest
from report_example import example_draft, example_report

from titer.audit.report import schema as s
from titer.audit.report.files import canonical_json
from titer.audit.report.formats import MINUS
from titer.audit.report.headlines import headlines
from titer.audit.report.paths import resolve
from titer.audit.report.sentences import paragraph
from titer.audit.report.summary import complete, summarize
from titer.errors import ReportError

PARAGRAPHS = [
    (reader, index)
    for reader in ("clinician", "engineer", "assessor")
    for index in range(len(getattr(example_report().summary, reader)))
]


def all_paragraphs(summary: s.Summary) -> list[s.Paragraph]:
    return [summary.headline, *summary.clinician, *summary.engineer, *summary.assessor]


@pytest.mark.parametrize(("reader", "index"), PARAGRAPHS)
def test_every_number_resolves_to_a_path(reader: str, index: int) -> None:
    report = example_report()
    tree = json.loads(canonical_json(report))
    check(getattr(report.summary, reader)[index], tree)
    check(report.summary.headline, tree)


def check(found: s.Paragraph, tree: object) -> None:
    rest = found.text
    for reference in found.references:
        before, piece, rest = rest.partition(reference.text)
        assert piece, f"{reference.text!r} stands at its place in {found.text!r}"
        assert not re.search(r"\d", before), f"a number without a source: {before!r}"
        agree(reference.text, resolve(tree, reference.path))
    assert not re.search(r"\d", rest), f"a number without a source: {rest!r}"


def agree(text: str, value: object) -> None:
    """The printed piece is the stored value: word for word, or the number to the digits printed."""
    if isinstance(value, str):
        assert text == value
        return
    assert isinstance(value, int | float)
    shown = re.match(rf"{MINUS}?[\d,]+(\.\d+)?", text)
    assert shown is not None
    digits = len((shown.group(1) or ".")[1:])
    printed = float(shown.group().replace(",", "").replace(MINUS, "-"))
    scales = (1.0, 100.0)  # a share may be printed as a percentage, with the sign once per interval
    assert any(abs(printed - scale * value) <= 0.5 * 10**-digits + 1e-9 for scale in scales), (text, value)


def test_words_with_loose_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="without a source"):
        paragraph("Of 6 traps")


@pytest.mark.parametrize("path", ["cells[0]", "$.cells[999].id", "$.cells[0].nothing", "$.cells[x]", "$..cells"])
def test_paths_that_lead_nowhere_are_refused(path: str) -> None:
    with pytest.raises(ReportError):
        resolve(json.loads(canonical_json(example_report())), path)


def test_the_summary_is_written_from_the_facts_alone() -> None:
    assert complete(example_draft()) == example_report()


def test_counts() -> None:
    totals = example_report().summary.totals
    assert (totals.attacks, totals.controls, totals.models, totals.cells) == (3, 1, 6, 58)
    assert (totals.traps, totals.traps_passed, totals.traps_failed, totals.traps_not_applicable) == (6, 4, 1, 1)
    assert totals.suspect_cells == sum(cell.suspect for cell in example_report().cells)


def with_rules(*rules: s.Rule) -> s.Summary:
    passed = all(rule.status == "held" for rule in rules) if rules else None
    return summarize(example_draft().model_copy(update={"limits": s.Verdict(passed=passed, rules=rules)}))


HELD = s.Rule(rule="a", measured=0.9, limit=0.5, status="held")
OPEN = s.Rule(rule="b", limit=0.5, status="not measured")
DOUBTED = s.Rule(rule="d", measured=0.9, limit=0.5, status="not judged", reason="A trap failed.")
BROKEN = s.Rule(rule="c", measured=0.4, limit=0.5, status="broken")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ((), "sets no limits"),
        ((HELD, HELD), "Limits of the plan held: 2 of 2"),
        ((HELD, OPEN), "not measured: 1; of limits in all: 2"),
        ((HELD, DOUBTED), "Resting on suspect results: 1"),
        ((HELD, OPEN, BROKEN), "Limits of the plan broken: 1 of 3"),
    ],
)
def test_the_headline_says_how_the_limits_fared(rules: tuple[s.Rule, ...], words: str) -> None:
    assert words in with_rules(*rules).headline.text


def test_headlines_take_the_worst_attack_at_the_main_limit_and_never_a_control() -> None:
    draft = example_draft()
    controls = {card.name for card in draft.attacks if card.control}
    limits = {threat.id: threat.main_limit for threat in draft.threats}
    for headline in headlines(draft):
        cell = draft.cells[headline.cell]
        assert cell.attack not in controls
        if cell.metrics.kind == "classification":
            assert cell.limit == limits[cell.threat]
    assert draft.cells[headlines(draft)[0].cell].id == "t-cnn/pgd/4/255"


def test_without_a_main_limit_the_largest_leads() -> None:
    draft = example_draft()
    threats = tuple(threat.model_copy(update={"main_limit": None}) for threat in draft.threats)
    found = headlines(draft.model_copy(update={"threats": threats}))
    assert draft.cells[found[0].cell].limit.label == "8/255"


def test_a_noise_that_costs_as_much_as_the_attack_is_named() -> None:
    draft = example_draft()
    cells = list(draft.cells)
    lead = headlines(draft)[0]
    assert lead.control is not None
    cells[lead.control] = cells[lead.control].model_copy(update={"metrics": cells[lead.cell].metrics})
    text = summarize(draft.model_copy(update={"cells": tuple(cells)})).engineer[0].text
    assert "poor tolerance of noise" in text


def test_only_controls_still_make_a_summary() -> None:
    draft = example_draft()
    attacks = tuple(card.model_copy(update={"control": True}) for card in draft.attacks)
    summary = summarize(draft.model_copy(update={"attacks": attacks}))
    assert headlines(draft.model_copy(update={"attacks": attacks})) == ()
    assert "broken: 1 of 2" in summary.headline.text


def test_plain_words() -> None:
    text = " ".join(found.text for found in all_paragraphs(example_report().summary)).lower()
    assert not re.search(r"\b(significant|dramatic|robustly|state-of-the-art|novel|leverage|crucial)\b", text)
