"""The smallest changes: Carlini and Wagner, DeepFool. The median size of the change that fools is the strength."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from speed.ours import additive, titer
from speed.peers import adv_lib, art, cleverhans, foolbox, torchattacks
from speed.subjects import SUBJECTS, Subject
from speed.timing import Row
from titer.attacks.carlini_wagner import CarliniWagner
from titer.attacks.deepfool import DeepFool

# Wider than any change that these attacks find, so that none is cut off.
_WIDE = 50.0
# What each library gets: tries of the constant, steps of each, the first constant and the rate of Adam.
_TRIES, _STEPS, _FIRST, _RATE = 4, 100, 1.0, 0.01
# Ours begins with the constant of a linear model, so fewer are needed for a smaller change.
_OUR_TRIES, _OUR_STEPS = 2, 80


def carlini_wagner(subject: Subject) -> Row:
    def clever(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from cleverhans.torch.attacks.carlini_wagner_l2 import carlini_wagner_l2

        classes = len(subject.model.task.classes)
        settings: dict[str, Any] = {"initial_const": _FIRST, "binary_search_steps": _TRIES, "max_iterations": _STEPS}
        return carlini_wagner_l2(net, inputs, classes, labels, lr=_RATE, clip_min=0.0, clip_max=1.0, **settings)

    def adv(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from adv_lib.attacks import carlini_wagner_l2

        settings: dict[str, Any] = {"initial_const": _FIRST, "binary_search_steps": _TRIES, "max_iterations": _STEPS}
        return carlini_wagner_l2(net, inputs, labels, learning_rate=_RATE, **settings)

    said = f"first constant {_FIRST}, {_TRIES} constants of {_STEPS} steps, rate {_RATE}"
    box: dict[str, Any] = {"binary_search_steps": _TRIES, "steps": _STEPS, "stepsize": _RATE, "initial_const": _FIRST}
    entries = [
        titer(CarliniWagner(steps=_OUR_STEPS, weights=_OUR_TRIES), subject, additive(subject, "l2", _WIDE)),
        foolbox(subject, "L2CarliniWagnerAttack", None, **box),
        adv_lib(subject, adv, said),
        cleverhans(subject, clever, said),
        torchattacks(subject, "CW", c=10.0, steps=_TRIES * _STEPS, lr=_RATE),
    ]
    return Row(
        "carlini-wagner-cnn", subject, "l2", _WIDE, "median", _OUR_TRIES * _OUR_STEPS, 0.6, entries, rounds=2,
        note="4 constants of 100 steps for the peers (torchattacks has one constant and gets all steps for it), "
        "2 of 80 for ours",
    )  # fmt: skip


def deepfool(subject: Subject) -> Row:
    def adv(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from adv_lib.attacks import df

        return df(net, inputs, labels, steps=50, norm=2)

    entries = [
        titer(DeepFool(overshoot=0.2, refine=0), subject, additive(subject, "l2", _WIDE)),
        foolbox(subject, "L2DeepFoolAttack", None, steps=50, candidates=None),
        adv_lib(subject, adv, "df(steps=50)"),
        torchattacks(subject, "DeepFool", steps=50),
        art(subject, "DeepFool", max_iter=50, nb_grads=4, epsilon=0.02),
    ]
    return Row("deepfool-cnn", subject, "l2", _WIDE, "median", 0, 0.8, entries, rounds=3)


def _made(kind: Callable[[Subject], Row], cases: int) -> Row:
    return kind(SUBJECTS["cnn"](cases))


ROWS: dict[str, Callable[[], Row]] = {
    "carlini-wagner-cnn": partial(_made, carlini_wagner, 32),
    "deepfool-cnn": partial(_made, deepfool, 64),
}
