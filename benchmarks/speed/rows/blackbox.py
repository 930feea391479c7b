"""Square and HopSkipJump: what is asked costs a pass, so the rest must be cheap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from speed.ours import additive, titer
from speed.peers import art, autoattack, cleverhans, foolbox, torchattacks
from speed.subjects import SUBJECTS, Subject
from speed.timing import Row
from titer.attacks.hopskipjump import HopSkipJump
from titer.attacks.square import Square

_QUESTIONS = 300
# What the gradient estimates and searches of twelve turns of the peers cost per case.
_DECISIONS = 3100
_WIDE = 50.0


def square(subject: Subject) -> Row:
    limit = subject.limits["linf"]

    def auto(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from pyautoattack.square import SquareAttack

        attack = SquareAttack(net, norm="Linf", n_queries=_QUESTIONS, eps=limit, seed=0, device=subject.device)
        return attack.perturb(inputs, labels)

    entries = [
        titer(Square(queries=_QUESTIONS), subject, additive(subject, "linf", knowledge="scores")),
        torchattacks(subject, "Square", norm="Linf", eps=limit, n_queries=_QUESTIONS, seed=0),
        autoattack(subject, auto, f"SquareAttack(n_queries={_QUESTIONS})"),
        art(subject, "SquareAttack", norm="inf", eps=limit, max_iter=_QUESTIONS),
    ]
    return Row(f"square-{subject.name}", subject, "linf", limit, "standing", 0, 0.7, entries, 2)


def hopskipjump(subject: Subject) -> Row:
    def clever(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from cleverhans.torch.attacks.hop_skip_jump_attack import hop_skip_jump_attack

        return hop_skip_jump_attack(
            net, inputs, 2, y_target=None, num_iterations=12, initial_num_evals=100, max_num_evals=1000, verbose=False
        )

    threat = additive(subject, "l2", _WIDE, knowledge="labels")
    entries = [
        titer(HopSkipJump(queries=_DECISIONS, closest=True), subject, threat),
        foolbox(subject, "HopSkipJumpAttack", None, steps=12, initial_gradient_eval_steps=100, constraint="l2"),
        art(subject, "HopSkipJump", cast=True, norm=2, max_iter=12, max_eval=1000, init_eval=100),
        cleverhans(subject, clever, "hop_skip_jump_attack(num_iterations=12)"),
    ]
    return Row("hopskipjump-cnn", subject, "l2", _WIDE, "median", 0, 0.5, entries, 1)


def _made(kind: Callable[[Subject], Row], subject: str, cases: int) -> Row:
    torch.manual_seed(0)
    return kind(SUBJECTS[subject](cases))


ROWS: dict[str, Callable[[], Row]] = {
    "square-cnn": partial(_made, square, "cnn", 64),
    "square-hardened": partial(_made, square, "hardened", 64),
    "hopskipjump-cnn": partial(_made, hopskipjump, "cnn", 16),
}
