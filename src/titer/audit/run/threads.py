"""One thread per job: numbers must not depend on how many cores a machine happens to have.

Sums that several threads share are added in an order that depends on their number, and the last bits with it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
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
) | {
    # Tensors of every step come and go. Left alone, glibc gives their pages back each time and faults them in again,
    # which costs a training a tenth of its time and more on a busy machine; no other system reads these.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 31),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
}

_LIBRARIES = ("numpy", "scipy.linalg", "torch", "threadpoolctl")


def pin() -> None:
    """Sets one thread for torch, if it is loaded: for workers, which were born with ENVIRONMENT."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread for torch and for the linear-algebra libraries, and afterwards as many as before.

    For a process that is not ours to begin with. The libraries are loaded here, where they are installed, so that what
    they had can be restored; one that a job loads for the first time finds the environment, and keeps its one thread.
    """
    loaded = {name: importlib.import_module(name) for name in _LIBRARIES if _is_installed(name)}
    with ExitStack() as undo:
        undo.enter_context(environment())
        if torch := loaded.get("torch"):
            undo.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        if control := loaded.get("threadpoolctl"):
            undo.enter_context(control.threadpool_limits(limits=1))
        yield


@contextmanager
def environment() -> Iterator[None]:
    """The variables of ENVIRONMENT, for what is loaded or started inside."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name.partition(".")[0]) is not None
