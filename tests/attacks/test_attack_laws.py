"""The laws of the whole family: a new file in the folder is held to them without touching a list."""

from __future__ import annotations

import pytest

from titer.attacks.apgd import APGD
from titer.attacks.attack import Attack
from titer.attacks.fgsm import FGSM
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.registry import ATTACKS
from titer.testing.checks import LAWS, check_attack
from titer.threats.changes.additive import Additive
from titer.threats.changes.lowpass import LowPass

# Fewer steps than the defaults, so that the laws stay quick; attacks that are not named here run as they are.
QUICK = {
    "apgd": {"steps": 3, "losses": ("ce", "dlr-target")},
    "pgd": {"steps": 3},
    "random_search": {"queries": 4},
    "square": {"queries": 30},
    "strong": {"steps": 3, "targets": 2, "queries": 5},
}
VARIANTS = [
    PGD(steps=4, restarts=3, losses=("target", "dlr"), momentum=0.9),
    PGD(steps=4, early_exit=True),
    APGD(steps=10, restarts=2, losses=("dlr-target",), from_clean=False, early_exit=True),
    FGSM(loss="margin", random_start=True),
    Noise("ball", tries=3),
]


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_attack_keeps_the_laws(name: str) -> None:
    tried = check_attack(ATTACKS.find(name)(**QUICK.get(name, {})))
    assert set(tried) == set(LAWS)
    assert min(tried.values()) >= 2


@pytest.mark.parametrize("attack", VARIANTS, ids=repr)
def test_settings_do_not_break_the_laws(attack: Attack) -> None:
    check_attack(attack, [("table", Additive("linf"), 0.2), ("image", Additive("l2"), 0.5), ("signal", LowPass(), 0.1)])
