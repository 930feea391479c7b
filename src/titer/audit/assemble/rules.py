"""Rules of a plan: read from text, checked against the plan, and the numbers that each of them speaks of."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import BaseModel

from titer.audit.assemble.cards import threat_names
from titer.audit.findings._words import limit_words
from titer.audit.jobs import Prepared, Trial
from titer.audit.limits import Radius, read_limit
from titer.audit.report.schema import (
    ClassificationMetrics,
    Curve,
    Measure,
    Metrics,
    MultiLabelMetrics,
    RegressionMetrics,
    SegmentationMetrics,
)
from titer.audit.results import CellResults, Results
from titer.audit.subject import Threatened
from titer.cases.dataset import Dataset
from titer.cases.space import Space
from titer.errors import PlanError, ThreatError, did_you_mean

_HEAD = re.compile(
    r"^\s*(?:(?P<bound>lower|upper) bound of\s+)?(?P<measure>[a-z_]+)\s*(?P<sign><=|>=|<|>)\s*"
    r"(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*(?P<percent>%)?(?P<rest>\s.*|)$"
)
_CLAUSE = re.compile(r"\s+(at|on|under|by)\s+")
# Measures in points of a hundred; all others are shares, or errors in the unit of a regression.
_POINTS = ("accuracy_drop", "dice_drop")
Words = Literal["at", "on", "under", "by"]


def measure_names() -> dict[str, str]:
    """The word of a rule -> the field of the metrics, from the report's format: `fnr` is under attack, `clean_fnr` not.

    >>> names = measure_names()
    >>> names["robust_accuracy"], names["sensitivity"], names["clean_sensitivity"]
    ('robust_accuracy', 'sensitivity_attacked', 'sensitivity_clean')
    """
    fields = [
        name
        for block in (ClassificationMetrics, MultiLabelMetrics, RegressionMetrics, SegmentationMetrics)
        for name, field in block.model_fields.items()
        if field.annotation in (Measure, Measure | None)
    ]
    found = {name: name for name in fields}
    for name in fields:
        if name.endswith("_attacked"):
            found.setdefault(name.removesuffix("_attacked"), name)
        elif name.endswith("_clean"):
            found.setdefault(f"clean_{name.removesuffix('_clean')}", name)
    return found


@dataclass(frozen=True)
class FailIf:
    """One rule such as `robust_accuracy < 0.5 at 4/255 under additive-linf by pgd on t-cnn`: the audit fails if it is
    true of any number it speaks of. Every clause may be left out.

    `robust_accuracy` without `by` is the share of cases that withstand every attack of a threat up to a limit, as the
    report's worst case; other measures, and with `by`, are those of each attack alone. `lower bound of` and `upper
    bound of` take an end of the 95% interval instead of the number.

    >>> FailIf.read("sensitivity < 80 % at 2/255").number
    0.8
    >>> FailIf.read("lower bound of robust_accuracy < 0.5 under additive-linf by pgd").attack
    'pgd'
    """

    text: str
    measure: str
    sign: str
    number: float
    limit: str | None = None
    model: str | None = None
    threat: str | None = None
    attack: str | None = None
    bound: str | None = None

    @classmethod
    def read(cls, text: str) -> FailIf:
        """A rule from its text."""
        match, names = _HEAD.match(text), measure_names()
        clauses = None if match is None else _clauses(match["rest"])
        if match is None or match["measure"] not in names or clauses is None:
            raise PlanError(
                "a rule such as 'robust_accuracy < 0.5 at 4/255 on MODEL' (or under THREAT, by ATTACK)",
                repr(text),
                f"correct 'fail_if'; measures are {', '.join(names)}",
            )
        points = names[match["measure"]] in _POINTS
        return cls(
            text,
            match["measure"],
            match["sign"],
            float(match["number"]) / (100 if match["percent"] and not points else 1),
            clauses.get("at"),
            clauses.get("on"),
            clauses.get("under"),
            clauses.get("by"),
            match["bound"],
        )

    @property
    def field(self) -> str:
        """The field of the metrics."""
        return measure_names()[self.measure]

    @property
    def worst_case(self) -> bool:
        """Whether the rule is about all attacks of a threat together."""
        return self.field == "robust_accuracy" and self.attack is None

    def value_of(self, measure: Measure) -> float | None:
        """The number that is compared; None where it does not exist."""
        return {None: measure.value, "lower": measure.low, "upper": measure.high}[self.bound]

    def true_of(self, value: float) -> bool:
        """Whether a value breaks the rule."""
        return {
            "<": value < self.number,
            "<=": value <= self.number,
            ">": value > self.number,
            ">=": value >= self.number,
        }[self.sign]

    def means(self, threat: Threatened, radius: Radius, space: Space) -> bool:
        """Whether the rule speaks of a threat at a limit."""
        return (self.threat is None or _same(self.threat, threat.id)) and (
            self.limit is None or _same_limit(self.limit, radius.label, radius.value, radius.unit, space)
        )


@dataclass(frozen=True)
class Candidate:
    """A number that a rule speaks of.

    Arguments
        measure: the number. path: where it stands in the report. lead: the cell to look at. cells: all it rests on.
        words: what it is, for readers.
    """

    measure: Measure
    path: str
    lead: CellResults
    cells: tuple[CellResults, ...]
    words: str


def check_rules(prepared: Prepared) -> None:
    """Refuse rules that cannot be read, or that speak of a model, threat, attack or limit that the plan lacks."""
    names = [subject.name for subject in prepared.plan.subjects]
    for text in prepared.plan.fail_if:
        rule = FailIf.read(text)
        _known("a model", rule.model, names, text)
        spoken = [number for number, name in enumerate(names) if rule.model is None or _same(rule.model, name)]
        spoken = _measured(rule, [(number, prepared.datasets[number]) for number in spoken])
        threats = [(prepared.datasets[number].space, each) for number in spoken for each in prepared.threats[number]]
        _known("a threat", rule.threat, [each.id for _, each in threats], text)
        threats = [(space, each) for space, each in threats if rule.threat is None or _same(rule.threat, each.id)]
        _known("an attack", rule.attack, [label for _, each in threats for label in each.labels], text)
        if not any(rule.means(each, radius, space) for space, each in threats for radius in each.radii):
            labels = dict.fromkeys(radius.label for _, each in threats for radius in each.radii)
            raise PlanError(
                f"a rule about one of the plan's limits: {', '.join(labels)}",
                f"{rule.limit!r} in {text!r}",
                "correct the rule, or add the limit to the threat",
            )


def touched(prepared: Prepared) -> Prepared:
    """The same with those rules alone that speak of a trial in it: for one cell that is run again."""
    texts = []
    for text in prepared.plan.fail_if:
        rule = FailIf.read(text)
        if any(_about(rule, prepared, trial) for trial in prepared.trials):
            texts.append(text)
    return replace(prepared, plan=prepared.plan.model_copy(update={"fail_if": tuple(texts)}))


def _about(rule: FailIf, prepared: Prepared, trial: Trial) -> bool:
    threat = prepared.threats[trial.subject][trial.threat]
    wanted = (
        not threat.attack(trial.attack).control if rule.attack is None else _same(rule.attack, trial.attack)
    ) and (rule.model is None or _same(rule.model, prepared.subject(trial).name))
    space = prepared.datasets[trial.subject].space
    return wanted and rule.means(threat, threat.radii[trial.radius], space)


def _measured(rule: FailIf, spoken: list[tuple[int, Dataset]]) -> list[int]:
    """Those subjects whose report will have the measure; refuses a measure that none has, and numbers it cannot be."""
    kept = [number for number, data in spoken if rule.field in _fields(data)]
    if spoken and not kept:
        _, data = spoken[0]
        known = [word for word, field in measure_names().items() if field in _fields(data)]
        raise PlanError(
            f"a measure of {data.task} on {data.card.name}",
            f"{rule.measure!r} in {rule.text!r}",
            f"{did_you_mean(rule.measure, known)}measures are {', '.join(known)}",
        )
    if rule.field.startswith(("mae", "rmse")):
        if rule.number < 0:
            raise PlanError(f"a number of at least 0 for {rule.measure}", f"{rule.number:g}", "correct 'fail_if'")
    elif rule.field in _POINTS:
        if not -100 <= rule.number <= 100:
            raise PlanError(f"-100 to 100 points for {rule.measure}", f"{rule.number:g}", "correct 'fail_if'")
    elif not 0 <= rule.number <= 1:
        hint = f"write {rule.number / 100:g}, or {rule.number:g} %" if 1 < rule.number <= 100 else "correct 'fail_if'"
        raise PlanError(f"a share of 0 to 1 for {rule.measure}", f"{rule.number:g} in {rule.text!r}", hint)
    return kept


def _fields(data: Dataset) -> set[str]:
    """The measures that a report about these data has."""
    blocks: dict[str, type[BaseModel]] = {
        "multilabel": MultiLabelMetrics,
        "regression": RegressionMetrics,
        "segmentation": SegmentationMetrics,
    }
    block = blocks.get(data.task, ClassificationMetrics)
    sides = data.task != "classes" or bool(data.positive) or len(data.classes) == 2
    return {name for name in block.model_fields if sides or not name.startswith(("auroc", "fnr", "fpr"))}


def candidates(
    rule: FailIf, results: Results, metrics: Callable[[CellResults], Metrics], curves: tuple[Curve, ...]
) -> list[Candidate]:
    """All numbers that a rule speaks of; controls are left out unless the rule names one."""
    found, names = [], threat_names(results)
    groups: dict[tuple[int, str, float], list[CellResults]] = {}
    for cell in results.cells:
        wanted = not cell.control if rule.attack is None else _same(rule.attack, cell.attack)
        model = rule.model is None or _same(rule.model, cell.subject.name)
        if wanted and model and rule.means(cell.threat, cell.radius, cell.dataset.space):
            key = (cell.trials[0].trial.subject, cell.threat.id, cell.radius.value)
            groups.setdefault(key, []).append(cell)
    places = {cell.name: place for place, cell in enumerate(results.cells)}
    for (subject, threat, radius), cells in groups.items():
        if rule.worst_case:
            for place, curve in enumerate(curves):
                if curve.envelope and (curve.model, curve.threat) == (cells[0].subject.name, names[subject, threat]):
                    found += _of_curve(place, curve, radius, cells)
            continue
        for cell in cells:
            measure = getattr(metrics(cell), rule.field, None)
            if measure is not None:
                path = f"$.cells[{places[cell.name]}].metrics.{rule.field}"
                found.append(Candidate(measure, path, cell, (cell,), f"{_where(cell)} by {cell.attack}"))
    return found


def _of_curve(place: int, curve: Curve, radius: float, cells: list[CellResults]) -> list[Candidate]:
    """The worst case over all attacks at one limit, of tasks that have an accuracy."""
    if curve.measure != "robust accuracy":
        return []
    lead = min(cells, key=lambda cell: (cell.pooled(lambda t: t.right_after).mean(), cell.name))
    words = f"{_where(lead)}, the worst of {' and '.join(cell.attack for cell in cells)} for each case"
    return [
        Candidate(point.measure, f"$.curves[{place}].points[{step}].measure", lead, tuple(cells), words)
        for step, point in enumerate(curve.points)
        if point.limit.value == radius
    ]


def _where(cell: CellResults) -> str:
    return f"{cell.subject.name} under {cell.threat.id} at {limit_words(cell.radius)}"


def _clauses(text: str) -> dict[str, str] | None:
    """What stands behind `at`, `on`, `under` and `by`; a word that comes twice belongs to a name. None if malformed."""
    first, *parts = _CLAUSE.split(f"{text} ")
    if first.strip():
        return None
    found: dict[str, str] = {}
    last = ""
    for word, value in zip(parts[::2], parts[1::2], strict=True):
        if word in found:
            found[last] += f" {word} {value.strip()}"
        else:
            found[word] = value.strip()
            last = word
    return found if all(found.values()) else None


def _known(what: str, name: str | None, names: Iterable[str], text: str) -> None:
    known = list(dict.fromkeys(names))
    if name is not None and not any(_same(name, each) for each in known):
        raise PlanError(f"{what} among {', '.join(known)}", repr(name), f"correct the rule {text!r}")


def _same(wanted: str, name: str) -> bool:
    return wanted.casefold() == name.casefold()


FEWEST = 50
"""Distinct cases below which a share is too coarse to be held against a limit: 50 leave an interval of 27 points."""


def few(cell: CellResults) -> int | None:
    """How many distinct cases stand behind a cell, if they are too few to judge anything by."""
    n = len(set(cell.pooled(lambda t: t.before["row"]).tolist()))
    return n if n < FEWEST else None


def undecided(rule: FailIf, found: Candidate) -> bool:
    """Whether the 95% interval of a number holds the rule's line, so that another sample may fall on the other side.

    Rules about an end of the interval took care of that themselves.
    """
    low, high = found.measure.low, found.measure.high
    return rule.bound is None and (low is None or high is None or low < rule.number < high)


def needed(rule: FailIf, found: Candidate) -> int | None:
    """About how many cases would leave the line outside the interval, if the number stayed; None if none would."""
    gap = abs(found.measure.value - rule.number)
    end = found.measure.low if found.measure.value > rule.number else found.measure.high
    if end is None or gap == 0:
        return None
    return math.ceil(found.measure.n * ((found.measure.value - end) / gap) ** 2)


def _same_limit(wanted: str, label: str, value: float, unit: str, space: Space) -> bool:
    """Whether the words of a rule mean a limit: by its label, or by its value however written."""
    if wanted == label:
        return True
    try:
        counted = unit in ("values", "words", "features", "leads")
        read = read_limit(wanted, space, counted=counted, unit=unit)
    except ThreatError:
        return False
    return abs(read.value - value) <= 1e-9 * max(1.0, value)
