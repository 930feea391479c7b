"""Evidence from attacks at the time of use: what is left, whether to believe it, and what it means."""

from __future__ import annotations

from titer.audit.evidence.seen import Seen, absent, attacked, block, cells, listed, threats
from titer.audit.report.schema import Cell, Draft, Link
from titer.audit.report.vocabulary import leading


def e01(draft: Draft) -> Seen:
    """Robust performance over budget with intervals; whole only where the attacks themselves were shown to work."""
    found = attacked(draft)
    if not found:
        return absent("No attack was run, only natural changes.")
    lacking = []
    if any(leading(cell)[1].low is None for cell in found):
        lacking.append("an interval for every number")
    limits = {threat: {cell.limit.value for cell in found if cell.threat == threat} for threat in threats_of(found)}
    if any(len(values) < 2 for values in limits.values()):
        lacking.append("more than one limit for every threat")
    if e03(draft).state != "evidence":
        lacking.append("proof that the attacks work (section R12)")
    links = (*cells(found), *(block("curves") if draft.curves else ()))
    if lacking:
        return Seen("partial", f"Missing: {listed(lacking)}.", links)
    return Seen("evidence", f"Results of {listed(cell.attack for cell in found)}, each with its interval.", links)


def threats_of(found: list[Cell]) -> list[str]:
    """Identifiers of the threats behind some results."""
    return list(dict.fromkeys(cell.threat for cell in found))


def e02(draft: Draft) -> Seen:
    """The worst case over all attacks, case by case."""
    found = attacked(draft)
    curves = [curve for curve in draft.curves if curve.envelope]
    if not found or not curves:
        return absent("No worst case over attacks was formed.")
    single = [name for name in threats_of(found) if len({c.attack for c in found if c.threat == name}) < 2]
    if single:
        why = f"Only one attack was run under {listed(single)}: that is no ensemble."
        return Seen("partial", why, block("curves"))
    return Seen("evidence", "Each case counts its worst outcome over all attacks of the threat.", block("curves"))


def e03(draft: Draft) -> Seen:
    """Whether the attacks were shown to work: every check passed, and a control of noise beside them."""
    links = tuple(Link(to="trap", name=trap.id) for trap in draft.traps if trap.status != "not applicable")
    if not links:
        return absent("No check of the evaluation applied.")
    failed = [trap.name for trap in draft.traps if trap.status == "failed"]
    lacking = [f"failed: {listed(failed)}"] if failed else []
    if not any(card.control for card in draft.attacks):
        lacking.append("missing: a control of random noise")
    if lacking:
        text = "; ".join(lacking)
        return Seen("partial", f"{text[0].upper()}{text[1:]}.", links)
    return Seen("evidence", f"{len(links)} checks of the evaluation passed, with a control beside the attacks.", links)


def e04(draft: Draft) -> Seen:
    """Black-box attacks and transfer, with the number of questions that they asked."""
    kinds = {card.name: card for card in draft.attacks if not card.control}
    transfer = [c for c in attacked(draft) if kinds[c.attack].settings.get("name", c.attack) == "transfer"]
    asked = [c for c in attacked(draft) if kinds[c.attack].needs in ("scores", "labels") and c not in transfer]
    if not transfer and not asked:
        return absent("No attack without knowledge of gradients was run, and none was carried over from another model.")
    lacking = [name for name, found in (("black-box attack", asked), ("transfer", transfer)) if not found]
    if any(cell.queries_per_case is None for cell in asked):
        lacking.append("number of questions")
    links = cells([*asked, *transfer])
    if lacking:
        return Seen("partial", f"Missing: {listed(lacking)}.", links)
    return Seen("evidence", "Black-box attacks and transfer, with questions per case.", links)


def e05(draft: Draft) -> Seen:
    """Attacks that change meaning-preserving things: angle, contrast, words, combinations of codes."""
    found = attacked(draft, "semantic")
    if not found:
        return absent("No change of angle, contrast, words or codes was examined.")
    changes = listed(threat.change for threat in threats(draft, "semantic").values())
    if any(cell.mean_cost is None for cell in found):
        return Seen("partial", f"Changes: {changes}. Missing: how large the changes were.", cells(found))
    return Seen("evidence", f"Changes: {changes}, each with its mean size.", cells(found))


def e10(_: Draft) -> Seen:
    """Comparison of a defense with its baseline."""
    return Seen("not applicable", "No model of this audit is named as defended.")


def e11(_: Draft) -> Seen:
    """Attacks that know the defense."""
    return Seen("not applicable", "No model of this audit is named as defended.")


def e13(draft: Draft) -> Seen:
    """Which error, how often, at what cost."""
    if not draft.error_shifts:
        return absent("No class counts as diseased, so misses and false alarms are not told apart.")
    links = block("error_shifts")
    if not all(shift.harm is not None and shift.harm.stated for shift in draft.error_shifts):
        return Seen("partial", "Misses and false alarms are counted; the plan states no weights for them.", links)
    return Seen("evidence", "Misses and false alarms, weighted as the plan states.", links)


def e14(draft: Draft) -> Seen:
    """Threats with identifiers of the taxonomies."""
    bare = [threat.id for threat in draft.threats if threat.nature != "natural" and not threat.taxonomy]
    if bare:
        return Seen("partial", f"Without an identifier: {listed(bare)}.", block("threats"))
    return Seen(
        "evidence", "Every threat carries identifiers; the index says which others were not tried.", block("threats")
    )


def e30(draft: Draft) -> Seen:
    """Examples for human oversight."""
    if not draft.gallery:
        return absent("No single cases are shown.")
    return Seen("partial", "Single cases before and after; no reader was asked to tell them apart.", block("gallery"))
