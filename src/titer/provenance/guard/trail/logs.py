"""The program's log as lines of JSON that hold no identifier: known fields, known words, and whole messages of ours.

A message counts by its template, which is a constant of this program. What is put into it passes if it is a small
number, a word of a closed list or a hash; all else is written as `withheld`. Of an exception the line tells type and
place, never its words, for those may quote what was read. Loggers of other packages are left out: nobody knows what
they say.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from titer.provenance.guard.policy import ACTIONS, VERDICTS
from titer.provenance.guard.quiet import Withheld
from titer.provenance.guard.trail.codes import CODES
from titer.provenance.guard.trail.event import DONE, KINDS, Event

OURS = "titer.provenance"
"""The loggers whose messages are known."""

FIELDS = (
    "time", "level", "logger", "message", "kind", "action", "verdict", "mode", "reasons", "data", "leaf", "index",
    "signer", "caller", "refs", "milliseconds", "error", "code", "where",
)  # fmt: skip
"""All that a line may have."""

WITHHELD = "withheld"

_WORDS = frozenset((*CODES, *VERDICTS, *ACTIONS, *DONE, *KINDS, "other"))
_HASH = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,79}")
_EVENT = "titer_event"
_DEPTH = 8
_COUNT = 1_000_000
"""What is larger may be the number of a person rather than a count."""


class Log:
    """A listener that logs each event, for `handler` to write: sound ones as information, the others as warnings."""

    def __init__(self) -> None:
        self._log = logging.getLogger(f"{OURS}.guard.trail.events")

    def __call__(self, event: Event) -> None:
        """Log one event."""
        level = logging.INFO if event.sound else logging.WARNING
        self._log.log(level, "%s: %s", event.kind, event.action, extra={_EVENT: event})


def handler(stream: TextIO | None = None) -> logging.Handler:
    """A handler that writes lines of JSON to a stream, standard error by default."""
    made = logging.StreamHandler(stream)
    made.addFilter(OnlyOurs())
    made.setFormatter(JsonLines())
    return made


class OnlyOurs(logging.Filter):
    """Lets messages of this program through, and counts the others in `left_out`."""

    def __init__(self) -> None:
        super().__init__()
        self.left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        ours = record.name == OURS or record.name.startswith(f"{OURS}.")
        self.left_out += not ours
        return ours


class JsonLines(logging.Formatter):
    """One line of JSON for each record, of the fields in `FIELDS` alone."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        event = getattr(record, _EVENT, None)
        if isinstance(event, Event):
            line |= _of_event(event)
        if record.exc_info and record.exc_info[1] is not None:
            line |= _of_error(record.exc_info[1], record.exc_info[2])
        return json.dumps({name: line[name] for name in FIELDS if line.get(name) not in (None, "", [], {})})


def _message(record: logging.LogRecord) -> str:
    if not isinstance(record.msg, str):
        return WITHHELD
    told = record.args
    try:
        if isinstance(told, dict):
            return record.msg % {name: _admitted(value) for name, value in told.items()}
        return record.msg % tuple(map(_admitted, told)) if told else record.msg
    except (TypeError, ValueError, KeyError):
        return record.msg


def _admitted(value: object) -> object:
    """A value as it may stand in a message."""
    if value is None or (isinstance(value, (bool, int, float)) and abs(value) < _COUNT):
        return value
    if isinstance(value, str):
        words = value.split(", ") if value else []
        if all(each in _WORDS or _HASH.fullmatch(each) for each in words):
            return value
        if _is_error_name(value):
            return value
    return WITHHELD


def _is_error_name(word: str) -> bool:
    import builtins

    import titer.errors

    found = getattr(builtins, word, None) or getattr(titer.errors, word, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def _of_event(event: Event) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "action": event.action,
        "verdict": event.verdict,
        "mode": event.mode,
        "reasons": list(event.reasons),
        "data": event.data,
        "leaf": event.leaf_hash,
        "index": event.index,
        "signer": event.signer,
        "caller": event.caller,
        "refs": list(event.refs),
        "milliseconds": {name: round(1000 * seconds, 3) for name, seconds in event.seconds.items()},
    }


def _of_error(error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    code = getattr(error, "code", None)
    kind = error.name if isinstance(error, Withheld) else type(error).__name__
    frames = list(traceback.walk_tb(trace))[-_DEPTH:]
    places = [f"{frame.f_globals.get('__name__', '')}:{line}" for frame, line in frames]
    return {
        "error": kind if _NAME.fullmatch(kind) else WITHHELD,
        "code": code if isinstance(code, str) and code in CODES else None,
        "where": [each for each in places if _NAME.fullmatch(each.partition(":")[0])],
    }
