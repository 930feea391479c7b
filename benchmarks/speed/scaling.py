"""PGD with more and more cases at once: how much of a device is put to use.

python -m speed.scaling [--device D] [--out FILE]       run in the environment of the peers, from this folder
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch

import speed.peers  # prepares the imports of the peers before any of them is made
import speed.subjects
from speed.ours import additive, titer
from speed.subjects import SUBJECTS, Subject
from speed.timing import timed
from titer.attacks.pgd import PGD
from titer.cases.case import Batch

_STEPS, _ROUNDS = 20, 3
SIZES = (1, 8, 64, 256, 1024)


def main() -> None:
    wishes = argparse.ArgumentParser(description=__doc__)
    wishes.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "speed.json")
    wishes.add_argument("--device", default="cpu")
    wishes.add_argument("--sizes", default=",".join(map(str, SIZES)))
    chosen = wishes.parse_args()
    torch.set_num_threads(1)
    speed.subjects.place(chosen.device)
    table = [
        measured(many(SUBJECTS[name](64), int(size)))
        for name in ("cnn", "transformer")
        for size in chosen.sizes.split(",")
    ]
    whole = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    chosen.out.write_text(json.dumps({**whole, "scaling": table}, indent=1) + "\n")


def many(subject: Subject, count: int) -> Subject:
    """The subject with its cases repeated, under names of their own."""
    rows = np.resize(np.arange(len(subject.batch)), count)
    held = subject.batch
    names = np.array([f"{held.ids[row]}/{place}" for place, row in enumerate(rows)])
    batch = Batch(held.inputs[rows], held.targets[rows], names, names)
    return Subject(subject.name, subject.what, subject.module, subject.model, batch, subject.pool, subject.limits)


def measured(subject: Subject) -> dict[str, Any]:
    """Steps of cases per second, by the median of the rounds after one that is not counted."""
    limit = subject.limits["linf"]
    attack = PGD(steps=_STEPS, restarts=1, losses=("ce",))
    runs = {
        "titer": titer(attack, subject, additive(subject, "linf")).run,
        "torchattacks": speed.peers.torchattacks(subject, "PGD", eps=limit, alpha=limit / 8, steps=_STEPS).run,
        "passes": lambda: subject.raw(_STEPS),
    }
    found: dict[str, Any] = {"subject": subject.name, "cases": len(subject.batch)}
    for name, run in runs.items():
        seconds = [timed(run, subject.device)[0] for _ in range(_ROUNDS + 1)][1:]
        found[name] = len(subject.batch) * _STEPS / statistics.median(seconds)
    print(found, flush=True)
    return found


if __name__ == "__main__":
    main()
