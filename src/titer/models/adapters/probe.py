"""Probes: a few fixed inputs that show how a model answers before any work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from titer.cases.case import Array
from titer.cases.space import Space
from titer.digest import digest
from titer.errors import ModelError, TiterError

if TYPE_CHECKING:
    from titer.models.model import Model

_GOLDEN = 0.6180339887498949


def probe_inputs(space: Space, count: int = 8) -> Array:
    """Cases [count, *shape] spread evenly over the space by the golden ratio; the same ones every time.

    >>> probe_inputs(Space("table", (2,), "mg/dL", 0.0, 100.0), 2).round(1).tolist()
    [[61.8, 23.6], [85.4, 47.2]]
    """
    steps = np.arange(1, count * space.size + 1, dtype=np.float64).reshape(count, *space.shape)
    share = (steps * _GOLDEN) % 1.0
    if space.kind == "tokens":
        return np.asarray((share * len(space.vocabulary)).astype(np.int64))
    low, high = space.bounds()
    return np.asarray(low + share * (high - low))


def answers_digest(answers: Array) -> str:
    """Name of some answers, to four figures, so that the last bits of another machine do not rename a model.

    >>> answers_digest(np.array([0.123456])) == answers_digest(np.array([0.12346]))
    True
    """
    return digest([[f"{value:.3e}" for value in row] for row in np.atleast_2d(answers).reshape(len(answers), -1)])


def check_fit(model: Model, inputs: Array, *, alone: bool = True) -> Array:
    """Scores of the first two cases; a model that cannot answer them, or that mixes cases, is refused.

    Arguments
        inputs: [n, *shape] cases of the data set.
        alone: also ask the first case by itself; its answer must be the same.
    """
    try:
        both = model.predict(inputs[:2])
        single = model.predict(inputs[:1]) if alone else both[:1]
    except TiterError:
        raise
    except Exception as error:
        raise ModelError(
            f"a model that answers cases of shape {list(inputs.shape[1:])}",
            f"{type(error).__name__} from {model.name}: {first_line(error)}",
            "check 'layout', 'channels' and 'batch', and that data and model belong together",
        ) from error
    from titer.models.averaged import answers_at_random

    # A model that answers at random differs from itself, whoever is beside.
    if not np.allclose(both[:1], single, rtol=1e-3, atol=1e-4) and not answers_at_random(model, inputs[:2]):
        raise ModelError(
            "a model whose answer to a case does not depend on the cases beside it",
            f"{both[0].round(4).tolist()} in a batch and {single[0].round(4).tolist()} alone",
            "export the model in evaluation mode, and check that its softmax runs over classes, not cases",
        )
    return both


def first_line(error: BaseException, limit: int = 300) -> str:
    """The first line of an error's message, cut to a readable length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:limit]
