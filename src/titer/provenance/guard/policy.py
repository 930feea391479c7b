"""What the guard does about each verdict: one table of data, and the settings of a site.

Which mode is safe is for the site to decide: `block` may withhold an answer that a patient needs, `observe` lets a
forged one through. The guard fails silently in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from titer.errors import GuardError

Action = Literal["pass", "banner", "quarantine"]
Mode = Literal["observe", "flag", "block"]

ACTIONS: tuple[Action, ...] = ("pass", "banner", "quarantine")
"""From the least cautious to the most."""

MODES: tuple[Mode, ...] = ("observe", "flag", "block")

SOUND = ("verified", "derived")
"""The verdicts under which content is what it was at capture, or comes from it as a signed record says."""

TABLE: Mapping[str, tuple[Action, Action, Action]] = {
    #                    observe  flag          block
    "verified":         ("pass", "pass",       "pass"),
    "derived":          ("pass", "pass",       "pass"),
    "altered":          ("pass", "banner",     "quarantine"),
    "unknown":          ("pass", "banner",     "quarantine"),
    "mismatch_subject": ("pass", "quarantine", "quarantine"),
    "replayed":         ("pass", "banner",     "quarantine"),
    "suspect_key":      ("pass", "banner",     "quarantine"),
    "stale_log":        ("pass", "banner",     "quarantine"),
    "forked_log":       ("pass", "banner",     "quarantine"),
    "unsupported":      ("pass", "banner",     "quarantine"),
    "error":            ("pass", "banner",     "quarantine"),
}  # fmt: skip
"""What is done about each verdict, by mode."""

DETECTED: tuple[Action, Action, Action] = ("pass", "banner", "quarantine")
"""What is done, by mode, about content that a detector finds suspicious, whatever its verdict."""

VERDICTS = tuple(TABLE)


@dataclass(frozen=True)
class Finding:
    """What a detector found suspicious.

    Arguments
        code: a stable reason, words joined by dots. score: the detector's own number.
    """

    code: str
    score: float


Detector = Callable[[Any], Finding | None]
"""Looks at a `titer.provenance.guard.inprocess.Case`; None where it finds nothing."""


@dataclass(frozen=True)
class Policy:
    """What a site asks of each input.

    Arguments
        captures: public keys (hexadecimal) whose captures count. derivers: keys whose derivations count. These are the
            keys to begin with: the log's own records bring in and revoke others (`titer.provenance.ledger.keys`).
        mode: `observe` lets all pass and logs, `flag` adds a banner, `block` keeps what is not sound from the model.
        suspect: for a key that the site itself doubts, the index from which its records are in doubt.
        administrators: keys that may revoke others, and that must sign what brings in a new one.
        identity: which identity digests must agree, such as `id.patient`; None for all that were committed to.
        patience: how many seconds a capture's clock may be ahead of ours.
        age: gives the seconds since a checkpoint was last vouched for, from its signed note; `oldest` bounds it.
        detectors: asked after the verdict; they can only make it more cautious.

    >>> Policy(captures=frozenset({"ab" * 32}), mode="block").action("altered")
    'quarantine'
    """

    captures: frozenset[str]
    derivers: frozenset[str] = frozenset()
    mode: Mode = "flag"
    suspect: Mapping[str, int] = field(default_factory=dict)
    identity: tuple[str, ...] | None = None
    patience: float = 300.0
    age: Callable[[bytes], float] | None = None
    oldest: float = 86_400.0
    detectors: tuple[Detector, ...] = ()
    administrators: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise _refused(f"a mode, one of {', '.join(MODES)}", repr(self.mode), "choose what is safe for the site")
        for each in fields(self):
            if each.name in ("captures", "derivers", "administrators") and isinstance(getattr(self, each.name), str):
                raise _refused(f"a set of keys for {each.name}", "one string", "put the key into a set")
        if not self.captures:
            raise _refused("keys of capture points", "none", "name the keys whose captures count")
        if self.administrators & (self.captures | self.derivers):
            raise _refused("administrators that capture nothing", "one that does", "give it another key for that")
        if min(self.patience, self.oldest) < 0:
            raise _refused(
                "seconds of at least 0", f"{self.patience} and {self.oldest}", "give them as positive numbers"
            )

    @property
    def roles(self) -> dict[str, frozenset[str]]:
        """What each key is for: `capture`, `derive`."""
        told = (("capture", self.captures), ("derive", self.derivers))
        named = self.captures | self.derivers
        return {key: frozenset(task for task, keys in told if key in keys) for key in named}

    def action(self, verdict: str, *, detected: bool = False) -> Action:
        """What to do about a verdict: never less than the table says."""
        column = MODES.index(self.mode)
        found = TABLE[verdict][column]
        return more_cautious(found, DETECTED[column]) if detected else found


def more_cautious(one: Action, other: Action) -> Action:
    """The more cautious of two actions.

    >>> more_cautious("banner", "pass")
    'banner'
    """
    return max(one, other, key=ACTIONS.index)


def _refused(expected: str, got: str, remedy: str) -> GuardError:
    return GuardError(expected, got, remedy, code="policy.invalid")
