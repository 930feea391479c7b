"""All answers of an audit as one Parquet file that any tool can read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from titer.audit.results import Measured, Results


def export(results: Results) -> bytes:
    """One row per cell, trial and case, in the order of the plan. `docs/results.md` describes every column.

    A model with several findings, or with more than two classes, has columns of its own behind a colon, such as
    `score_clean:effusion`; they are empty in rows of other models.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    writer: Any = None
    own = list(dict.fromkeys(name for cell in results.cells for name in _own(cell.trials[0])))
    for cell in results.cells:
        for trial in cell.trials:
            n = len(trial.targets)
            told = {
                "cell": cell.name,
                "model": cell.subject.name,
                "attack": cell.attack,
                "threat": cell.threat.id,
                "limit": cell.radius.value,
                "unit": cell.radius.unit,
                "seed": trial.trial.seed,
            }
            shared = {**{name: np.full(n, value) for name, value in told.items()}, **_columns(trial)}
            blank, filled = np.full(n, np.nan), _own(trial)
            table = pa.table({**shared, **{name: filled.get(name, blank) for name in own}})
            if writer is None:
                writer = pq.ParquetWriter(sink, table.schema, compression="zstd")
            writer.write_table(table.cast(writer.schema))
    if writer is not None:
        writer.close()
    return sink.getvalue()


def _columns(trial: Measured) -> dict[str, Any]:
    decided = [trial.task.decide(table["scores"]) for table in (trial.before, trial.after)]
    one = trial.task.kind != "multilabel"
    blank = np.full(len(trial.targets), np.nan)
    sick = (one and trial.sick is not None) or trial.task.kind in ("regression", "segmentation")
    return {
        "case": trial.before["row"],
        "patient": trial.patients,
        "target": trial.targets.astype(float) if one else blank,
        "decision_clean": decided[0].astype(float) if one else blank,
        "decision_attacked": decided[1].astype(float) if one else blank,
        "score_clean": trial.task.positive_score(trial.before["scores"]) if sick else blank,
        "score_attacked": trial.task.positive_score(trial.after["scores"]) if sick else blank,
        "right_clean": trial.right_before,
        "right_attacked": trial.right_after,
        "fooled": trial.after["fooled"],
        "cost": trial.after["cost"].astype(float),
        "queries": trial.after["queries"].astype(np.int64),
        "passes": trial.after["passes"].astype(np.int64),
    }


def _own(trial: Measured) -> dict[str, Any]:
    """One column per finding, or per class where there are more than two: truth, decisions, scores."""
    task = trial.task
    if task.kind != "multilabel" and not (task.kind == "classes" and len(task.classes) > 2):
        return {}
    made: dict[str, Any] = {}
    for when, table in (("clean", trial.before), ("attacked", trial.after)):
        decided = task.decide(table["scores"])
        for k, name in enumerate(task.classes):
            if task.kind == "multilabel":
                made[f"target:{name}"] = trial.targets[:, k].astype(float)
                made[f"decision_{when}:{name}"] = decided[:, k].astype(float)
            made[f"score_{when}:{name}"] = table["scores"][:, k].astype(float)
    return made
