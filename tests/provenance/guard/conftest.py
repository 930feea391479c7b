"""One site for the tests of a file: they add to it, and take nothing away that another needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guard_tools import Hospital


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    made = Hospital(tmp_path_factory.mktemp("site"))
    yield made
    made.close()
