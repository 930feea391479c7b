"""One figure: the attack is run, the case chosen, and the picture drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gallery.captions import SEED, facts, sized
from gallery.figures import Figure
from gallery.pictures import Plane, film, magnified
from gallery.strips import columns, rows
from gallery.subjects import Subject
from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome, learn, run
from titer.cases.case import Array

ROOT = Path(__file__).parents[2]
PAGE, FOLDER = ROOT / "docs" / "gallery.md", ROOT / "docs" / "images" / "gallery"
FACTS = FOLDER / "figures.json"


def drawn(figure: Figure, subject: Subject) -> tuple[bytes, dict[str, Any]]:
    """The picture of a figure, and what its caption says."""
    attack = figure.attack if isinstance(figure.attack, Attack) else figure.attack(subject.surrogate)
    outcome, case = _shown(figure, subject, attack)
    space = subject.model.space
    clean, changed = (np.asarray(each[0], dtype=np.float64) for each in (case.inputs, outcome.perturbed))
    if space.kind == "signal":
        drawing, factor = rows(clean[0], changed[0], space) if len(clean) == 1 else columns(clean, changed, space)
        picture = drawing.encode()
    else:
        picture, factor = _pictured(subject, outcome, clean[0], changed[0])
    return picture, facts(figure, subject, attack, case, outcome, factor)


def _shown(figure: Figure, subject: Subject, attack: Attack) -> tuple[Outcome, Any]:
    """An outcome and its only case: the first that the attack turns; the first of all where none, and for controls."""
    taught = learn(attack, subject.model, subject.pool, figure.threat, seed=SEED) if attack.learns else attack
    found = []
    for row in range(1 if attack.control else len(subject.cases)):
        case = subject.cases.take([row])
        outcome = run(taught, subject.model, case, figure.threat, seed=SEED)
        # A healthy film gives an attacker who wants "healthy" all there is to get; nothing is turned there.
        if outcome.fooled[0] and not np.array_equal(
            *map(subject.model.task.decide, (outcome.clean_scores, outcome.scores))
        ):
            return outcome, case
        found.append((outcome, case))
    return found[0]


def _pictured(subject: Subject, outcome: Outcome, clean: Array, changed: Array) -> tuple[bytes, int]:
    space = subject.model.space
    low, high = (float(np.ravel(end)[0]) for end in space.bounds())
    planes = [Plane(clean, changed)]
    # The magnified difference that has the full color: a round number, less than half of what is shown.
    reach = 100 / 255
    if clean.ndim == 3:
        marks = [subject.model.task.decide(each)[0] for each in (outcome.clean_scores, outcome.scores)]
        planes, high, reach = _planes(clean, changed, *marks), 140.0, 50.0
    factor = magnified(float(np.abs(changed - clean).max()), reach)
    end = sized(space, reach / factor).replace(" grey levels", "").replace(" of white matter", "")
    return film(planes, low=low, high=high, factor=factor, reach=reach, ends=(f"-{end}", f"+{end}")), factor


def _planes(clean: Array, changed: Array, before: Array, after: Array) -> list[Plane]:
    """Axial, coronal and sagittal planes of [foot to head, front to back, right to left], hung as radiologists do."""
    moved = changed != clean
    # Through the middle of a change that is small, else of what the model marks.
    local = 0 < moved.mean() < 0.1
    at = [round(float(each.mean())) for each in np.nonzero(moved if local else before)]
    sides = (("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I"))
    found = []
    for axis, name in enumerate(("axial", "coronal", "sagittal")):
        # A plane between the ventricles shows nothing of them.
        place = at[axis] + (6 if name == "sagittal" and not local else 0)
        four = [np.take(each, place, axis=axis) for each in (clean, changed, before, after)]
        found.append(Plane(*(each[::-1] if axis > 0 else each for each in four), name=name, sides=sides[axis]))
    return found
