"""The demonstration: what runs without any data of the user's, and real X-rays where there are some."""

from __future__ import annotations

from pathlib import Path

import yaml

from titer.audit.plan import Plan
from titer.audit.plan_file import parse_plan
from titer.audit.plans import plan_text


def demo_plan(root: Path | None) -> tuple[Plan, str]:
    """The embedded plan; with real chest X-rays as one more subject where the folder of data sets has them."""
    text = plan_text("demo")
    if root is not None and (root / "cxr_pediatric").is_dir():
        raw = yaml.safe_load(text)
        raw["subjects"] += yaml.safe_load(plan_text("demo-xray"))["subjects"]
        text = yaml.safe_dump(raw, sort_keys=False)
    return parse_plan(text, (), "demo"), text
