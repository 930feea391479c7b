"""The audit: a plan becomes trials, trials become findings, findings become a report.

The package itself can be called: `titer.audit(model, data)` is `titer.audit.api.audit`, and `titer.audit.run` and the
other parts are modules of it. Both hold at any time and in any order of imports.
"""

from __future__ import annotations

import sys
from inspect import Signature
from types import ModuleType
from typing import Any


class _Called(ModuleType):
    """A package that can be called; what it calls is imported no sooner than that."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Audit a model on data and return the report: see `titer.audit.api.audit`."""
        from titer.audit.api import audit

        return audit(*args, **settings)

    @property
    def __signature__(self) -> Signature:
        from inspect import signature

        from titer.audit.api import audit

        return signature(audit)


sys.modules[__name__].__class__ = _Called
