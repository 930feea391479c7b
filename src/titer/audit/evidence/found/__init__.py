"""What there is of each kind of evidence: a function `eNN(draft)` per kind, in the file of its theme."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from functools import cache

from titer.audit.evidence.seen import Seen
from titer.audit.report.schema import Draft

Look = Callable[[Draft], Seen]


@cache
def looks() -> dict[str, Look]:
    """All functions of this folder by the id of their kind of evidence.

    >>> list(looks()) == [f"E{number:02}" for number in range(1, 31)]
    True
    """
    found: dict[str, Look] = {}
    for module in pkgutil.iter_modules(__path__):
        for name, value in vars(importlib.import_module(f"{__name__}.{module.name}")).items():
            if re.fullmatch(r"e\d\d", name):
                found.setdefault(name.upper(), value)
    return dict(sorted(found.items()))
