"""Writes the summary of a report from its facts, for three readers."""

from __future__ import annotations

from titer.audit.evidence.index import index_of
from titer.audit.report.headlines import Headline, headlines
from titer.audit.report.readers import assessor, clinician, engineer, plain, untested
from titer.audit.report.schema import Draft, Index, Paragraph, Report, Summary, Totals
from titer.audit.report.sentences import Piece, Writer, paragraph
from titer.audit.report.vocabulary import LEADING, harm_done


def complete(draft: Draft) -> Report:
    """The finished report: the facts, the index of requirements computed from them, and the summary in words."""
    facts = {name: getattr(draft, name) for name in Draft.model_fields}
    index = index_of(draft)
    return Report(**facts, index=index, summary=summarize(draft, index))


def summarize(draft: Draft, index: Index | None = None) -> Summary:
    """The summary: a headline, and a few paragraphs each for a clinician, an engineer and an assessor.

    Every number in it carries the JSON path at which the same value stands in the report.

    Arguments
        draft: the facts. index: the index of requirements, made from them if left out.
    """
    totals = count(draft)
    writer = Writer(draft, totals, index or index_of(draft))
    found = headlines(draft)
    return Summary(
        totals=totals,
        headline=_headline(writer, totals, found),
        findings=tuple(plain.finding(writer, each) for each in found),
        untested=untested.paragraph_of(writer),
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
        rules_not_judged=rules.count("not judged"),
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
    if totals.rules_not_judged or totals.rules_not_measured:
        suspect, missing = (writer.number(f"{path}.rules_not_{word}") for word in ("judged", "measured"))
        return (
            "No limit of the plan was seen broken, but not all could be judged. Resting on suspect results: ",
            suspect, "; not measured: ", missing, "; of limits in all: ", rules, ".",
        )  # fmt: skip
    return "Limits of the plan held: ", writer.number(f"{path}.rules_held"), " of ", rules, "."


def _worst(writer: Writer, found: tuple[Headline, ...]) -> tuple[Piece, ...]:
    """What the worst attack did to the model that lost most, at the main limit and at the largest."""
    cells = writer.draft.cells
    shares = [h for h in found if cells[h.cell].metrics.kind == "classification"] or list(found)
    if not shares:
        return ()

    def harm(headline: Headline) -> tuple[float, float]:
        ends = (cells[headline.cell], cells[headline.cell if headline.largest is None else headline.largest])
        return harm_done(ends[0]), harm_done(ends[1])

    worst = max(shares, key=harm)
    path = f"$.cells[{worst.cell}]"
    compared = {cells[h.cell].model for h in shares}
    most = " loses most:" if len(compared) > 1 and max(harm(worst)) > 0 else ":"
    return (
        " ",
        writer.word(f"{path}.model"),
        most,
        *_at(writer, worst.cell, "at the main limit" if worst.largest is not None else "at"),
        *(() if worst.largest is None else (", and", *_at(writer, worst.largest, "at the largest limit", worst.cell))),
        ".",
    )


def _at(writer: Writer, position: int, where: str, before_it: int | None = None) -> tuple[Piece, ...]:
    """What the most damaging attack at one limit did, or that none did anything; what was told before is not repeated.

    Arguments
        before_it: the cell that the sentence spoke of already, if any.
    """
    cell = writer.draft.cells[position]
    path, names = f"$.cells[{position}]", LEADING[cell.metrics.kind]
    before, after = (f"{path}.metrics.{name}" for name in (names.clean, names.attacked))
    place: tuple[Piece, ...] = (f" {where} ", *writer.limit(f"{path}.limit"))
    told = before_it is not None and harm_done(writer.draft.cells[before_it]) > 0
    if told and harm_done(cell) > 0:
        return *place, " ", writer.word(f"{path}.attack"), " takes it to ", *writer.measure(after)
    if harm_done(cell) <= 0:
        verb = "lowered" if names.higher_is_better else "raised"
        return *place, f" no attack {verb} its {names.name} of ", *writer.measure(before)
    return (
        *place, " ", writer.word(f"{path}.attack"), f" takes its {names.name} from ", *writer.measure(before), " to ",
        *writer.measure(after),
    )  # fmt: skip


def _caution(writer: Writer, totals: Totals) -> tuple[Piece, ...]:
    if not totals.suspect_cells:
        return ()
    suspect = writer.number("$.summary.totals.suspect_cells")
    return " Results marked suspect, not to be relied on yet: ", suspect, "."
