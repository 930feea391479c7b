"""The table at the heart of a report: one cell per model, data set, attack and limit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from titer.audit.report.schema.base import Block, Text
from titer.audit.report.schema.measures import Limit, Measure, TestResult
from titer.audit.report.schema.metrics import Metrics


class TrialValue(Block):
    """The main measure of one trial: accuracy, macro AUROC, RMSE or Dice, as the task has it."""

    seed: int = Field(description="Seed of the trial.")
    clean: float = Field(description="Main measure before the attack.")
    attacked: float = Field(description="Main measure after the attack.")
    n: int = Field(ge=1, description="Number of cases in the trial.")
    trial: str = Field(default="", description="Digest under which the trial's results are stored.")


class Cell(Block):
    """One model on one data set under one attack at one limit, over all seeds."""

    id: Text = Field(description="Identifier that other blocks refer to; the same in every run of the plan.")
    model: Text = Field(description="Name of the model.")
    dataset: Text = Field(description="Name of the data set.")
    attack: Text = Field(description="Name of the attack.")
    threat: Text = Field(description="Identifier of the threat.")
    limit: Limit = Field(description="How far the attacker may go.")
    n_cases: int = Field(ge=1, description="Number of distinct cases attacked.")
    n_patients: int | None = Field(default=None, ge=1, description="Number of distinct patients, where known.")
    n_trials: int = Field(ge=1, description="Number of trials pooled here.")
    metrics: Metrics = Field(description="What was measured.")
    mean_cost: Measure | None = Field(default=None, description="Mean size of the change, in the limit's unit.")
    queries_per_case: Measure | None = Field(default=None, description="Mean number of questions to the model.")
    passes_per_case: Measure | None = Field(default=None, description="Mean number of forward and backward passes.")
    trials: tuple[TrialValue, ...] = Field(min_length=1, description="The trials one by one.")
    tests: tuple[TestResult, ...] = Field(default=(), description="Tests of clean against attacked, and effect sizes.")
    suspect: bool = Field(default=False, description="Whether a trap was failed that touches this cell.")
    suspect_traps: tuple[Text, ...] = Field(default=(), description="Identifiers of those traps.")
    rerun: Text = Field(description="Command that runs exactly this cell again.")


class CurvePoint(Block):
    """Robustness at one limit."""

    limit: Limit = Field(description="The limit.")
    measure: Measure = Field(description="Robust accuracy (or the task's main measure) at this limit.")
    cell: str | None = Field(default=None, description="Identifier of the cell, where the point is a cell.")


class Curve(Block):
    """Robustness of one model over growing limits."""

    model: Text = Field(description="Name of the model.")
    dataset: Text = Field(description="Name of the data set.")
    attack: Text = Field(description="Name of the attack; 'worst case' for the envelope.")
    threat: str | None = Field(
        default=None, description="Identifier of the threat; curves share an axis only within one."
    )
    envelope: bool = Field(default=False, description="Whether each case counts its worst outcome over all attacks.")
    measure: Text = Field(default="robust accuracy", description="What the curve shows.")
    points: tuple[CurvePoint, ...] = Field(min_length=1, description="Points, in growing order of the limit.")
    median_minimal_radius: Measure | None = Field(
        default=None,
        description="Median over cases of the smallest limit tried that fooled the model; the true one lies between "
        "the next smaller limit and it.",
    )


class Counts(Block):
    """Right and wrong answers among diseased and healthy cases."""

    tp: int = Field(ge=0, description="Diseased, called diseased.")
    fn: int = Field(ge=0, description="Diseased, missed.")
    fp: int = Field(ge=0, description="Healthy, called diseased.")
    tn: int = Field(ge=0, description="Healthy, called healthy.")


class Harm(Block):
    """What an attack adds per thousand patients: missed patients, false alarms, and both weighted by their costs."""

    cost_fn: float = Field(ge=0, description="Cost of one missed diseased patient.")
    cost_fp: float = Field(ge=0, description="Cost of one false alarm.")
    unit: Text = Field(description="Unit of the costs.")
    stated: bool = Field(description="Whether the plan states the costs; else they are this program's own.")
    prevalence: float = Field(ge=0, le=1, description="Share of diseased patients assumed.")
    prevalence_source: Literal["plan", "test set"] = Field(description="Where the prevalence comes from.")
    extra_misses: Measure = Field(description="Missed patients more than without the attack, per thousand patients.")
    extra_alarms: Measure = Field(description="False alarms more than without the attack, per thousand patients.")
    per_thousand: Measure = Field(
        description="Weighted errors: cost_fn x extra misses + cost_fp x extra alarms, per thousand patients."
    )
    note: str = Field(default="", description="Where costs and prevalence come from.")


class ErrorShift(Block):
    """How an attack moves misses and false alarms at the threshold fixed on validation data."""

    cell: Text = Field(description="Identifier of the cell.")
    positive: Text = Field(description="What counts as diseased.")
    threshold: Text = Field(description="The threshold and how it was fixed, in words.")
    clean: Counts = Field(description="Counts before the attack.")
    attacked: Counts = Field(description="Counts after the attack, on the same cases.")
    fnr_clean: Measure = Field(description="Share of diseased cases missed before the attack.")
    fnr_attacked: Measure = Field(description="Share of diseased cases missed after the attack.")
    fpr_clean: Measure = Field(description="Share of healthy cases alarmed before the attack.")
    fpr_attacked: Measure = Field(description="Share of healthy cases alarmed after the attack.")
    fnr_shift: Measure = Field(description="Change of the share of missed diseased cases, in points.")
    fpr_shift: Measure = Field(description="Change of the share of false alarms, in points.")
    mcnemar_diseased: TestResult | None = Field(default=None, description="Paired test among diseased cases.")
    mcnemar_healthy: TestResult | None = Field(default=None, description="Paired test among healthy cases.")
    harm: Harm | None = Field(default=None, description="Weighted harm, where the plan states costs.")


class ComparisonFamily(Block):
    """Tests that belong together because one question was asked."""

    heading: Text = Field(description="Heading, such as 'Do the attacks differ?'.")
    question: Text = Field(description="The question in one sentence.")
    results: tuple[TestResult, ...] = Field(min_length=1, description="The tests.")
    notes: tuple[Text, ...] = Field(default=(), description="Assumptions and warnings that belong to the family.")
