"""Recorded passes: what cannot be recorded is asked as it is, and on a graphics card all gives the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from titer.models.graphed import Graphed
from titer.models.prepare import forget_recordings

CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card: there is none")


class _Waits(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) if float(inputs.sum()) > 0 else super().forward(-inputs)


class _Names(nn.Linear):
    def forward(self, inputs: Tensor) -> Any:
        return {"scores": super().forward(inputs)}


class _Keeps(nn.Linear):
    last: Tensor

    def forward(self, inputs: Tensor) -> Tensor:
        self.last = torch.ones_like(inputs)
        return super().forward(inputs * self.last)


@pytest.mark.parametrize("kind", [nn.Linear, _Waits, _Names, _Keeps])
def test_what_cannot_be_recorded_is_asked_as_it_is(kind: type[nn.Linear]) -> None:
    # Without a graphics card nothing can be recorded.
    device = "cuda" if torch.cuda.is_available() and kind is not nn.Linear else "cpu"
    module = kind(3, 2).to(device).eval().requires_grad_(False)
    form, inputs = Graphed(module), torch.rand(5, 3, device=device, requires_grad=True)
    for point in (inputs, inputs.detach()):
        for _ in range(2):
            found, right = form(point), module(point)
            found, right = (each["scores"] if isinstance(each, dict) else each for each in (found, right))
            assert torch.equal(found, right)
            if point.requires_grad:
                assert torch.equal(*(torch.autograd.grad(each.sum(), point)[0] for each in (found, right)))
    assert not form._recorded
    forget_recordings()
    if device == "cuda":
        # A recording that failed leaves neither its stream nor its random numbers behind.
        assert torch.cuda.current_stream() == torch.cuda.default_stream()
        torch.randn(3, device=device)


@CARD
@pytest.mark.parametrize("count", [1, 5, 8, 100])
def test_replays_give_answers_and_slopes(count: int) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).cuda().eval().requires_grad_(False)
    form = Graphed(module)
    one, two = (torch.randn(count, 6, device="cuda", requires_grad=True) for _ in range(2))
    first, second = form(one), form(two)
    torch.testing.assert_close(first, module(one))
    # The first question is asked again, since the second has overwritten it; and each may be asked for several slopes.
    for answers, point in ((first, one), (second, two), (first, one)):
        for column in range(3):
            found = torch.autograd.grad(answers[:, column].sum(), point, retain_graph=True)[0]
            torch.testing.assert_close(found, torch.autograd.grad(module(point)[:, column].sum(), point)[0])
    module[0].weight.mul_(2)
    torch.testing.assert_close(form(one), module(one))
