"""The laws of the whole family: a new file in the folder is held to them without touching a list."""

from __future__ import annotations

from typing import Any

import pytest

from titer.attacks.fgsm import FGSM
from titer.attacks.grid import Grid
from titer.attacks.natural import Natural
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.registry import ATTACKS
from titer.testing.checks import LAWS, check_attack
from titer.threats.changes.additive import Additive
from titer.threats.changes.affine import Affine
from titer.threats.changes.corruption import Corruption
from titer.threats.changes.lowpass import LowPass

# Fewer steps than the defaults, so that the laws stay quick; attacks that are not named here run as they are.
QUICK: dict[str, dict[str, Any]] = {
    "carlini_wagner": {"steps": 4, "weights": 2, "refine": 1},
    "deepfool": {"steps": 3, "refine": 1},
    "fab": {"steps": 2, "restarts": 2, "refine": 1},
    "fmn": {"steps": 2},
    "greedy": {"queries": 30},
    "grid": {"points": 3},
    "patch": {"epochs": 1},
    "pgd": {"steps": 3},
    "random_search": {"queries": 4},
    "sigma_zero": {"steps": 5, "losses": ("target", "target2"), "refine": 2},
    "square": {"queries": 30},
    "universal": {"epochs": 1},
}
VARIANTS = [
    PGD(steps=4, restarts=3, losses=("target", "dlr"), momentum=0.9),
    PGD(steps=4, early_exit=True),
    FGSM(loss="margin", random_start=True),
    Noise("ball", tries=3),
]
CORRUPTED = [Natural(draws=3), Natural()]
GRIDS = [Grid(points=3, mildest=True), Grid(points=2, whole=True)]


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_attack_keeps_the_laws(name: str) -> None:
    tried = check_attack(ATTACKS.find(name)(**QUICK.get(name, {})))
    assert set(tried) == set(LAWS)
    assert min(tried.values()) >= 2


@pytest.mark.parametrize("attack", VARIANTS, ids=repr)
def test_settings_do_not_break_the_laws(attack: PGD | FGSM | Noise) -> None:
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
