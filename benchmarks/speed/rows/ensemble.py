"""The strong ensemble beside AutoAttack in its standard form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from speed.ours import additive, titer
from speed.peers import autoattack, torchattacks
from speed.subjects import SUBJECTS, Subject
from speed.timing import Row
from titer.attacks.strong import Strong


def strong(subject: Subject) -> Row:
    limit, classes = subject.limits["linf"], len(subject.model.task.classes)

    def auto(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from pyautoattack import AutoAttack

        attack = AutoAttack(net, norm="Linf", eps=limit, version="standard", seed=0, device=subject.device)
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = classes - 1
        return attack.run_standard_evaluation(inputs, labels, batch_size=len(inputs))[0]

    entries = [
        titer(Strong(steps=75), subject, additive(subject, "linf")),
        torchattacks(subject, "AutoAttack", norm="Linf", eps=limit, version="standard", n_classes=classes, seed=0),
        autoattack(subject, auto, "AutoAttack(standard)"),
    ]
    label = f"strong-{subject.name}"
    note = "ours with 75 steps, since 50, as it comes, leave one case of 48 more standing on the image CNN"
    return Row(label, subject, "linf", limit, "standing", 0, 0.3, entries, 1, note)


def _made(subject: str, cases: int) -> Row:
    return strong(SUBJECTS[subject](cases))


ROWS: dict[str, Callable[[], Row]] = {
    "strong-cnn": partial(_made, "cnn", 48),
    "strong-hardened": partial(_made, "hardened", 48),
}
