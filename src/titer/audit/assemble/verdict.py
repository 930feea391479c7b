"""Whether the limits of the plan held, and whether that can be relied on."""

from __future__ import annotations

from titer.audit.assemble.rules import Candidate, FailIf, candidates, check_rules, few, undecided
from titer.audit.report.schema import Cell, Curve, Rule, Trap, Verdict
from titer.audit.results import Results
from titer.audit.traps import TRAPS

__all__ = ["FailIf", "check_rules", "verdict"]


def verdict(results: Results, cells: tuple[Cell, ...], curves: tuple[Curve, ...], traps: tuple[Trap, ...]) -> Verdict:
    """Every rule against all numbers it speaks of; the worst decides.

    A rule that would hold is not judged where a number it speaks of rests on a result that a failed trap marks suspect
    and the plan does not explain: the attacker may have found less than there is. A broken rule stays broken.
    """
    metrics = {cell.id: cell.metrics for cell in cells}
    rules = []
    for text in results.prepared.plan.fail_if:
        rule = FailIf.read(text)
        found = candidates(rule, results, lambda cell: metrics[cell.name], curves)
        rules.append(_judged(rule, found, traps))
    if not rules:
        return Verdict(passed=None)
    return Verdict(passed=all(rule.status == "held" for rule in rules), rules=tuple(rules))


def _judged(rule: FailIf, found: list[Candidate], traps: tuple[Trap, ...]) -> Rule:
    known = [(value, each) for each in found if (value := rule.value_of(each.measure)) is not None]
    if not known or len(known) < len(found):
        missing = next((each for each in found if rule.value_of(each.measure) is None), None)
        why = "Nothing in this audit has this measure." if missing is None else (
            f"There is no interval for {missing.words}: {missing.measure.method}."
        )  # fmt: skip
        return Rule(rule=rule.text, limit=rule.number, status="not measured", reason=why)
    pick = min if rule.sign.startswith("<") else max
    value, worst = pick(known, key=lambda pair: (pair[0], pair[1].lead.name))
    broken, doubts = rule.true_of(value), _doubts(rule, found, traps)
    reason = ""
    if doubts:
        rests = "The result it rests on is marked suspect" if broken else "It rests on results marked suspect"
        reason = f"{rests}: {'; '.join(doubts)}."
    end = {None: "value", "lower": "low", "upper": "high"}[rule.bound]
    several = f" Judged: {len(known)} numbers, the worst decides." if len(known) > 1 else ""
    return Rule(
        rule=rule.text,
        measured=value,
        limit=rule.number,
        unit=worst.measure.unit,
        status="broken" if broken else "not judged" if doubts else "held",
        cell=worst.lead.name,
        path=f"{worst.path}.{end}",
        scope=f"{worst.words}.{several}",
        reason=reason,
    )


def _doubts(rule: FailIf, found: list[Candidate], traps: tuple[Trap, ...]) -> list[str]:
    """What makes a number of this rule unreliable: traps that failed, touch it, and are not explained by the plan."""
    names = {cell.name for each in found for cell in each.cells}
    return [
        trap.name
        for trap in traps
        if trap.status == "failed"
        and trap.explanation is None
        and names & set(trap.cells)
        and _touches(trap, rule, found)
    ]


def _touches(trap: Trap, rule: FailIf, found: list[Candidate]) -> bool:
    """Whether a trap speaks of what a rule measures: a weak attack puts no clean number in doubt, and too few cases
    for one rule may be enough for another.
    """
    if trap.id == "enough_cases":
        return any(undecided(rule, each) or any(few(cell) for cell in each.cells) for each in found)
    return "clean" not in rule.field or bool(TRAPS.find(trap.id).clean)
