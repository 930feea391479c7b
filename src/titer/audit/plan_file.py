"""Reading plans: YAML with line numbers, so that a mistake is shown where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from titer.audit.plan import SHARED, Plan, spread
from titer.errors import PlanError
from titer.faults import Refused, expectation, field_at, hint_for, model_in, place_of, worst

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
        raise _refusal(worst(error.errors(include_url=False)), where, node, "subjects" in raw) from error


def plan_schema() -> dict[str, Any]:
    """JSON schema of a plan's file, in which what holds for all subjects may stand at the top."""
    found = Plan.model_json_schema()
    shared = found["$defs"]["Subject"]["properties"]
    found["properties"] |= {name: shared[name] for name in SHARED}
    found["required"] = ["titer"]
    found["anyOf"] = [{"required": ["subjects"]}, {"required": ["data", "model", "threats"]}]
    return found


def _refusal(faults: list[Mapping[str, Any]], where: str, node: Any, several: bool) -> PlanError:
    """A mistake with its place and line, and what to do about it."""
    first, place = faults[0], list(place_of(faults[0]))
    path = ".".join(map(str, place if several or place[:2] != ["subjects", 0] else place[2:]))
    held = first.get("ctx", {}).get("error")
    told = held.error if isinstance(held, Refused) else None
    if told is not None and isinstance(first["input"], dict):
        # A refusal inside a mapping speaks of one of its keys.
        place += [key for key in first["input"] if told.got == repr(key) or f"for {key!r}" in told.expected][:1]
    line = _line(node, place, several)
    at = f" at {where} line {line}" if line else f" in {where}"
    if told is not None:
        return PlanError(told.expected, f"{told.got}{at}", told.remedy)
    if first["type"] == "extra_forbidden":
        return PlanError("a known key", f"{place[-1]!r}{at}", hint_for(place[-1], _known(place)))
    if first["type"] == "missing":
        return PlanError(f"the key {path!r}", f"none{at}", "add it")
    field = field_at(Plan, place)
    remedy = f"correct it: {field.description}" if field is not None and field.description else "correct the value"
    return PlanError(f"{expectation(faults)} for {path!r}", f"{first['input']!r:.80}{at}", remedy)


def _known(place: list[Any]) -> list[str]:
    if all(not isinstance(part, str) for part in place[:-1]):
        return [*Plan.model_fields, *SHARED]
    field = field_at(Plan, place[:-1])
    model = None if field is None else model_in(field.annotation)
    return [] if model is None else list(model.model_fields)


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
