"""Titer measures how much immunity a clinical AI model has.

    import titer
    report = titer.audit(model, data, plan="chest-xray-quick")
    report.save("out/")
    report.passed

Importing this package imports no machine-learning framework; parts are loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from titer.errors import TiterError

if TYPE_CHECKING:
    from titer.audit.api import audit as audit
    from titer.audit.report.schema import Report as Report

__version__ = "0.1.0"
__all__ = ["Report", "TiterError", "__version__", "audit"]

_WHERE = {"audit": "titer.audit.api", "Report": "titer.audit.report.schema"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'titer' has no attribute {name!r}")
