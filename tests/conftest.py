"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No timed test, and no test that another run would decide otherwise.
settings.register_profile("titer", deadline=None, derandomize=True)
settings.load_profile("titer")

SETS = (
    "brain_tumor_mri", "cxr_pediatric", "dermoscopy_ham10000", "ecg_mitbih", "eeg_bonn", "format_samples",
    "medmnist/retinamnist.npz", "notes_mtsamples",
)  # fmt: skip


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets: TITER_DATA, or `shared/data` beside the checkout; must be there in CI."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("TITER_DATA", beside))
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the folder of real data sets, and {folder} is none; set TITER_DATA")
        pytest.skip(f"needs a folder of real data sets: set TITER_DATA ({folder} is none)")
    # A test may skip a set that a person does not have; in CI all are there, so that none is skipped unseen.
    missing = [name for name in SETS if not (folder / name).exists()]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI needs all real data sets; {folder} lacks {', '.join(missing)}")
    return folder
