"""The words of the report: names of measures, what leads for each kind of task, and the glossary."""

from __future__ import annotations

from dataclasses import dataclass

from titer.audit.report.schema import Cell, Measure, Metrics


@dataclass(frozen=True)
class Leading:
    """The measure that leads for a kind of task."""

    clean: str
    attacked: str
    name: str
    higher_is_better: bool = True


LEADING = {
    "classification": Leading("clean_accuracy", "robust_accuracy", "accuracy"),
    "multilabel": Leading("macro_auroc_clean", "macro_auroc_attacked", "macro AUROC"),
    "regression": Leading("rmse_clean", "rmse_attacked", "RMSE", higher_is_better=False),
    "segmentation": Leading("dice_clean", "dice_attacked", "Dice"),
}


def measure_of(metrics: Metrics, name: str) -> Measure | None:
    """A measure by its field name; nothing where this kind of task has none."""
    found = getattr(metrics, name, None)
    return found if isinstance(found, Measure) else None


def leading(cell: Cell) -> tuple[Measure, Measure]:
    """The leading measure of a cell, before and after the attack."""
    names = LEADING[cell.metrics.kind]
    clean, attacked = (measure_of(cell.metrics, name) for name in (names.clean, names.attacked))
    if clean is None or attacked is None:  # the schema requires both; this tells the type checker
        raise TypeError(f"cell {cell.id} lacks its leading measure")
    return clean, attacked


def harm_done(cell: Cell) -> float:
    """How far the attack moved the leading measure the wrong way, in that measure's own unit."""
    clean, attacked = leading(cell)
    sign = 1 if LEADING[cell.metrics.kind].higher_is_better else -1
    return sign * (clean.value - attacked.value)


GLOSSARY = (
    ("Accuracy drop", "Clean minus robust accuracy, in percentage points. Not the same as the attack success rate."),
    ("Attack success rate", "Share of cases in which the attacker got what was wanted, among those not so at first."),
    ("AUROC", "How well scores rank diseased above healthy cases: 1 is perfect, 0.5 chance, less is worse."),
    ("Clean", "As recorded, before any attack."),
    ("Dice", "Twice what two outlines share, over the size of both: 1 if they agree wholly, 0 if they share nothing."),
    ("False alarm (FPR)", "A healthy case called diseased; the rate is their share among healthy cases."),
    ("Interval", "A range so made that, over many such studies, the stated percentage of them hold the true value."),
    ("Limit", "How far the attacker may change an input, in the unit of the recording."),
    ("Miss (FNR)", "A diseased case called healthy; the rate is their share among diseased cases."),
    ("Point", "One percentage point: from 90% to 85% is a drop of 5 points."),
    ("Robust accuracy", "Share of cases still correct after the attack, on the same cases as clean accuracy."),
    ("Sensitivity", "Share of diseased cases that are found."),
    ("Specificity", "Share of healthy cases that are cleared."),
    ("Suspect", "A trap that touches this result failed: do not rely on the number until that is resolved."),
    ("Threat", "What the attacker may change, knows and wants."),
    ("Trap", "A check of the evaluation itself, such as whether larger limits really hurt more."),
    ("Trial", "One run with one seed: another split and, if Titer trained the model, another training."),
    ("Worst case", "For each case, the worst outcome over all attacks that were run."),
)  # fmt: skip
