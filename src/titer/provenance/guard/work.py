"""What a server does with an object that came: record it, or put it through the guard; and what its sender is told."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from titer.errors import FingerprintError, ProvenanceError
from titer.provenance.guard.capture import Capture, Captured
from titer.provenance.guard.inprocess import Answer, Guarded

_LOG = logging.getLogger(__name__)

Source = bytes | Mapping[str, bytes]


@dataclass(frozen=True)
class Told:
    """What a sender is told.

    Arguments
        status: of HTTP. body: plain JSON values, without identifiers. refused: the reason code if the object was not
            taken, so that its sender still has to look after it.
    """

    status: int
    body: Mapping[str, Any]
    refused: str = ""


class Work(Protocol):
    """What is done with one object; see `Decider.decide` for the arguments."""

    def __call__(
        self,
        source: Source,
        kind: str | None,
        *,
        caller: str,
        subject: str | None = None,
        encounter: str | None = None,
        expected: bytes | None = None,
    ) -> Told:
        """The answer; never an exception."""


def recording(point: Capture, told: Callable[[Captured], Any]) -> Work:
    """Objects are captured; `told` gets each record."""

    def record(
        source: Source,
        kind: str | None,
        *,
        caller: str,  # noqa: ARG001 - the records of a capture point do not say who sent
        subject: str | None = None,
        encounter: str | None = None,  # noqa: ARG001 - a matter of use
        expected: bytes | None = None,  # noqa: ARG001 - a matter of use
    ) -> Told:
        def run() -> Told:
            done = point.capture(source, kind, subject=subject)
            told(done)
            body = {"record": done.leaf_hash.hex(), "index": done.appended.index, "state": done.appended.state}
            return Told(201 if done.appended.state == "published" else 202, body | {"kind": done.fingerprint.kind})

        return _answered(run)

    return record


def guarding(guarded: Guarded, told: Callable[[Answer], Any]) -> Work:
    """Objects go through the guard; `told` gets each answer."""

    def decide(
        source: Source,
        kind: str | None,
        *,
        caller: str,
        subject: str | None = None,
        encounter: str | None = None,
        expected: bytes | None = None,
    ) -> Told:
        def run() -> Told:
            answer = guarded(source, kind, subject=subject, encounter=encounter, expected=expected, caller=caller)
            told(answer)
            return _said(answer)

        return _answered(run)

    return decide


def refusal(status: int, code: str) -> Told:
    """An object that was not taken."""
    return Told(status, {"code": code}, code)


def _said(answer: Answer) -> Told:
    body: dict[str, Any] = {
        "action": answer.action,
        "verdict": answer.verdict,
        "reasons": list(answer.reasons),
        "banner": answer.banner,
        "decision": None if answer.decision is None else answer.decision.leaf_hash.hex(),
    }
    if answer.action != "quarantine":
        return Told(200, body | {"output": plain(answer.output)})
    if answer.held:
        return Told(202, body | {"held": answer.held})
    # Neither read nor kept: its sender has to know.
    code = next((each for each in answer.reasons if each.startswith("limit.")), "guard.not_kept")
    return Told(429 if code == "limit.rate" else 413, body | {"code": code}, code)


def _answered(run: Callable[[], Told]) -> Told:
    try:
        return run()
    except FingerprintError as error:
        _LOG.warning("an object was refused: %s", error.code)
        return refusal(415 if error.code.startswith("unsupported.") else 422, error.code)
    except ProvenanceError as error:
        _LOG.critical("an object could not be taken: %s", error.code)
        return refusal(502 if error.code.startswith(("model.", "prepare.")) else 503, error.code)
    except Exception as error:
        # The words of an error may quote the object.
        _LOG.critical("an object could not be taken: %s", type(error).__name__)
        return refusal(500, "guard.failed")


def plain(value: Any) -> Any:
    """A model's answer as plain JSON values; numbers that JSON cannot say become words, as in protocol buffers.

    >>> plain({"scores": (0.5, float("nan"))})
    {'scores': [0.5, 'NaN']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    # Arrays and tensors, as `tensor_digest` takes them.
    return plain((value.detach().cpu() if hasattr(value, "detach") else value).tolist())
