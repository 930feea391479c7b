"""The format of `report.json`, version 1.1: `Report` at the top, one frozen class per block.

The blocks:

    Report            Draft (the facts) + Index (what assessors ask) + Summary (the facts in words)
      identity        plan, program, machine, seeds, commands
      models, datasets, threats, attacks
      cells           model x data set x attack x limit, each number a Measure
      curves, error_shifts, subgroups, comparisons
      figure1, table1
      traps, gallery, limits, limitations
      records, gate   evidence made elsewhere; what was withheld
      index           sections, evidence, requirements, claims, techniques, each with a state
"""

from titer.audit.report.schema.base import READABLE, SCHEMA_VERSION, Block
from titer.audit.report.schema.cells import (
    Cell,
    ComparisonFamily,
    Counts,
    Curve,
    CurvePoint,
    ErrorShift,
    Harm,
    TrialValue,
)
from titer.audit.report.schema.evidence import (
    FeatureRow,
    GalleryItem,
    ImageItem,
    NoteItem,
    NoteToken,
    Outlines,
    Prediction,
    Rule,
    SignalItem,
    TableItem,
    Trap,
    Verdict,
)
from titer.audit.report.schema.identity import Command, Environment, Identity, PlanRecord
from titer.audit.report.schema.index import (
    ClaimState,
    EvidenceRecord,
    Gate,
    Index,
    ItemState,
    Link,
    RequirementState,
    SectionState,
    Technique,
)
from titer.audit.report.schema.measures import Limit, Measure, TestResult
from titer.audit.report.schema.metrics import (
    ClassificationMetrics,
    LabelMetrics,
    Metrics,
    MultiLabelMetrics,
    RegressionMetrics,
    SegmentationMetrics,
)
from titer.audit.report.schema.paper import Figure1Bar, Figure1Group, MeanDrop, Published, Table1Row
from titer.audit.report.schema.radii import MinimalRadii, RadiusPoint
from titer.audit.report.schema.report import Draft, Report
from titer.audit.report.schema.subgroups import SMALLEST_GROUP, SubgroupRow, SubgroupTable, suppress_small
from titer.audit.report.schema.subjects import AttackCard, DataCard, LeakageCheck, ModelCard, SplitCount, Task, Threat
from titer.audit.report.schema.text import Paragraph, Reference, Summary, Totals

__all__ = [
    "READABLE", "SCHEMA_VERSION", "SMALLEST_GROUP", "AttackCard", "Block", "Cell", "ClaimState",
    "ClassificationMetrics", "Command", "ComparisonFamily", "Counts", "Curve", "CurvePoint", "DataCard", "Draft",
    "Environment", "ErrorShift", "EvidenceRecord", "FeatureRow", "Figure1Bar", "Figure1Group", "GalleryItem", "Gate",
    "Harm", "Identity", "ImageItem", "Index", "ItemState", "LabelMetrics", "LeakageCheck", "Limit", "Link",
    "MeanDrop", "Measure", "Metrics", "MinimalRadii", "ModelCard", "MultiLabelMetrics", "NoteItem", "NoteToken",
    "Outlines", "Paragraph", "PlanRecord", "Prediction", "Published", "RadiusPoint", "Reference", "RegressionMetrics",
    "Report", "RequirementState", "Rule", "SectionState", "SegmentationMetrics", "SignalItem", "SplitCount",
    "SubgroupRow", "SubgroupTable", "Summary", "Table1Row", "TableItem", "Task", "Technique", "TestResult", "Threat",
    "Totals", "Trap", "TrialValue", "Verdict", "suppress_small",
]  # fmt: skip
