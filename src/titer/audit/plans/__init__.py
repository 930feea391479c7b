"""Plans that come with Titer: sensible units and limits per kind of data, as YAML beside this file."""

from __future__ import annotations

from pathlib import Path

from titer.errors import PlanError, did_you_mean

_HERE = Path(__file__).parent


def plan_names() -> list[str]:
    """Names of the built-in plans.

    >>> "chest-xray-quick" in plan_names()
    True
    """
    return sorted(path.stem for path in _HERE.glob("*.yaml"))


def plan_text(name: str) -> str:
    """Text of a built-in plan."""
    if name not in plan_names():
        hint = did_you_mean(name, plan_names())
        raise PlanError("a plan's path or name", repr(name), f"{hint}built-in plans: {', '.join(plan_names())}")
    return (_HERE / f"{name}.yaml").read_text(encoding="utf-8")
