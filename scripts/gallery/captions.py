"""What a figure says: costs in clinical units, the alternative text, and the facts that the page is written from."""

from __future__ import annotations

from typing import Any

import numpy as np

from gallery.figures import Figure
from gallery.subjects import Subject
from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome
from titer.cases.case import Array, Batch
from titer.cases.space import Space
from titer.threats.change import Change

SEED = "gallery"
_VALUES = {"image": "pixel", "volume": "voxel", "signal": "sample"}
_NORMS = {"linf": "L-infinity", "l2": "L2", "l1": "L1", "l0": "L0"}
_ORDER = {
    "image": "Three pictures side by side",
    "signal": "Three strips",
    "volume": "Axial, coronal and sagittal planes, three pictures each",
}


def facts(
    figure: Figure, subject: Subject, attack: Attack, case: Batch, outcome: Outcome, factor: int
) -> dict[str, Any]:
    """Everything that the page says of a figure and that only a run can tell; `case` and `outcome` are of one case."""
    space, change = subject.model.space, figure.threat.change
    before, after = (subject.says(each[0], case.targets[0]) for each in (outcome.clean_scores, outcome.scores))
    moved = np.abs(np.asarray(outcome.perturbed[0], dtype=np.float64) - case.inputs[0])
    magnified = f"magnified {factor:,} times" if factor > 1 else "not magnified"
    return {
        "picture": f"{figure.file}.{'svg' if space.kind == 'signal' else 'png'}",
        "case": case.ids[0],
        "tried": subject.cases.ids.index(case.ids[0]) + 1,
        "fooled": bool(outcome.fooled[0]),
        "before": before,
        "after": after,
        "cost": cost_words(change, space, float(outcome.cost[0])),
        "moved": _moved(moved, space),
        "factor": factor,
        "questions": int(outcome.queries[0]),
        "gradients": int(outcome.passes[0]),
        "attack": attack.name,
        "change": change.name,
        "threat": figure.threat.sentence(space, subject.model.task),
        "alt": f"{_ORDER[space.kind]}: {subject.what} as recorded, as {attack.name} changed it within {change.name}, "
        f"and the difference, {magnified}. The model says {before} before and {after} after.",
    }


def sized(space: Space, value: float) -> str:
    """A size in the clinical unit: '2 of 255 grey levels', '0.02 mV'."""
    return f"{_number(255 * value)} of 255 grey levels" if space.kind == "image" else f"{_number(value)} {space.unit}"


def cost_words(change: Change, space: Space, cost: float) -> str:
    """What the attacker paid, in the clinical unit."""
    norm, value, unit = getattr(change, "norm", ""), _VALUES[space.kind], change.unit(space)
    if norm == "linf":
        paper = f", {_number(10 * cost)} mm on paper" if space.unit == "mV" else ""
        return f"at most {sized(space, cost)} per {value}{paper}"
    if norm == "l0":
        return f"{cost:.0f} of {space.size:,} {value}s"
    if norm:
        how = "root of summed squares" if norm == "l2" else "sum"
        if space.kind == "image":
            return f"{_number(cost)} on the grey scale of 0 to 1, over all pixels ({how})"
        return f"{sized(space, cost)} over all {value}s ({how})"
    if change.name == "patch":
        side = cost * min(space.shape[1:])
        if space.kind == "signal":
            return f"{_number(side / (space.rate or 1))} s"
        return f"{side:.0f} {value}s across" + (f" ({side * space.spacing[0]:.0f} mm)" if space.spacing else "")
    if change.name == "blur" and space.spacing:
        return f"{_number(cost)} voxels ({_number(cost * space.spacing[0])} mm)"
    if change.name == "corruption":
        return f"severity {_number(cost)} of 1"
    if change.counts:
        return f"{cost:.0f} of {change.places(space)} {unit}"
    return f"{_number(100 * cost)} % {unit}" if unit.startswith("of ") else f"{_number(cost)} {unit}"


def settings_of(change: Change) -> str:
    """What tells the change from others of its name: 'L-infinity', 'rotation'."""
    norm = getattr(change, "norm", "")
    return _NORMS[norm] if norm else change.variant if change.name == "affine" else ""


def _moved(moved: Array, space: Space) -> str:
    value, largest, mean = _VALUES[space.kind], float(moved.max()), float(np.sqrt((moved**2).mean()))
    share = float((moved > 0).mean())
    touched = f"; {100 * share:.2g} % of all {value}s moved" if share < 0.995 else ""
    return f"largest change of a {value} {sized(space, largest)}, root mean square {sized(space, mean)}{touched}"


def _number(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}" if value < 1000 else f"{value:,.0f}"
