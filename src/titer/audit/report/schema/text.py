"""The summary: sentences whose every number can be looked up."""

from __future__ import annotations

from pydantic import Field

from titer.audit.report.schema.base import Block, Text


class Reference(Block):
    """Where a piece of a sentence comes from."""

    text: Text = Field(description="The piece as it stands in the sentence.")
    path: Text = Field(description="JSON path of the value, such as '$.cells[0].metrics.clean_accuracy.value'.")


class Paragraph(Block):
    """One paragraph, with the source of each number in it, in order."""

    text: Text = Field(description="The paragraph.")
    references: tuple[Reference, ...] = Field(default=(), description="Every number of the paragraph, in order.")


class Totals(Block):
    """How much there is of everything."""

    models: int = Field(ge=0, description="Models audited.")
    datasets: int = Field(ge=0, description="Data sets used.")
    attacks: int = Field(ge=0, description="Attacks, controls not counted.")
    controls: int = Field(ge=0, description="Controls such as random noise.")
    cells: int = Field(ge=0, description="Cells measured.")
    suspect_cells: int = Field(ge=0, description="Cells that a failed trap touches.")
    trials: int = Field(ge=0, description="Trials run, over all cells.")
    traps: int = Field(ge=0, description="Traps set.")
    traps_passed: int = Field(ge=0, description="Traps passed.")
    traps_failed: int = Field(ge=0, description="Traps failed.")
    traps_explained: int = Field(ge=0, description="Sprung traps that the plan explains.")
    traps_not_applicable: int = Field(ge=0, description="Traps that do not apply here.")
    rules: int = Field(ge=0, description="Limits set by the plan.")
    rules_held: int = Field(ge=0, description="Limits that held.")
    rules_broken: int = Field(ge=0, description="Limits that broke.")
    rules_not_judged: int = Field(ge=0, description="Limits that rest on results marked suspect.")
    rules_not_measured: int = Field(ge=0, description="Limits of which nothing was measured.")


class Summary(Block):
    """The report in plain words, for three readers."""

    totals: Totals = Field(description="Counts that the text uses.")
    headline: Paragraph = Field(description="The result in one sentence.")
    findings: tuple[Paragraph, ...] = Field(description="One short sentence for clinicians per headline result.")
    untested: Paragraph = Field(description="What was not tested, and where that is said in full.")
    clinician: tuple[Paragraph, ...] = Field(min_length=1, description="For whoever decides about patients.")
    engineer: tuple[Paragraph, ...] = Field(min_length=1, description="For whoever builds the model.")
    assessor: tuple[Paragraph, ...] = Field(min_length=1, description="For whoever judges the evidence.")
