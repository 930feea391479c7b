"""For whoever decides about patients: what an attacker can do to them, in counts and rates."""

from __future__ import annotations

from titer.audit.report.headlines import Headline
from titer.audit.report.schema import Paragraph
from titer.audit.report.sentences import Piece, Writer, paragraph
from titer.audit.report.vocabulary import LEADING, harm_done


def paragraphs(writer: Writer, found: tuple[Headline, ...]) -> tuple[Paragraph, ...]:
    """What happens to patients, one paragraph per model and threat."""
    opening = paragraph(
        "This report asks what happens to a model's answers when somebody deliberately alters what the model is given. "
        "The figures under attack are not error rates of ordinary use; the figures without an attack are."
    )
    closing = paragraph(
        "Read each figure as the worst that was found, not as the worst there is: "
        "an attack that was not tried may find more."
    )
    return (opening, *(_result(writer, headline) for headline in found), closing)


def _result(writer: Writer, headline: Headline) -> Paragraph:
    cell = f"$.cells[{headline.cell}]"
    metrics = writer.draft.cells[headline.cell].metrics
    names = LEADING[metrics.kind]
    before, after = f"{cell}.metrics.{names.clean}", f"{cell}.metrics.{names.attacked}"
    subject = (
        writer.word(f"{cell}.model"),
        " on ",
        writer.word(f"{cell}.dataset"),
        " (",
        writer.number(f"{cell}.n_cases"),
        " cases): ",
    )
    tried = {cell_.attack for cell_ in writer.draft.cells if cell_.threat == writer.draft.cells[headline.cell].threat}
    tried -= {card.name for card in writer.draft.attacks if card.control}
    which = "the most damaging attack tried" if len(tried) > 1 else "the one attack tried"
    attacker = (" An attacker who may go up to ", *writer.limit(f"{cell}.limit"))
    cause = (" with ", writer.word(f"{cell}.attack"), f", {which}.")
    classes = metrics.kind == "classification"
    main: tuple[Piece, ...] = (
        ("without an attack it is correct in ", *writer.measure(before, " of cases"), ".")
        if classes
        else (f"without an attack its {names.name} is ", *writer.measure(before), ".")
    )
    if harm_done(writer.draft.cells[headline.cell]) <= 0:
        verb = "lowered" if names.higher_is_better else "raised"
        main += " No attack tried", f" {verb} that within ", *writer.limit(f"{cell}.limit"), "."
    elif classes:
        main += *attacker, " leaves ", *writer.measure(after, " correct"), *cause
    else:
        main += *attacker, " moves it to ", *writer.measure(after), *cause
    main += _largest(writer, headline)
    rest = (*_diseased(writer, cell, metrics.kind), *_harm(writer, headline), *_suspect(writer, headline))
    return paragraph(*subject, *main, *rest)


def _largest(writer: Writer, headline: Headline) -> tuple[Piece, ...]:
    """What is left at the largest limit examined, where that is not the main one."""
    if headline.largest is None:
        return ()
    cell = f"$.cells[{headline.largest}]"
    names = LEADING[writer.draft.cells[headline.largest].metrics.kind]
    after = f"{cell}.metrics.{names.attacked}"
    return (
        " At the largest limit examined, ",
        *writer.limit(f"{cell}.limit"),
        f", its {names.name} is ",
        *writer.measure(after),
        ".",
    )


def _diseased(writer: Writer, cell: str, kind: str) -> tuple[Piece, ...]:
    if kind != "classification":
        return ()
    sides = [f"{cell}.metrics.{name}" for name in ("sensitivity", "specificity")]
    if not all(writer.has(f"{side}_{when}") for side in sides for when in ("clean", "attacked")):
        return ()
    rates = [writer.number(f"{side}_{when}.value", "proportion") for side in sides for when in ("attacked", "clean")]
    found, found_before, cleared, cleared_before = rates
    return (
        " Within ",
        *writer.limit(f"{cell}.limit"),
        " it finds ",
        found,
        " of diseased cases instead of ",
        found_before,
        " and clears ",
        cleared,
        " of healthy cases instead of ",
        cleared_before,
        ".",
    )


def _harm(writer: Writer, headline: Headline) -> tuple[Piece, ...]:
    if headline.error_shift is None or not writer.has(f"$.error_shifts[{headline.error_shift}].harm"):
        return ()
    harm = f"$.error_shifts[{headline.error_shift}].harm"
    found = writer.draft.error_shifts[headline.error_shift].harm
    if found is None:
        return ()
    source = "as the plan states" if found.prevalence_source == "plan" else "as among the test cases"
    return (
        " Of a thousand patients, ",
        writer.number(f"{harm}.prevalence", "proportion"),
        f" of them diseased {source}, that is ",
        *_more(writer, f"{harm}.extra_misses", found.extra_misses.value, "missed"),
        " and ",
        *_more(writer, f"{harm}.extra_alarms", found.extra_alarms.value, "false alarms"),
        ". Weighted ",
        writer.number(f"{harm}.cost_fn"),
        " for a miss and ",
        writer.number(f"{harm}.cost_fp"),
        f" for a false alarm{'' if found.stated else ' (the plan states no weights)'}, the harm is ",
        *writer.measure(f"{harm}.per_thousand"),
        ".",
    )


def _more(writer: Writer, path: str, value: float, what: str) -> tuple[Piece, ...]:
    """'67 more missed (95% interval 50 to 80)'; a number below zero keeps its sign."""
    if value < 0:
        return "a change by ", *writer.measure(path, f" {what}")
    return writer.measure(path, f" more {what}")


def _suspect(writer: Writer, headline: Headline) -> tuple[Piece, ...]:
    if not writer.draft.cells[headline.cell].suspect:
        return ()
    return (" This result is marked suspect, because a check of the evaluation failed: the true loss may be larger.",)
