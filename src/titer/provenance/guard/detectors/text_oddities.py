"""Text with characters that hide something: invisible ones, changes of direction, scripts mixed inside a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from titer.provenance.guard.policy import Finding


@dataclass(frozen=True)
class TextOddities:
    """Score: how many characters and words beyond what is allowed.

    Arguments
        allowed: how many of each kind a text may have: `zero_width`, `bidi`, `mixed_script`; none by default.

    >>> from types import SimpleNamespace
    >>> case = SimpleNamespace(fingerprint=SimpleNamespace(notes={"zero_width": 2}))
    >>> TextOddities()(case)
    Finding(code='detector.text_oddities', score=2.0)
    """

    allowed: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, case: Any) -> Finding | None:
        """A finding, where the fingerprint counted more than is allowed."""
        if case.fingerprint is None:
            return None
        counts = {name: case.fingerprint.notes.get(name, 0) for name in ("zero_width", "bidi", "mixed_script")}
        beyond = sum(max(0, many - self.allowed.get(name, 0)) for name, many in counts.items())
        return Finding("detector.text_oddities", float(beyond)) if beyond else None
