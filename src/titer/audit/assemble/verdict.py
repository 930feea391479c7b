"""Whether the limits of the plan held."""

from __future__ import annotations

import re
from dataclasses import dataclass

from titer.audit.jobs import Prepared
from titer.audit.limits import read_limit
from titer.audit.report.schema import Cell, Rule, Verdict
from titer.audit.results import Results
from titer.cases.space import Space
from titer.errors import PlanError, ThreatError

_RULE = re.compile(
    r"^\s*(?P<measure>[a-z_]+)\s*(?P<sign><=|>=|<|>)\s*(?P<number>-?\d+(?:\.\d+)?)\s*(?P<percent>%)?"
    r"(?:\s+at\s+(?P<limit>.+?))?(?:\s+on\s+(?P<model>.+?))?\s*$"
)
_DERIVED = {
    "robust_accuracy": "metrics.robust_accuracy",
    "clean_accuracy": "metrics.clean_accuracy",
    "accuracy_drop": "metrics.accuracy_drop",
    "attack_success_rate": "metrics.attack_success_rate",
    "sensitivity": "metrics.sensitivity_attacked",
    "specificity": "metrics.specificity_attacked",
    "fnr": "metrics.fnr_attacked",
    "fpr": "metrics.fpr_attacked",
    "auroc": "metrics.auroc_attacked",
    "clean_auroc": "metrics.auroc_clean",
    "clean_sensitivity": "metrics.sensitivity_clean",
    "clean_specificity": "metrics.specificity_clean",
    "mae": "metrics.mae_attacked",
    "rmse": "metrics.rmse_attacked",
    "macro_auroc": "metrics.macro_auroc_attacked",
}


@dataclass(frozen=True)
class FailIf:
    """One rule such as `robust_accuracy < 0.5 at 4/255 on t-cnn`: the audit fails if it is true of any cell.

    >>> FailIf.read("sensitivity < 80 % at 2/255").number
    0.8
    """

    text: str
    measure: str
    sign: str
    number: float
    limit: str | None
    model: str | None

    @classmethod
    def read(cls, text: str) -> FailIf:
        """A rule from its text."""
        match = _RULE.match(text)
        if match is None or match["measure"] not in _DERIVED:
            raise PlanError(
                "a rule such as 'robust_accuracy < 0.5 at 4/255 on MODEL'",
                repr(text),
                f"correct 'fail_if'; measures are {', '.join(_DERIVED)}",
            )
        number = float(match["number"]) / (100 if match["percent"] and match["measure"] != "accuracy_drop" else 1)
        return cls(text, match["measure"], match["sign"], number, match["limit"], match["model"])

    def true_of(self, value: float) -> bool:
        """Whether a value breaks the rule."""
        return {
            "<": value < self.number,
            "<=": value <= self.number,
            ">": value > self.number,
            ">=": value >= self.number,
        }[self.sign]


def check_rules(prepared: Prepared) -> None:
    """Refuse rules that cannot be read, or that speak of a model or a limit that the plan does not have."""
    names = [subject.name for subject in prepared.plan.subjects]
    for text in prepared.plan.fail_if:
        rule = FailIf.read(text)
        if rule.model is not None and rule.model not in names:
            raise PlanError(f"a model among {', '.join(names)}", repr(rule.model), f"correct the rule {text!r}")
        if rule.limit is None:
            continue
        spoken = [number for number, name in enumerate(names) if rule.model in (None, name)]
        radii = [
            (radius, prepared.datasets[number].space)
            for number in spoken
            for threat in prepared.threats[number]
            for radius in threat.radii
        ]
        if not any(_same_limit(rule.limit, radius.label, radius.value, radius.unit, space) for radius, space in radii):
            known = ", ".join(dict.fromkeys(radius.label for radius, _ in radii))
            raise PlanError(f"a limit of the plan ({known})", repr(rule.limit), f"correct the rule {text!r}")


def verdict(results: Results, cells: tuple[Cell, ...]) -> Verdict:
    """Every rule against the cells it speaks of; the worst cell decides, controls are left out."""
    real = {cell.name for cell in results.cells if not cell.control}
    spaces = {subject.name: data.space for subject, data in zip(
        results.prepared.plan.subjects, results.prepared.datasets, strict=True)}  # fmt: skip
    rules = []
    for text in results.prepared.plan.fail_if:
        rule = FailIf.read(text)
        found = []
        for index, cell in enumerate(cells):
            measure = getattr(cell.metrics, _DERIVED[rule.measure].split(".")[1], None)
            if cell.id in real and measure is not None and _speaks_of(rule, cell, spaces):
                found.append((measure.value, index, cell, measure.unit))
        if not found:
            rules.append(Rule(rule=text, limit=rule.number, status="not measured"))
            continue
        pick = min if rule.sign.startswith("<") else max
        value, index, cell, unit = pick(found, key=lambda item: (item[0], item[2].id))
        rules.append(
            Rule(
                rule=text,
                measured=value,
                limit=rule.number,
                unit=unit,
                status="broken" if rule.true_of(value) else "held",
                cell=cell.id,
                path=f"$.cells[{index}].{_DERIVED[rule.measure]}.value",
            )
        )
    return Verdict(passed=all(rule.status == "held" for rule in rules), rules=tuple(rules))


def _speaks_of(rule: FailIf, cell: Cell, spaces: dict[str, Space]) -> bool:
    if rule.model is not None and rule.model != cell.model:
        return False
    limit = cell.limit
    return rule.limit is None or _same_limit(rule.limit, limit.label, limit.value, limit.unit, spaces[cell.model])


def _same_limit(wanted: str, label: str, value: float, unit: str, space: Space) -> bool:
    """Whether the words of a rule mean a limit: by its label, or by its value however written."""
    if wanted == label:
        return True
    try:
        read = read_limit(wanted, space, counted=unit in ("values", "words", "features"), unit=unit)
    except ThreatError:
        return False
    return abs(read.value - value) <= 1e-9 * max(1.0, value)
