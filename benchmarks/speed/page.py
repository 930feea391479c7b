"""Writes docs/speed.md and its picture from the measured figures.

python -m speed.page          from this folder, in any environment
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_FIGURES = _ROOT / "benchmarks" / "speed.json"
_CARD = _ROOT / "benchmarks" / "speed-cuda.json"
_PAGE = _ROOT / "docs" / "speed.md"
_PICTURE = _ROOT / "docs" / "images" / "speed.svg"
# Geometry of the picture, in pixels.
_LEFT, _WIDTH, _LINE, _TOP = 190, 520, 22, 34
_LEAST, _MOST = 0.02, 4.0
_FONT = 'font-family="sans-serif" font-size="12"'
_STYLE = (
    "text{fill:#222}.grid{stroke:#ccc}.one{stroke:#555}.dot{fill:#00697a}.miss{fill:#b3261e}"
    ".target{stroke:#8a5a00;stroke-width:3}"
    "@media (prefers-color-scheme:dark){text{fill:#e6e6e6}.grid{stroke:#444}.one{stroke:#aaa}.dot{fill:#4fc3d9}"
    ".miss{fill:#ff8a80}.target{stroke:#ffca7a}}"
)

_TEXT = """# How long attacks take, beside the peers

`make bench` measures this on your machine (`TITER_DATA` names the folder of the data sets, see [data.md](data.md)); the
figures below are in [`benchmarks/speed.json`](../benchmarks/speed.json).

![Time of Titer as a part of the fastest peer's, per row]({picture})

## How it is measured

- One process, one thread, processor time. All libraries take turns in every round, each round begins with another,
  and the median of the rounds counts. Each library has its own copy of the model, with frozen weights.
- A library's time holds its search and one pass that tells which cases were fooled. Titer's holds its whole engine:
  application, measurement of cost and limit, and judgement by the model itself. Titer asks for the clean answers once
  per model and cases and remembers them; the peers do not ask for them.
- Strength is counted by the benchmark, on the model itself: the share of cases that stand within the limit, or the
  median size of the change that fools. The lower, the stronger. The best peer of a row is the fastest among those of
  full strength (within {level} of the strongest peer).
- *passes* is the time beside the bare forward and backward passes that the algorithm needs, input gradients only,
  on the model as it was handed over. Below 1 the prepared form of the model pays (see `titer.models.prepare`), or
  fooled cases left.
- Machine: {machine}. Other work ran beside these measurements; it hits all libraries of a round alike, but a ratio
  may be off by a tenth.

## Figures

{table}

A row holds where Titer is at least as strong as every peer and needs at most the target's part of the best peer's time.

{misses}

## On a graphics card

{card}

## What each library was told

{settings}
"""
_MISSED = """Rows that do not hold, with the parts of Titer's time by the profiler (judgement is one more forward pass,
on the model as it is):"""
_ON_CARD = """Measured on one {device} with torch {torch}, time until the device is done; figures in
[`benchmarks/speed-cuda.json`](../benchmarks/speed-cuda.json) (`python -m speed --device cuda` and `python -m
speed.scaling --device cuda`, each with `--out`). Cases, search and judgement stay on the card, and passes through the
model are recorded and replayed (`titer.models.graphed`). Titer counts in full precision with kernels that repeat
themselves; the peers took what torch does by itself, TF32 and any kernel."""
# Rows in the file whose figures do not say what the table is for.
_ASIDE = ("carlini-wagner-cnn", "deepfool-cnn", "square-cnn", "hopskipjump-cnn", "fgsm-gru")
_CARD_SAYS = """\
With 64 cases the card waits for Python, so what a search does beside the model counts more than on the CPU: a
single gradient (FGSM) is dearer here by the fixed cost of the engine, some 10 ms. All strengths of this table were
judged in TF32. For C&W, DeepFool, Square and HopSkipJump that is coarser than the distance to the border at which
they end, so they are left out; in time they took 0.23, 1.12, 7.1 and 1.6 of the fastest peer. FGSM on the GRU is
left out as well: its one round held the recording of the passes, and took 38.7 of the fastest peer. Grid and
universal were not measured. The benchmark judges in full precision now and recordings were reworked since; neither
was measured again."""


def main() -> None:
    found = json.loads(_FIGURES.read_text())
    rows, machine = found["rows"], found["machine"]
    said = f"{machine['cores']} cores, {machine['capability']}, Python {machine['python']}; " + ", ".join(
        f"{name} {version}" for name, version in machine["versions"].items()
    )
    page = _TEXT.format(
        picture="images/speed.svg",
        level="2 % of the median, or 2 points",
        machine=said,
        table=_table(rows),
        misses=_misses(rows),
        card=_card(json.loads(_CARD.read_text())),
        settings=_settings(rows),
    )
    _PAGE.write_text(page)
    _PICTURE.parent.mkdir(parents=True, exist_ok=True)
    _PICTURE.write_text(_drawn(rows))


def _table(rows: dict[str, Any]) -> str:
    lines = [
        "| row | cases | Titer / best peer | target | holds | passes | strength: Titer | strongest peer | best peer |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        ours, peers = row["entries"][0], [each for each in row["entries"][1:] if each["failure"] is None]
        best = min((each["strength"] for each in peers), default=None)
        cells = [
            f"`{name}`",
            str(row["cases"]),
            _number(row["ratio_to_best_peer"]),
            _number(row["target"]),
            {True: "yes", False: "**no**", None: "no target"}[row["holds"]],
            _number(row["ratio_to_passes"]),
            _strength(row, ours["strength"]),
            _strength(row, best),
            row["best_peer"] or "none ran",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _misses(rows: dict[str, Any]) -> str:
    """Where the time of rows goes that do not hold."""
    missed = {name: row for name, row in rows.items() if row["holds"] is False and row.get("shares")}
    if not missed:
        return "All rows hold."
    lines = [
        _MISSED,
        "",
        "| row | forward passes | backward passes | everything else | judgement | weaker by |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in missed.items():
        shares = [f"{100 * row['shares'][key]:.0f} %" for key in ("forward", "backward", "rest", "judgement")]
        best = min(each["strength"] for each in row["entries"][1:] if each["failure"] is None)
        weaker = row["entries"][0]["strength"] - best
        lines.append(f"| `{name}` | {' | '.join(shares)} | {max(weaker, 0):.3g} |")
    return "\n".join(lines)


def _card(found: dict[str, Any]) -> str:
    rows = found["rows"]
    lines = [
        _ON_CARD.format(device=found["machine"]["device"], torch=found["machine"]["versions"]["torch"]),
        "",
        "| row | cases | Titer / best peer | passes | strength: Titer | strongest peer | best peer |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if name in _ASIDE:
            continue
        peers = [each for each in row["entries"][1:] if each["failure"] is None]
        best = min((each["strength"] for each in peers if each["strength"] is not None), default=None)
        cells = [
            f"`{name}`", str(row["cases"]), _number(row["ratio_to_best_peer"]), _number(row["ratio_to_passes"]),
            _strength(row, row["entries"][0]["strength"]), _strength(row, best), row["best_peer"] or "none ran",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        _CARD_SAYS,
        "",
        "PGD with more and more cases at once, in steps of cases per second:",
        "",
        "| model | cases | Titer | torchattacks | bare passes |",
        "|---|---|---|---|---|",
    ]
    for each in found["scaling"]:
        figures = " | ".join(f"{each[key]:,.0f}" for key in ("titer", "torchattacks", "passes"))
        lines.append(f"| {each['subject']} | {each['cases']:,} | {figures} |")
    return "\n".join(lines)


def _settings(rows: dict[str, Any]) -> str:
    parts = []
    for name, row in rows.items():
        lines = [f"`{name}`" + (f" ({row['note']})" if row["note"] else ""), ""]
        for each in row["entries"]:
            outcome = each["failure"] or f"{each['median']:.2f} s, {_strength(row, each['strength'])}"
            outside = f", {each['outside']} cases outside limit or range" if each["outside"] else ""
            lines.append(f"- {each['library']}: `{each['settings'].replace('|', '/')}`: {outcome}{outside}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _strength(row: dict[str, Any], value: float | None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f} % stand" if row["measure"] == "standing" else f"median {value:.4g}"


def _drawn(rows: dict[str, Any]) -> str:
    """Dots on a logarithmic scale, a bar for each target; colors follow light and dark."""
    shown = [(name, row) for name, row in rows.items() if row["ratio_to_best_peer"] is not None]
    height = _TOP + _LINE * len(shown) + 30
    said = ", ".join(f"{name} {row['ratio_to_best_peer']:.2f}" for name, row in shown)
    label = escape("Time of Titer as a part of the best peer: " + said)
    size = f"0 0 {_LEFT + _WIDTH + 60} {height}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img" aria-label="{label}" {_FONT}>',
        f"<style>{_STYLE}</style>",
    ]
    for tick in (0.03, 0.1, 0.3, 1.0, 3.0):
        x, kind = _x(tick), "one" if tick == 1.0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{height - 28}"/>')
        parts.append(f'<text x="{x}" y="{_TOP - 14}" text-anchor="middle">{tick:g} x</text>')
    for place, (name, row) in enumerate(shown):
        parts += _line(name, row, _TOP + _LINE * place + _LINE // 2)
    parts.append(f'<text x="{_LEFT}" y="{height - 8}">dot: time of Titer / time of the best peer; bar: target</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(name: str, row: dict[str, Any], y: int) -> Sequence[str]:
    ratio, target = row["ratio_to_best_peer"], row["target"]
    kind = "miss" if row["holds"] is False else "dot"
    marks = [f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(name)}</text>']
    if target is not None:
        marks.append(f'<line class="target" x1="{_x(target)}" x2="{_x(target)}" y1="{y - 8}" y2="{y + 8}"/>')
    marks.append(f'<circle class="{kind}" cx="{_x(ratio)}" cy="{y}" r="5"/>')
    marks.append(f'<text x="{_x(ratio) + 9}" y="{y + 4}">{ratio:.2f}</text>')
    return marks


def _x(ratio: float) -> float:
    share = math.log(min(max(ratio, _LEAST), _MOST) / _LEAST) / math.log(_MOST / _LEAST)
    return round(_LEFT + share * _WIDTH, 1)


if __name__ == "__main__":
    main()
