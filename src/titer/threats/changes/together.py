"""Together: several changes one after the other, as a picture taken at an angle is also exposed otherwise."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.registry import CHANGES
from titer.threats.change import Field, SmoothChange
from titer.threats.random import CaseRandom

_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*(?:/\s*(\d+(?:\.\d*)?))?\s*")
# Gives each part draws of its own; the first keeps the draw that was asked for.
_APART = 0x9E3779B1
_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Part:
    """One change with what it may cost at a whole limit, in its own unit.

    Arguments
        change: smooth, acting on the input, with a limit that is a size.
        limit: above 0. label: the limit as the plan wrote it, e.g. "4/255".
    """

    change: SmoothChange
    limit: float
    label: str = ""

    def __post_init__(self) -> None:
        change = self.change
        if not isinstance(change, SmoothChange) or change.counts or change.surface != "input":
            raise ThreatError(
                "parts that are smooth changes of the input with a size as their limit",
                f"{change.name!r} {getattr(change, 'norm', '')}".strip(),
                "take it out of 'parts' and give it a threat of its own",
            )
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise ThreatError(f"a limit above 0 for part {change.name!r}", str(self.limit), "correct 'limit' of it")

    @property
    def words(self) -> str:
        """The limit as it is read aloud."""
        return self.label or f"{self.limit:g}"

    @classmethod
    def read(cls, raw: Any) -> Part:
        """A part as it stands, or from a plan: {change: additive, norm: linf, limit: 4/255}."""
        if isinstance(raw, cls):
            return raw
        if not isinstance(raw, Mapping) or "change" not in raw or "limit" not in raw:
            raise ThreatError(
                "parts with a 'change' and a 'limit'", repr(raw), "write {change: additive, limit: 4/255}"
            )
        settings = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        kind, written = CHANGES.find(str(settings.pop("change"))), settings.pop("limit")
        known = [each.name for each in fields(kind)]
        for key in settings:
            if key not in known:
                raise ThreatError(f"a setting of {kind.name!r} in 'parts'", repr(key), f"known: {', '.join(known)}")
        match = _NUMBER.fullmatch(f"{written:g}" if isinstance(written, (int, float)) else str(written))
        if match is None or (match[2] is not None and float(match[2]) == 0):
            raise ThreatError(f"a limit such as 4/255 for part {kind.name!r}", repr(written), "give a bare number")
        return cls(kind(**settings), float(match[1]) / float(match[2] or 1), match[0].strip())


@dataclass(frozen=True)
class Together(SmoothChange):
    """x' = g_k(... g_2(g_1(x; p_1); p_2) ...; p_k): changes in sequence, each within a share of its own limit.

    The limit is that share: 1 allows each part its whole limit, 0.5 half of it. The cost is max over k of
    cost_k(p_k) / limit_k. Parameters are those of all parts, flattened, side by side. Each part is projected, drawn and
    measured with its own rules on what the parts before it made of the case, so that range and mask hold throughout.

    Source: combined threats as in Tramer and Boneh 2019 (arXiv 1904.13000) and Jordan et al. 2019 (arXiv 1902.08265);
    every part keeps its own limit, as there for unions of threats in sequence.

    Arguments
        parts: two changes or more, in order, as `Part` or as mappings {change, limit, and settings of the change}.

    Refuses parts that count edits, act behind an embedding, or have no parameters to search.

    >>> both = Together(({"change": "additive", "limit": "2/255"}, {"change": "gamma", "limit": 20}))
    >>> both.variant, both.parts[0].words
    ('additive-linf+gamma', '2/255')
    """

    parts: tuple[Part, ...]
    name: ClassVar[str] = "together"

    def __post_init__(self) -> None:
        given: Any = self.parts
        if isinstance(given, (str, Mapping)) or len(given) < 2:
            raise ThreatError("two 'parts' or more", repr(given), "list them, or use the single change itself")
        object.__setattr__(self, "parts", tuple(Part.read(each) for each in given))
        if not self.kinds:
            names = ", ".join(part.change.name for part in self.parts)
            raise ThreatError("parts that one kind of case can undergo", names, "combine changes of the same kinds")

    @property
    def kinds(self) -> tuple[Kind, ...]:  # type: ignore[override]
        """Spaces on which every part has a meaning."""
        first, *rest = (part.change.kinds for part in self.parts)
        return tuple(kind for kind in first if all(kind in other for other in rest))

    @property
    def variant(self) -> str:
        return "+".join(
            "-".join(filter(None, (part.change.name, getattr(part.change, "norm", ""), part.change.variant)))
            for part in self.parts
        )

    def unit(self, space: Space) -> str:
        return "of each limit"

    def suits(self, space: Space) -> None:
        for part in self.parts:
            part.change.suits(space)

    def check(self, field: Field) -> None:
        for part in self.parts:
            part.change.check(field)

    def nothing(self, field: Field) -> Tensor:
        return torch.cat([part.change.nothing(field).flatten(1) for part in self.parts], dim=1)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        changed = field.clean
        for part, here, own in self._walk(field, params):
            changed = part.change.apply(here, own)
        return changed

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        shares = [part.change.cost(here, own) / part.limit for part, here, own in self._walk(field, params)]
        return torch.stack(shares).amax(dim=0)

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        fine = [part.change.valid(here, own) for part, here, own in self._walk(field, params)]
        return torch.stack(fine).all(dim=0)

    def project(self, field: Field, params: Tensor, limit: Float[Tensor, " n"]) -> Tensor:
        kept = []
        for part, own in zip(self.parts, self._split(field, params), strict=True):
            kept.append(part.change.project(field, own, limit * part.limit))
            # What the next part meets; no slope is wanted of a projection.
            field = replace(field, clean=part.change.apply(field, kept[-1]).detach())
        return torch.cat([each.flatten(1) for each in kept], dim=1)

    def steepest(self, field: Field, gradient: Tensor) -> Tensor:
        # With the largest share as the cost, every part may go its own whole step.
        steps = [
            part.limit * part.change.steepest(field, own)
            for part, own in zip(self.parts, self._split(field, gradient), strict=True)
        ]
        return torch.cat([each.flatten(1) for each in steps], dim=1)

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        drawn = []
        for number, part in enumerate(self.parts):
            drawn.append(part.change.sample(field, limit * part.limit, rng, draw ^ (number * _APART & _WORD)))
            field = replace(field, clean=part.change.apply(field, drawn[-1]).detach())
        return torch.cat([each.flatten(1) for each in drawn], dim=1)

    def sentence(self, limit: str) -> str:
        return self._said([part.change.sentence(part.words) for part in self.parts], limit)

    def told(self, limit: str, space: Space) -> str:
        said = [part.change.told(f"{part.words} {part.change.unit(space)}".strip(), space) for part in self.parts]
        return self._said(said, limit.removesuffix(self.unit(space)).strip())

    def _said(self, said: list[str], limit: str) -> str:
        return f"{', then '.join(said)}; using at most {limit} of each limit"

    def _split(self, field: Field, params: Tensor) -> list[Tensor]:
        """Parameters of each part, in its own shape."""
        shapes = [part.change.nothing(field).shape for part in self.parts]
        pieces = torch.split(params, [math.prod(shape[1:]) for shape in shapes], dim=1)
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def _walk(self, field: Field, params: Tensor) -> Iterator[tuple[Part, Field, Tensor]]:
        """Each part with the field that it meets and its parameters."""
        for part, own in zip(self.parts, self._split(field, params), strict=True):
            yield part, field, own
            field = replace(field, clean=part.change.apply(field, own))
