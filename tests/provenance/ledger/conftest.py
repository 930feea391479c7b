"""Ledgers to test with: over SQLite, and over a real PostgreSQL server that the tests start."""

from __future__ import annotations

from pathlib import Path

import pytest
from databases import fresh_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database: each test runs over both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/entries.sqlite"
    return fresh_database(request.getfixturevalue("postgres"))
