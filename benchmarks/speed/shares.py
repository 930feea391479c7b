"""Where our time goes: shares of a run in passes through the model and in everything else."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Any

# What is counted, by the file and function in which it happens; cumulative, so that callees count with their callers.
_FORWARD = ("models/adapters/torch.py", "scores")
_JUDGED = ("attacks/engine.py", "_judge")
_BACKWARD = "run_backward"


def shares(run: Callable[[], Any]) -> dict[str, float]:
    """Parts of the time of one run: forward passes, backward passes, the rest; and the judgement, which asks as well.

    The profiler makes small calls look longer than they are, so the rest is less than it says.
    """
    profile = cProfile.Profile()
    profile.enable()
    run()
    profile.disable()
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    total = sum(entry[2] for entry in stats.values())

    def spent(test: Callable[[str, str], bool]) -> float:
        return sum(entry[3] for (file, _, name), entry in stats.items() if test(file, name)) / total

    forward = spent(lambda file, name: file.endswith(_FORWARD[0]) and name == _FORWARD[1])
    backward = spent(lambda file, name: _BACKWARD in name and not file.endswith(".py"))
    judged = spent(lambda file, name: file.endswith(_JUDGED[0]) and name == _JUDGED[1])
    return {"forward": forward, "backward": backward, "rest": 1 - forward - backward, "judgement": judged}
