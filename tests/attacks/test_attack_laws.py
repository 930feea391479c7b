"""The laws of the whole family: a new file in the folder is held to them without touching a list."""

from __future__ import annotations

from typing import Any

import pytest

from titer.attacks.apgd import APGD
from titer.attacks.attack import Attack
from titer.attacks.fgsm import FGSM
from titer.attacks.grid import Grid
from titer.attacks.hopskipjump import HopSkipJump
from titer.attacks.natural import Natural
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.simba import SimBA
from titer.attacks.transfer import Transfer
from titer.models.model import Model
from titer.registry import ATTACKS
from titer.testing import models
from titer.testing.checks import LAWS, check_attack
from titer.threats.changes.additive import Additive
from titer.threats.changes.affine import Affine
from titer.threats.changes.corruption import Corruption
from titer.threats.changes.lowpass import LowPass

# Fewer steps than the defaults, so that the laws stay quick; attacks that are not named here run as they are.
QUICK: dict[str, dict[str, Any]] = {
    "apgd": {"steps": 3, "losses": ("ce", "dlr-target")},
    "boundary": {"queries": 25},
    "carlini_wagner": {"steps": 4, "weights": 2, "refine": 1},
    "deepfool": {"steps": 3, "refine": 1},
    "fab": {"steps": 2, "restarts": 2, "refine": 1},
    "fmn": {"steps": 2},
    "greedy": {"queries": 30},
    "grid": {"points": 3},
    "hopskipjump": {"queries": 30, "draws": 4},
    "nes": {"queries": 21, "pairs": 3},
    "patch": {"epochs": 1},
    "pgd": {"steps": 3},
    "random_search": {"queries": 4},
    "sigma_zero": {"steps": 5, "losses": ("target", "target2"), "refine": 2},
    "simba": {"queries": 20},
    "square": {"queries": 30},
    "strong": {"steps": 3, "targets": 2, "queries": 5},
    "universal": {"epochs": 1},
}
# Attacks that need something of the model's kind.
MADE = {"transfer": lambda model: Transfer((twin(model, 1),), PGD(steps=3))}
VARIANTS: list[Any] = [
    PGD(steps=4, restarts=3, losses=("target", "dlr"), momentum=0.9),
    PGD(steps=4, early_exit=True),
    APGD(steps=10, restarts=2, losses=("dlr-target",), from_clean=False, early_exit=True),
    FGSM(loss="margin", random_start=True),
    Noise("ball", tries=3),
    SimBA(queries=20, basis="dct", step=0.5),
    HopSkipJump(queries=40, draws=8, closest=True),
    lambda model: Transfer((twin(model, 1), twin(model, 2)), PGD(steps=3, restarts=1)),
    lambda model: Transfer((twin(model, 1), twin(model, 2)), PGD(steps=3, restarts=1), combine="each"),
]
CORRUPTED = [Natural(draws=3), Natural()]
GRIDS = [Grid(points=3, mildest=True), Grid(points=2, whole=True)]


def twin(model: Model, seed: int) -> Model:
    """Another tiny network for the same space and task."""
    task = model.task
    answer: Any = "two classes" if task.kind == "classes" and task.outputs == 2 else task.kind
    return models.network(model.space.kind, 9, answer=answer, seed=70 + seed)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_attack_keeps_the_laws(name: str) -> None:
    tried = check_attack(MADE[name] if name in MADE else ATTACKS.find(name)(**QUICK.get(name, {})))
    assert set(tried) == set(LAWS)
    assert min(tried.values()) >= 2


@pytest.mark.parametrize("attack", VARIANTS, ids=lambda each: repr(each) if isinstance(each, Attack) else "made")
def test_settings_do_not_break_the_laws(attack: Any) -> None:
    check_attack(attack, [("table", Additive("linf"), 0.2), ("image", Additive("l2"), 0.5), ("signal", LowPass(), 0.1)])


@pytest.mark.parametrize("attack", GRIDS, ids=repr)
def test_settings_of_the_grid_do_not_break_the_laws(attack: Grid) -> None:
    check_attack(attack, [("image", Affine(padding="reflect", scale=10), 0.6)])


@pytest.mark.parametrize("attack", CORRUPTED, ids=repr)
@pytest.mark.parametrize("name", ["blur", "blocks", "ghosting", "motion", "noise"])
def test_every_corruption_of_pictures_keeps_the_laws(attack: Natural, name: str) -> None:
    check_attack(attack, [("image", Corruption(only=(name,)), 0.7)])


@pytest.mark.parametrize("name", ["wander", "hum", "noise", "electrode", "dead"])
def test_every_corruption_of_signals_keeps_the_laws(name: str) -> None:
    check_attack(Natural(draws=3), [("signal", Corruption(only=(name,)), 0.7)])
