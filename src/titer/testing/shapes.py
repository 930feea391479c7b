"""Shapes and kinds that annotations promise, checked while tests run."""

from __future__ import annotations

from typing import Any

from titer.cases.case import Array


def checked(annotated: Any) -> Any:
    """A function or class whose arguments and results are compared with their annotations at each call.

    For jaxtyping's import hook; in a conftest.py, `import titer.testing.shapes` and then
    `install_import_hook(["your_package"], "titer.testing.shapes.checked")`. Needs the package beartype. What is passed
    to a constructor is left to the class, which refuses it with an error of its own.

    >>> from jaxtyping import Float, jaxtyped
    >>> from torch import Tensor, zeros
    >>> def total(values: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    ...     return values.sum(dim=1)
    >>> jaxtyped(typechecker=checked)(total)(zeros(2, 3))
    tensor([0., 0.])
    """
    import numpy as np
    from beartype import BeartypeConf, FrozenDict, beartype

    if getattr(annotated, "__name__", "") == "__init__":
        return annotated
    # Whole numbers count as numbers, as they do for type checkers.
    conf = BeartypeConf(hint_overrides=FrozenDict({Array: np.ndarray}), is_pep484_tower=True)
    return beartype(conf=conf)(annotated)
