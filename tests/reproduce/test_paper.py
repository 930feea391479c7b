"""A paper's figures beside ours."""

from __future__ import annotations

from build import build, joined

from titer.audit.assemble.draft import assemble
from titer.reproduce.paper import Paper


def test_every_row_of_the_paper_is_there() -> None:
    paper = Paper.read("soberano-2025")
    report = paper.beside(assemble(joined(build(name="T-CNN"), build(name="T-RNN"))))
    rows = {(row.model, row.attack): row for row in report.table1}
    for printed in paper.expected["rows"]:
        row = rows[printed["model"], printed["attack"]]
        assert row.difference
        assert row.inconsistencies
        assert row.ours is not None or row.missing
        if "drop" in printed:
            assert row.published is not None
            assert row.published.value == printed["drop"]


def test_the_contradiction_about_recurrent_networks_stands_beside_its_row() -> None:
    paper = Paper.read("soberano-2025")
    report = paper.beside(assemble(build(name="T-RNN")))
    row = next(row for row in report.table1 if (row.model, row.attack) == ("T-RNN", "pgd"))
    assert any("42 in abstract" in said for said in row.inconsistencies)


def test_both_scales_run_four_models_with_five_trials() -> None:
    paper = Paper.read("soberano-2025")
    full = paper.plan("full")
    assert [subject.data.options["cases"] for subject in full.subjects] == [10_000, 5_000, 8_000, 6_000]
    for scale in ("quick", "full"):
        plan = paper.plan(scale)
        assert [subject.name for subject in plan.subjects] == ["T-CNN", "T-RNN", "T-TRF", "T-AE"]
        assert len(plan.seeds) == 5
