"""Minimal radii: the smallest limit at which each case falls, and the curve that follows."""

from __future__ import annotations

from pydantic import Field, JsonValue

from titer.audit.report.schema.base import Block, Text
from titer.audit.report.schema.measures import Limit, Measure


class RadiusPoint(Block):
    """What withstands one limit."""

    limit: float = Field(ge=0, description="The limit, in the unit of the widest one.")
    measure: Measure = Field(description="Share of cases whose minimal radius is larger.")


class MinimalRadii(Block):
    """The minimal radii of one model under one threat, over all seeds.

    The radius of a case is the smallest cost at which the attack got what it wanted: an upper bound of the case's true
    distance to the border of the decision. Radii above the widest limit are censored: only their number is known.
    """

    model: Text = Field(description="Name of the model.")
    dataset: Text = Field(description="Name of the data set.")
    threat: Text = Field(description="Identifier of the threat.")
    attack: Text = Field(description="Name of the attack that searched.")
    settings: dict[str, JsonValue] = Field(description="Every setting of the attack, defaults included.")
    reference: Text = Field(description="Authors, year and identifier of the attack's source.")
    high: Limit = Field(description="The widest limit that was tried.")
    tolerance: float = Field(ge=0, description="How far a radius may lie above the smallest limit of this attack.")
    n_cases: int = Field(ge=1, description="Number of distinct cases.")
    n_trials: int = Field(ge=1, description="Number of trials pooled here.")
    needed_nothing: Measure = Field(description="Share of cases that gave the attacker what was wanted unchanged.")
    never: Measure = Field(description="Share of cases that nothing within the widest limit turned.")
    median: Measure | None = Field(
        default=None,
        description="Median radius over the cases that had to be turned; null where it lies above the widest limit. "
        "Without an interval where the upper end does.",
    )
    at_least: float | None = Field(
        default=None,
        ge=0,
        description="Lower end of the median's 95% interval, where its upper end lies above the widest limit.",
    )
    points: tuple[RadiusPoint, ...] = Field(
        min_length=1, description="The curve, in growing order of the limit, from no change to the widest limit."
    )
    queries_per_case: Measure | None = Field(default=None, description="Mean number of questions to the model.")
    passes_per_case: Measure | None = Field(default=None, description="Mean number of forward and backward passes.")
