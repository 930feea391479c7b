"""Rotation and shift by grid, universal perturbation, patch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from speed.ours import additive, titer, under
from speed.peers import art, art_classifier, foolbox, peer
from speed.subjects import SUBJECTS, Subject
from speed.timing import Entry, Row
from titer.attacks import engine
from titer.attacks.grid import Grid
from titer.attacks.patch import AdversarialPatch
from titer.attacks.universal import Universal
from titer.threats.changes.affine import Affine
from titer.threats.changes.patch import Patch

_UNIVERSAL, _POOL = 0.02, 100
# Ours needs fewer cases, and each of them once per way of pushing.
_OUR_POOL, _ONCE = 64, Universal(epochs=1, batch=16)
_WIDTH, _LEARNED = 0.3, 64


def grid(subject: Subject) -> Row:
    side = subject.inputs.shape[-1]
    share = 0.1
    entries = [
        titer(Grid(), subject, under(Affine(rotation=30.0, shift=share), 1.0), "31 x 5 x 5 settings"),
        foolbox(
            subject, "SpatialAttack", None, max_translation=share * side, max_rotation=30, num_translations=5,
            num_rotations=31,
        ),
        art(
            subject, "SpatialTransformation", batched=False, max_translation=100 * share, num_translations=5,
            max_rotation=30.0, num_rotations=31,
        ),
    ]  # fmt: skip
    note = "ART keeps the one setting that fools most cases, for all of them"
    return Row("grid-cnn", subject, "free", 1.0, "standing", 0, 0.1, entries, 1, note)


def universal(subject: Subject) -> Row:
    pool = subject.pool.take(range(_POOL))
    threat = additive(subject, "linf", _UNIVERSAL)

    def ours() -> Tensor:
        mine = pool.take(range(_OUR_POOL))
        learned = engine.learn(_ONCE, subject.model, mine, threat, seed="benchmark")
        return torch.from_numpy(engine.run(learned, subject.model, subject.batch, threat, seed="benchmark").perturbed)

    def theirs(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from art.attacks.evasion import UniversalPerturbation

        classifier = art_classifier(net, inputs, subject)
        attack = UniversalPerturbation(
            classifier, attacker="deepfool", attacker_params={"max_iter": 10, "verbose": False}, delta=0.0, max_iter=2,
            eps=_UNIVERSAL, norm=np.inf, batch_size=64, verbose=False,
        )  # fmt: skip
        attack.generate(np.asarray(pool.inputs, dtype=np.float32), pool.targets)
        return torch.clamp(inputs + torch.as_tensor(attack.noise, dtype=inputs.dtype, device=inputs.device), 0, 1)

    entries = [
        Entry("titer", f"{_ONCE!r} on {_OUR_POOL} of them", ours),
        peer("art", "UniversalPerturbation(deepfool, 2 passes over the pool)", subject, theirs),
    ]
    note = f"learned on {_POOL} other cases; strength on cases never seen"
    return Row("universal-cnn", subject, "linf", _UNIVERSAL, "standing", 0, 0.1, entries, 1, note)


def patch(subject: Subject) -> Row:
    pool = subject.pool.take(range(_LEARNED))
    threat = under(Patch("square", turn=0.0), _WIDTH)
    side = subject.inputs.shape[-1]
    width = round(_WIDTH * side)

    def ours() -> Tensor:
        learned = engine.learn(AdversarialPatch(place=(0.5, 0.5)), subject.model, pool, threat, seed="benchmark")
        return torch.from_numpy(engine.run(learned, subject.model, subject.batch, threat, seed="benchmark").perturbed)

    def theirs(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        from art.attacks.evasion.adversarial_patch.adversarial_patch_pytorch import AdversarialPatchPyTorch

        corner = (side - width) // 2
        attack = AdversarialPatchPyTorch(
            art_classifier(net, inputs, subject), rotation_max=0.0, scale_min=0.99, scale_max=1.0, learning_rate=0.1,
            max_iter=120, batch_size=32, patch_shape=(inputs.shape[1], width, width), patch_location=(corner, corner),
            patch_type="square", optimizer="Adam", targeted=False, verbose=False,
        )  # fmt: skip
        attack.generate(np.asarray(pool.inputs, dtype=np.float32), pool.targets)
        return torch.from_numpy(attack.apply_patch(inputs.cpu().numpy(), scale=1.0))

    entries = [
        Entry("titer", repr(AdversarialPatch(place=(0.5, 0.5))), ours),
        peer("art", "AdversarialPatchPyTorch(Adam, 120 passes over the pool, untargeted)", subject, theirs),
    ]
    note = "a square of 30 % of the width in the middle; ours learns one per class (30 passes each)"
    return Row("patch-cnn", subject, "free", _WIDTH, "standing", 0, 0.5, entries, 1, note)


def _made(kind: Callable[[Subject], Row], cases: int) -> Row:
    return kind(SUBJECTS["cnn"](cases))


ROWS: dict[str, Callable[[], Row]] = {
    "grid-cnn": partial(_made, grid, 64),
    "universal-cnn": partial(_made, universal, 64),
    "patch-cnn": partial(_made, patch, 64),
}
