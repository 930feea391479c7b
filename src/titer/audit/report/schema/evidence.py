"""Evidence beside the numbers: traps, pictures, limits, limitations."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from titer.audit.report.schema.base import Block, Text
from titer.audit.report.schema.measures import Limit
from titer.audit.report.schema.subjects import Status

PngUri = Annotated[str, StringConstraints(pattern=r"^data:image/png;base64,[A-Za-z0-9+/]+={0,2}$")]


class Trap(Block):
    """One question about the soundness of the evaluation itself."""

    id: Text = Field(description="Identifier that cells refer to.")
    name: Text = Field(description="Short name.")
    question: Text = Field(description="The question asked.")
    status: Status = Field(description="Answer.")
    evidence: Text = Field(description="What was seen, in one sentence.")
    meaning: Text = Field(description="What a failure would mean.")
    remedy: Text = Field(description="What to do about a failure.")
    cells: tuple[Text, ...] = Field(default=(), description="Identifiers of the cells it touches.")
    explanation: str | None = Field(default=None, description="The author's explanation, from the plan.")


class Prediction(Block):
    """What a model said."""

    label: Text = Field(description="Answer: a class, or a quantity with its unit.")
    confidence: float | None = Field(default=None, ge=0, le=1, description="Confidence, where the model gives one.")


class GalleryCase(Block):
    """What all gallery items share. Carries no identifier of a case or patient."""

    cell: Text = Field(description="Identifier of the cell the case comes from.")
    caption: Text = Field(description="Clinical caption, units included.")
    unit: Text = Field(description="Unit of the values shown.")
    true_label: Text = Field(description="The truth.")
    clean: Prediction = Field(description="Answer before the attack.")
    adversarial: Prediction = Field(description="Answer after the attack.")
    cost: float | None = Field(default=None, ge=0, description="Size of the change, in the unit of the limit.")
    limit: Limit = Field(description="How far the attacker could go.")


class Outlines(Block):
    """Outlines of a segmentation, drawn over the case: the true one green, the model's orange and on top."""

    clean_png: PngUri = Field(description="The case as recorded, with the true outline and the model's.")
    adversarial_png: PngUri = Field(description="The case as attacked, with the true outline and the model's.")


class ImageItem(GalleryCase):
    """A picture, or one plane of a volume."""

    kind: Literal["image", "volume-slice"] = Field(description="Kind of item.")
    clean_png: PngUri = Field(description="The case as recorded.")
    perturbation_png: PngUri = Field(description="The change, magnified, centered on mid-gray.")
    adversarial_png: PngUri = Field(description="The case as attacked.")
    perturbation_scale: float = Field(gt=0, description="How many times the change is magnified.")
    plane: str = Field(default="", description="Volumes: which plane is shown.")
    outlines: Outlines | None = Field(default=None, description="Segmentations: what was marked, before and after.")


class SignalItem(GalleryCase):
    """A strip of one or more channels."""

    kind: Literal["signal"] = Field(description="Kind of item.")
    step: float = Field(gt=0, description="Time between two values, in seconds.")
    channels: tuple[Text, ...] = Field(min_length=1, description="Names of the channels.")
    clean_values: tuple[tuple[float, ...], ...] = Field(description="Recorded values, [channels][time].")
    adversarial_values: tuple[tuple[float, ...], ...] = Field(description="Attacked values, [channels][time].")
    perturbation_values: tuple[tuple[float, ...], ...] = Field(description="The change, [channels][time].")
    perturbation_scale: float = Field(gt=0, description="How many times the change is magnified when drawn.")

    @model_validator(mode="after")
    def _same_shape(self) -> Self:
        shapes = {
            tuple(len(channel) for channel in values)
            for values in (self.clean_values, self.adversarial_values, self.perturbation_values)
        }
        if len(shapes) != 1 or len(self.clean_values) != len(self.channels):
            raise ValueError(f"the three strips need one shape with {len(self.channels)} channels, got {shapes}")
        return self


class NoteToken(Block):
    """One word of a note."""

    op: Literal["equal", "replace", "insert", "delete"] = Field(description="What happened to it.")
    text: str = Field(description="The word; empty for an inserted one.")
    replacement: str | None = Field(default=None, description="What stands there now, if replaced or inserted.")


class NoteItem(GalleryCase):
    """A note, word by word."""

    kind: Literal["note"] = Field(description="Kind of item.")
    tokens: tuple[NoteToken, ...] = Field(min_length=1, description="Words in order.")


class FeatureRow(Block):
    """One feature of a table row."""

    feature: Text = Field(description="Name of the feature.")
    unit: str = Field(default="", description="Unit of the feature.")
    clean: float | str = Field(description="Recorded value.")
    adversarial: float | str = Field(description="Attacked value.")
    moved: float | None = Field(default=None, description="The change in the unit of the limit, where that is another.")
    moved_unit: str = Field(default="", description="That unit.")


class TableItem(GalleryCase):
    """A row of a table."""

    kind: Literal["table"] = Field(description="Kind of item.")
    rows: tuple[FeatureRow, ...] = Field(min_length=1, description="Features.")


GalleryItem = Annotated[ImageItem | SignalItem | NoteItem | TableItem, Field(discriminator="kind")]


class Rule(Block):
    """One `fail_if` rule of the plan, judged."""

    rule: Text = Field(description="The rule as the plan states it.")
    measured: float | None = Field(default=None, description="What was measured; null when nothing was.")
    limit: float = Field(description="Where the rule draws the line.")
    unit: Text = Field(default="proportion", description="Unit of both numbers.")
    status: Literal["held", "broken", "not judged", "not measured"] = Field(
        description="Verdict; 'not judged' where the rule would hold but rests on results marked suspect."
    )
    scope: str = Field(default="", description="What was compared: model, threat, limit, attacks.")
    reason: str = Field(default="", description="Why the rule could not be judged, or what else puts it in doubt.")
    cell: str | None = Field(default=None, description="Identifier of the cell that decided.")
    path: str | None = Field(default=None, description="JSON path of the measured number.")


class Verdict(Block):
    """The rules of the plan, judged."""

    passed: bool | None = Field(
        description="True when every rule was judged and held; null when the plan has no rules, so nothing was judged."
    )
    rules: tuple[Rule, ...] = Field(default=(), description="The rules; empty when the plan sets none.")

    @model_validator(mode="after")
    def _follows_from_rules(self) -> Self:
        held = all(rule.status == "held" for rule in self.rules) if self.rules else None
        if self.passed is not held:
            raise ValueError(f"passed = {self.passed} does not follow from {[rule.status for rule in self.rules]}")
        return self
