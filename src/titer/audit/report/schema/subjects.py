"""What was examined: models, data, threats and attacks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, field_validator

from titer.audit.evidence.taxonomy import known
from titer.audit.report.schema.base import Block, Text
from titer.audit.report.schema.measures import Limit
from titer.faults import passing

TaskKind = Literal["classification", "multilabel", "regression", "anomaly", "segmentation"]
Status = Literal["passed", "failed", "not applicable"]
Nature = Literal["values", "semantic", "placed", "natural"]


class Task(Block):
    """What a model decides."""

    kind: TaskKind = Field(description="Kind of answer.")
    classes: tuple[Text, ...] = Field(default=(), description="Class or label names in the order of the outputs.")
    positive_classes: tuple[Text, ...] = Field(default=(), description="Classes that count as diseased.")
    threshold: float | None = Field(default=None, description="Score above which a case counts as positive.")
    threshold_source: str = Field(default="", description="How the threshold was fixed, and on which split.")
    tolerance: float | None = Field(
        default=None,
        ge=0,
        description="Regression: largest error that counts as right. Segmentation: least agreement that does.",
    )
    measure: str = Field(
        default="", description="Segmentation: the agreement that is held against the tolerance: dice, or pixels."
    )
    unit: str = Field(default="", description="Unit of the predicted quantity; empty for classes.")


class ModelCard(Block):
    """One model under audit."""

    name: Text = Field(description="Name used throughout the report.")
    digest: Text = Field(description="Digest of the weights or of the file; 'endpoint' names its address digest.")
    family: Text = Field(description="Architecture family, such as 'CNN', 'RNN', 'Transformer', 'autoencoder'.")
    task: Task = Field(description="What the model decides.")
    access: Text = Field(description="What the auditor could ask: gradients, scores or labels only.")
    parameters: int | None = Field(default=None, ge=0, description="Number of trainable parameters, where known.")
    note: str = Field(default="", description="Where the model comes from and how it was trained.")


class SplitCount(Block):
    """Size of one part of a data set."""

    split: Text = Field(description="Name of the part: train, validation or test.")
    n: int = Field(ge=0, description="Number of cases.")
    patients: int | None = Field(default=None, ge=0, description="Number of patients, where known.")
    per_class: dict[str, int] = Field(default_factory=dict, description="Number of cases of each class.")


class LeakageCheck(Block):
    """Whether a patient or a near-duplicate stands on both sides of a split."""

    status: Status = Field(description="Result of the check.")
    sentence: Text = Field(description="What was compared and what was found.")


class DataCard(Block):
    """One data set."""

    name: Text = Field(description="Name used throughout the report.")
    title: Text = Field(description="Full title.")
    license: Text = Field(description="License of the data.")
    citation: Text = Field(description="Whom to cite.")
    digest: Text = Field(description="Digest of the cases.")
    n: int = Field(ge=1, description="Number of cases in all parts.")
    patients: int | None = Field(default=None, ge=1, description="Number of patients, where known.")
    splits: tuple[SplitCount, ...] = Field(min_length=1, description="Sizes of the parts.")
    unit: Text = Field(description="Unit of the recorded values, such as 'mV' or 'gray level (0 to 1)'.")
    shape: tuple[int, ...] = Field(description="Shape of one case; -1 where it varies.")
    groups: tuple[Text, ...] = Field(default=(), description="Columns by which subgroups were formed.")
    leakage: LeakageCheck = Field(description="Leakage check between the parts.")
    synthetic: bool = Field(default=False, description="Whether the cases were generated rather than recorded.")
    note: str = Field(default="", description="What else a reader should know.")


class Threat(Block):
    """What an attacker may change, know and want, as a sentence."""

    id: Text = Field(description="Identifier that cells refer to.")
    sentence: Text = Field(description="The threat as one English sentence.")
    goal: Text = Field(description="What the attacker wants.")
    knowledge: Text = Field(description="What the attacker sees: gradients, scores or labels.")
    change: Text = Field(description="Family of allowed changes, such as 'additive, L-infinity'.")
    limits: tuple[Limit, ...] = Field(min_length=1, description="Limits examined.")
    main_limit: Limit | None = Field(
        default=None, description="Limit the summary speaks of; the largest one measured when null."
    )
    nature: Nature = Field(default="values", description="Kind of change; `natural` ones have no attacker.")
    taxonomy: tuple[Text, ...] = Field(default=(), description="Identifiers of NIST AML and MITRE ATLAS.")

    @field_validator("taxonomy")
    @classmethod
    def _identifiers_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        with passing():
            for name in value:
                known(name)
        return value


class AttackCard(Block):
    """One attack with its settings."""

    name: Text = Field(description="Name used throughout the report.")
    title: Text = Field(description="Name in full.")
    settings: dict[str, JsonValue] = Field(description="Every setting, defaults included.")
    reference: Text = Field(description="Authors, year and identifier of the source.")
    control: bool = Field(default=False, description="Whether it is a control such as random noise, not an attack.")
    needs: str = Field(
        default="", description="The least it must see of the model: gradients, structure, scores, labels."
    )
    proves: bool = Field(default=False, description="Whether its failure proves that nothing within the limit fools.")
