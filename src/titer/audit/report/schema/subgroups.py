"""Results per subgroup, with small groups kept out of sight."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from titer.audit.report.schema.base import Block, Text
from titer.audit.report.schema.measures import Measure

SMALLEST_GROUP = 10
"""Groups with fewer cases are suppressed: their numbers could point at a person."""


class SubgroupRow(Block):
    """One group: either its numbers, or the word that they are suppressed."""

    value: Text = Field(description="The group, such as 'female' or '65 and older'.")
    suppressed: bool = Field(default=False, description="Whether the numbers are withheld.")
    n: int | None = Field(default=None, description="Number of cases; null when suppressed.")
    measures: dict[str, Measure] = Field(default_factory=dict, description="Measures by name; empty when suppressed.")

    @model_validator(mode="after")
    def _small_groups_hidden(self) -> Self:
        if self.suppressed:
            if self.n is not None or self.measures:
                raise ValueError(f"group {self.value!r} is suppressed and must carry neither n nor measures")
        elif self.n is None:
            raise ValueError(f"group {self.value!r} needs its number of cases, or suppressed = true")
        elif self.n < SMALLEST_GROUP:
            raise ValueError(f"group {self.value!r} has fewer than {SMALLEST_GROUP} cases: use suppress_small(rows)")
        return self


class SubgroupTable(Block):
    """One cell of the report, divided by one column."""

    cell: Text = Field(description="Identifier of the cell.")
    column: Text = Field(description="What divides the cases, such as 'sex' or 'site'.")
    rows: tuple[SubgroupRow, ...] = Field(min_length=1, description="The groups.")
    note: str = Field(default="", description="Warnings, such as how many groups were suppressed and why.")

    @model_validator(mode="after")
    def _not_derivable(self) -> Self:
        hidden = [row for row in self.rows if row.suppressed]
        if len(hidden) == 1 and len(self.rows) > 1:
            raise ValueError(
                f"group {hidden[0].value!r} of {self.column!r} alone is suppressed and could be had by subtraction: "
                "use suppress_small(rows)"
            )
        return self


def suppress_small(groups: dict[str, tuple[int, dict[str, Measure]]]) -> tuple[SubgroupRow, ...]:
    """Rows in which no small group can be read, nor be had by subtracting the others from the total.

    Groups of fewer than ten cases are suppressed. If exactly one was, the next smallest is suppressed too.

    Arguments
        groups: for each group its number of cases and its measures.

    >>> [row.suppressed for row in suppress_small({"a": (4, {}), "b": (30, {}), "c": (20, {})})]
    [True, False, True]
    """
    hidden = {name for name, (n, _) in groups.items() if n < SMALLEST_GROUP}
    if len(hidden) == 1 and len(groups) > 1:
        others = sorted((n, name) for name, (n, _) in groups.items() if name not in hidden)
        hidden.add(others[0][1])
    return tuple(
        SubgroupRow(value=name, suppressed=True) if name in hidden else SubgroupRow(value=name, n=n, measures=measures)
        for name, (n, measures) in groups.items()
    )
