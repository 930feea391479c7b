"""Dropped lead: a few leads of a recording fail, as loose electrodes and broken cables make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import Field, StepwiseChange
from titer.threats.random import CaseRandom

FAULTS = ("zero", "flat", "noise")
# Separates two draws that one call needs.
_OTHER = 0x5BD1E995


@dataclass(frozen=True)
class DroppedLead(StepwiseChange):
    """Each failed lead shows one of several faults in place of what was recorded; the cost is the number of such leads.

    "zero" is no voltage at all (or the end of the valid range next to it); "flat" the lead's own mean throughout;
    "noise" white normal noise of the lead's own mean and standard deviation, clipped to the valid range, the same draw
    for lead c of every case. Parameters are one number per lead: 0 as recorded, k the k-th fault. A lead that a mask
    closes anywhere cannot fail.

    Source: ours, after the missing and noisy leads of the PhysioNet/CinC challenge 2011 on ECG quality (Silva, Moody,
    Celi 2011, Computing in Cardiology 38:273).

    Arguments
        faults: which faults may occur, of "zero", "flat", "noise".
        seed: of the noise.

    >>> field = Field(torch.tensor([[[1.0, 3.0], [5.0, 5.5]]]), None, None, torch.tensor(1.0))
    >>> DroppedLead().apply(field, torch.tensor([[2, 0]])).tolist()
    [[[2.0, 2.0], [5.0, 5.5]]]
    """

    faults: tuple[str, ...] = FAULTS
    seed: int = 0
    name: ClassVar[str] = "dropped_lead"
    kinds: ClassVar[tuple[Kind, ...]] = ("signal",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "faults", tuple(self.faults))
        unknown = [each for each in self.faults if each not in FAULTS]
        if unknown or not self.faults or len(set(self.faults)) < len(self.faults):
            raise ThreatError(
                f"one or several of the faults {', '.join(FAULTS)}", str(self.faults), "correct 'faults' of the threat"
            )

    def unit(self, space: Space) -> str:
        return "leads"

    def places(self, space: Space) -> int:
        return space.shape[0]

    def nothing(self, field: Field) -> Tensor:
        return torch.zeros(field.clean.shape[:2], dtype=torch.int64, device=field.clean.device)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        faulty, clean = params.unsqueeze(-1), field.clean
        for number, fault in enumerate(self.faults, start=1):
            if bool((params == number).any()):
                clean = torch.where(faulty == number, self._fault(field, fault), clean)
        return clean

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return (params != 0).sum(dim=1).to(torch.float32)

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        known = (params >= 0) & (params <= len(self.faults)) & ((params == 0) | _open(field))
        return known.all(dim=1)

    def edits(self, field: Field, params: Tensor) -> Int[Tensor, "n position choice"]:
        faults = torch.arange(1, len(self.faults) + 1, device=params.device)
        return torch.where(_open(field).unsqueeze(-1), faults, torch.zeros_like(faults))

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        count, open_ = field.clean.shape[1], _open(field)
        luck = torch.where(open_, rng.uniform((count,), draw), torch.zeros((), device=open_.device))
        order = luck.argsort(dim=1, descending=True, stable=True)
        place = order.argsort(dim=1, stable=True)
        fault = (rng.uniform((count,), draw ^ _OTHER) * len(self.faults)).long() + 1
        return torch.where(open_ & (place < limit.floor().unsqueeze(1)), fault, torch.zeros_like(fault))

    def sentence(self, limit: str) -> str:
        words = {"zero": "zero", "flat": "a flat line", "noise": "noise"}
        listed = [words[each] for each in self.faults]
        shown = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"
        return f"replace at most {limit} leads by {shown}"

    def _fault(self, field: Field, fault: str) -> Tensor:
        clean = field.clean
        middle = clean.mean(dim=-1, keepdim=True)
        if fault == "zero":
            shown = torch.zeros_like(clean)
        elif fault == "flat":
            shown = middle.expand_as(clean)
        else:
            # One stream for all cases, so that a fault is a function of the case alone.
            drawn = CaseRandom.of("dropped lead", [str(self.seed)]).normal(tuple(clean.shape[1:]), 0, torch.float64)
            spread = (clean - middle).square().mean(dim=-1, keepdim=True).sqrt()
            shown = middle + spread * drawn.to(clean)
        return field.clip(shown)


def _open(field: Field) -> Bool[Tensor, "n C"]:
    """Which leads may fail: those that no mask touches."""
    if field.mask is None:
        return torch.ones(field.clean.shape[:2], dtype=torch.bool, device=field.clean.device)
    return (field.mask.expand_as(field.clean) != 0).all(dim=-1)
