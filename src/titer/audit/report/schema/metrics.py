"""What is measured in a cell, by kind of task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from titer.audit.report.schema.base import Block, Text
from titer.audit.report.schema.measures import Measure


class ClassificationMetrics(Block):
    """One class per case, or an anomaly score against a threshold."""

    kind: Literal["classification"] = Field(default="classification", description="Kind of metrics.")
    clean_accuracy: Measure = Field(description="Share of right answers before the attack.")
    robust_accuracy: Measure = Field(description="Share of right answers after the attack, on the same cases.")
    accuracy_drop: Measure = Field(description="Clean minus robust accuracy, in points.")
    attack_success_rate: Measure | None = Field(
        default=None,
        description="Share of cases in which the attacker got what was wanted, among those not so before: for any "
        "wrong answer, of those right at first. Null when there were none.",
    )
    sensitivity_clean: Measure | None = Field(default=None, description="True positive rate before the attack.")
    sensitivity_attacked: Measure | None = Field(default=None, description="True positive rate after the attack.")
    specificity_clean: Measure | None = Field(default=None, description="True negative rate before the attack.")
    specificity_attacked: Measure | None = Field(default=None, description="True negative rate after the attack.")
    fnr_clean: Measure | None = Field(default=None, description="Share of diseased cases missed before the attack.")
    fnr_attacked: Measure | None = Field(default=None, description="Share of diseased cases missed after the attack.")
    fpr_clean: Measure | None = Field(default=None, description="Share of healthy cases alarmed before the attack.")
    fpr_attacked: Measure | None = Field(default=None, description="Share of healthy cases alarmed after the attack.")
    auroc_clean: Measure | None = Field(default=None, description="Area under the ROC curve before the attack.")
    auroc_attacked: Measure | None = Field(default=None, description="Area under the ROC curve after the attack.")
    confidence_clean: Measure | None = Field(default=None, description="Mean confidence before the attack.")
    confidence_attacked: Measure | None = Field(default=None, description="Mean confidence after the attack.")
    confidence_on_errors: Measure | None = Field(
        default=None, description="Mean confidence in the wrong answers after the attack."
    )


class LabelMetrics(Block):
    """One label of a multi-label model."""

    label: Text = Field(description="Name of the label.")
    auroc_clean: Measure | None = Field(default=None, description="Area under the ROC curve before the attack.")
    auroc_attacked: Measure | None = Field(default=None, description="Area under the ROC curve after the attack.")


class MultiLabelMetrics(Block):
    """Several labels per case."""

    kind: Literal["multilabel"] = Field(default="multilabel", description="Kind of metrics.")
    macro_auroc_clean: Measure = Field(description="Mean AUROC over labels before the attack.")
    macro_auroc_attacked: Measure = Field(description="Mean AUROC over labels after the attack.")
    exact_match_clean: Measure | None = Field(default=None, description="Share with all labels right, before.")
    exact_match_attacked: Measure | None = Field(default=None, description="Share with all labels right, after.")
    attack_success_rate: Measure | None = Field(
        default=None,
        description="Share of cases in which the attacker got what was wanted, among those not so before: for any "
        "wrong finding, of those right at first. Null when there were none.",
    )
    labels: tuple[LabelMetrics, ...] = Field(min_length=1, description="The labels one by one.")


class RegressionMetrics(Block):
    """A quantity per case."""

    kind: Literal["regression"] = Field(default="regression", description="Kind of metrics.")
    rmse_clean: Measure = Field(description="Root mean squared error before the attack, in the target's unit.")
    rmse_attacked: Measure = Field(description="Root mean squared error after the attack.")
    mae_clean: Measure = Field(description="Mean absolute error before the attack.")
    mae_attacked: Measure = Field(description="Mean absolute error after the attack.")
    within_tolerance_clean: Measure | None = Field(default=None, description="Share within the tolerance, before.")
    within_tolerance_attacked: Measure | None = Field(default=None, description="Share within the tolerance, after.")
    attack_success_rate: Measure | None = Field(
        default=None,
        description="Share of cases in which the attacker got what was wanted, among those not so before: for any "
        "wrong answer, of those within the tolerance. Null when there were none.",
    )


class SegmentationMetrics(Block):
    """A map per case."""

    kind: Literal["segmentation"] = Field(default="segmentation", description="Kind of metrics.")
    dice_clean: Measure = Field(description="Mean over cases of the Dice with the true map, before the attack.")
    dice_attacked: Measure = Field(description="Mean over cases of the Dice with the true map, after the attack.")
    iou_clean: Measure = Field(description="Mean intersection over union with the true map, before the attack.")
    iou_attacked: Measure = Field(description="Mean intersection over union with the true map, after the attack.")
    dice_drop: Measure = Field(description="Mean over cases of what the Dice lost, in points of a hundred.")
    within_tolerance_clean: Measure | None = Field(default=None, description="Share that reach the tolerance, before.")
    within_tolerance_attacked: Measure | None = Field(
        default=None, description="Share that reach the tolerance, after."
    )
    attack_success_rate: Measure | None = Field(
        default=None,
        description="Share of cases whose agreement fell below the tolerance, among those that reached it. Null when "
        "there were none.",
    )


Metrics = Annotated[
    ClassificationMetrics | MultiLabelMetrics | RegressionMetrics | SegmentationMetrics, Field(discriminator="kind")
]
