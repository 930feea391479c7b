"""Corruption: what happens to recordings without any attacker. A control: nobody chose it to mislead a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titer.cases.space import Kind, Space
from titer.errors import ThreatError
from titer.threats.change import DrawnChange, Field
from titer.threats.changes import _corrupt_pictures as pictures
from titer.threats.changes import _corrupt_signals as signals
from titer.threats.changes._dials import column
from titer.threats.random import CaseRandom

# Whole numbers below this are exact in every precision that cases come in.
_WORD = 2**24


@dataclass(frozen=True)
class Corruption(DrawnChange):
    """One natural corruption per case, with the severity as its limit: 0 leaves the recording, 1 is plain to see.

    Pictures and volumes: noise (up to 0.2 of the range), blur (up to 3 pixels), blocks (JPEG-like rounding), ghosting
    and motion (lines of k-space weakened or read after a movement, as in MRI). Signals: wander of the baseline, hum of
    the mains, noise of muscles, a moved electrode, a dead channel; at severity 1 a disturbance is as large as the
    signal. Parameters are the number of the corruption, its severity, and two whole numbers from which its random
    numbers follow.

    It is drawn, not searched: `natural` runs it as a control, `random_search` takes the worst of many. There are no
    slopes, so gradient attacks refuse it.

    Source: the idea of graded natural corruptions of Hendrycks and Dietterich 2019 (arXiv 1903.12261); kinds and sizes
    are ours. Disturbances of ECG after Moody et al. 1984 (the MIT-BIH noise stress test).

    Arguments
        only: names of the corruptions to draw from; empty for all that the recording allows.
        mains: frequency of the power lines in Hz.

    Refuses names that do not exist for the space, and wander and hum without a sampling rate high enough for them; left
    to itself it leaves these two out.

    >>> Corruption(only=("noise", "blur")).sentence("0.5 of full severity")
    'let nature corrupt the recording by noise or blur, at 0.5 of full severity'
    """

    only: tuple[str, ...] = ()
    mains: float = 50.0
    name: ClassVar[str] = "corruption"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "volume", "signal")

    def __post_init__(self) -> None:
        object.__setattr__(self, "only", (self.only,) if isinstance(self.only, str) else tuple(self.only))
        known = {*pictures.CORRUPTIONS, *signals.CORRUPTIONS}
        for each in self.only:
            if each not in known:
                raise ThreatError(f"corruptions among {', '.join(sorted(known))}", repr(each), "correct 'only'")
        if not (math.isfinite(self.mains) and self.mains > 0):
            raise ThreatError("a frequency above 0 Hz", str(self.mains), "correct 'mains'")

    def unit(self, space: Space) -> str:
        return "of full severity"

    def names(self, field: Field) -> tuple[str, ...]:
        """The corruptions that are drawn from, in the order of their numbers."""
        if field.clean.dim() > 3:
            fitting = tuple(pictures.CORRUPTIONS)
        else:
            slow = field.rate is None or field.rate <= 2 * self.mains
            late = {"wander": field.rate is None, "hum": slow}
            fitting = tuple(each for each in signals.CORRUPTIONS if not late.get(each, False))
        return self.only or fitting

    def check(self, field: Field) -> None:
        fitting = Corruption(mains=self.mains).names(field)
        wrong = [each for each in self.only if each not in fitting]
        if wrong:
            timed = wrong[0] in signals.TIMED and field.clean.dim() == 3
            raise ThreatError(
                f"corruptions among {', '.join(fitting)} for this recording",
                repr(wrong[0]),
                "give the space a sampling rate above twice 'mains'" if timed else "correct 'only'",
            )

    def nothing(self, field: Field) -> Tensor:
        return torch.zeros(len(field), 4, dtype=field.clean.dtype, device=field.clean.device)

    def apply(self, field: Field, params: Tensor) -> Tensor:
        kind, severity = params[:, 0], params[:, 1]
        rng = CaseRandom(params[:, 2:].long())
        changed = field.clean
        for number, name in enumerate(self.names(field)):
            chosen = (kind == number) & (severity > 0)
            if bool(chosen.any()):
                # All rows are worked on, so that the bits of a case do not hang on what befalls the others.
                changed = torch.where(column(chosen, changed), self._made(field, name, severity, rng), changed)
        return torch.where(field.mask != 0, changed, field.clean) if field.mask is not None else changed

    def cost(self, field: Field, params: Tensor) -> Float[Tensor, " n"]:
        return params[:, 1]

    def valid(self, field: Field, params: Tensor) -> Bool[Tensor, " n"]:
        whole = (params[:, [0, 2, 3]] == params[:, [0, 2, 3]].floor()).all(dim=1)
        known = (params[:, 0] >= 0) & (params[:, 0] < len(self.names(field)))
        return whole & known & (params[:, 1] >= 0) & ((params[:, 2:] >= 0) & (params[:, 2:] < _WORD)).all(dim=1)

    def sample(self, field: Field, limit: Float[Tensor, " n"], rng: CaseRandom, draw: int) -> Tensor:
        words = rng.words(3, draw) >> 8
        kind = (words[:, :1] * len(self.names(field))) // _WORD
        return torch.cat((kind.to(limit), limit.unsqueeze(1), words[:, 1:].to(limit)), dim=1).to(field.clean.dtype)

    def sentence(self, limit: str) -> str:
        by = f" by {' or '.join(self.only)}" if self.only else ""
        return f"let nature corrupt the recording{by}, at {limit}"

    def _made(self, field: Field, name: str, severity: Tensor, rng: CaseRandom) -> Tensor:
        if field.clean.dim() > 3:
            return field.clip(pictures.CORRUPTIONS[name](field, severity, rng))
        made = partial(signals.hum, mains=self.mains) if name == "hum" else signals.CORRUPTIONS[name]
        return field.clip(made(field, severity, rng))
