"""The peers' side: each library called as its documentation says, and asked once which cases were fooled."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

# torchvision without its compiled part: the pure-Python rest, which is all that the peers use, then imports.
sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from speed.subjects import Subject  # noqa: E402
from speed.timing import Entry  # noqa: E402

logging.disable(logging.WARNING)
Attack = Callable[[nn.Module, Tensor, Tensor], Any]


def peer(library: str, settings: str, subject: Subject, attack: Attack) -> Entry:
    """An attack of a peer on a subject; the last pass tells which cases were fooled.

    Each has a copy of the module, since some leave it in another state than they found it in.
    """
    module = copy.deepcopy(subject.module)

    def run() -> Tensor:
        inputs, labels = subject.inputs.clone(), subject.labels.clone()
        with contextlib.redirect_stdout(io.StringIO()), subject.plain():
            found = attack(module, inputs, labels)
        perturbed = found if isinstance(found, Tensor) else torch.from_numpy(np.asarray(found, dtype=np.float32))
        perturbed = perturbed.detach().float().to(subject.device)
        with torch.no_grad():
            module(perturbed).argmax(dim=1)
        return perturbed

    return Entry(library, settings, run)


def torchattacks(subject: Subject, kind: str, **settings: Any) -> Entry:
    import torchattacks as library

    def attack(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return getattr(library, kind)(net, **settings)(inputs, labels)

    return peer("torchattacks", _said(kind, settings), subject, attack)


def foolbox(subject: Subject, kind: str, limit: float | None, **settings: Any) -> Entry:
    import foolbox as library

    def attack(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        model = library.PyTorchModel(net, bounds=(0, 1), device=subject.device)
        return getattr(library.attacks, kind)(**settings)(model, inputs, labels, epsilons=limit)[1]

    return peer("foolbox", _said(kind, settings), subject, attack)


def art(subject: Subject, kind: str, *, batched: bool = True, cast: bool = False, **settings: Any) -> Entry:
    import art.attacks.evasion as library

    def attack(net: nn.Module, inputs: Tensor, labels: Tensor) -> Any:
        classifier = art_classifier(Cast(net) if cast else net, inputs, subject)
        more = {"batch_size": len(inputs)} if batched else {}
        quiet = {} if kind in ("FastGradientMethod", "AutoAttack") else {"verbose": False}
        made = getattr(library, kind)(classifier, **settings, **more, **quiet)
        return made.generate(inputs.cpu().numpy(), labels.cpu().numpy())

    return peer("art", _said(kind, settings), subject, attack)


def cleverhans(subject: Subject, function: Attack, settings: str) -> Entry:
    return peer("cleverhans", settings, subject, function)


def adv_lib(subject: Subject, function: Attack, settings: str) -> Entry:
    return peer("adv-lib", settings, subject, function)


def autoattack(subject: Subject, function: Attack, settings: str) -> Entry:
    return peer("autoattack", settings, subject, function)


class Cast(nn.Module):
    """A module that takes float64 as well, which some attacks of ART hand over."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.inner(inputs.float())
        return scores


def art_classifier(net: nn.Module, inputs: Tensor, subject: Subject) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        net,
        nn.CrossEntropyLoss(),
        tuple(inputs.shape[1:]),
        len(subject.model.task.classes),
        clip_values=(0.0, 1.0),
        device_type="cpu" if subject.device.type == "cpu" else "gpu",
    )


def _said(kind: str, settings: dict[str, Any]) -> str:
    return f"{kind}({', '.join(f'{key}={_short(value)}' for key, value in settings.items())})"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)
