"""Data cards: what a data set holds, as values for programs and as text for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.cases.case import Array
from titer.cases.dataset import Dataset
from titer.cases.splits import PARTS, Split


def card(dataset: Dataset, split: Split | None = None) -> dict[str, Any]:
    """The data card as plain values, ready for JSON.

    Arguments
        dataset: the cases. split: parts to count; without one, those that the source fixes, if any.
    """
    about = dataset.card
    return {
        "name": about.name,
        "title": about.title,
        "licence": about.licence,
        "citation": about.citation,
        "source": about.source,
        "subjects": about.subjects,
        "cautions": list(about.cautions),
        "synthetic": about.synthetic,
        "files": dict(about.digests),
        "digest": dataset.digest,
        "space": dataset.space.describe(),
        "unit": dataset.space.unit,
        "shape": list(dataset.space.shape),
        "task": dataset.task,
        "classes": list(dataset.classes),
        "positive": [dataset.classes[k] for k in dataset.positive] if dataset.task != "regression" else [],
        "all": counts(dataset, np.arange(len(dataset.cases))),
        "parts": {name: counts(dataset, rows) for name, rows in _parts(dataset, split).items()},
        "groups": {
            name: {str(value): int((column == value).sum()) for value in np.unique(column)}
            for name, column in dataset.cases.groups.items()
        },
        "synonyms": len(dataset.synonyms),
    }


def counts(dataset: Dataset, rows: Array) -> dict[str, Any]:
    """Cases, patients, and cases per class or finding of some rows; of maps those that hold the class, of a regression
    mean and spread.
    """
    targets = dataset.cases.targets[rows]
    found: dict[str, Any] = {"cases": len(rows), "patients": len(np.unique(dataset.cases.patients[rows]))}
    if dataset.task == "regression":
        if len(rows):
            found |= {"mean": float(np.mean(targets)), "standard deviation": float(np.std(targets))}
    elif dataset.task == "multilabel":
        found["classes"] = {name: int(targets[:, k].sum()) for k, name in enumerate(dataset.classes)}
    elif dataset.task == "segmentation":
        flat = targets.reshape(len(targets), int(np.prod(targets.shape[1:])))
        found["classes"] = {name: int((flat == k).any(axis=1).sum()) for k, name in enumerate(dataset.classes)}
    else:
        found["classes"] = {name: int((targets == k).sum()) for k, name in enumerate(dataset.classes)}
    return found


def describe(dataset: Dataset, split: Split | None = None) -> str:
    """The data card as Markdown.

    >>> from titer.cases.find import find_dataset
    >>> print(describe(find_dataset("breast_biopsies")).splitlines()[0])
    # Breast masses: cell nuclei in fine-needle biopsies, benign or malignant
    """
    found = card(dataset, split)
    lines = [
        f"# {found['title']}",
        "",
        f"- Name: {found['name']}{' (simulated, no patient was involved)' if found['synthetic'] else ''}",
        f"- Cases: {found['space']}",
        f"- Task: {found['task']} ({', '.join(found['classes'])})"
        + (f"; disease: {', '.join(found['positive'])}" if found["positive"] else ""),
        f"- Licence: {found['licence']}",
        f"- Citation: {found['citation']}",
        f"- Source: {found['source']}",
        f"- Patients: {found['subjects']}",
        f"- Digest: {found['digest']}",
        *(f"- File {name}: SHA-256 {value}" for name, value in found["files"].items()),
        *([f"- Synonyms: {found['synonyms']} words have one"] if found["synonyms"] else []),
        "",
        *_table(dataset, found),
        "",
        *(f"- {name}: " + ", ".join(f"{value} {count}" for value, count in column.items())
          for name, column in found["groups"].items()),
        *(["", "Cautions", "", *(f"- {each}" for each in found["cautions"])] if found["cautions"] else []),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _parts(dataset: Dataset, split: Split | None) -> dict[str, Array]:
    if split is not None:
        return split.parts()
    if dataset.official is None:
        return {}
    found = {name: np.flatnonzero(np.asarray(dataset.official) == name) for name in PARTS}
    return {name: rows for name, rows in found.items() if len(rows)}


def _table(dataset: Dataset, found: dict[str, Any]) -> list[str]:
    rows = {"all": found["all"], **found["parts"]}
    names = ["cases", "patients"]
    extra = ["mean", "standard deviation"] if dataset.task == "regression" else list(dataset.classes)
    lines = [f"| part | {' | '.join(names + extra)} |", "|---" * (1 + len(names) + len(extra)) + "|"]
    for part, values in rows.items():
        inner = values if dataset.task == "regression" else values["classes"]
        cells = [str(values[name]) for name in names]
        numbers = [inner.get(name, 0) for name in extra]
        cells += [f"{number:.3g}" if isinstance(number, float) else str(number) for number in numbers]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return lines
