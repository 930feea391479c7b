"""Operating points: from which score a case counts as positive, as plans say it and as validation cases fix it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.errors import PlanError, did_you_mean

if TYPE_CHECKING:
    from titer.audit.plan import Subject
    from titer.cases.dataset import Dataset
    from titer.models.model import Model
    from titer.models.task import Task

_WORDS = ("default", "youden")
_SHARES = ("sensitivity", "specificity")
_KEYS = (*_SHARES, "percentile", "probability", "score")
_FORMS = "default, youden, a number, or {NAME: VALUE} with one of " + ", ".join(_KEYS)


@dataclass(frozen=True)
class Rule:
    """How an operating point is fixed.

    Arguments
        name: "default" (the model's own rule); "given", "probability", "score" (the plan gives the number); "youden",
            "sensitivity", "specificity", "percentile" (validation cases decide).
        value: the number that goes with it; shares between 0 and 1.

    >>> read_rule({"sensitivity": 0.9}).needs_cases, read_rule(0.3).needs_cases
    (True, False)
    """

    name: str
    value: float | None = None

    @property
    def needs_cases(self) -> bool:
        """Whether validation cases are needed to fix it."""
        return self.name in ("youden", *_SHARES, "percentile")


def read_rule(raw: Any) -> Rule:
    """The rule that a plan writes: a word, a number, or one name with a number.

    >>> read_rule({"percentile": 95})
    Rule(name='percentile', value=0.95)
    >>> read_rule("yuden")
    Traceback (most recent call last):
    titer.errors.PlanError: expected a threshold, got 'yuden'; did you mean 'youden'? write default, youden, ...
    """
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return Rule("given", _number(raw, "threshold"))
    if isinstance(raw, str) and raw in _WORDS:
        return Rule(raw)
    if not isinstance(raw, dict) or len(raw) != 1 or next(iter(raw)) not in _KEYS:
        told = next(iter(raw), "") if isinstance(raw, dict) else raw
        hint = did_you_mean(str(told), (*_WORDS, *_KEYS)) if not isinstance(raw, dict) or len(raw) == 1 else ""
        raise PlanError("a threshold", repr(raw), f"{hint}write {_FORMS}")
    name, told = next(iter(raw.items()))
    value = _number(told, name)
    if name in _SHARES and not 0 < value <= 1:
        hint = f"write {value / 100:g} for {value:g} %" if 1 < value <= 100 else "correct it"
        raise PlanError(f"a share above 0 and up to 1 for {name!r}", f"{value:g}", hint)
    if name == "percentile":
        if not 0 < value <= 100:
            raise PlanError("a percentile above 0 and up to 100", f"{value:g}", "write for example {percentile: 95}")
        value /= 100
    if name == "probability" and not 0 < value < 1:
        raise PlanError("a probability above 0 and below 1", f"{value:g}", "correct it, or give a raw {score: NUMBER}")
    return Rule(name, value)


def rule_for(subject: Subject, dataset: Dataset, *, own: bool) -> Rule:
    """The rule of a subject, the usual one where its plan says nothing.

    A model of the user's keeps its own rule; a reference model that is trained here has none worth keeping, and gets
    Youden's point where two sides are told apart. Scores of anomaly have no natural zero: the 95th percentile of
    normal validation cases.

    Arguments
        subject: its `threshold` is read. dataset: tells the kind of decision. own: whether the model is the user's.
    """
    if subject.threshold is not None:
        return read_rule(subject.threshold)
    if dataset.task == "anomaly":
        return Rule("percentile", 0.95)
    two = dataset.task == "binary" or (dataset.task == "classes" and len(dataset.classes) == 2)
    return Rule("youden") if two and not own else Rule("default")


def check_rule(rule: Rule, task: Task, *, access: str, probabilities: bool) -> None:
    """Refuse a rule that a task or model cannot follow.

    Arguments
        task: what the model decides. access: what it gives. probabilities: whether its answers are probabilities.
    """
    if rule.name == "default":
        return
    given = not rule.needs_cases
    if not task.two_sided and not (given and task.kind == "multilabel"):
        raise PlanError(
            "a decision between two sides to set a 'threshold' for",
            f"{task.kind} of {', '.join(task.classes)}",
            "leave 'threshold' out",
        )
    if access == "labels":
        raise PlanError(
            "a model that gives scores, to set a 'threshold' for",
            "one that gives labels only",
            "write 'threshold: default', its own rule",
        )
    if rule.name == "given" and probabilities and not 0 < float(rule.value or 0) < 1:
        raise PlanError(
            "a probability above 0 and below 1 as 'threshold' of a model that gives probabilities",
            f"{rule.value:g}",
            "correct it, or write {score: NUMBER} for its log-odds",
        )
    if rule.name == "probability" and task.kind == "anomaly":
        raise PlanError("a score as threshold of an anomaly detector", "a probability", "write {score: NUMBER}")


def fix(rule: Rule, model: Model, dataset: Dataset, validation: Any) -> tuple[Task, str]:
    """The task with its operating point, and in words how that was fixed.

    Arguments
        rule: from `rule_for`. validation: rows of the data set on which rules that need cases are fixed.
    """
    from titer.audit.statistics.threshold import choose_threshold

    task = model.task
    if rule.name == "default" or (model.access == "labels" and task.kind == "anomaly"):
        return task, "the model's own decision rule"
    check_rule(rule, task, access=model.access, probabilities=model.gives_probabilities)
    if not rule.needs_cases:
        return _given(rule, task, model.gives_probabilities)
    if not len(validation):
        raise PlanError(
            "validation cases to fix a threshold on", "none", "write 'threshold: default', or change the split"
        )
    scores = task.positive_score(model.predict(dataset.cases.inputs[validation]))
    sick = dataset.cases.targets[validation] == task.disease
    found = choose_threshold(sick, scores, rule=rule.name, target=rule.value)
    below = scores[scores < found.value]
    # Between the chosen score and the next lower one, so that no rounding can move a case across.
    value = float((found.value + below.max()) / 2) if len(below) else float(found.value - 1e-9)
    words = rule.name if rule.value is None else f"{rule.name} of {rule.value:g}"
    return task.at(value), f"{words} on {len(validation)} validation cases"


def _given(rule: Rule, task: Task, probabilities: bool) -> tuple[Task, str]:
    value = float(rule.value or 0.0)
    if rule.name == "probability" or (rule.name == "given" and probabilities):
        # Scores of such tasks are log-odds of the diseased side (see `Task.positive_score`).
        return task.at(math.log(value) - math.log1p(-value)), f"given in the plan: probability above {value:g}"
    return task.at(value), f"given in the plan: score above {value:g}"


def _number(raw: Any, name: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not np.isfinite(raw):
        raise PlanError(f"a number for {name!r}", repr(raw), f"correct {name!r}")
    return float(raw)
