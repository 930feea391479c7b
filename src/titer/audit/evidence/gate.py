"""The gate that keeps identifiers in: what a report says is looked through before it is written.

Most identifiers never come near a report: cases are numbered, patients are codes, headers of files are not kept, data
given by path are numbered too, groups and words that fewer than ten patients share are withheld where they arise. What
an author writes himself (titles, labels, explanations, the plan) passes here: places of files are withheld, and so is
what has the form of an identifier. Names of persons have no form; nobody should write them into a plan.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from titer.audit.report.schema import Draft, Gate

if TYPE_CHECKING:
    from titer.audit.plan import Plan

_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|"
    "nov(?:ember)?|dec(?:ember)?"
)

FORMS: dict[str, re.Pattern[str]] = {
    "e-mail address": re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"),
    "web address": re.compile(r"\b(?:https?|ftp)://[^\s'\"<>]+|\bwww\.[^\s'\"<>]+", re.IGNORECASE),
    "social security number": re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"),
    "date": re.compile(
        rf"(?<!\w)(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:19|20)\d{{2}}|\d{{1,2}}/\d{{1,2}}/\d{{2}}"
        rf"|(?:{_MONTHS})\.? \d{{1,2}},? (?:19|20)\d{{2}}|\d{{1,2}}\.? (?:{_MONTHS})\.? (?:19|20)\d{{2}})(?!\w)",
        re.IGNORECASE,
    ),
    "telephone or fax number": re.compile(
        r"(?<![\w.-])(?:\+?\d{1,3}[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?!\w)"
    ),
    "network address": re.compile(
        r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}(?![\w:])",
        re.IGNORECASE,
    ),
    "vehicle number": re.compile(r"\b(?=[A-Z]*\d)(?=\d*[A-Z])[A-HJ-NPR-Z0-9]{17}\b"),
    "number of a record, account, license or device": re.compile(
        r"(?<![\w/])(?<!\d[.,])#?[A-Z]{0,6}[-:]?\d{6,}(?!\w|[.,]\d)"
    ),
}
"""What has the form of one of the identifiers of 45 CFR 164.514(b)(2)."""

KEPT = frozenset({
    "digest", "sha256", "created", "schema_version", "titer_version", "environment", "reference", "citation", "license",
    "trial", "clean_png", "perturbation_png", "adversarial_png", "path", "method", "rerun", "seeds",
})  # fmt: skip
"""Fields that no author writes, or in which the form of an identifier is that of a source."""


def through_gate(draft: Draft, plan: Plan) -> Draft:
    """The draft without places of files and without what has the form of an identifier, and what was withheld.

    Arguments
        draft: the facts of a report. plan: the plan behind it, for the places that it names.
    """
    tree = draft.model_dump(mode="json")
    found: Counter[str] = Counter()
    record = tree["identity"]["plan"]
    for place in sorted(places(plan), key=len, reverse=True):
        if place in record["source"]:
            found["place of a file"] += record["source"].count(place)
            record["source"] = record["source"].replace(place, WITHHELD.format("place of a file"))
    record["resolved"] = _without_places(record["resolved"], found)
    count = [0]
    clean = _looked_through(tree, found, count)
    gate = Gate(
        checked=count[0],
        withheld=dict(sorted(found.items())),
        pixels=any(item["kind"] in ("image", "volume-slice") for item in clean["gallery"]),
    )
    return Draft.model_validate({**clean, "gate": gate.model_dump(mode="json")})


WITHHELD = "[withheld: {}]"
_PLACES = ("path", "synonyms", "archive")


def places(plan: Plan) -> set[str]:
    """Places of data that a plan names, as it writes them."""
    found = set()
    for subject in plan.subjects:
        texts = [subject.data.path, *(subject.data.options.get(key) for key in _PLACES), subject.model.get("path")]
        found |= {str(text) for text in texts if text and not str(text).startswith("memory:")}
    return found


def scrubbed(text: str, found: Counter[str]) -> str:
    """A text with whatever has the form of an identifier withheld; `found` counts by kind.

    >>> scrubbed("seen 3/14/1961, call (555) 010-0199", Counter())
    'seen [withheld: date], call [withheld: telephone or fax number]'
    """
    for kind, form in FORMS.items():
        text, times = form.subn(WITHHELD.format(kind), text)
        found[kind] += times
    return text


def _without_places(part: Any, found: Counter[str]) -> Any:
    """A resolved plan in which places of files say that there were some; data in memory keep their digest."""
    if isinstance(part, dict):
        made = {}
        for key, value in part.items():
            hidden = key in _PLACES and isinstance(value, str) and value != "" and not value.startswith("memory:")
            found["place of a file"] += hidden
            made[key] = WITHHELD.format("place of a file") if hidden else _without_places(value, found)
        return made
    return [_without_places(value, found) for value in part] if isinstance(part, list) else part


def _looked_through(part: Any, found: Counter[str], count: list[int]) -> Any:
    if isinstance(part, str):
        count[0] += 1
        return scrubbed(part, found)
    if isinstance(part, dict):
        return {
            scrubbed(key, found): value if key in KEPT else _looked_through(value, found, count)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [_looked_through(value, found, count) for value in part]
    return part
