"""A second device that exists only in Python, and attacks on it: `python second_device.py ATTACK ...`.

Its tensors hold tensors of the CPU and say that they are elsewhere; operations that mix both are refused, as a graphics
card would. So what stays behind on the CPU is found on machines that have no card. Prints JSON: attack -> failures.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as trees
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "elsewhere"
# Operations that carry values from one device to the other.
_CARRY = ("aten.copy_", "aten._to_copy")
# What torch says where a list is an index: it is made a tensor inside, where this device cannot follow.
_CANNOT_TELL = "func != nullptr INTERNAL ASSERT"


class Elsewhere(Tensor):
    """A tensor of the CPU that says it is on the other device."""

    @staticmethod
    def __new__(cls, held: Tensor) -> Elsewhere:
        made: Elsewhere = Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device(NAME, 0), requires_grad=False,
        )  # fmt: skip
        made.held = held
        return made

    held: Tensor

    def tolist(self) -> Any:
        return self.held.tolist()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Elsewhere({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return called(func, args, kwargs or {})


def called(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on what the tensors hold."""
    wishes = dict(kwargs)
    wishes.pop("pin_memory", None)
    given = [each for each in trees.tree_leaves((args, wishes)) if isinstance(each, Tensor)]
    there = any(isinstance(each, Elsewhere) for each in given)
    if there and not str(func).startswith(_CARRY):
        here = [tuple(each.shape) for each in given if not isinstance(each, Elsewhere) and each.dim()]
        if here:
            raise RuntimeError(f"{func}: tensors of shape {here} are on the CPU, others elsewhere")
    if wishes.get("device") is not None:
        there = torch.device(wishes["device"]).type == NAME
        wishes["device"] = "cpu"
    args, wishes = trees.tree_map(lambda each: each.held if isinstance(each, Elsewhere) else each, (args, wishes))
    found = func(*args, **wishes)
    name = func._schema.name
    if name.endswith("_") and not name.endswith("__") and isinstance(given[0], Elsewhere):
        return given[0]
    return trees.tree_map(lambda each: Elsewhere(each) if isinstance(each, Tensor) else each, found) if there else found


class _Backend(_DummyBackendModule):
    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.zeros(1, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None: ...

    def manual_seed_all(self, seed: int) -> None: ...


def installed() -> torch.library.Library:
    """The device, ready for use; it stays while the library is held."""
    # Threads of the CPU's slopes must run before the device is known, for which there are none.
    point = torch.zeros(1, requires_grad=True)
    torch.autograd.grad((2 * point).sum(), point)
    _setup_privateuseone_for_python_backend(NAME, _Backend())
    torch._C._set_multithreading_enabled(False)
    library = torch.library.Library("_", "IMPL")
    library.fallback(lambda func, *args, **kwargs: called(func, args, kwargs), "PrivateUse1")
    for name in ("arange", "tensor"):
        setattr(torch, name, _made_here(getattr(torch, name)))
    torch.nn.GRU.forward = _gru  # type: ignore[method-assign, assignment]
    return library


def _made_here(factory: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Factories that torch finishes inside, where the device cannot follow, make their tensor here and carry it."""

    def made(*args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        found = factory(*args, device="cpu", **kwargs)
        return found if device is None else found.to(device)

    return made


def _gru(self: torch.nn.GRU, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """A recurrent layer of plain operations, since the fused one is made for each device by itself."""
    values, last = inputs if self.batch_first else inputs.transpose(0, 1), []
    for layer in range(self.num_layers):
        both = []
        for suffix in ("", "_reverse") if self.bidirectional else ("",):
            into, back, shift, lag = (
                getattr(self, f"{part}_l{layer}{suffix}") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            state, states = values.new_zeros(len(values), self.hidden_size), []
            for step in range(values.shape[1])[:: -1 if suffix else 1]:
                reset, keep, new = (values[:, step] @ into.T + shift).chunk(3, dim=1)
                again, held, old = (state @ back.T + lag).chunk(3, dim=1)
                fresh = (new + (reset + again).sigmoid() * old).tanh()
                state = fresh + (keep + held).sigmoid() * (state - fresh)
                states.append(state)
            both.append(torch.stack(states[:: -1 if suffix else 1], dim=1))
            last.append(state)
        values = torch.cat(both, dim=2)
    return (values if self.batch_first else values.transpose(0, 1)), torch.stack(last)


def failures(name: str) -> list[str]:
    """What an attack does wrong on the device, on all targets of the matrix."""
    from titer.testing import matrix

    found: list[str] = []
    tried = matrix._try

    def one(attack: Any, target: Any, device: str) -> Any:
        try:
            return tried(attack, target, device)
        except Exception as error:
            if _CANNOT_TELL not in str(error):
                place = traceback.extract_tb(error.__traceback__)
                where = next(f"{each.filename}:{each.lineno}" for each in reversed(place) if "titer" in each.filename)
                found.append(f"{target.label}: {where}: {error}"[:400])
            return matrix.Pairing(attack.name, target.label, "failed")

    matrix._try = one
    try:
        matrix.row(name, NAME)
    finally:
        matrix._try = tried
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    held = installed()
    print(json.dumps({name: failures(name) for name in sys.argv[1:]}))
