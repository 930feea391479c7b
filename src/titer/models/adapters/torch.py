"""Adapter for `torch.nn.Module`, TorchScript and `torch.export` programs: full access, gradients included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from titer.cases.space import Space
from titer.digest import digest
from titer.errors import ModelError
from titer.models.model import Access, Model
from titer.models.task import Task


class TorchModel(Model):
    """A torch module that takes cases in clinical units.

    The module sees (x - mean) / std; the attacker sees x. While `ready()` is open the module is in evaluation mode and
    its parameters collect no gradients; afterwards both are as they were.

    Arguments
        module: gives scores [n, K], or [n] when K = 1.
        space, task: inputs and meaning of the scores.
        mean, std: normalization per channel, in clinical units.
        probabilities: the module ends in a softmax or sigmoid; logits are recovered by the logarithm.
        embedding: name of the submodule that embeds tokens; found by itself when there is exactly one.
        access: less than "gradients" hides what the module could give.

    >>> space = Space("table", (2,), "mg/dL", 0.0, 300.0)
    >>> model = TorchModel(nn.Linear(2, 1), space, Task("binary", ("low", "high")), mean=(100.0, 90.0), std=(20.0, 10.0))
    >>> model.scores(torch.tensor([[100.0, 90.0]])).shape
    torch.Size([1, 1])
    """

    def __init__(
        self,
        module: nn.Module,
        space: Space,
        task: Task,
        *,
        name: str = "torch model",
        mean: float | tuple[float, ...] = 0.0,
        std: float | tuple[float, ...] = 1.0,
        probabilities: bool = False,
        embedding: str | None = None,
        access: Access = "gradients",
    ) -> None:
        if not np.all(np.asarray(std) > 0):
            raise ModelError("a std above 0", str(std), "correct the normalization")
        self.module = module
        self.space = space
        self.task = task
        self.name = name
        self.access = access
        self.probabilities = probabilities
        self._mean = torch.from_numpy(np.asarray(space.per_channel(mean)))
        self._std = torch.from_numpy(np.asarray(space.per_channel(std)))
        self._plain = bool((self._mean == 0).all() and (self._std == 1).all())
        self._embedding = _embedding(module, embedding) if space.kind == "tokens" else None
        self.digest = _fingerprint(module, space, mean, std, probabilities)

    def scores(self, inputs: Tensor) -> Tensor:
        if self._plain or not inputs.is_floating_point():
            return self._finish(self.module(inputs))
        normal = (inputs - self._mean.to(inputs)) / self._std.to(inputs)
        return self._finish(self.module(normal))

    def embed(self, inputs: Tensor) -> Tensor:
        if self._embedding is None:
            return super().embed(inputs)
        embedded: Tensor = self._embedding(inputs)
        return embedded

    def scores_embedded(self, inputs: Tensor, embedded: Tensor) -> Tensor:
        if self._embedding is None:
            return super().scores_embedded(inputs, embedded)
        handle = self._embedding.register_forward_hook(lambda _module, _args, _output: embedded)
        try:
            return self._finish(self.module(inputs))
        finally:
            handle.remove()

    @contextmanager
    def ready(self) -> Iterator[TorchModel]:
        modes = [(part, part.training) for part in self.module.modules()]
        wants = [(weight, weight.requires_grad) for weight in self.module.parameters()]
        try:
            # A program from torch.export has one mode only and refuses to be told.
            if self.module.training:
                self.module.eval()
            for weight, _ in wants:
                weight.requires_grad_(False)
            # cuDNN has no backward pass for recurrent layers in evaluation mode; its plain kernels do.
            with torch.backends.cudnn.flags(enabled=not _recurrent(self.module)):
                yield self
        finally:
            for weight, wanted in wants:
                weight.requires_grad_(wanted)
            for part, mode in modes:
                part.training = mode

    def parameters(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.module.parameters())

    def _finish(self, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise ModelError(
                "one tensor of scores", type(output).__name__, "wrap the module so that it returns scores [n, K]"
            )
        scores = output.unsqueeze(1) if output.dim() == 1 else output
        if scores.dim() != 2 or scores.shape[1] != self.task.outputs:
            raise ModelError(
                f"{self.task.outputs} score(s) per case for {self.task.kind} of {', '.join(self.task.classes)}",
                f"output of shape {list(output.shape)}",
                "correct the task (kind, classes) or the model's last layer",
            )
        if not self.probabilities:
            return scores
        safe = scores.clamp(1e-12, 1 - 1e-7 if scores.shape[1] == 1 or self.task.kind == "multilabel" else 1.0)
        return torch.logit(safe) if self.task.kind in ("binary", "multilabel") else safe.log()


def _embedding(module: nn.Module, name: str | None) -> nn.Module | None:
    if name is not None:
        parts = dict(module.named_modules())
        if name not in parts:
            raise ModelError(f"a submodule named {name!r}", ", ".join(filter(None, parts)), "correct 'embedding'")
        return parts[name]
    found = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    return found[0] if len(found) == 1 else None


def _recurrent(module: nn.Module) -> bool:
    return any(isinstance(part, nn.RNNBase) for part in module.modules())


def _fingerprint(module: nn.Module, space: Space, mean: Any, std: Any, probabilities: bool) -> str:
    state = hashlib.sha256(digest([type(module).__name__, space, mean, std, probabilities]).encode())
    for key, value in sorted(module.state_dict().items()):
        state.update(key.encode())
        state.update(
            value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
            if value.dim()
            else repr(value.item()).encode()
        )
    return state.hexdigest()
