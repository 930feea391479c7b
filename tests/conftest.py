"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No timed test, and no test that another run would decide otherwise.
settings.register_profile("titer", deadline=None, derandomize=True)
settings.load_profile("titer")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets: TITER_DATA, or `shared/data` beside the checkout; must be there in CI."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("TITER_DATA", beside))
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the folder of real data sets, and {folder} is none; set TITER_DATA")
        pytest.skip(f"needs a folder of real data sets: set TITER_DATA ({folder} is none)")
    return folder
