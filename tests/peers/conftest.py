"""Files that run in the environment of the peers are no tests; both sides count on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

collect_ignore_glob = ["peer_*.py"]


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """The model under attack is trained here: sums split over threads would make it another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
