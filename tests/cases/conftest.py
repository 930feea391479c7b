"""Makes `cases_made` importable from the folders below, and quiets what wfdb says to its own developers."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import wfdb  # noqa: F401
