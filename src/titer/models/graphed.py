"""Graphed: a module on a graphics card whose passes are recorded once and then replayed as a whole."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from titer.errors import ModelError

# Recorded sizes that are kept, and the smallest and largest of them; questions are filled up to the next power of two.
_KEPT, _LEAST, _MOST = 6, 8, 1024
# Passes before a recording, in which kernels are chosen and memory is taken.
_WARM = 2
_all: weakref.WeakSet[Graphed] = weakref.WeakSet()


class Graphed(nn.Module):
    """The same answers and slopes as a module, without the time that the processor needs to start each kernel.

    A small network in float32 keeps a graphics card busy for less time than Python takes to ask for its kernels. So
    the forward and the backward pass are recorded as CUDA graphs, one pair for each size of question (filled up to a
    power of two), and replayed. Slopes with respect to the input only; weights that are changed in place are read anew.
    A question of more than 1,024 cases is asked of the module itself, and so is every one once a pass could not be
    recorded: one that waits for a number from the device, answers with more than one tensor, or keeps tensors itself.

    Two questions may be open at once, and one may be asked for several slopes, as for a Jacobian: whoever comes back to
    a question that a later one has overwritten has it asked again.

    Arguments
        inner: a module on a CUDA device, in evaluation mode, that draws no random numbers and has no hooks.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self._recorded: OrderedDict[tuple[Any, ...], _Recording] = OrderedDict()
        self._most = _MOST
        _all.add(self)

    def forward(self, inputs: Tensor) -> Any:
        slopes = torch.is_grad_enabled() and inputs.requires_grad
        recording = self._recording(inputs, slopes) if 0 < len(inputs) <= self._most else None
        if recording is None:
            return self.inner(inputs)
        if slopes:
            replayed: Tensor = _Replay.apply(inputs, recording)  # type: ignore[no-untyped-call]
            return replayed
        return recording.forward(inputs)

    def forget(self) -> None:
        """Give back the memory that recordings hold."""
        self._recorded.clear()

    def _recording(self, inputs: Tensor, slopes: bool) -> _Recording | None:
        rows = max(_LEAST, 1 << (len(inputs) - 1).bit_length())
        # Precision is part of what is recorded.
        precise = (torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cuda"))
        key = (rows, tuple(inputs.shape[1:]), inputs.dtype, inputs.device, slopes, precise)
        if key not in self._recorded:
            try:
                self._recorded[key] = _Recording(self.inner, rows, inputs, slopes)
            except torch.OutOfMemoryError:
                self._most = rows // 2
            except Exception:
                # torch says in many ways that a pass cannot be recorded.
                self._most = 0
            if key not in self._recorded:
                self.forget()
                return None
            while len(self._recorded) > _KEPT:
                self._recorded.popitem(last=False)
        self._recorded.move_to_end(key)
        return self._recorded[key]


class _Recording:
    """One size of question: buffers for what goes in and out, and the graphs between them."""

    def __init__(self, inner: nn.Module, rows: int, like: Tensor, slopes: bool) -> None:
        first = like.detach()[:1]
        self.inputs = first.expand(rows, *first.shape[1:]).clone()
        self.turn = 0
        self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        # A recording that fails leaves its own stream behind as the current one; this puts the right one back.
        here = torch.cuda.stream(torch.cuda.current_stream(like.device))
        with torch.cuda.device(like.device), here, torch.enable_grad() if slopes else torch.no_grad():
            self.inputs.requires_grad_(slopes)
            before = _kept(inner)
            self._warm(inner, slopes)
            if _kept(inner) != before:
                raise ModelError("a module that keeps no tensors between passes", "one that does", "ask it as it is")
            with torch.cuda.graph(self._forward):
                self.answers = inner(self.inputs)
            if slopes:
                self.weights = torch.ones_like(self.answers)
                with torch.cuda.graph(self._backward, pool=self._forward.pool()):
                    # What the forward pass left is kept, so that it can be asked for further slopes.
                    (self.slope,) = torch.autograd.grad(self.answers, self.inputs, self.weights, retain_graph=True)

    def _warm(self, inner: nn.Module, slopes: bool) -> None:
        """Passes on another stream, the last of which may not wait for the device: better found out here."""
        device = self.inputs.device
        mode = torch.cuda.get_sync_debug_mode()
        aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(device))
        try:
            with torch.cuda.stream(aside):
                for turn in range(_WARM):
                    torch.cuda.set_sync_debug_mode("error" if turn == _WARM - 1 else mode)
                    answers = inner(self.inputs)
                    if not isinstance(answers, Tensor) or len(answers) != len(self.inputs):
                        raise ModelError("one tensor of answers", type(answers).__name__, "ask the module as it is")
                    if slopes:
                        torch.autograd.grad(answers, self.inputs, torch.ones_like(answers))
        finally:
            torch.cuda.set_sync_debug_mode(mode)
        torch.cuda.current_stream(device).wait_stream(aside)

    def forward(self, inputs: Tensor) -> Tensor:
        """Answers for at most as many cases as there are rows."""
        self.turn += 1
        with torch.no_grad():
            self.inputs[: len(inputs)].copy_(inputs)
            self._forward.replay()
            answers: Tensor = self.answers.detach()[: len(inputs)].clone()
        return answers

    def backward(self, weights: Tensor) -> Tensor:
        """Slopes of the weighed sum of the last answers; filled-up rows weigh nothing."""
        self.weights[: len(weights)].copy_(weights)
        self.weights[len(weights) :].zero_()
        self._backward.replay()
        return self.slope[: len(weights)].clone()


def forget() -> None:
    """Give back the memory of all recordings."""
    for each in list(_all):
        each.forget()


def _kept(module: nn.Module) -> list[tuple[str, int]]:
    """Tensors that parts of a module hold as plain attributes, which a recording would not see exchanged."""
    held = ((name, part) for name, part in module.named_modules())
    return [(f"{name}.{key}", id(value)) for name, part in held for key, value in vars(part).items()
            if isinstance(value, Tensor)]  # fmt: skip


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, recording: _Recording) -> Tensor:
        answers = recording.forward(inputs)
        ctx.save_for_backward(inputs)
        ctx.recording, ctx.turn = recording, recording.turn
        return answers

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor, None]:
        recording: _Recording = ctx.recording
        if recording.turn != ctx.turn:
            recording.forward(ctx.saved_tensors[0])
            ctx.turn = recording.turn
        return recording.backward(weights), None
