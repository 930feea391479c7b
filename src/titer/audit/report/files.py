"""A report on disk: canonical JSON in, canonical JSON out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from titer.atomic import write_whole
from titer.audit.report.schema import READABLE, Report
from titer.errors import ReportError

DIGITS = 10
"""Significant digits kept of every number: far below any interval, far above the noise of summation order."""


def canonical_json(block: BaseModel) -> str:
    """The JSON text of a block: sorted keys, ten significant digits, a newline at the end.

    Equal blocks give equal text on every machine, so the text can be hashed and compared.

    >>> from titer.audit.report.schema import Limit
    >>> print(canonical_json(Limit(value=4 / 255, unit="intensity", label="4/255")), end="")
    {
     "label": "4/255",
     "unit": "intensity",
     "value": 0.01568627451
    }
    """
    tree = _rounded(block.model_dump(mode="json"))
    return json.dumps(tree, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def save_report(report: Report, path: Path) -> Path:
    """Write `report.json`, all of it or nothing.

    Arguments
        report: the report.
        path: the file, or a folder that will hold `report.json`.
    """
    return write_whole(path / "report.json" if path.is_dir() else path, canonical_json(report))


def load_report(path: Path) -> Report:
    """Read `report.json` and check it against the format.

    Arguments
        path: the file, or the folder that holds `report.json`.

    Errors: `ReportError` for a missing, damaged or foreign file and for an unknown version.
    """
    file = path / "report.json" if path.is_dir() else path
    remedy = "run `titer audit` again, or name the folder it wrote to"
    try:
        tree = json.loads(file.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ReportError(f"a report at {file}", str(error), remedy) from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"JSON text in {file}", f"{type(error).__name__}: {error}", remedy) from error
    if not isinstance(tree, dict) or "schema_version" not in tree:
        raise ReportError(f"a Titer report in {file}", f"{type(tree).__name__} without schema_version", remedy)
    if tree["schema_version"] not in READABLE:
        raise ReportError(
            f"schema_version {' or '.join(READABLE)} in {file}",
            repr(tree["schema_version"]),
            "read it with the version of Titer that wrote it, or audit again with this one",
        )
    try:
        return Report.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the report as a whole"
        raise ReportError(
            f"a whole report in {file}",
            f"{error.error_count()} fault(s), the first at {place}: {first['msg']}",
            remedy,
        ) from error


def _rounded(tree: Any) -> Any:
    """The tree with every float at a fixed number of digits, and no negative zero."""
    if isinstance(tree, float):
        return float(f"{tree:.{DIGITS}g}") + 0.0
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_rounded(value) for value in tree]
    return tree
