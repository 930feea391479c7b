"""JSMA: few values that move all the way, on the reference pictures and on large ones in color."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from speed.ours import additive, titer
from speed.peers import art, peer
from speed.subjects import SUBJECTS, Subject, large
from speed.timing import Row
from titer.attacks.jsma import JSMA


def jsma(subject: Subject, values: int, target: float | None) -> Row:
    total = subject.inputs[0].numel()

    def attacks(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        import torchattacks

        attack = torchattacks.JSMA(net, theta=1.0, gamma=values / total)
        attack.set_mode_targeted_by_function(lambda _, true: (true + 1) % len(subject.model.task.classes))
        return attack(inputs, labels)

    settings: dict[str, Any] = {"theta": 1.0, "gamma": values / total}
    entries = [
        titer(JSMA(), subject, additive(subject, "l0", float(values))),
        art(subject, "SaliencyMapMethod", **settings),
        peer("torchattacks", f"JSMA(theta=1.0, gamma={values}/{total}), towards the next class", subject, attacks),
    ]
    label = f"jsma-{subject.name}"
    note = "peers aim at one class of their choice; we at each in turn, and keep the best"
    return Row(label, subject, "l0", values, "standing", 0, target, entries, 1, note)


def _small() -> Row:
    return jsma(SUBJECTS["cnn"](8), 40, 0.35)


def _large() -> Row:
    torch.manual_seed(0)
    return jsma(large(2), 40, None)


ROWS: dict[str, Callable[[], Row]] = {"jsma-cnn": partial(_small), "jsma-large": partial(_large)}
