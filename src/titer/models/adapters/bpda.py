"""BPDA: what has no useful slope is run as it is, and passed backwards as if it were something smooth.

Source: Athalye, Carlini, Wagner 2018 (arXiv 1802.00420), backward pass differentiable approximation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from titer.errors import ModelError

Proxy = Callable[[Tensor], Tensor] | str


class Through(nn.Module):
    """A step that answers g(x) and has the slope of a proxy: g(x) forwards, proxy(x) backwards.

    For preprocessing that torch cannot differentiate (JPEG, rounding, denoising in NumPy): put it in front of a module,
    `nn.Sequential(Through(jpeg), module)`.

    Arguments
        step: g, a function of tensors or, with `arrays`, of NumPy arrays [n, ...] to such arrays.
        proxy: "identity", or a smooth function of tensors with results of the same shape.
        arrays: whether `step` wants arrays.

    >>> x = torch.tensor([0.2, 0.7], requires_grad=True)
    >>> y = Through(torch.round)(x)
    >>> y.tolist(), torch.autograd.grad(y.sum(), x)[0].tolist()
    ([0.0, 1.0], [1.0, 1.0])
    """

    def __init__(self, step: Callable[[Any], Any], proxy: Proxy = "identity", *, arrays: bool = False) -> None:
        super().__init__()
        self.step, self.proxy, self.arrays = step, proxy, arrays

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            if self.arrays:
                # A copy, because what a function does to its input is its own affair.
                said = torch.from_numpy(np.array(self.step(np.array(x.detach().cpu().numpy())))).to(x)
            else:
                said = self.step(x.detach().clone())
        return joined(said, x, self.proxy, "the step")

    def extra_repr(self) -> str:
        return f"{getattr(self.step, '__qualname__', type(self.step).__name__)}, proxy={self.proxy}"


def joined(said: Tensor, x: Tensor, proxy: Proxy, what: str) -> Tensor:
    """The value of `said` with the slope of the proxy at x."""
    smooth = x if isinstance(proxy, str) else proxy(x)
    if smooth.shape != said.shape:
        raise ModelError(
            f"a stand-in with results of shape {list(said.shape)}, as those of {what}",
            str(list(smooth.shape)),
            "give a smooth function of the same shape; 'identity' is for steps that keep the shape",
        )
    return said.detach() + (smooth - smooth.detach())


def check_backward(module: nn.Module, backward: Mapping[str, Proxy]) -> None:
    """Refuse names of no part, and stand-ins that are neither "identity" nor a function."""
    parts = dict(module.named_modules())
    for name, proxy in backward.items():
        if name not in parts or not name:
            raise ModelError(
                "the name of a submodule in 'backward'", repr(name), f"choose among {', '.join(filter(None, parts))}"
            )
        if proxy != "identity" and not callable(proxy):
            raise ModelError("'identity' or a function as stand-in", repr(proxy), f"correct 'backward' of {name!r}")


@contextmanager
def stood_in(module: nn.Module, backward: Mapping[str, Proxy]) -> Iterator[None]:
    """While open, the named parts answer as always and pass slopes backwards as their stand-ins do."""
    parts = dict(module.named_modules())
    handles = []

    def hook(name: str, proxy: Proxy) -> Callable[[nn.Module, Any, Any], Tensor]:
        def answered(_part: nn.Module, given: Any, said: Any) -> Tensor:
            if not given or not isinstance(given[0], Tensor) or not isinstance(said, Tensor):
                raise ModelError(f"a part {name!r} from one tensor to one", type(said).__name__, "wrap it in a module")
            return joined(said, given[0], proxy, repr(name))

        return answered

    try:
        for name, proxy in backward.items():
            handles.append(parts[name].register_forward_hook(hook(name, proxy)))
        yield
    finally:
        for handle in handles:
            handle.remove()
