"""Titer's side of a row, as anyone would call it."""

from __future__ import annotations

import torch
from torch import Tensor

from speed.subjects import Subject
from speed.timing import Entry
from titer.attacks import engine
from titer.attacks.attack import Attack
from titer.threats.change import Change
from titer.threats.changes.additive import Additive
from titer.threats.threat import ThreatModel


def titer(attack: Attack, subject: Subject, threat: ThreatModel, settings: str = "") -> Entry:
    """Search, application, measurement and judgement by the engine."""

    def run() -> Tensor:
        outcome = engine.run(attack, subject.model, subject.batch, threat, seed="benchmark")
        return torch.from_numpy(outcome.perturbed).to(subject.device)

    return Entry("titer", settings or repr(attack), run)


def additive(subject: Subject, norm: str, limit: float | None = None, **more: object) -> ThreatModel:
    """Values that move within a norm."""
    return ThreatModel(Additive(norm), subject.limits[norm] if limit is None else limit, **more)  # type: ignore[arg-type]


def under(change: Change, limit: float, **more: object) -> ThreatModel:
    """Another change."""
    return ThreatModel(change, limit, **more)  # type: ignore[arg-type]
