"""Makes the builder of synthetic results importable, whatever import mode the tests run in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
