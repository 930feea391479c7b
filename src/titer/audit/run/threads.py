"""One thread per job: numbers must not depend on how many cores a machine happens to have.

Sums that several threads share are added in an order that depends on their number, and the last bits with it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# Read by the libraries once, when they are loaded; so they must be there before a worker's first import.
ENVIRONMENT = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)


def pin() -> None:
    """Sets one thread for torch, if it is loaded: for workers, which were born with ENVIRONMENT."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread for torch and for the linear-algebra libraries, and afterwards as many as before.

    For the user's own process, whose libraries were loaded before. Torch is loaded here, if it is installed, since a
    library that a job loads later would start with all cores.
    """
    with ExitStack() as undo:
        if importlib.util.find_spec("torch") is not None:
            import torch

            undo.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        if importlib.util.find_spec("threadpoolctl") is not None:
            importlib.import_module("numpy")
            undo.enter_context(importlib.import_module("threadpoolctl").threadpool_limits(limits=1))
        yield
