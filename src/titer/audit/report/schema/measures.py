"""Numbers as a report knows them: never without interval, size and method."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from titer.audit.report.schema.base import Block, Text


class Limit(Block):
    """How far an attacker may go."""

    value: float = Field(ge=0, description="The limit as a number, in `unit`.")
    unit: Text = Field(description="Unit of the limit, such as 'intensity', 'mV' or 'edited tokens'.")
    label: Text = Field(description="The limit as people write it, such as '4/255' or '0.10 mV'.")


class Measure(Block):
    """One number with its interval, the number of things it rests on, and its method."""

    value: float = Field(description="Point estimate; shares lie between 0 and 1, differences of shares are in points.")
    low: float | None = Field(default=None, description="Lower end of the interval; null where none can be given.")
    high: float | None = Field(default=None, description="Upper end of the interval; null where none can be given.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the interval.")
    n: int = Field(ge=0, description="Number of cases (or trials, as the method says) behind the number.")
    k: int | None = Field(default=None, ge=0, description="Number of successes among n, where the number is a share.")
    method: Text = Field(description="How the interval was made, such as 'Wilson' or 'patient-clustered bootstrap'.")
    unit: Text = Field(
        default="proportion",
        description="'proportion' (0 to 1), 'points' (percentage points), 'score', 'count', or a clinical unit.",
    )

    @model_validator(mode="after")
    def _interval_in_order(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval needs both ends, or neither")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval is reversed: {self.low} to {self.high}")
        if self.k is not None and self.k > self.n:
            raise ValueError(f"k = {self.k} successes among n = {self.n}")
        if self.unit == "proportion" and not 0 <= self.value <= 1:
            raise ValueError(f"a proportion lies between 0 and 1, got {self.value}; differences have the unit 'points'")
        return self


class TestResult(Block):
    """One statistical test or effect size, with the sentence that says what it means."""

    __test__ = False  # the name begins like a test class; this keeps pytest from collecting it

    name: Text = Field(description="Name of the test or effect size, such as 'paired t-test'.")
    statistic_name: Text | None = Field(default=None, description="Symbol of the statistic, such as 't', 'F' or 'W'.")
    statistic: float | None = Field(default=None, description="The statistic; null where it is not defined.")
    df: tuple[float, ...] = Field(default=(), description="Degrees of freedom: none, one, or two for an F statistic.")
    p: float | None = Field(default=None, ge=0, le=1, description="Two-sided p value before any adjustment.")
    p_adjusted: float | None = Field(default=None, ge=0, le=1, description="p value adjusted for many comparisons.")
    adjustment: Text | None = Field(default=None, description="How p was adjusted, such as 'Holm over 6 tests'.")
    estimate: float | None = Field(default=None, description="Estimated difference or effect size.")
    unit: Text | None = Field(default=None, description="Unit of the estimate, such as 'points' or 'd_z'.")
    low: float | None = Field(default=None, description="Lower end of the estimate's interval.")
    high: float | None = Field(default=None, description="Upper end of the estimate's interval.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the interval.")
    n: int | None = Field(default=None, ge=0, description="Number of pairs, cases or trials used.")
    method: Text = Field(description="What was computed, precisely enough to compute it again.")
    sentence: Text = Field(description="What the result means, in one plain sentence with its limits.")
