"""Reading plans: YAML with line numbers, so that a mistake is shown where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from titer.audit.plan import Plan, spread
from titer.errors import PlanError

_LARGEST = 1 << 20


def read_plan(path: Path, changes: tuple[str, ...] = ()) -> tuple[Plan, str]:
    """The plan in a file and the file's text."""
    try:
        if path.stat().st_size > _LARGEST:
            raise PlanError("a plan of at most 1 MiB", f"{path.stat().st_size} bytes", "give the plan, not the data")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(
            f"a readable plan at {path.name}", type(error).__name__, "correct the path, or write one with 'titer init'"
        ) from error
    return parse_plan(text, changes, path.name), text


def parse_plan(text: str, changes: tuple[str, ...] = (), where: str = "plan") -> Plan:
    """The plan in a text.

    >>> parse_plan("titer: 1\\nlimitz: 3")
    Traceback (most recent call last):
    titer.errors.PlanError: expected a known key, got 'limitz' at plan line 2; remove it, known here: ...
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise PlanError(
            "valid YAML", f"{getattr(error, 'problem', error)} at {where}{line}", "correct the line"
        ) from error
    if not isinstance(raw, dict):
        raise PlanError("a mapping of settings", type(raw).__name__, "begin the plan with 'titer: 1'")
    for change in changes:
        _set(raw, change)
    return check_plan(raw, where, node)


def check_plan(raw: Mapping[str, Any], where: str = "plan", node: Any = None) -> Plan:
    """The plan in a mapping; the first mistake is refused with its place and the nearest valid name."""
    plain = spread(dict(raw))
    try:
        return Plan.model_validate(plain)
    except ValidationError as error:
        faults = error.errors()
        first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
        place = [part for part in first["loc"] if not _is_tag(part)]
        line = _line(node, place, "subjects" in raw)
        at = f" at {where} line {line}" if line else f" in {where}"
        path = ".".join(map(str, place))
        if first["type"] == "extra_forbidden":
            known = _known(place)
            near = get_close_matches(str(place[-1]), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"remove it, known here: {', '.join(known)}"
            raise PlanError("a known key", f"{place[-1]!r}{at}", hint) from error
        if first["type"] == "missing":
            raise PlanError(f"the key {path!r}", f"none{at}", "add it") from error
        raise PlanError(
            f"{path}: {first['msg'].removeprefix('Value error, ')}", f"{first['input']!r:.80}{at}", "correct the value"
        ) from error


def _is_tag(part: Any) -> bool:
    """Whether pydantic put this into the place to name a branch of a union."""
    return isinstance(part, str) and (
        part in ("str", "int", "float") or part.startswith(("dict[", "function-", "tuple["))
    )


def _known(place: list[Any]) -> list[str]:
    model: type[BaseModel] = Plan
    for part in place[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            found = _model_in(model.model_fields[part].annotation)
            if found is None:
                return []
            model = found
    names = list(model.model_fields)
    if model is Plan:
        names += ["data", "model", "threats", "attacks", "threshold", "tolerance", "costs"]
    return names


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def _line(node: Any, place: list[Any], has_subjects: bool) -> int | None:
    """Line of the deepest part of the place that stands in the text."""
    if not has_subjects and place[:2] == ["subjects", 0]:
        place = place[2:]
    line: int | None = None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _set(raw: dict[str, Any], change: str) -> None:
    path, sign, value = change.partition("=")
    if not sign or not path:
        raise PlanError("a setting of the form a.b=c", repr(change), "for example --set data.cases=100")
    parsed = yaml.safe_load(value)
    here: Any = raw
    keys = path.split(".")
    for key in keys[:-1]:
        here = _item(here, key, path) if isinstance(here, list) else here.setdefault(key, {})
        if not isinstance(here, (dict, list)):
            raise PlanError(f"a group of settings at {key!r}", repr(here), f"correct --set {path}")
    if isinstance(here, list):
        _item(here, keys[-1], path)
        here[int(keys[-1])] = parsed
    else:
        here[keys[-1]] = parsed


def _item(items: list[Any], key: str, path: str) -> Any:
    if not key.isdigit() or int(key) >= len(items):
        raise PlanError(f"a number of 0 to {len(items) - 1} in {path!r}", repr(key), "count the entries from 0")
    return items[int(key)]
