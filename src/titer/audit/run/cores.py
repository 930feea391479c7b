"""How many cores there are to use, which may be fewer than the machine has."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")


def usable_cores(groups: Path = _CONTROL_GROUPS) -> int:
    """Cores that this process may run on, and that its container's share of processor time pays for.

    A container with a share of two cores on a machine with 64 sees all 64; as many workers would only fill its memory.

    Arguments
        groups: where Linux shows what control groups allow (version 2: `cpu.max`, version 1: `cpu/cpu.cfs_quota_us`).

    >>> 1 <= usable_cores() <= (os.cpu_count() or 1)
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _share(groups)))


def _share(groups: Path) -> int:
    try:
        if (groups / "cpu.max").exists():
            quota, period = (groups / "cpu.max").read_text().split()
        else:
            quota, period = ((groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        share = math.ceil(float(quota) / float(period))
        return share if share > 0 else sys.maxsize
    except (OSError, ValueError):
        # There is no limit: "max" in version 2, no such file outside Linux.
        return sys.maxsize
