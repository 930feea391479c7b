"""Black-box attacks against torchattacks, Foolbox and ART: same model and limit, no more questions per case.

What a peer asked is counted in the model itself, and ours may ask as many questions of every case, at the most.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from test_peers import HERE, PYTHON, peers, subject  # noqa: F401 - the fixture

from titer.attacks.attack import Attack
from titer.attacks.boundary import Boundary
from titer.attacks.engine import run
from titer.attacks.hopskipjump import HopSkipJump
from titer.attacks.simba import SimBA
from titer.attacks.square import Square
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

CASES = 30
LIMITS = {"linf": (0.1, 0.15), "l2": (0.6, 0.9)}
SETTINGS: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("torchattacks_square", ("linf", "l2"), {"steps": 300}),
    ("art_square", ("linf", "l2"), {"steps": 300}),
    ("art_simba", ("l2",), {"steps": 300, "step": 0.2, "basis": "px"}),
    ("art_simba", ("l2",), {"steps": 300, "step": 0.2, "basis": "dct"}),
    ("art_hopskipjump", ("linf", "l2"), {"steps": 3, "draws": 100}),
    ("foolbox_hopskipjump", ("linf", "l2"), {"steps": 3, "draws": 100}),
    ("art_boundary", ("l2",), {"steps": 60}),
    ("foolbox_boundary", ("l2",), {"steps": 500}),
]
WISHES = [
    {"peer": peer, "norm": norm, "limit": limit, **settings}
    for peer, norms, settings in SETTINGS
    for norm in norms
    for limit in LIMITS[norm]
]

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("peers")]


@cache
def answers() -> dict[str, dict[str, Any]]:
    """What the peers found, all wishes in one run of their environment."""
    model, batch = subject()
    arrays = {name: value.numpy() for name, value in model.module.state_dict().items()}
    with TemporaryDirectory() as folder:
        np.savez(Path(folder) / "in.npz", images=batch.inputs[:CASES], labels=batch.targets[:CASES], **arrays)
        (Path(folder) / "wishes.json").write_text(json.dumps(WISHES))
        done = subprocess.run(
            [str(PYTHON), str(HERE / "peer_blackbox.py"), folder],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": folder, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found: list[dict[str, Any]] = json.loads((Path(folder) / "out.json").read_text())
    return {named(each): each for each in found}


def named(wish: dict[str, Any]) -> str:
    return "-".join(str(wish[key]) for key in ("peer", "norm", "limit", "basis") if key in wish)


def counterpart(wish: dict[str, Any], queries: int) -> Attack:
    """Our attack of the same name, with as many questions as the peer asked per case."""
    kind = wish["peer"].split("_")[1]
    if kind == "simba":
        return SimBA(queries, basis="dct" if wish["basis"] == "dct" else "values", share=1.0)
    return {"square": Square, "hopskipjump": HopSkipJump, "boundary": Boundary}[kind](queries=queries)


@pytest.mark.parametrize("wish", WISHES, ids=named)
def test_with_no_more_questions_no_peer_leaves_fewer_standing(wish: dict[str, Any]) -> None:
    model, batch = subject()
    theirs = answers()[named(wish)]
    attack = counterpart(wish, int(theirs["queries"]))
    threat = ThreatModel(Additive(wish["norm"]), wish["limit"], knowledge=attack.needs)
    outcome = run(attack, model, batch.take(np.arange(CASES)), threat, seed="peers")
    assert not outcome.violated.any()
    assert outcome.queries.max() <= theirs["queries"]
    assert int((~outcome.fooled).sum()) <= sum(theirs["stands"])
