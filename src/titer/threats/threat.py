"""ThreatModel: the record without which nothing is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from titer.cases.space import Space
from titer.errors import ThreatError
from titer.models.model import Knowledge
from titer.models.task import Task
from titer.threats.change import Change
from titer.threats.goal import Goal

# Where a change may act, and how a threat says so.
_WHERE = {
    "all": "",
    "outside-mask": ", never inside the known lesion,",
    "inside-mask": ", only inside the marked region,",
}


@dataclass(frozen=True)
class ThreatModel:
    """What the attacker may change, how much, knows and wants.

    Arguments
        change: the family of modifications.
        limit: the most that a change may cost, in the unit of the space (see `Space.radius_unit`) or, for counts,
            in values or words; 0 or more.
        label: the limit as the plan wrote it, e.g. "4/255".
        goal: what counts as fooled.
        knowledge: what the attacker sees of the model: gradients, structure (of trees), scores or labels.
        queries: the most questions per case; None means no limit.
        where: what may change: "all"; "outside-mask" to keep a known lesion as it is; "inside-mask" for what the
            masks of the cases mark and nothing else, such as brain tissue.

    >>> from titer.threats.changes.additive import Additive
    >>> threat = ThreatModel(Additive("linf"), 0.1, label="0.1")
    >>> print(threat.sentence(Space("signal", (1, 250), "mV", -5.0, 5.0), Task("binary", ("normal", "PVC"))))
    An attacker who sees gradients may change every value by at most 0.1 mV and wants any wrong decision.
    """

    change: Change
    limit: float
    label: str = ""
    goal: Goal = field(default_factory=Goal)
    knowledge: Knowledge = "gradients"
    queries: int | None = None
    where: str = "all"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit) and self.limit >= 0):
            raise ThreatError("a finite limit of 0 or more", str(self.limit), "correct the limit")
        if self.queries is not None and self.queries < 1:
            raise ThreatError("a query limit of 1 or more", str(self.queries), "correct 'queries' or leave it out")
        if self.where not in _WHERE:
            raise ThreatError(f"'where' among {', '.join(_WHERE)}", repr(self.where), "correct 'where'")

    def at(self, limit: float, label: str = "") -> ThreatModel:
        """The same threat with another limit."""
        return replace(self, limit=limit, label=label or f"{limit:g}")

    def check(self, space: Space, task: Task) -> None:
        """Refuse a threat that this space or task has no meaning for."""
        self.goal.check(task)
        if space.kind not in self.change.kinds:
            words = space.kind == "tokens"
            raise ThreatError(
                "a change of words for notes" if words else f"a change that a {space.kind} can undergo",
                f"change {self.change.name!r} for {', '.join(self.change.kinds)}",
                "use 'substitution' (real words) or 'embedding' (the numbers behind them)"
                if words
                else "use 'additive'",
            )
        self.change.suits(space)

    def sentence(self, space: Space, task: Task) -> str:
        """The threat in English."""
        label = self.label or f"{self.limit:g}"
        share = f"{label} of all" if label.endswith("%") else label
        limit = share if self.change.counts else f"{label} {self.change.unit(space)}".strip()
        asked = f" and asks at most {self.queries} questions per case" if self.queries else ""
        kept = _WHERE[self.where]
        change = self.change.told(limit, space)
        seen = "the structure" if self.knowledge == "structure" else self.knowledge
        return f"An attacker who sees {seen}{asked} may {change}{kept} and wants {self.goal.sentence(task)}."
