"""Our measured form of the figure and table that the attack literature prints."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from titer.audit.report.schema.base import Block, Text
from titer.audit.report.schema.measures import Limit, Measure

PUBLISHED_LABEL = "published, not reproducible as stated"


class Figure1Bar(Block):
    """Accuracy under one condition."""

    condition: Text = Field(description="'clean' or the name of an attack.")
    accuracy: Measure = Field(description="Accuracy under that condition.")
    cell: str | None = Field(default=None, description="Identifier of the cell; null for 'clean'.")


class Figure1Group(Block):
    """All conditions of one model."""

    model: Text = Field(description="Name of the model.")
    family: Text = Field(description="Architecture family.")
    dataset: Text = Field(description="Name of the data set.")
    bars: tuple[Figure1Bar, ...] = Field(min_length=1, description="Conditions, clean first.")


class Published(Block):
    """A figure from a paper."""

    value: float = Field(description="Mean accuracy drop in points, as printed.")
    sd: float | None = Field(default=None, description="Standard deviation in points, as printed.")
    label: Text = Field(default=PUBLISHED_LABEL, description="How the figure is to be read.")
    source: Text = Field(description="Paper and place in it.")


class MeanDrop(Block):
    """Mean accuracy drop over trials."""

    mean: float = Field(description="Mean over trials, in points.")
    sd: float | None = Field(default=None, ge=0, description="Standard deviation over trials, in points.")
    low: float | None = Field(default=None, description="Lower end of the interval of the mean.")
    high: float | None = Field(default=None, description="Upper end of the interval of the mean.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Confidence level of the interval.")
    n: int = Field(ge=1, description="Number of trials.")
    method: Text = Field(description="How the interval was made.")


class Table1Row(Block):
    """One model under one attack: mean accuracy drop with its spread, beside the published figure."""

    model: Text = Field(description="Name of the model.")
    family: Text = Field(description="Architecture family.")
    dataset: Text = Field(description="Name of the data set.")
    attack: Text = Field(description="Name of the attack.")
    limit: Limit | None = Field(default=None, description="Limit at which ours was measured.")
    cell: str | None = Field(default=None, description="Identifier of the cell.")
    ours: MeanDrop | None = Field(default=None, description="Our figure; null where none could be measured.")
    missing: str = Field(default="", description="Why ours is missing.")
    published: Published | None = Field(default=None, description="The paper's figure, where it prints one.")
    difference: str = Field(default="", description="Why ours and the paper's differ.")
    inconsistencies: tuple[Text, ...] = Field(
        default=(), description="Contradictions in the paper that touch this row."
    )

    @model_validator(mode="after")
    def _filled_or_explained(self) -> Self:
        if self.ours is None and not self.missing:
            raise ValueError(f"row {self.model} / {self.attack} has no figure of ours and no reason why")
        return self
