"""What the page is told to show: each number once, each attack in its own look, nothing unnamed."""

from __future__ import annotations

from report_example import example_draft, example_report

from titer.audit.report import schema as s
from titer.audit.report.view.cases import cases
from titer.audit.report.view.comparisons import described, p_values
from titer.audit.report.view.figures import bar_figure
from titer.audit.report.view.overview import attack_table
from titer.audit.report.view.page import page
from titer.audit.report.view.results import blocks
from titer.audit.report.view.table import Numbers


def test_clean_numbers_stand_once_although_resampled_intervals_differ() -> None:
    draft = example_draft()
    cells = []
    for position, cell in enumerate(draft.cells):
        metrics = cell.metrics
        if isinstance(metrics, s.ClassificationMetrics) and metrics.clean_accuracy.low is not None:
            clean = metrics.clean_accuracy.model_copy(update={"low": metrics.clean_accuracy.low - 1e-4 * position})
            metrics = metrics.model_copy(update={"clean_accuracy": clean})
        cells.append(cell.model_copy(update={"metrics": metrics}))
    found = blocks(draft.model_copy(update={"cells": tuple(cells)}), Numbers())
    for block in found:
        rows = [row[0].text for group in block.table.groups for row in group.rows]
        assert rows.count("No attack") == 1


def test_other_clean_cases_get_a_row_of_their_own() -> None:
    draft = example_draft()
    first = draft.cells[0]
    assert isinstance(first.metrics, s.ClassificationMetrics)
    fewer = first.metrics.clean_accuracy.model_copy(update={"n": 200, "k": 180, "value": 0.9})
    changed = first.model_copy(update={"metrics": first.metrics.model_copy(update={"clean_accuracy": fewer})})
    table = blocks(draft.model_copy(update={"cells": (changed, *draft.cells[1:])}), Numbers())[0].table
    assert [row[0].text for group in table.groups for row in group.rows].count("No attack") == 2


def test_every_cell_has_a_row_and_a_detail() -> None:
    found = blocks(example_draft(), Numbers())
    links = [row[0].href for block in found for group in block.table.groups for row in group.rows if row[0].href]
    anchors = [f"#{detail.anchor}" for block in found for detail in block.details]
    assert sorted(links) == sorted(anchors)
    assert len(anchors) == len(example_draft().cells)


def test_bars_look_like_their_attack_whatever_they_are_called() -> None:
    draft = example_draft()
    groups = tuple(
        group.model_copy(update={"bars": tuple(
            bar.model_copy(update={"condition": f"{bar.condition} 4/255"}) if bar.cell else bar for bar in group.bars
        )})
        for group in draft.figure1
    )  # fmt: skip
    figure = bar_figure(draft.model_copy(update={"figure1": groups}), Numbers())
    assert figure is not None
    looks = ('class="bar control"', 'class="bar s1"')
    assert all(look in panel.chart for panel in figure.panels for look in looks)


def test_settings_are_words() -> None:
    settings = {"name": "pgd", "losses": ["ce", "margin"], "random_start": True, "mask": None}
    card = s.AttackCard.model_validate({"name": "pgd", "title": "PGD", "reference": "Madry", "settings": settings})
    table = attack_table(example_draft().model_copy(update={"attacks": (card,)}), Numbers())
    assert table.groups[0].rows[0][2].text == "losses ce and margin, with random start"


def test_tables_and_figures_are_numbered_in_reading_order() -> None:
    found = page(example_report(), room=1_000_000)
    drops, shifts, rules = found.drops, found.shifts, found.rules
    assert drops is not None
    assert shifts is not None
    assert rules is not None
    in_order = [
        found.glance,
        found.models,
        found.datasets,
        found.attacks,
        drops,
        *(b.table for b in found.results),
        shifts,
    ]
    in_order += [*found.groups, *(table for _, table in found.comparisons), rules]
    assert [table.number for table in in_order] == list(range(1, len(in_order) + 1))


def test_failed_traps_come_first() -> None:
    assert [trap.status for trap in page(example_report(), room=0).traps][:2] == ["failed", "passed"]


def test_no_room_shows_no_case_and_counts_them() -> None:
    shown, left_out = cases(example_draft(), room=0)
    assert (shown, left_out) == ((), len(example_draft().gallery))


def test_a_test_without_numbers_still_says_what_it_means() -> None:
    bare = s.TestResult(name="paired t-test", method="paired t", sentence="The differences do not vary.")
    assert described(bare) == "paired t-test: The differences do not vary. Method: paired t."
    assert p_values(bare) == ""


def test_quantities_keep_their_unit() -> None:
    found = page(example_report(), room=0)
    named = next(row[0].small for group in found.glance.groups for row in group.rows if row[0].text == "brain-age")
    assert named.endswith("RMSE in years")
    table = next(block.table for block in found.results if block.title.startswith("brain-age"))
    assert [column.label for column in table.columns][2:4] == ["RMSE in years", "MAE in years"]
