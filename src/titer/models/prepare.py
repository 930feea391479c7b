"""The same model in a form that answers quicker: norms folded into convolutions, channels last in memory."""

from __future__ import annotations

import copy
import sys
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from titer.cases.space import Space
from titer.errors import ModelError
from titer.models.adapters.probe import probe_inputs
from titer.models.adapters.torch import TorchModel
from titer.models.model import Model, to_tensor

# How far scores and slopes may lie from the model's own, in parts of the largest: what another order of sums explains.
_SAME = 1e-4
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_PLAIN = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, nn.Module | None]] = weakref.WeakKeyDictionary()
_steady: weakref.WeakKeyDictionary[nn.Module, tuple[Any, bool]] = weakref.WeakKeyDictionary()
# Attributes of a module of these kinds may decide about its answers, as a temperature does.
_SETTINGS = (bool, int, float, str, tuple, type(None))


def prepared(model: Model) -> Model:
    """A model for searching: equal to the given one but for rounding, or the given one where nothing can be gained.

    Batch norms are folded into the convolutions before them (y = g (w x + b - m) / s + c becomes one convolution), and
    images and volumes are held with their channels last, which convolutions prefer on a CPU. On a graphics card the
    passes are recorded and replayed (`titer.models.graphed`). Only modules that torch.fx can read are folded, and a
    form is taken only if scores and slopes on probes agree with the model's own to 1e-4 of the largest; random,
    scripted and hooked modules never are. What is done follows from the module alone, not from a stopwatch, so that
    the same plan gives the same bits. The judge always asks the model itself.

    Call it while the model is `ready()`. The model stays as it is; the form is remembered until its weights change.

    >>> import titer.testing.models as examples
    >>> model, batch = examples.network("image", 4)
    >>> with model.ready():
    ...     quick = prepared(model)
    >>> type(quick.module).__name__
    'ChannelsLast'
    """
    if not isinstance(model, TorchModel) or model.space.kind == "tokens" or model.access != "gradients":
        return model
    module = model.module
    if not _gains(module):
        return model
    state = state_of(module)
    held = _known.get(module)
    if held is None or held[0] != state:
        held = (state, _quicker(model))
        _known[module] = held
    if held[1] is None:
        return model
    other = copy.copy(model)
    other.module = held[1]
    return other


class ChannelsLast(nn.Module):
    """A module that is handed its input with the channels last in memory; names, shapes and values stay."""

    def __init__(self, inner: nn.Module, layout: torch.memory_format) -> None:
        super().__init__()
        self.inner = inner.to(memory_format=layout)  # type: ignore[call-overload]
        self.layout = layout

    def forward(self, inputs: Tensor) -> Any:
        return self.inner(inputs.contiguous(memory_format=self.layout))


def _gains(module: nn.Module) -> bool:
    """Whether there are convolutions, and nothing that copying or reading would lose."""
    parts = list(module.modules())
    # torch has no public way to ask for hooks.
    hooked = any(any(getattr(part, name, None) for name in _HOOKS) for part in parts)
    scripted = any(isinstance(part, (torch.jit.ScriptModule, torch.fx.GraphModule)) for part in parts)
    plain = all(weight.dtype == torch.float32 for weight in module.parameters())
    gains = _recordable(module) or any(isinstance(part, _PLAIN) for part in parts)
    return plain and not hooked and not scripted and gains


def _recordable(module: nn.Module) -> bool:
    """Whether all weights are on one graphics card."""
    devices = {weight.device for weight in module.parameters()}
    return len(devices) == 1 and devices.pop().type == "cuda"


def state_of(module: nn.Module) -> tuple[Any, ...]:
    """What changes when weights are trained, loaded or replaced, or a setting of a part is altered."""
    held = (*module.parameters(), *module.buffers())
    weights = tuple((value.data_ptr(), value._version, value.shape) for value in held)  # noqa: SLF001
    parts = ({key: value for key, value in vars(part).items() if key[:1] != "_"} for part in module.modules())
    settings = tuple(
        repr([(key, value) for key, value in each.items() if isinstance(value, _SETTINGS)]) for each in parts
    )
    return weights, settings


def steady(model: TorchModel) -> bool:
    """Whether a model gives the same bits when it is asked twice; found out once per state of its weights.

    >>> import titer.testing.models as examples
    >>> model, batch = examples.network("image", 4)
    >>> with model.ready():
    ...     steady(model)
    True
    """
    state = state_of(model.module)
    held = _steady.get(model.module)
    if held is None or held[0] != state:
        probes = to_tensor(probe_inputs(model.space), model.space).to(model.device)
        # A model that draws must find the global random state as it was.
        with torch.no_grad(), _as_before(model):
            same = torch.equal(model.scores(probes), model.scores(probes))
        held = (state_of(model.module), same)
        _steady[model.module] = held
    return held[1]


def _quicker(model: TorchModel) -> nn.Module | None:
    """The quickest form that agrees with the model."""
    # What went into a softmax or sigmoid is read off the very tensor that came out of it, which a replay does not give.
    folded, recordable = _folded(model.module), _recordable(model.module) and not model.probabilities
    layout = {"image": torch.channels_last, "volume": torch.channels_last_3d}.get(model.space.kind)
    forms: list[Callable[[], nn.Module]] = []
    if recordable:
        from titer.models.graphed import Graphed

        # A copy, since a form is kept as long as its module lives, and must not keep it alive.
        forms += [partial(Graphed, each) for each in (folded, _copied(model.module)) if each is not None]
    elif folded is not None:
        forms += [partial(ChannelsLast, folded, layout) if layout is not None else lambda: folded]
    for form in forms:
        other = copy.copy(model)
        other.module = form()
        if _agree(model, other, model.space):
            return other.module
    return None


def forget_recordings() -> None:
    """Give back the memory that recorded passes hold on graphics cards."""
    if "titer.models.graphed" in sys.modules:
        sys.modules["titer.models.graphed"].forget()


def _copied(module: nn.Module) -> nn.Module | None:
    try:
        return copy.deepcopy(module)
    except Exception:
        # Modules may hold what cannot be copied.
        return None


def _folded(module: nn.Module) -> nn.Module | None:
    """A copy with norms folded into convolutions, or None where torch.fx cannot read the program."""
    from torch.fx.experimental.optimization import fuse

    if not any(isinstance(part, _PLAIN) for part in module.modules()):
        return None
    try:
        folded: nn.Module = fuse(module)
    except Exception:
        # torch.fx says in many ways that it cannot read a program.
        return None
    for weight in folded.parameters():
        weight.requires_grad_(False)
    return folded.eval()


def _agree(model: Model, other: Model, space: Space) -> bool:
    probes = to_tensor(np.asarray(probe_inputs(space), dtype=np.float32), space).to(model.device)
    try:
        # What a model draws must not move the random numbers of those who come after.
        with _as_before(model):
            first, again, quick = (_answers(each, probes) for each in (model, model, other))
    except (ModelError, RuntimeError):
        return False
    # The CPU repeats itself to the bit; on a graphics card sums may come in another order.
    same = torch.equal if probes.device.type == "cpu" else _close
    steady = all(same(one, two) for one, two in zip(first, again, strict=True))
    return steady and all(_close(one, two) for one, two in zip(first, quick, strict=True))


def _as_before(model: Model) -> AbstractContextManager[object]:
    """Global random state, and that of the model's graphics card, put back afterwards."""
    return torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else [])


def _answers(model: Model, probes: Tensor) -> tuple[Tensor, Tensor]:
    point = probes.clone().requires_grad_(True)
    with torch.enable_grad():
        scores = model.scores(point)
        (slope,) = torch.autograd.grad(scores.square().sum(), point)
    return scores.detach(), slope


def _close(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and float((one - two).abs().max()) <= _SAME * float(one.abs().max().clamp_min(1e-12))
