"""Shapes and kinds in annotations are checked at run time while attacks and threats are tested."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch
from jaxtyping import install_import_hook

from titer.testing import shapes

# Too late for modules that another test has loaded already; alone or first in the order, the hook sees them all.
if "titer.attacks" not in sys.modules and "titer.threats" not in sys.modules:
    install_import_hook(["titer.attacks", "titer.threats"], f"{shapes.__name__}.{shapes.checked.__name__}")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums split over threads differ in their last bits; the laws are exact on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
