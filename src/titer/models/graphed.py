"""Graphed: a module on a graphics card whose passes are recorded once and then replayed as a whole."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Recorded sizes that are kept, and the smallest and largest of them; questions are filled up to the next power of two.
_KEPT, _LEAST, _MOST = 6, 8, 1024
# Passes before a recording, in which kernels are chosen and memory is taken.
_WARM = 2


class Graphed(nn.Module):
    """The same answers and slopes as a module, without the time that the processor needs to start each kernel.

    A small network in float32 keeps a graphics card busy for less time than Python takes to ask for its kernels. So
    the forward and the backward pass are recorded as CUDA graphs, one pair for each size of question (filled up to a
    power of two), and replayed. Slopes with respect to the input only; weights that are changed in place are read anew.
    A question of more than 1,024 cases is asked of the module itself.

    Two questions may be open at once, and one may be asked for several slopes, as for a Jacobian: whoever comes back to
    a question that a later one has overwritten has it asked again.

    Arguments
        inner: a module on a CUDA device, in evaluation mode, that draws no random numbers, waits for no number from
            the device, has no hooks, and answers with one tensor, one row per case.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self._recorded: OrderedDict[tuple[Any, ...], _Recording] = OrderedDict()

    def forward(self, inputs: Tensor) -> Tensor:
        count = len(inputs)
        if not 0 < count <= _MOST:
            answers: Tensor = self.inner(inputs)
            return answers
        slopes = torch.is_grad_enabled() and inputs.requires_grad
        recording = self._recording(inputs, slopes)
        if slopes:
            replayed: Tensor = _Replay.apply(inputs, recording)  # type: ignore[no-untyped-call]
            return replayed
        return recording.forward(inputs)

    def _recording(self, inputs: Tensor, slopes: bool) -> _Recording:
        rows = max(_LEAST, 1 << (len(inputs) - 1).bit_length())
        key = (rows, tuple(inputs.shape[1:]), inputs.dtype, inputs.device, slopes)
        if key not in self._recorded:
            self._recorded[key] = _Recording(self.inner, rows, inputs, slopes)
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
        with torch.enable_grad() if slopes else torch.no_grad():
            self.inputs.requires_grad_(slopes)
            aside = torch.cuda.Stream(like.device)  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream(like.device))
            with torch.cuda.stream(aside):
                for _ in range(_WARM):
                    answers = inner(self.inputs)
                    if slopes:
                        torch.autograd.grad(answers, self.inputs, torch.ones_like(answers))
            torch.cuda.current_stream(like.device).wait_stream(aside)
            with torch.cuda.graph(self._forward):
                self.answers = inner(self.inputs)
            if slopes:
                self.weights = torch.ones_like(self.answers)
                with torch.cuda.graph(self._backward, pool=self._forward.pool()):
                    # What the forward pass left is kept, so that it can be asked for further slopes.
                    (self.slope,) = torch.autograd.grad(self.answers, self.inputs, self.weights, retain_graph=True)

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
