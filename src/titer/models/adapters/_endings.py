"""What a module's last softmax or sigmoid was given: logits that float32 cannot recover from probabilities.

A probability of 1 - 1e-9 is 1 in float32, and the slope behind it 0: a model that is merely sure of itself would
look as if no attack could move it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_SOFTMAX, _SIGMOID = "softmax", ("sigmoid", "expit", "special_expit")


class Endings(TorchFunctionMode):
    """While open, remembers the last softmax or sigmoid that was computed; scripted programs show none.

    >>> with Endings() as endings:
    ...     told = torch.sigmoid(torch.tensor([[40.0]]))
    >>> told, endings.logs(told, odds=True)
    (tensor([[1.]]), tensor([[40.]]))
    """

    _last: tuple[Tensor, str, Tensor, Any, tuple[int, int]] | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        settings: Mapping[str, Any] = kwargs or {}
        answered = func(*args, **settings)
        name = getattr(func, "__name__", "")
        if (name == _SOFTMAX or name in _SIGMOID) and isinstance(answered, Tensor):
            given = args[0] if args else settings.get("input")
            # Tensors of inference mode do not count who writes into them.
            tracked = isinstance(given, Tensor) and not (given.is_inference() or answered.is_inference())
            if isinstance(given, Tensor) and tracked and given.dtype == answered.dtype:
                dimension = args[1] if len(args) > 1 else settings.get("dim")
                self._last = (answered, name, given, dimension, _writes(answered, given))
        return answered

    def logs(self, answered: Tensor, *, odds: bool) -> Tensor | None:
        """Log-odds, or else log-probabilities, of what was answered; None if it came from something else."""
        if self._last is None or self._last[0] is not answered:
            return None
        _, name, given, dimension, writes = self._last
        # Somebody who wrote into either since has changed what they say of each other.
        if writes != _writes(answered, given):
            return None
        if name in _SIGMOID:
            return given if odds else F.logsigmoid(given)
        return None if odds or dimension is None else torch.log_softmax(given, dimension)


def _writes(answered: Tensor, given: Tensor) -> tuple[int, int]:
    """How often two tensors were written to."""
    return answered._version, given._version  # noqa: SLF001 - torch has no other name for it
