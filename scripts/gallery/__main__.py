"""Draws docs/gallery.md and its pictures from the real data sets (`make gallery`; TITER_DATA names their folder).

python scripts/gallery [--only BEGINNING]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from draw import panels, strips
from figures import FIGURES, Figure
from subjects import SUBJECTS, Subject, shown

_ROOT = Path(__file__).parents[2]
_FOLDER = _ROOT / "docs" / "images" / "gallery"
_CAPTIONS = _FOLDER / "captions"
_HEADS = {
    "film": "Film",
    "ecg": "ECG",
    "eeg": "EEG",
    "mri": "MRI",
}
_OPENING = """# What attacks look like

Every figure shows one case of a test part as it was recorded, as it was changed, and the difference, magnified as its
caption says. The models are small and were trained for these figures alone, so the figures say what a change looks
like, not how robust anybody's product is. `make gallery` draws them anew.

Words are not drawn: `substitution`, `embedding` and the attack `greedy` change notes, and the report's own gallery
shows them word by word. `clinical_table` and the attack `tree_exact` change rows of a table. `transfer` searches any of
these changes on another model.
"""


def main() -> None:
    wishes = argparse.ArgumentParser(description=__doc__)
    wishes.add_argument("--only", default="", help="names of figures begin like this")
    only = wishes.parse_args().only
    _CAPTIONS.mkdir(parents=True, exist_ok=True)
    known: dict[str, Subject] = {}
    for figure in FIGURES:
        if figure.file.startswith(only):
            if figure.subject not in known:
                known[figure.subject] = SUBJECTS[figure.subject]()
            _draw(figure, known[figure.subject])
            print(figure.file, file=sys.stderr, flush=True)
    (_ROOT / "docs" / "gallery.md").write_text(_page())


def _draw(figure: Figure, subject: Subject) -> None:
    outcome, row = shown(subject, figure.attack, figure.threat)
    space, task = subject.model.space, subject.model.task
    clean, changed = (np.asarray(each[row], dtype=np.float64) for each in (subject.batch.inputs, outcome.perturbed))
    if space.kind == "signal":
        drawn, factor = strips(clean, changed, space)
        picture = f"{figure.file}.svg"
        (_FOLDER / picture).write_text(drawn)
        order = "grey as recorded, red as changed, below the difference"
    else:
        made, factor = panels(clean, changed, space)
        picture = f"{figure.file}.png"
        (_FOLDER / picture).write_bytes(made)
        order = "as recorded, as changed, and the difference (red brighter, blue darker)"
        if space.kind == "volume":
            order += "; axial, coronal and sagittal planes through the largest change"
    before, after = subject.said(outcome.clean_scores[row]), subject.said(outcome.scores[row])
    unit = figure.threat.change.unit(space)
    spent = f"Questions: {outcome.queries[row]:.0f}, gradients: {outcome.passes[row]:.0f}"
    times = "not magnified" if factor == 1 else f"{factor} times as large"
    said = figure.threat.sentence(space, task)
    turned = _turned(before, after, bool(outcome.fooled[row]))
    price = f"{outcome.cost[row]:.3g} {unit}"
    alt = f"{subject.title}: {order}. The model says {before} before and {after} after."
    lines = [
        f"### {figure.attack.name} with {figure.threat.change.name}",
        "",
        f"![{alt}](images/gallery/{picture})",
        "",
        f"**{turned}** at a cost of {price}. {said} {figure.remark}".strip(),
        "",
        f"{subject.title}: {order}, {times}. {spent}. {_fallen(outcome)}. {subject.credit}",
        "",
    ]
    (_CAPTIONS / f"{figure.file}.md").write_text("\n".join(lines))


def _turned(before: str, after: str, fooled: bool) -> str:
    return f"{before} becomes {after}" if fooled else f"{before} stays {after}"


def _fallen(outcome: Any) -> str:
    return f"Of {len(outcome)} cases tried {int(outcome.fooled.sum())} fell"


def _page() -> str:
    parts = [_OPENING]
    for subject, head in _HEADS.items():
        drawn = [
            (_CAPTIONS / f"{figure.file}.md").read_text()
            for figure in FIGURES
            if figure.subject == subject and (_CAPTIONS / f"{figure.file}.md").exists()
        ]
        if drawn:
            parts += [f"## {head}\n", *drawn]
    missing = [figure.file for figure in FIGURES if not (_CAPTIONS / f"{figure.file}.md").exists()]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        parts.append(f"## Not drawn yet\n\n`make gallery` draws these too: {names}.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    main()
