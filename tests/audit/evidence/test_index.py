"""The index of requirements: nothing silent, states that follow from what is there, links that lead somewhere."""

from __future__ import annotations

from datetime import date
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from build import build, stand_in
from pydantic import ValidationError
from report_example import example_draft, example_report

from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.square import Square
from titer.audit.assemble.draft import assemble
from titer.audit.evidence.index import STALE, index_of
from titer.audit.evidence.table import ITEMS, requirements
from titer.audit.report import schema as s
from titer.audit.report.render import render_html
from titer.audit.report.schema.index import State
from titer.audit.report.summary import complete
from titer.audit.report.view.requirements import index_view


def record(item: str, state: str = "evidence") -> s.EvidenceRecord:
    return s.EvidenceRecord(
        id=f"record-{item}", item=item, state=state, sentence=f"Attached for {item}.", file=f"{item}.json"  # type: ignore[arg-type]
    )  # fmt: skip


def with_records(*names: str) -> s.Draft:
    return example_draft().model_copy(update={"records": tuple(record(name) for name in names)})


def item(index: s.Index, name: str) -> s.ItemState:
    return next(row for row in index.items if row.id == name)


def test_no_row_is_silent() -> None:
    for report in (example_report(), assemble(build(seeds=(0,), cases=60))):
        index = report.index
        assert len(index.requirements) == len(requirements().rows)
        assert [row.id for row in index.sections] == [f"R{number}" for number in range(1, 19)]
        for row in (*index.requirements, *index.sections, *index.items):
            assert row.state in get_args(State)
            assert row.reason
            assert row.links or row.state in ("not tested", "not applicable", "owner elsewhere")
        assert sum(index.counts.values()) == len(index.requirements)


def test_without_poisoning_exactly_the_rows_that_need_it_are_not_tested() -> None:
    whole = index_of(with_records(*ITEMS))
    without = index_of(with_records(*[name for name in ITEMS if name != "E06"]))
    assert {row.state for row in whole.requirements} <= {"evidence", "partial", "owner elsewhere"}
    pairs = list(zip(requirements().rows, whole.requirements, without.requirements, strict=True))
    turned = [row for row, _, after in pairs if after.state == "not tested"]
    assert turned == [row for row in requirements().rows if "E06" in row.needs]
    assert len(turned) >= 8
    for row, before, after in pairs:
        if "E06" in row.needs:
            assert "poisoned no training data" in after.reason
        elif "E06" not in row.evidence:
            assert before == after
    untested = complete(with_records(*[name for name in ITEMS if name != "E06"])).summary.untested.text
    assert "Poisoning and backdoor" in untested
    assert "Poisoning" not in complete(with_records(*ITEMS)).summary.untested.text


def test_every_row_that_lists_poisoning_alone_or_first_needs_it() -> None:
    listing = [row for row in requirements().rows if "E06" in row.evidence and row.evidence != ITEMS]
    assert all("E06" in row.needs for row in listing)


def test_a_link_to_a_result_that_is_gone_makes_no_report() -> None:
    tree = example_report().model_dump(mode="json")
    link = next(link for row in tree["index"]["items"] for link in row["links"] if link["to"] == "cell")
    link["name"] = "a cell that was deleted"
    with pytest.raises(ValidationError, match="a cell that was deleted"):
        s.Report.model_validate(tree)


@pytest.mark.parametrize(("to", "name"), [("trap", "none"), ("record", "none"), ("block", "records")])
def test_links_of_every_kind_must_lead_somewhere(to: str, name: str) -> None:
    tree = example_report().model_dump(mode="json")
    tree["index"]["requirements"][0]["links"] = [{"to": to, "name": name}]
    with pytest.raises(ValidationError, match="is not there"):
        s.Report.model_validate(tree)


def test_every_link_of_the_page_opens_what_it_names() -> None:
    report = complete(with_records("E19", "E06"))

    class Anchors(HTMLParser):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.ids: set[str] = set()
            self.asked: set[str] = set()
            self.feed(text)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found = dict(attrs)
            self.ids |= {str(found["id"])} if "id" in found else set()
            self.asked |= {href[1:]} if (href := found.get("href")) and href.startswith("#") else set()

    page = Anchors(render_html(report))
    assert page.asked <= page.ids
    view = index_view(report, most=10_000)
    parts = (view.sections, *view.regions, view.items, view.claims, *view.coverage)
    hrefs = {link.href[1:] for part in parts for row in part.rows for link in row.links}
    assert hrefs <= page.ids
    assert {"record-0", "record-1"} <= hrefs


def test_an_index_follows_from_the_content() -> None:
    attacks = (PGD(), Square(), Noise())
    rates = {"pgd": (0.6, 0.3, 0.0), "square": (0.75, 0.5, 0.2), "noise": (0.9, 0.9, 0.9)}
    index = assemble(build(attacks=attacks, rates=rates, cases=300)).index
    assert item(index, "E02").state == "evidence"
    assert item(index, "E04").reason == "Missing: transfer."
    assert item(index, "E06").state == "not tested"
    assert item(index, "E10").state == "not applicable"
    assert item(index, "E14").state == "evidence"
    tested = {row.id for row in index.coverage if row.state == "tested"}
    assert {"NISTAML.022", "AML.T0015", "AML.T0043.000"} <= tested
    assert "NISTAML.013" not in tested


def test_transfer_and_questions_together_fill_the_black_box() -> None:
    attacks = (Square(), stand_in("transfer", needs="labels"), Noise())
    rates = {"square": (0.7, 0.5, 0.2), "transfer": (0.7, 0.5, 0.2), "noise": (0.9, 0.9, 0.9)}
    index = assemble(build(attacks=attacks, rates=rates, access="scores")).index
    assert item(index, "E04").state == "evidence"


def test_the_state_of_words_and_single_attacks() -> None:
    index = assemble(build(kind="tokens", limits=("1", "2"), seeds=(0,), cases=60)).index
    assert item(index, "E05").state == "evidence"
    alone = assemble(build(attacks=(PGD(),), rates={"pgd": (0.6, 0.3, 0.1)}, seeds=(0,), cases=60)).index
    assert item(alone, "E02").state == "partial"
    assert "control of random noise" in item(alone, "E03").reason
    assert "proof that the attacks work" in item(alone, "E01").reason


def changed(**blocks: Any) -> s.Draft:
    return example_draft().model_copy(update=blocks)


def claim(index: s.Index, start: str) -> s.ClaimState:
    return next(row for row in index.claims if row.claim.startswith(start))


def test_a_claim_of_robustness_needs_proof_that_the_attacks_work() -> None:
    draft = example_draft()
    held = tuple(
        rule.model_copy(update={"status": "held"}) for rule in draft.limits.rules if rule.rule.startswith("robust")
    )
    limits = s.Verdict(passed=True, rules=held)
    found = claim(index_of(changed(limits=limits)), "The model withstands")
    assert found.state == "partial"
    assert "every check of attack validity passed" in found.reason
    assert "an attack that sees answers alone" in found.reason
    assert claim(index_of(draft), "The model withstands").state == "refuted"
    assert claim(index_of(changed(limits=s.Verdict(passed=None))), "The model withstands").state == "not claimed"


def test_a_claim_of_robustness_is_carried_by_ensemble_black_box_checks_and_enough_cases() -> None:
    draft = example_draft()
    cell = next(c for c in draft.cells if c.model == "T-CNN" and c.attack == "PGD")
    place = draft.cells.index(cell)
    measure = cell.metrics.robust_accuracy  # type: ignore[union-attr]
    rule = s.Rule(
        rule="robust_accuracy < 0.1", measured=measure.value, limit=measure.low - 0.05, unit="proportion",
        status="held", cell=cell.id, path=f"$.cells[{place}].metrics.robust_accuracy.value",
    )  # fmt: skip
    sound = tuple(trap.model_copy(update={"status": "passed"}) for trap in draft.traps)
    needs = {"FGSM": "gradients", "PGD": "gradients", "JSMA": "scores", "noise": "labels"}
    cards = tuple(card.model_copy(update={"needs": needs[card.name]}) for card in draft.attacks)
    kept = tuple(c for c in draft.cells if c.metrics.kind == "classification")
    limits = s.Verdict(passed=True, rules=(rule,))
    good = changed(traps=sound, attacks=cards, cells=kept, limits=limits)
    assert claim(index_of(good), "The model withstands").state == "carried"
    near = limits.model_copy(update={"rules": (rule.model_copy(update={"limit": measure.value - 1e-6}),)})
    found = claim(index_of(good.model_copy(update={"limits": near})), "The model withstands")
    assert found.state == "partial"
    assert "interval leaves out the limit" in found.reason
    no_black = tuple(card.model_copy(update={"needs": "gradients"}) for card in cards)
    assert "sees answers alone" in claim(index_of(good.model_copy(update={"attacks": no_black})), "The model").reason


def test_a_change_is_safe_only_with_limits_fixed_before() -> None:
    assert claim(index_of(with_records("E25")), "The change").state == "partial"
    assert claim(index_of(with_records("E25", "E15")), "The change").state == "carried"
    assert claim(index_of(with_records(*ITEMS)), "The model cannot be poisoned").state == "not claimed"


def test_a_status_older_than_180_days_prints_a_warning() -> None:
    checked = requirements().rows[0].checked
    assert STALE == 180

    def at(day: date) -> s.Report:
        identity = example_draft().identity.model_copy(update={"created": f"{day.isoformat()}T00:00:00Z"})
        return complete(changed(identity=identity))

    fresh, old = (at(date.fromordinal(checked.toordinal() + days)) for days in (180, 181))
    assert fresh.index.warnings == ()
    assert len(old.index.warnings) == len({row.source for row in requirements().rows})
    assert "old status" not in render_html(fresh)
    assert render_html(old).count("old status") == len(old.index.warnings)


def test_a_record_replaces_what_the_report_itself_lacks() -> None:
    index = index_of(with_records("E19"))
    assert item(index, "E19").state == "evidence"
    assert item(index, "E19").links[0].name == "record-E19"
    assert claim(index, "The inputs were genuine").state == "carried"


def test_equal_drafts_give_equal_indexes() -> None:
    assert index_of(example_draft()) == index_of(s.Draft.model_validate(example_draft().model_dump(mode="json")))
