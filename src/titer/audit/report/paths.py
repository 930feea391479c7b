"""JSON paths: the address of a value inside `report.json` (RFC 9535, normalized dotted form)."""

from __future__ import annotations

import re
from typing import Any

from titer.errors import ReportError

_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")


def resolve(tree: Any, path: str) -> Any:
    """The value at a path.

    Arguments
        tree: a report as JSON objects, such as `json.loads(text)` or `report.model_dump(mode="json")`.
        path: such as '$.cells[3].metrics.robust_accuracy.value'.

    Errors: `ReportError` when the path leads nowhere.

    >>> resolve({"cells": [{"value": 0.5}]}, "$.cells[0].value")
    0.5
    """
    if not path.startswith("$") or _STEP.sub("", path[1:]):
        raise ReportError(
            "a JSON path such as '$.cells[0].id'", repr(path), "write names with dots and positions in brackets"
        )
    here = tree
    for name, position in _STEP.findall(path[1:]):
        try:
            here = here[int(position)] if position else here[name]
        except (KeyError, IndexError, TypeError) as error:
            raise ReportError(
                f"a value at {path}", f"nothing at {name or position!r}", "use a path of this report"
            ) from error
    return here
