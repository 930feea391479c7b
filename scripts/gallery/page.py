"""docs/gallery.md from the facts of all figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gallery.captions import SEED, settings_of
from gallery.figures import FIGURES, Figure

_HEADS = {
    "film": "Chest X-ray",
    "ecg": "ECG",
    "eeg": "EEG",
    "twin": "EEG of several electrodes (simulated)",
    "mri": "MRI volume",
}
_SHORT = {"film": "X-ray", "ecg": "ECG", "eeg": "EEG", "twin": "simulated EEG", "mri": "MRI"}
_OPENING = f"""# What attacks and changes look like

Each figure shows one case as it was recorded, as it was changed, and the signed difference, magnified as its heading
says: orange is brighter, blue darker; in strips, up is up. Below it stand the model's answer before and after, the
price in clinical units, the threat in one sentence, and what it took. Where a case withstood an attack, the next of a
few was tried, and the caption says so; a control shows the first case whatever comes of it.

The models are small and were trained for these figures alone, in about a minute at most. So the figures say what a
change *looks* like, not how robust a product is: for that, audit it. Percentages are what the model gives as its
probability.

`make gallery` draws everything anew (`TITER_DATA` names the folder of the data, see `docs/data.md`), with the seed
"{SEED}". Which attack and change to choose: `docs/choosing.md`.
"""
_ABSENT = """## What is not shown, and why

| not shown | why |
|---|---|
| `substitution`, `embedding` | they change notes; the gallery of a report shows replaced words one by one |
| `clinical_table`, `tree_exact` | the one changes rows of tables, the other searches them |
| `dropped_lead`, `channels` on a real recording | those that may be shown have one channel; hence the simulated EEG |
| computed tomography, in HU | no scan with labels may be shown; a limit in HU is written as one in mV is |
"""
_SOURCES = """## Where the data come from, and under which licence figures stand

Every figure names its source. Figures whose names begin with

- `film-`: {film}
- `ecg-`: {ecg}
- `eeg-`: {eeg} No text of a licence comes with these data, so a few excerpts of three seconds out of three hours are
  quoted, no more.
- `twin-`: {twin}
- `mri-`: {mri}

Data for non-commercial use alone (dermoscopy, low-grade gliomas, resting-state connectivity) are not shown.
"""
_NUMBERS = {1: "One case", 2: "Two cases", 3: "Three cases", 4: "Four cases"}


def page(facts: Mapping[str, Mapping[str, Any]], subjects: Mapping[str, Mapping[str, str]]) -> str:
    """The page.

    Arguments
        facts: figure -> what `captions.facts` says. subjects: subject -> `told` and `credit`.
    """
    parts = [_OPENING, _contents(facts)]
    for name, head in _HEADS.items():
        parts.append(f"## {head}\n\n{subjects[name]['told']}\n")
        parts += [section(each, facts[each.file], subjects[name]["credit"]) for each in FIGURES if each.subject == name]
    parts.append(_ABSENT)
    parts.append(_SOURCES.format(**{name: said["credit"] for name, said in subjects.items()}))
    return "\n".join(parts)


def section(figure: Figure, fact: Mapping[str, Any], credit: str) -> str:
    """One figure with its caption."""
    variant = settings_of(figure.threat.change)
    what = f"`{fact['attack']}` searches `{fact['change']}`{f' ({variant})' if variant else ''}."
    said = f"{fact['before']} becomes {fact['after']}" if fact["fooled"] else f"It stands: {fact['before']} before, "
    said = f"**{said}{'' if fact['fooled'] else fact['after'] + ' after'}**"
    earlier = fact["tried"] - 1
    tried = f" {_NUMBERS[earlier]} tried before withstood." if earlier else ""
    times = "Difference as it is." if fact["factor"] == 1 else f"Difference magnified {fact['factor']:,} times."
    asked = f"{_plural(fact['questions'], 'question')}, {_plural(fact['gradients'], 'gradient')}"
    return "\n".join(
        [
            f'<a id="{figure.file}"></a>',
            "",
            f"### {figure.title}",
            "",
            f"{what} {figure.remark}",
            "",
            f"![{fact['alt']}](images/gallery/{fact['picture']})",
            "",
            f"{said}, at a price of {fact['cost']} ({fact['moved']}).{tried} {fact['threat']}",
            "",
            f'<sub>{times} Case {fact["case"]}, seed "{SEED}", {asked}. {credit}</sub>',
            "",
        ]
    )


def _contents(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Which change is shown under which attacks."""
    shown: dict[str, list[str]] = {}
    for figure in FIGURES:
        fact, variant = facts[figure.file], settings_of(figure.threat.change)
        change = f"`{fact['change']}`{f' ({variant})' if variant else ''}"
        shown.setdefault(change, []).append(f"[`{fact['attack']}`](#{figure.file}) ({_SHORT[figure.subject]})")
    lines = [f"| {change} | {', '.join(links)} |" for change, links in shown.items()]
    return "\n".join(["| change | shown under |", "|---|---|", *lines, ""])


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
