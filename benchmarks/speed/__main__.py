"""Measures Titer beside its peers; see docs/speed.md for what came of it.

python -m speed [--rows a,b] [--out FILE] [--device D]      run in the environment of the peers, from this folder
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import speed.peers  # prepares the imports of the peers before any of them is made
import speed.subjects
from speed.rows import rows
from speed.timing import measured

_PEERS = {
    "art": "adversarial-robustness-toolbox", "foolbox": "foolbox", "torchattacks": "torchattacks",
    "autoattack": "pyautoattack", "adv-lib": "adv-lib", "cleverhans": "cleverhans", "torch": "torch",
}  # fmt: skip


def main() -> None:
    wishes = argparse.ArgumentParser(description=__doc__)
    wishes.add_argument("--rows", default="", help="names or beginnings of names, with commas; all without")
    wishes.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "speed.json")
    wishes.add_argument("--rounds", type=int, default=0, help="rounds of each row instead of its own")
    wishes.add_argument("--device", default="cpu", help="where models and cases are, e.g. cuda")
    chosen = wishes.parse_args()
    torch.set_num_threads(1)
    speed.subjects.place(chosen.device)
    whole: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    table: dict[str, Any] = whole.get("rows", {})
    for name, make in rows():
        if chosen.rows and not name.startswith(tuple(chosen.rows.split(","))):
            continue
        row = make()
        if chosen.rounds:
            row = replace(row, rounds=chosen.rounds)
        _say(f"{name}: {row.subject.what}")
        table[name] = measured(row, _say)
        _say("  " + _line(table[name]))
        # Kept after each row, so that a stopped run loses one.
        chosen.out.write_text(
            json.dumps({**whole, "machine": _machine(speed.subjects.DEVICE), "rows": table}, indent=1) + "\n"
        )


def _line(found: dict[str, Any]) -> str:
    who = ", ".join(
        f"{each['library']} {each['failure'] or format(each['strength'], '.4g')}" for each in found["entries"]
    )
    ratio, passes = found["ratio_to_best_peer"], found["ratio_to_passes"]
    said = "no peer" if ratio is None else f"{ratio:.2f} x {found['best_peer']}"
    bare = "" if passes is None else f", {passes:.2f} x passes"
    return f"{said}{bare} (target {found['target']}, holds {found['holds']}); {found['measure']}: {who}"


def _machine(device: torch.device) -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "versions": {name: version(package) for name, package in _PEERS.items()},
        "measure": "processor time of one process, one thread, median of the rounds"
        if device.type == "cpu"
        else "time until the device is done, one process, median of the rounds",
        "device": "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device),
    }


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
