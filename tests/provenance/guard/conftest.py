"""One site for the tests of a file: they add to it, and take nothing away that another needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import fresh_database
from guard_tools import Hospital


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database for a private index: each test runs over both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/index.sqlite"
    return fresh_database(request.getfixturevalue("postgres"))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    made = Hospital(tmp_path_factory.mktemp("site"))
    yield made
    made.close()
