"""A paper's figures beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from titer.audit.plan import Plan
from titer.audit.plan_file import parse_plan
from titer.audit.report.schema import Published, Report, Table1Row
from titer.audit.report.summary import complete
from titer.errors import PlanError

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Paper:
    """A paper that Titer can repeat.

    Arguments
        name: as the command line calls it. expected: its figures, contradictions and reasons for differences.

    >>> Paper.read("soberano-2025").plan("quick").seeds
    (0, 1, 2, 3, 4)
    """

    name: str
    expected: Mapping[str, Any]

    @classmethod
    def read(cls, name: str) -> Paper:
        """A paper by name."""
        if name not in papers():
            raise PlanError(f"a paper among {', '.join(papers())}", repr(name), "correct the name")
        folder = _HERE / name.replace("-", "_")
        return cls(name, yaml.safe_load((folder / "expected.yaml").read_text(encoding="utf-8")))

    def plan_text(self, scale: str) -> str:
        """Text of the plan at a scale: "quick" or "full"."""
        path = _HERE / self.name.replace("-", "_") / f"{scale}.yaml"
        if not path.is_file():
            raise PlanError("a scale of quick or full", repr(scale), "correct --scale")
        return path.read_text(encoding="utf-8")

    def plan(self, scale: str) -> Plan:
        """The plan at a scale."""
        return parse_plan(self.plan_text(scale), (), f"{self.name} {scale}")

    def beside(self, report: Report) -> Report:
        """The report with the paper's figures, its contradictions and the reasons for differences in Table 1."""
        rows = {(row.model, row.attack): row for row in report.table1}
        filled = []
        for printed in self.expected["rows"]:
            place = (printed["model"], printed["attack"])
            ours = rows.pop(place, None)
            if ours is None:
                ours = Table1Row(
                    model=printed["model"],
                    family=printed["family"],
                    dataset="none",
                    attack=printed["attack"],
                    missing="This attack was not run on this model by the plan.",
                )
            filled.append(ours.model_copy(update=self._about(printed)))
        from titer.audit.report.schema import Draft

        plain = {name: getattr(report, name) for name in Draft.model_fields}
        return complete(Draft(**{**plain, "table1": (*filled, *rows.values())}))

    def _about(self, printed: Mapping[str, Any]) -> dict[str, Any]:
        published = None
        if "drop" in printed:
            published = Published(
                value=printed["drop"],
                sd=printed.get("sd"),
                label=self.expected["label"],
                source=f"{self.expected['citation']}, {printed['source']}",
            )
        told = [
            " ".join(entry["says"].split())
            for entry in self.expected["inconsistencies"]
            if any(
                _matches(model, printed["model"]) and _matches(attack, printed["attack"])
                for model, attack in entry["rows"]
            )
        ]
        reasons = self.expected["differences"]
        why = " ".join(" ".join(reasons[key].split()) for key in ("*", printed["attack"]) if key in reasons)
        return {"published": published, "inconsistencies": tuple(told), "difference": why}


def papers() -> list[str]:
    """Names of the papers that can be repeated.

    >>> papers()
    ['soberano-2025']
    """
    return sorted(path.parent.name.replace("_", "-") for path in _HERE.glob("*/expected.yaml"))


def _matches(pattern: str, name: str) -> bool:
    return pattern in ("*", name)
