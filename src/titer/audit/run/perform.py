"""The doing of one job, the same wherever it is done."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass

from titer.audit.run.hearing import Sink, heard_by
from titer.audit.run.job import resolve
from titer.errors import TiterError


@dataclass(frozen=True)
class Outcome:
    """What came of a job: bytes, or the reason why there are none; and the seconds it took."""

    data: bytes = b""
    failure: str | None = None
    seconds: float = 0.0


def perform(function: str, settings: str, inputs: Mapping[str, bytes], sink: Sink | None = None) -> Outcome:
    """Calls a job's function. A job's error is its outcome, not the worker's end.

    Arguments
        function: `package.module:function`.
        settings: the payload as JSON text; decoded here, so that all executors hand over the same.
        inputs: results of the jobs it needs, by key.
        sink: receives what the job says of its progress.

    >>> perform("titer.digest:digest", "{}", {}).failure.split(":")[0]
    'TypeError'
    """
    begin = time.perf_counter()
    failure, data = None, b""
    try:
        with heard_by(sink):
            made = resolve(function)(json.loads(settings), dict(inputs))
        if isinstance(made, bytes):
            data = made
        else:
            failure = f"{function} gave a {type(made).__name__}, not bytes"
    except TiterError as error:
        failure = f"{type(error).__name__}: {error}"
    except (Exception, SystemExit) as error:
        failure = f"{type(error).__name__}: {error} ({_place(error)})"
    return Outcome(data=data, failure=failure, seconds=time.perf_counter() - begin)


def _place(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {last.name}, {last.filename} line {last.lineno}"
