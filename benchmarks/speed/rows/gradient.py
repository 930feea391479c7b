"""FGSM, PGD and APGD: with every step taken, and with fooled cases leaving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from speed.ours import additive, titer
from speed.peers import adv_lib, art, autoattack, cleverhans, foolbox, torchattacks
from speed.subjects import SUBJECTS, Subject
from speed.timing import Entry, Row
from titer.attacks.apgd import APGD
from titer.attacks.fgsm import FGSM
from titer.attacks.pgd import PGD

_STEPS = 40
# On the image CNN one peer's random start is luckier: ours takes a few more steps there, so as not to be weaker.
_LONGER: dict[str, dict[str, Any]] = {"cnn": {"steps": 44, "momentum": 1.0}}
# Of few cases the luck of a start decides who is stronger.
_CASES = {"gru": 448, "volume": 32}
# The most that our time may be of the best peer's, by subject.
_EVERY_STEP = {"cnn": 0.75, "gru": 1.0}
_LEAVING = {"cnn": 0.35, "hardened": 0.55}


def fgsm(subject: Subject) -> Row:
    limit = subject.limits["linf"]

    def clever(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from cleverhans.torch.attacks.fast_gradient_method import fast_gradient_method

        return fast_gradient_method(net, inputs, limit, float("inf"), 0.0, 1.0, y=labels)

    entries = [
        titer(FGSM(), subject, additive(subject, "linf")),
        torchattacks(subject, "FGSM", eps=limit),
        foolbox(subject, "LinfFastGradientAttack", limit, random_start=False),
        art(subject, "FastGradientMethod", eps=limit),
        cleverhans(subject, clever, "fast_gradient_method"),
    ]
    return _row("fgsm", subject, 1, _EVERY_STEP, entries, rounds=9)


def pgd(subject: Subject) -> Row:
    attack = PGD(steps=_STEPS, restarts=1, losses=("ce",))
    return _row("pgd", subject, _STEPS, _EVERY_STEP, [titer(attack, subject, _linf(subject)), *_pgd_peers(subject)])


def pgd_exit(subject: Subject) -> Row:
    attack = PGD(steps=_STEPS, restarts=1, losses=("ce",), early_exit=True)
    entries = [titer(attack, subject, _linf(subject)), *_pgd_peers(subject)]
    return _row("pgd-early-exit", subject, _STEPS, _LEAVING, entries)


def apgd(subject: Subject) -> Row:
    attack = _apgd(subject)
    return _row("apgd", subject, _STEPS, _EVERY_STEP, [titer(attack, subject, _linf(subject)), *_apgd_peers(subject)])


def apgd_exit(subject: Subject) -> Row:
    attack = replace(_apgd(subject), early_exit=True)
    entries = [titer(attack, subject, _linf(subject)), *_apgd_peers(subject)]
    return _row("apgd-early-exit", subject, _STEPS, _LEAVING, entries)


def _apgd(subject: Subject) -> APGD:
    return APGD(**{"steps": _STEPS, "restarts": 1, "losses": ("ce",), **_LONGER.get(subject.name, {})})


def _linf(subject: Subject) -> Any:
    return additive(subject, "linf")


def _pgd_peers(subject: Subject) -> list[Entry]:
    limit = subject.limits["linf"]
    rate = limit / 8

    def clever(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from cleverhans.torch.attacks.projected_gradient_descent import projected_gradient_descent

        return projected_gradient_descent(
            net, inputs, limit, rate, _STEPS, float("inf"), 0.0, 1.0, y=labels, sanity_checks=False
        )

    settings: dict[str, Any] = {"norm": "inf", "eps": limit, "eps_step": rate, "max_iter": _STEPS}
    return [
        torchattacks(subject, "PGD", eps=limit, alpha=rate, steps=_STEPS),
        foolbox(subject, "LinfPGD", limit, abs_stepsize=rate, steps=_STEPS),
        art(subject, "ProjectedGradientDescentPyTorch", **settings, num_random_init=1),
        cleverhans(subject, clever, f"projected_gradient_descent(eps_iter=eps/8, nb_iter={_STEPS})"),
    ]


def _apgd_peers(subject: Subject) -> list[Entry]:
    limit = subject.limits["linf"]

    def auto(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from pyautoattack.autopgd_base import APGDAttack

        attack = APGDAttack(
            net, n_iter=_STEPS, norm="Linf", n_restarts=1, eps=limit, seed=0, loss="ce", device=subject.device
        )
        return attack.perturb(inputs, labels)

    def adv(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from adv_lib.attacks import apgd as other

        return other(net, inputs, labels, eps=limit, norm=float("inf"), n_iter=_STEPS, loss_function="ce")

    settings: dict[str, Any] = {"eps": limit, "eps_step": 2 * limit, "max_iter": _STEPS, "nb_random_init": 1}
    return [
        torchattacks(subject, "APGD", norm="Linf", eps=limit, steps=_STEPS, n_restarts=1, seed=0, loss="ce"),
        autoattack(subject, auto, f"APGDAttack(n_iter={_STEPS}, loss='ce')"),
        adv_lib(subject, adv, f"apgd(n_iter={_STEPS}, loss_function='ce')"),
        art(subject, "AutoProjectedGradientDescent", norm="inf", loss_type="cross_entropy", **settings),
    ]


def _row(
    name: str, subject: Subject, passes: int, targets: dict[str, float], entries: list[Entry], rounds: int = 3
) -> Row:
    target = targets.get(subject.name)
    label = f"{name}-{subject.name}"
    return Row(label, subject, "linf", subject.limits["linf"], "standing", passes, target, entries, rounds)


def _made(kind: Callable[[Subject], Row], subject: str) -> Row:
    torch.manual_seed(0)
    return kind(SUBJECTS[subject](_CASES.get(subject, 64)))


ROWS: dict[str, Callable[[], Row]] = {
    f"{kind.__name__.replace('_exit', '-early-exit')}-{subject}": partial(_made, kind, subject)
    for kind, subjects in (
        (fgsm, ("cnn", "gru", "transformer", "volume")),
        (pgd, ("cnn", "gru", "transformer", "volume")),
        (apgd, ("cnn", "gru", "transformer", "volume")),
        (pgd_exit, ("cnn", "hardened")),
        (apgd_exit, ("cnn", "hardened")),
    )
    for subject in subjects
}
