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


def __getattr__(name: str) -> Any:
    import importlib

    if name == "audit":
        # The package, which can be called: an import of any part of it would put it here in any case.
        return importlib.import_module("titer.audit")
    if name == "Report":
        return importlib.import_module("titer.audit.report.schema").Report
    raise AttributeError(f"module 'titer' has no attribute {name!r}")
