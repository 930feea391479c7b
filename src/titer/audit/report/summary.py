"""Writes the summary of a report from its facts, for three readers."""

from __future__ import annotations

from titer.audit.report.headlines import Headline, headlines
from titer.audit.report.readers import assessor, clinician, engineer
from titer.audit.report.schema import Draft, Paragraph, Report, Summary, Totals
from titer.audit.report.sentences import Piece, Writer, paragraph
from titer.audit.report.vocabulary import LEADING, harm_done


def complete(draft: Draft) -> Report:
    """The finished report: the facts, and the summary written from them."""
    facts = {name: getattr(draft, name) for name in Draft.model_fields}
    return Report(**facts, summary=summarize(draft))


def summarize(draft: Draft) -> Summary:
    """The summary: a headline, and a few paragraphs each for a clinician, an engineer and an assessor.

    Every number in it carries the JSON path at which the same value stands in the report.
    """
    totals = count(draft)
    writer = Writer(draft, totals)
    found = headlines(draft)
    return Summary(
        totals=totals,
        headline=_headline(writer, totals, found),
        clinician=clinician.paragraphs(writer, found),
        engineer=engineer.paragraphs(writer, found),
        assessor=assessor.paragraphs(writer, found),
    )


def count(draft: Draft) -> Totals:
    """How much there is of everything."""
    statuses = [trap.status for trap in draft.traps]
    rules = [rule.status for rule in draft.limits.rules]
    controls = sum(card.control for card in draft.attacks)
    return Totals(
        models=len(draft.models),
        datasets=len(draft.datasets),
        attacks=len(draft.attacks) - controls,
        controls=controls,
        cells=len(draft.cells),
        suspect_cells=sum(cell.suspect for cell in draft.cells),
        trials=sum(cell.n_trials for cell in draft.cells),
        traps=len(statuses),
        traps_passed=statuses.count("passed"),
        traps_failed=statuses.count("failed"),
        traps_explained=sum(trap.status == "failed" and trap.explanation is not None for trap in draft.traps),
        traps_not_applicable=statuses.count("not applicable"),
        rules=len(rules),
        rules_held=rules.count("held"),
        rules_broken=rules.count("broken"),
        rules_not_measured=rules.count("not measured"),
    )


def _headline(writer: Writer, totals: Totals, found: tuple[Headline, ...]) -> Paragraph:
    return paragraph(*_verdict(writer, totals), *_worst(writer, found), *_caution(writer, totals))


def _verdict(writer: Writer, totals: Totals) -> tuple[Piece, ...]:
    path = "$.summary.totals"
    if totals.rules == 0:
        return ("The plan sets no limits, so nothing was passed or failed.",)
    rules = writer.number(f"{path}.rules")
    if totals.rules_broken:
        return "Limits of the plan broken: ", writer.number(f"{path}.rules_broken"), " of ", rules, "."
    if totals.rules_not_measured:
        unjudged = writer.number(f"{path}.rules_not_measured")
        return "No limit of the plan was broken, but ", unjudged, " of ", rules, " could not be judged."
    return "Limits of the plan held: ", writer.number(f"{path}.rules_held"), " of ", rules, "."


def _worst(writer: Writer, found: tuple[Headline, ...]) -> tuple[Piece, ...]:
    cells = writer.draft.cells
    shares = [h for h in found if cells[h.cell].metrics.kind == "classification"] or list(found)
    if not shares:
        return ()
    worst = max(shares, key=lambda headline: harm_done(cells[headline.cell]))
    path, names = f"$.cells[{worst.cell}]", LEADING[cells[worst.cell].metrics.kind]
    before, after = (f"{path}.metrics.{name}" for name in (names.clean, names.attacked))
    verb = "loses most: its" if names.higher_is_better else "is moved most: its"
    return (
        " ",
        writer.word(f"{path}.model"),
        f" {verb} {names.name} goes from ",
        *writer.measure(before),
        " to ",
        *writer.measure(after),
        " under ",
        writer.word(f"{path}.attack"),
        " at ",
        *writer.limit(f"{path}.limit"),
        ".",
    )


def _caution(writer: Writer, totals: Totals) -> tuple[Piece, ...]:
    if not totals.suspect_cells:
        return ()
    suspect = writer.number("$.summary.totals.suspect_cells")
    return " Results marked suspect, not to be relied on yet: ", suspect, "."
