"""PGD against torchattacks, Foolbox and ART, APGD and the ensemble against those of torchattacks.

Same model, equal limit, equal steps (the ensembles: their own). No peer's PGD and no peer's ensemble leaves fewer cases
standing; Auto-PGD alone, the same walk in both, is equal up to the luck of its random starts.

Versions and how they are installed: tests/peers/install.sh. They live in an environment of their own and are asked
through files, because they would replace Titer's torch.
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
import torch
from small_net import build, digits, train

from titer.attacks.apgd import APGD
from titer.attacks.attack import Attack
from titer.attacks.engine import run
from titer.attacks.pgd import PGD
from titer.attacks.strong import Strong
from titer.cases.case import Batch
from titer.cases.space import Space
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parents[1] / ".venv-peers" / "bin" / "python"
PEERS = ("torchattacks", "foolbox", "art")
# Random starts may find one case more or less, so that what several draws find is compared on average.
STEPS, REACH, CASES, DRAWS = 20, 2.5, 200, 3
# Walks of APGD differ by a case or two from draw to draw: only the mean of many tells how strong it is.
MANY = 12
# Limits at which the model is right on much and on little.
LIMITS = {"linf": (0.1, 0.15), "l2": (0.4, 0.8)}
WISHES = [
    {
        "attack": "pgd",
        "norm": norm,
        "limit": limit,
        "steps": STEPS,
        "rate": REACH * limit / STEPS,
        "restarts": restarts,
        "draws": DRAWS,
    }
    for norm, limits in LIMITS.items()
    for limit in limits
    for restarts in (1, 2)
]

AUTO = [
    {"attack": "apgd", "norm": norm, "limit": limit, "steps": STEPS, "loss": loss, "restarts": 2, "draws": MANY}
    for norm, limits in LIMITS.items()
    for limit in limits
    for loss in ("ce", "dlr")
]
WHOLE = [
    {"attack": "auto", "norm": norm, "limit": limits[1], "restarts": 1, "draws": 1} for norm, limits in LIMITS.items()
]

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("peers")]


@pytest.fixture(scope="module")
def peers() -> None:
    """The environment of the peers; CI must have it."""
    if not PYTHON.exists():
        reason = "needs the peer libraries: sh tests/peers/install.sh"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI {reason}")
        pytest.skip(reason)


@cache
def subject() -> tuple[TorchModel, Batch]:
    images, labels = digits()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build()
        train(net, torch.from_numpy(images[:1200]), torch.from_numpy(labels[:1200]), noise=0.2)
    model = TorchModel(net, Space("image", (1, 8, 8), "grey level (0-1)"), Task("classes", tuple("0123456789")))
    return model, Batch.of(images[1200 : 1200 + CASES], labels[1200 : 1200 + CASES])


@cache
def answers() -> list[dict[str, Any]]:
    """What the peers found, all wishes in one run of their environment."""
    model, batch = subject()
    arrays = {name: value.numpy() for name, value in model.module.state_dict().items()}
    with TemporaryDirectory() as folder:
        np.savez(Path(folder) / "in.npz", images=batch.inputs, labels=batch.targets, **arrays)
        (Path(folder) / "wishes.json").write_text(json.dumps(WISHES + AUTO + WHOLE))
        done = subprocess.run(
            [str(PYTHON), str(HERE / "peer_attacks.py"), folder],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": folder, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found: list[dict[str, Any]] = json.loads((Path(folder) / "out.json").read_text())
    return found


def theirs(wish: dict[str, Any], peer: str) -> float:
    """How many cases stand after the peer's attack, on average over draws."""
    answer = next(
        each for each in answers() if each["peer"] == peer and all(each.get(key) == wish[key] for key in wish)
    )
    return float(np.mean(answer["stands"]))


@cache
def ours(norm: str, limit: float, restarts: int, reach: float | None) -> float:
    """How many cases stand after our PGD, on average over draws."""
    attack = PGD(steps=STEPS, restarts=restarts, reach=reach)
    return float(np.mean([left(attack, norm, limit, f"peers {draw}") for draw in range(DRAWS)]))


def left(attack: Attack, norm: str, limit: float, seed: str = "peers") -> int:
    """How many cases stand after ours."""
    model, batch = subject()
    outcome = run(attack, model, batch, ThreatModel(Additive(norm), limit), seed=seed)  # type: ignore[arg-type]
    assert not outcome.violated.any()
    return int((~outcome.fooled).sum())


def named(wish: dict[str, Any]) -> str:
    return f"{wish['norm']}-{wish['limit']}-{wish.get('loss', wish['restarts'])}"


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("wish", [wish for wish in WISHES if wish["restarts"] == 1], ids=named)
def test_with_equal_steps_of_equal_size_no_peer_leaves_fewer_standing(wish: dict[str, Any], peer: str) -> None:
    assert ours(wish["norm"], wish["limit"], wish["restarts"], REACH) <= theirs(wish, peer)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("wish", WISHES, ids=named)
def test_with_equal_steps_and_its_own_sizes_no_peer_leaves_fewer_standing(wish: dict[str, Any], peer: str) -> None:
    assert ours(wish["norm"], wish["limit"], wish["restarts"], None) <= theirs(wish, peer)


@pytest.mark.parametrize("wish", AUTO, ids=named)
def test_with_equal_steps_apgd_leaves_as_many_standing_as_theirs_give_or_take_one_percent(wish: dict[str, Any]) -> None:
    attack = APGD(steps=STEPS, restarts=wish["restarts"], losses=(wish["loss"],))
    mine = np.mean([left(attack, wish["norm"], wish["limit"], f"peers {draw}") for draw in range(MANY)])
    assert mine <= theirs(wish, "torchattacks") + CASES // 100


@pytest.mark.parametrize("wish", WHOLE, ids=named)
def test_no_other_ensemble_leaves_fewer_standing(wish: dict[str, Any]) -> None:
    assert left(Strong(), wish["norm"], wish["limit"]) <= theirs(wish, "torchattacks")


def test_the_comparison_is_about_something() -> None:
    model, batch = subject()
    assert model.task.correct(model.predict(batch.inputs), batch.targets).mean() > 0.95
    stand = [theirs(wish, peer) for wish in WISHES for peer in PEERS]
    assert max(stand) > 0.5 * CASES
    assert min(stand) < 0.4 * CASES
