"""Two audits side by side: what changed, with an interval, and what only one of them has."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from titer.audit.report.differences import Difference, PairedCounts, difference, paired_difference
from titer.audit.report.schema import Block, Cell, Limit, Report
from titer.audit.report.schema.base import Text
from titer.audit.report.view.results import COLUMNS
from titer.audit.report.vocabulary import LEADING, measure_of
from titer.errors import ReportError


class Side(Block):
    """One of the two audits."""

    title: Text = Field(description="Title of the report.")
    created: Text = Field(description="When it was made.")
    plan: Text = Field(description="Name of its plan.")
    digest: Text = Field(description="Digest of its plan.")
    version: Text = Field(description="Version of Titer.")
    passed: bool | None = Field(description="Whether its limits held; null when its plan sets none.")


class Match(Block):
    """One cell that both audits have."""

    model: Text = Field(description="Model in the first audit; ' → ' and the second's name where they differ.")
    dataset: Text = Field(description="Data set.")
    threat: Text = Field(description="Identifier of the threat in the first audit.")
    attack: Text = Field(description="Attack.")
    limit: Limit = Field(description="Limit.")
    cell_a: Text = Field(description="Identifier in the first audit.")
    cell_b: Text = Field(description="Identifier in the second audit.")
    suspect: bool = Field(description="Whether either audit marks it suspect.")
    differences: tuple[Difference, ...] = Field(description="Measures that both have.")


class Comparison(Block):
    """Two audits side by side."""

    a: Side = Field(description="The first audit.")
    b: Side = Field(description="The second audit.")
    matches: tuple[Match, ...] = Field(description="Cells that both have.")
    only_a: tuple[Text, ...] = Field(description="Cells that only the first has.")
    only_b: tuple[Text, ...] = Field(description="Cells that only the second has.")
    notes: tuple[Text, ...] = Field(description="What to know before reading the differences.")


Key = tuple[str, str, str, str, str, float]


def compare(
    a: Report,
    b: Report,
    *,
    models: Mapping[str, str] | None = None,
    paired: Mapping[tuple[str, str], PairedCounts] | None = None,
) -> Comparison:
    """Set two audits side by side.

    Cells match when model, data set, threat, attack and limit agree.

    Arguments
        a, b: the earlier and the later report, or the plain and the hardened model's.
        models: names in `b` for models that are called otherwise in `a`, such as {"cnn": "cnn-hardened"}.
        paired: answers per case under attack, by the identifiers of the cells in `a` and in `b`, where known.

    Errors: `ReportError` when a renamed model stands in neither report.
    """
    names = dict(models or {})
    _known(names, a, b)
    left = {_key(cell, names): cell for cell in a.cells}
    right = {_key(cell, {}): cell for cell in b.cells}
    matches = tuple(
        _match(cell, right[key], (paired or {}).get((cell.id, right[key].id)))
        for key, cell in left.items()
        if key in right
    )
    return Comparison(
        a=_side(a),
        b=_side(b),
        matches=matches,
        only_a=tuple(cell.id for key, cell in left.items() if key not in right),
        only_b=tuple(cell.id for key, cell in right.items() if key not in left),
        notes=_notes(a, b, names, paired_known=bool(paired)),
    )


def _key(cell: Cell, names: Mapping[str, str]) -> Key:
    model = names.get(cell.model, cell.model)
    # A threat is called by its model first, which may have another name in the other audit.
    threat = cell.threat.removeprefix(f"{cell.model}/".replace(" ", "-").lower())
    return model, cell.dataset, threat, cell.attack, cell.limit.unit, float(f"{cell.limit.value:.9g}")


def _match(a: Cell, b: Cell, counts: PairedCounts | None) -> Match:
    found = []
    if a.metrics.kind == b.metrics.kind:
        better = LEADING[a.metrics.kind].higher_is_better
        for label, clean, attacked in COLUMNS[a.metrics.kind]:
            for field, when in ((clean, "no attack"), (attacked, "under attack")):
                one, two = (measure_of(cell.metrics, field) if field else None for cell in (a, b))
                if one is None or two is None or one.unit != two.unit:
                    continue
                name = f"{label}, {when}" if clean else label
                if counts is not None and field == "robust_accuracy":
                    found.append(paired_difference(name, one, two, counts))
                else:
                    found.append(difference(name, one, two, higher_is_better=_direction(label, better)))
    return Match(
        model=a.model if a.model == b.model else f"{a.model} → {b.model}", dataset=a.dataset,
        threat=a.threat, attack=a.attack,
        limit=a.limit, cell_a=a.id, cell_b=b.id, suspect=a.suspect or b.suspect, differences=tuple(found),
    )  # fmt: skip


def _direction(label: str, leading: bool) -> bool | None:
    """Whether more is better for the defender; nothing for confidence, which is neither."""
    if label.startswith("Confidence"):
        return None
    if label.startswith(("Drop", "Success")):
        return False
    return True if label == "Within tolerance" else leading


def _side(report: Report) -> Side:
    identity = report.identity
    return Side(title=identity.title, created=identity.created, plan=identity.plan.name, digest=identity.plan.digest,
                version=identity.titer_version, passed=report.passed)  # fmt: skip


def _notes(a: Report, b: Report, names: Mapping[str, str], *, paired_known: bool) -> tuple[str, ...]:
    notes = []
    right = {card.name: card.digest for card in b.datasets}
    changed = [card.name for card in a.datasets if card.name in right and right[card.name] != card.digest]
    if changed:
        notes.append(f"Same name, other cases: {', '.join(changed)}. Differences there may come from the data.")
    models = {card.name: card.digest for card in b.models}
    same = [card.name for card in a.models if models.get(names.get(card.name, card.name)) == card.digest]
    if same:
        notes.append(f"The same model stands in both: {', '.join(same)}. Differences there come from plan or chance.")
    if a.identity.plan.digest != b.identity.plan.digest:
        notes.append("The plans differ; settings of an attack may differ under one name.")
    if not paired_known:
        notes.append("Intervals treat the two audits as independent; on shared cases they are mostly too wide.")
    notes.append("Intervals are not adjusted for the number of comparisons.")
    return tuple(notes)


def _known(names: Mapping[str, str], a: Report, b: Report) -> None:
    for before, after in names.items():
        for name, report, which in ((before, a, "first"), (after, b, "second")):
            if name not in {card.name for card in report.models}:
                raise ReportError(
                    f"a model of the {which} audit, one of {[card.name for card in report.models]}", repr(name),
                    "name the models as the reports do",
                )  # fmt: skip


def render_comparison_html(comparison: Comparison) -> str:
    """The page of a comparison: one self-contained file in the style of the report."""
    from titer.audit.report.render import render
    from titer.audit.report.view.sides import side_tables

    return render("comparison.html", comparison=comparison, tables=side_tables(comparison))
