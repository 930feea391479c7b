"""Adapter for `torch.nn.Module`, TorchScript and `torch.export` programs: full access, gradients included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from titer.cases.space import Space
from titer.errors import ModelError
from titer.models.adapters._endings import Endings
from titer.models.adapters.answers import Answers, detect_probabilities
from titer.models.adapters.bpda import Proxy, check_backward, stood_in
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.fingerprint import module_digest
from titer.models.adapters.intake import Intake, Layout, pieces
from titer.models.adapters.probe import probe_inputs
from titer.models.model import Access, Model, to_tensor
from titer.models.task import Task


class TorchModel(Model):
    """A torch module that takes cases in clinical units.

    The module sees (x - mean) / std; the attacker sees x. While `ready()` is open the module is in evaluation mode and
    its parameters collect no gradients; afterwards both are as they were, whatever happened in between. The module
    computes in the precision and on the device of its own weights; scores come back to the device of the input.

    Arguments
        module: gives scores [n, K], or [n] when K = 1; for segmentation [n, K, *spatial].
        space, task: inputs and meaning of the scores.
        mean, std: normalization per channel, in clinical units.
        probabilities: the module ends in a softmax or sigmoid; what went into it is taken where it is the last step,
            else logits are recovered by the logarithm (scripted programs). None finds out.
        embedding: name of the submodule that embeds tokens; found by itself when there is exactly one.
        access: less than "gradients" hides what the module could give; "labels" leaves its decisions.
        layout, channels: see `Intake`.
        output: which of several outputs to take, a key or a position.
        classes: which class of the data each output speaks of.
        batch: the fixed number of cases of an exported program.
        backward: name of a submodule -> "identity" or a smooth function that stands in for it in the backward pass
            (BPDA); answers stay the same. For steps outside the module see `titer.models.adapters.bpda.Through`.

    >>> space = Space("table", (2,), "mg/dL", 0.0, 300.0)
    >>> task = Task("binary", ("low", "high"))
    >>> model = TorchModel(nn.Linear(2, 1), space, task, mean=(100.0, 90.0), std=(20.0, 10.0))
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
        probabilities: bool | None = False,
        embedding: str | None = None,
        access: Access = "gradients",
        layout: Layout = "channels-first",
        channels: int | None = None,
        output: str | int | None = None,
        classes: ClassMap | None = None,
        batch: int | None = None,
        backward: Mapping[str, Proxy] | None = None,
    ) -> None:
        self.module = module
        self.backward = dict(backward or {})
        check_backward(module, self.backward)
        self.space = space
        self.name = name
        self.access = access
        self.output = output
        self.batch = batch
        self.intake = Intake(space, mean, std, layout, channels)
        self._embedding = _embedding(module, embedding) if space.kind == "tokens" else None
        self._answers = Answers(task, bool(probabilities), classes)
        # A model of which only decisions are seen keeps the operating point that it came with.
        self._decides = task
        self.task = replace(task, threshold=0.0) if access == "labels" else task
        if probabilities is None:
            self._settle()
        said = [task.kind, task.classes, task.positive, task.threshold if access == "labels" else None]
        self.gives_probabilities = self.probabilities
        read: list[Any] = [self.probabilities, output, classes, access == "labels", batch, embedding]
        if self.backward:
            # Answers are the same, what attacks see is not.
            stand_ins = {name: getattr(each, "__qualname__", str(each)) for name, each in self.backward.items()}
            read.append(sorted(stand_ins.items()))
            self.notes += (f"stand-ins in the backward pass (BPDA) for {', '.join(sorted(self.backward))}",)
        self.digest = module_digest(module, [self.intake, said, read])

    @property
    def probabilities(self) -> bool:
        """Whether the module's answers are probabilities, whose logarithm is taken."""
        return self._answers.probabilities

    @property
    def device(self) -> torch.device:
        """Where the module computes; the CPU for devices that have no double precision, in which margins are told."""
        place = self._place(torch.zeros(0, device="cpu"))[0]
        return torch.device("cpu") if place.type == "mps" else place

    def scores(self, inputs: Tensor) -> Tensor:
        if self.access == "gradients":
            answers = self._asked(inputs)
            if inputs.requires_grad and torch.is_grad_enabled() and not answers.requires_grad:
                raise ModelError(
                    "answers that can be followed back to the input, for an attack with gradients",
                    f"none from {self.name}: integer kernels, detach() or NumPy inside",
                    "let 'titer.models.adapters.bpda.Through' pass them backwards (BPDA), or set 'access' to 'scores'",
                )
            return answers
        with torch.no_grad():
            answered = self._asked(inputs.detach())
            return answered if self.access == "scores" else self._labels(answered)

    def embed(self, inputs: Tensor) -> Tensor:
        if self._embedding is None:
            return super().embed(inputs)
        embedded: Tensor = self._embedding(inputs.to(self._place(inputs)[0]))
        return embedded.to(inputs.device)

    def scores_embedded(self, inputs: Tensor, embedded: Tensor) -> Tensor:
        if self._embedding is None:
            return super().scores_embedded(inputs, embedded)
        device = self._place(inputs)[0]
        used = 0

        def replaced(_module: nn.Module, _args: Any, _output: Any) -> Tensor:
            nonlocal used
            used += 1
            return embedded.to(device)

        handle = self._embedding.register_forward_hook(replaced)
        try:
            answered = self._answered(inputs.to(device), len(inputs)).to(inputs.device)
        finally:
            handle.remove()
        if used != 1:
            raise ModelError(
                f"a module that embeds its input once, with {type(self._embedding).__name__}",
                f"{used} uses in one pass",
                "name the right submodule with 'embedding'",
            )
        return answered

    @contextmanager
    def ready(self) -> Iterator[TorchModel]:
        # Modes are set part by part: programs from torch.export refuse eval(), and a part in training mode may hide
        # below a root in evaluation mode.
        modes = [(part, part.training) for part in self.module.modules()]
        wants = [(weight, weight.requires_grad) for weight in self.module.parameters()]
        try:
            for part, mode in modes:
                if mode:
                    part.training = False
            for weight, wanted in wants:
                if wanted:
                    weight.requires_grad_(False)
            # cuDNN has no backward pass for recurrent layers in evaluation mode; its plain kernels do.
            plain = torch.backends.cudnn.flags(
                enabled=not _recurrent(self.module), deterministic=True, allow_tf32=False
            )
            with plain, stood_in(self.module, self.backward):
                yield self
        finally:
            for weight, wanted in wants:
                weight.requires_grad_(wanted)
            for part, mode in modes:
                part.training = mode

    def parameters(self) -> int:
        """Number of weights."""
        return sum(weight.numel() for weight in self.module.parameters())

    def _asked(self, inputs: Tensor) -> Tensor:
        device, dtype = self._place(inputs)
        placed = inputs.to(device)
        if placed.is_floating_point() and dtype != placed.dtype:
            placed = self.intake(placed.to(torch.promote_types(placed.dtype, dtype))).to(dtype)
        else:
            placed = self.intake(placed)
        answers = [self._answered(piece, len(piece))[:count] for piece, count in pieces(placed, self.batch)]
        return (answers[0] if len(answers) == 1 else torch.cat(answers)).to(inputs.device)

    def _answered(self, inputs: Tensor, rows: int) -> Tensor:
        if not self.probabilities:
            return self._answers.scores(_pick(self.module(inputs), self.output), rows)
        with Endings() as endings:
            raw = _pick(self.module(inputs), self.output)
        return self._answers.scores(raw, rows, endings)

    def _labels(self, scores: Tensor) -> Tensor:
        if self.task.kind == "regression":
            return scores
        decided = self._decides.decide(scores.double().cpu().numpy())
        return torch.from_numpy(self.task.written(decided, scores.shape[1])).to(scores)

    def _place(self, inputs: Tensor) -> tuple[torch.device, torch.dtype]:
        """Where and how precisely the module computes: as its first weight of real numbers, else as the input."""
        # One after the other: this is asked for every block, and the first weight mostly tells.
        for held in chain(self.module.parameters(), self.module.buffers()):
            if held.is_floating_point():
                return held.device, held.dtype
        return inputs.device, inputs.dtype

    def _settle(self) -> None:
        with self.ready(), torch.no_grad():
            device, dtype = self._place(torch.zeros(0))
            probes = self.intake(to_tensor(probe_inputs(self.space), self.space).to(device))
            seen = probes.to(dtype) if probes.is_floating_point() else probes
            raw = [_pick(self.module(piece), self.output)[:count] for piece, count in pieces(seen, self.batch)]
        found, said = detect_probabilities(torch.cat(raw).double().cpu().numpy(), self.task, known=_ending(self.module))
        self._answers = Answers(self.task, found, self._answers.classes)
        self.notes += (said,) if said else ()


def _pick(output: Any, wanted: str | int | None) -> Tensor:
    """The tensor of scores among what a module returned."""
    found = output
    if isinstance(wanted, int) and isinstance(output, Sequence) and -len(output) <= wanted < len(output):
        found = output[wanted]
    elif isinstance(wanted, str):
        found = output.get(wanted) if isinstance(output, Mapping) else getattr(output, wanted, None)
    elif wanted is None and isinstance(output, (tuple, list)) and len(output) == 1:
        found = output[0]
    if isinstance(found, Tensor):
        return found
    names = f" with {', '.join(map(str, output))}" if isinstance(output, Mapping) else ""
    raise ModelError(
        "one tensor of scores" if wanted is None else f"a tensor as output {wanted!r}",
        f"{type(output).__name__}{names}",
        "name one with 'output', or wrap the module so that it returns scores [n, K]",
    )


def _embedding(module: nn.Module, name: str | None) -> nn.Module | None:
    if name is not None:
        parts: dict[str, nn.Module] = dict(module.named_modules())
        if name not in parts:
            raise ModelError(f"a submodule named {name!r}", ", ".join(filter(None, parts)), "correct 'embedding'")
        return parts[name]
    found = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    return found[0] if len(found) == 1 else None


def _recurrent(module: nn.Module) -> bool:
    return any(isinstance(part, nn.RNNBase) for part in module.modules())


def _ending(module: nn.Module) -> bool | None:
    """Whether the last part of a sequence turns numbers into probabilities; None if that cannot be told."""
    if isinstance(module, nn.Sequential) and len(module):
        return _ending(module[-1])
    if isinstance(module, (nn.Sigmoid, nn.Softmax)):
        return True
    return False if isinstance(module, nn.Linear) else None
