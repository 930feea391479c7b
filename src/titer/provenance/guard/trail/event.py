"""What happened, as it may be told: codes of closed lists, whole numbers and digests, and nothing else.

An event is made from the leaf, whose schema has no room for a name, and from what the guard decided. Who called is a
keyed token: the site, which has the secret, can find out who that was; nobody else can.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from titer.errors import GuardError
from titer.provenance.guard.policy import SOUND, VERDICTS
from titer.provenance.guard.stages import STAGES
from titer.provenance.guard.trail.codes import known
from titer.provenance.ledger.record import CLASSES, parse

Kind = Literal["capture", "derive", "decision", "override"]
Done = Literal["pass", "banner", "quarantine", "failed", "recorded"]

KINDS: tuple[Kind, ...] = ("capture", "derive", "decision", "override")
DONE: tuple[Done, ...] = ("pass", "banner", "quarantine", "failed", "recorded")

DIGESTS = ("program", "parameters", "tensor", "model", "output", "first", "second", "reason")
"""What a leaf may say beside its verdict; the last three are blinded."""

_HASH = re.compile(r"[0-9a-f]{64}")
_SOURCE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Event:
    """One decision, override, capture or derivation.

    Arguments
        kind: which. action: what was done; `failed` where model or preparation did, `recorded` for captures.
        verdict, mode: of a decision, else empty. reasons: codes that may be told. data: kind of data.
        signer: the public key that signed the leaf. time: seconds since 1970 by its clock.
        leaf_hash, index: of the leaf; empty and None where it could not be noted, index None where it is queued.
        refs: leaf hashes of the records it speaks of. digests: by name, see `DIGESTS`.
        caller: keyed token of who asked, or empty. seconds: by stage.
    """

    kind: Kind
    action: Done
    signer: str
    time: int
    verdict: str = ""
    mode: str = ""
    reasons: tuple[str, ...] = ()
    data: str = "none"
    leaf_hash: str = ""
    index: int | None = None
    refs: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    caller: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words = (
            (self.kind, KINDS), (self.action, DONE), (self.data, CLASSES), (self.verdict, ("", *VERDICTS)),
            (self.mode, ("", "observe", "flag", "block", "override")),
        )  # fmt: skip
        for word, allowed in words:
            if word not in allowed:
                raise _refused(f"a word of {', '.join(filter(None, allowed))}")
        hashes = (self.signer, *self.refs, *self.digests.values(), *filter(None, (self.leaf_hash, self.caller)))
        if not all(_HASH.fullmatch(each) for each in hashes):
            raise _refused("hashes of 64 hexadecimal digits")
        if not set(self.digests) <= set(DIGESTS) or not set(self.seconds) <= set(STAGES):
            raise _refused("digests and stages of the known names")
        object.__setattr__(self, "reasons", known(self.reasons))

    @property
    def noted(self) -> bool:
        """Whether a leaf holds it."""
        return bool(self.leaf_hash)

    @property
    def sound(self) -> bool:
        """Whether nothing about it asks for a person's eye."""
        if not self.noted or self.action in ("banner", "quarantine", "failed"):
            return False
        return self.kind in ("capture", "derive") or (self.kind == "decision" and self.verdict in SOUND)


def event_of(
    leaf: bytes,
    leaf_hash: bytes,
    index: int | None,
    action: Done,
    *,
    reasons: tuple[str, ...] = (),
    data: str | None = None,
    caller: str = "",
    seconds: Mapping[str, float] | None = None,
) -> Event:
    """The event of a leaf of kind capture, derive or decision.

    Arguments
        leaf, leaf_hash, index: as in the ledger. action: what was done.
        reasons: codes, of which the leaf holds the hash alone. data: kind of data, where the leaf does not say.
        caller: keyed token. seconds: by stage.
    """
    told = parse(leaf)
    ext = {name: str(value) for name, value in told.ext.items()}
    mode = ext.get("mode", "")
    kind: Any = "override" if mode == "override" else told.kind
    return Event(
        kind=kind,
        action=action,
        signer=told.capture_key,
        time=told.claimed_time,
        verdict=ext.get("verdict", ""),
        mode=mode,
        reasons=reasons,
        data=told.data if data is None else data,
        leaf_hash=leaf_hash.hex(),
        index=index,
        refs=told.refs,
        digests={name: ext[name] for name in DIGESTS if name in ext},
        caller=caller,
        seconds=seconds or {},
    )


def require_source(name: str) -> str:
    """The name under which a guard speaks to other systems, or GuardError.

    >>> require_source("guard-1.radiology")
    'guard-1.radiology'
    """
    if not _SOURCE.fullmatch(name):
        raise GuardError(
            "a name for this guard of 1 to 64 letters, digits, dots and hyphens",
            f"one of {len(name)} characters",
            "choose one that names no person, patient or host, such as guard-1",
            code="trail.source",
        )
    return name


def _refused(expected: str) -> GuardError:
    # The value stays unsaid: it is what must not leave.
    return GuardError(expected, "something else", "make events with `event_of`", code="trail.event")
