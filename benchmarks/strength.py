"""How much `strong` and AutoAttack (standard) leave standing: five models, pictures and signals, L-infinity and L2.

    sh tests/peers/install.sh
    TITER_DATA=... PYTHONPATH=src .venv-peers/bin/python benchmarks/strength.py

Both attack the same model on the same cases within the same limit, on one thread of one process. What AutoAttack
returns is judged as an attack of ours is: within the limit, within the range, asked of the model itself. AutoAttack
knows pictures from 0 to 1 only, so it gets the cases so scaled, and signals folded into rows of a picture. It asks for
as many targets as it has been told, so it is told how many there are. PGD on the cross-entropy stands beside both.

Writes benchmarks/strength.json and prints a table; `--page` makes docs/strength.md of that file. `--only` picks rows by
the beginning of their names. `--keep` repeats our side alone and keeps what AutoAttack did from the file that is there;
times are then not compared.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _models import CASES, subject
from torch import Tensor

import titer
from titer.attacks.attack import Attack
from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.attacks.strong import Strong
from titer.audit.statistics.proportions import wilson
from titer.cases.case import Array, Batch
from titer.models.adapters.torch import TorchModel
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

# Limits, in the unit of the space: where about half of what the model gets right can be turned, and, for the
# saturated model, where all of it can.
LIMITS: dict[str, dict[str, dict[str, float]]] = {
    "pictures": {
        "undefended": {"linf": 0.005, "l2": 0.1},
        "adversarial": {"linf": 0.04, "l2": 0.8},
        "smoothed": {"linf": 0.02, "l2": 0.4},
        "saturated": {"linf": 0.02, "l2": 0.4},
        "quantized": {"linf": 0.005, "l2": 0.1},
    },
    "signals": {
        "undefended": {"linf": 0.025, "l2": 0.2},
        "adversarial": {"linf": 0.2, "l2": 1.5},
        "smoothed": {"linf": 0.08, "l2": 0.7},
        "saturated": {"linf": 0.1, "l2": 1.0},
        "quantized": {"linf": 0.025, "l2": 0.2},
    },
}
# Seeds of the random starts; what stands after each is reported, and their mean compared.
SEEDS = 3
BLIND = PGD(steps=40, restarts=1, losses=("ce",))


@dataclass(frozen=True, eq=False)
class Found:
    """Which cases stand, and what it took to know."""

    stands: Array
    seconds: float


def ours(attack: Attack, model: TorchModel, cases: Batch, norm: str, limit: float, seed: int) -> Found:
    """What an attack of Titer leaves standing."""
    threat = ThreatModel(Additive(norm), limit)  # type: ignore[arg-type]
    began = time.process_time()
    # As many at once as AutoAttack gets.
    outcome = run(attack, model, cases, threat, seed=f"strength {seed}", size=len(cases))
    took = time.process_time() - began
    assert not outcome.violated.any()
    return Found(~outcome.fooled, took)


def theirs(model: TorchModel, cases: Batch, norm: str, limit: float, seed: int) -> Found:
    """What AutoAttack (standard) leaves standing."""
    from pyautoattack import AutoAttack

    logging.disable(logging.CRITICAL)
    low, high = (float(np.ravel(end)[0]) for end in (model.space.low, model.space.high))
    shape = model.space.shape
    folded = shape if len(shape) == 3 else _rows(shape)

    def answers(pictures: Tensor) -> Tensor:
        return model.scores(low + (high - low) * pictures.reshape(-1, *shape))

    clean = torch.from_numpy(cases.inputs).float()
    pictures = ((clean - low) / (high - low)).clamp(0, 1).reshape(-1, *folded)
    truth = torch.from_numpy(cases.targets)
    with model.ready(), torch.random.fork_rng():
        began = time.process_time()
        name = {"linf": "Linf", "l2": "L2"}[norm]
        attack = AutoAttack(answers, norm=name, eps=limit / (high - low), seed=seed, version="standard", device="cpu")
        attack.verbose = False
        targets = len(model.task.classes) - 1
        attack.apgd_targeted.n_target_classes = min(targets, attack.apgd_targeted.n_target_classes)
        attack.fab.n_target_classes = min(targets, attack.fab.n_target_classes)
        perturbed = attack.run_standard_evaluation(pictures, truth, batch_size=len(truth))[0]
        took = time.process_time() - began
        moved = (low + (high - low) * perturbed.reshape(clean.shape)).clamp(low, high)
        size = (moved - clean).flatten(1)
        cost = size.abs().amax(dim=1) if norm == "linf" else size.norm(dim=1)
        fooled = model.scores(moved).detach().argmax(dim=1) != truth
        # What it did not fool it hands back as it was, so wrong answers on clean cases count as fooled here too.
        fair = cost <= limit * (1 + 1e-4)
    return Found((~(fooled & fair)).numpy(), took)


def _rows(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows and columns of a signal folded into a picture that is as near to a square as its length allows.

    The first bumps of their Square fit into pictures whose number of rows is a multiple of five only.
    """
    channels, length = shape
    ways = [rows for rows in range(5, length + 1, 5) if length % rows == 0]
    rows = min(ways, key=lambda each: abs(each - length**0.5))
    return channels, rows, length // rows


def compare(
    field: str, kind: str, norm: str, limit: float, *, seeds: int, count: int, before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One row of the table; with `before`, AutoAttack's part is taken from that row."""
    one = subject(field, kind)
    model, cases = one.model, one.cases.take(range(min(count, len(one.cases))))
    right = model.task.correct(model.predict(cases.inputs), cases.targets)
    row: dict[str, Any] = {
        "data": field,
        "model": kind,
        "norm": norm,
        "limit": limit,
        "unit": model.space.unit,
        "n": len(cases),
        "clean": _share(right),
        "pgd-ce": _share(ours(BLIND, model, cases, norm, limit, 0).stands),
    }
    strong = [ours(Strong(), model, cases, norm, limit, seed) for seed in range(seeds)]
    row["strong"] = _side(strong)
    if before is not None and all(row[key] == before[key] for key in ("data", "model", "norm", "limit", "n", "clean")):
        row["autoattack"] = before["autoattack"]
    else:
        auto = [theirs(model, cases, norm, limit, seed) for seed in range(seeds)]
        row["autoattack"] = _side(auto)
        row["either"] = _share(np.all([each.stands for each in strong + auto], axis=0))
        row["times"] = round(sum(each.seconds for each in strong) / sum(each.seconds for each in auto), 3)
    means = [float(np.mean(row[name]["standing"])) for name in ("strong", "autoattack")]
    row["points"] = round(100 * (means[0] - means[1]) / len(cases), 3)
    return row


def _side(found: list[Found]) -> dict[str, Any]:
    return {
        **_share(found[0].stands),
        "standing": [int(each.stands.sum()) for each in found],
        "seconds": [round(each.seconds, 2) for each in found],
    }


def _share(stands: Array) -> dict[str, Any]:
    found = wilson(int(stands.sum()), len(stands))
    return {"robust": found.value, "low": round(found.low, 4), "high": round(found.high, 4)}


def line(row: dict[str, Any]) -> str:
    """One row of the printed table."""
    shares = [f"{100 * row[name]['robust']:.1f}" for name in ("clean", "pgd-ce", "strong", "autoattack")]
    where = [row["data"], row["model"], row["norm"], f"{row['limit']:g} {row['unit']}"]
    seconds = (
        [f"{np.mean(row[name]['seconds']):.1f}" for name in ("strong", "autoattack")] if "times" in row else ["", ""]
    )
    ends = [f"{100 * row['strong'][end]:.1f}" for end in ("low", "high")]
    return " | ".join([*where, *shares, " to ".join(ends), f"{row['points']:+.2f}", *seconds])


HEAD = (
    "data | model | norm | limit | clean | PGD-CE | strong | AutoAttack | 95 % of strong | points | s | s of AutoAttack"
)


ABOUT = """# How much `strong` finds, beside AutoAttack

`benchmarks/strength.py` attacks five models each of pictures and of signals with `strong` and with AutoAttack
(standard, pyautoattack {version}): the same model, the same cases, the same limit, one thread of one process; what
AutoAttack returns is judged as an attack of ours is. The figures are in
[`benchmarks/strength.json`](../benchmarks/strength.json).

Shares are in % of {cases} cases, with 95 % Wilson intervals; *points* is how much more `strong` leaves standing than
AutoAttack, in percentage points (below 0 it finds more); *time* is its part of AutoAttack's processor time.

| data | model | norm | limit | clean | PGD-CE | strong | AutoAttack | points | time |
|---|---|---|---|---|---|---|---|---|---|
"""


def page(told: dict[str, Any]) -> str:
    """The figures as a page."""
    made = []
    for row in told["rows"]:
        clean, blind, auto = (f"{100 * row[name]['robust']:.1f}" for name in ("clean", "pgd-ce", "autoattack"))
        ours_ = row["strong"]
        span = f"{100 * ours_['robust']:.1f} ({100 * ours_['low']:.1f} to {100 * ours_['high']:.1f})"
        time_ = f"{row['times']:.2f}" if "times" in row else ""
        limit = f"{row['limit']:g} {row['unit']}"
        cells = (
            row["data"],
            row["model"],
            row["norm"],
            limit,
            clean,
            blind,
            span,
            auto,
            f"{row['points']:+.1f}",
            time_,
        )
        made.append(f"| {' | '.join(cells)} |\n")
    worst = max(row["points"] for row in told["rows"])
    masked = [100 * row["pgd-ce"]["robust"] for row in told["rows"] if row["model"] == "saturated"]
    end = (
        f"\nAt most {worst:+.1f} points. The saturated models look {min(masked):.0f} to {max(masked):.0f} % robust to "
        "PGD on the cross-entropy, and are not robust at all: `strong` says so. Where the limit is wide, "
        "AutoAttack still finds one case of 48 more: the row `strong-cnn` of [speed.md](speed.md).\n"
    )
    about = ABOUT.format(version=told["versions"]["pyautoattack"], cases=told["rows"][0]["n"])
    return about + "".join(made) + end


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", nargs="*", default=[""], help="rows whose names, as signals/smoothed/l2, begin so")
    asked.add_argument("--seeds", type=int, default=SEEDS, help="draws of each")
    asked.add_argument("--cases", type=int, default=CASES, help="cases, the first of those there are")
    asked.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    asked.add_argument("--keep", action="store_true", help="repeat our side alone")
    asked.add_argument("--page", action="store_true", help="write docs/strength.md from the file, and measure nothing")
    chosen = asked.parse_args()
    if chosen.page:
        (Path(__file__).parents[1] / "docs" / "strength.md").write_text(page(json.loads(chosen.out.read_text())))
        return
    kept = json.loads(chosen.out.read_text())["rows"] if chosen.keep else []
    old = {(row["data"], row["model"], row["norm"]): row for row in kept}
    torch.set_num_threads(1)
    versions = {"titer": titer.__version__, "torch": torch.__version__, "pyautoattack": version("pyautoattack")}
    rows: list[dict[str, Any]] = []
    print(HEAD, flush=True)
    for field, models in LIMITS.items():
        for kind, limits in models.items():
            for norm, limit in limits.items():
                if f"{field}/{kind}/{norm}".startswith(tuple(chosen.only)):
                    before = old.get((field, kind, norm))
                    rows.append(
                        compare(field, kind, norm, limit, seeds=chosen.seeds, count=chosen.cases, before=before)
                    )
                    print(line(rows[-1]), flush=True)
                    chosen.out.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
