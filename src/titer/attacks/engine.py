"""The engine: runs a search, then applies, measures and judges what it found."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.problem import Meter, Problem
from titer.cases.case import Array, Batch
from titer.errors import AttackError, ThreatError
from titer.models.model import Model, allows, to_tensor
from titer.threats.change import Field
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

# A cost may pass its limit by what float32 cannot tell apart.
_SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of one attack on some cases; every array has one row per case.

    Arguments
        perturbed: [n, *shape] perturbed cases (for embeddings: the clean notes).
        fooled: whether the attacker got what was wanted.
        clean_scores, scores: [n, K] before and after.
        cost: what was paid, in the unit of the limit; never above it.
        queries, passes: questions asked and gradients taken.
        flat, broken: share of the gradients that were all zero, or not numbers.
        violated: proposals that broke limit, mask or range; these cases were left clean.
    """

    perturbed: Array
    fooled: Array
    clean_scores: Array
    scores: Array
    cost: Array
    queries: Array
    passes: Array
    flat: Array
    broken: Array
    violated: Array

    def __len__(self) -> int:
        return len(self.fooled)


def run(
    attack: Attack,
    model: Model,
    batch: Batch,
    threat: ThreatModel,
    *,
    seed: str,
    limits: Array | None = None,
    choices: Array | None = None,
    size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Attack every case of a batch and judge the result.

    Arguments
        attack, model, batch, threat: who searches, against what, on which cases, under which rules.
        seed: text from which each case's random numbers follow, with the case's own name.
        limits: [n] one limit per case, instead of the threat's.
        choices: [V, C] for changes of words: what may replace each word.
        size: cases that are worked on at once; has no influence on the result.
        progress: called with the number of cases finished.

    The model, its gradients and all global random state are as before when this returns. A proposal that breaks
    the limit, the mask or the space is discarded and counted in `violated`. Where doing nothing already fools the
    model, the attacker does nothing rather than worse (controls excepted).

    >>> import titer.testing.models as examples
    >>> from titer.attacks.fgsm import FGSM
    >>> from titer.threats.changes.additive import Additive
    >>> model, batch = examples.linear(features=4, cases=6)
    >>> outcome = run(FGSM(), model, batch, ThreatModel(Additive("linf"), 10.0), seed="docs")
    >>> bool(outcome.fooled.all())
    True
    """
    _check_pair(attack, model, batch, threat)
    per_case = np.full(len(batch), threat.limit) if limits is None else np.asarray(limits, dtype=np.float64)
    if per_case.shape != (len(batch),) or not np.isfinite(per_case).all() or (per_case < 0).any():
        raise ThreatError(f"{len(batch)} finite limits of 0 or more", str(per_case.shape), "give one limit per case")
    pieces = []
    with model.ready():
        for start in range(0, len(batch), size):
            rows = np.arange(start, min(start + size, len(batch)))
            pieces.append(_piece(attack, model, batch.take(rows), threat, seed, per_case[rows], choices))
            if progress is not None:
                progress(len(rows))
    return _join(pieces, model, batch)


def _check_pair(attack: Attack, model: Model, batch: Batch, threat: ThreatModel) -> None:
    model.space.check(batch.inputs, "cases under attack")
    threat.check(model.space, model.task)
    if not allows(model.access, threat.knowledge):
        raise ThreatError(
            f"an attacker who sees no more than the model gives ({model.access})",
            f"knowledge {threat.knowledge!r}",
            f"set knowledge to {model.access!r}",
        )
    if not allows(threat.knowledge, attack.needs):
        raise AttackError(
            f"{attack.needs} for {attack.name}",
            f"an attacker who sees {threat.knowledge}",
            "use an attack for that knowledge: 'square' for scores, 'noise' for labels",
        )
    if not attack.fits(threat.change):
        raise AttackError(
            f"a change that {attack.name} can search ({attack.searches.__name__})",
            f"{threat.change.name!r} {getattr(threat.change, 'norm', '')}".strip(),
            "choose another attack or another change in the plan",
        )


def _piece(
    attack: Attack, model: Model, batch: Batch, threat: ThreatModel, seed: str, limits: Array, choices: Array | None
) -> dict[str, Any]:
    inputs = to_tensor(batch.inputs, model.space)
    surface = inputs
    if threat.change.surface == "embedding":
        with torch.no_grad():
            surface = model.embed(inputs)
    field = _field(model, batch, threat, inputs, surface, choices)
    meter = Meter(len(batch))
    limit = torch.as_tensor(limits, dtype=surface.dtype if surface.is_floating_point() else torch.float32)
    blank = torch.zeros(len(batch), model.task.outputs)
    truth = _truth(model, batch, threat)
    problem = Problem(
        model, inputs, field, threat.change, limit, threat.goal, truth, blank, threat.knowledge, meter,
        torch.arange(len(batch)), threat.queries,
    )  # fmt: skip
    with torch.no_grad():
        clean = problem._ask(problem.nothing())  # noqa: SLF001 - the judge's own question is not the attacker's
    model.task.check(clean.double().cpu().numpy())
    object.__setattr__(problem, "clean", problem._seen(clean))  # noqa: SLF001
    rng = CaseRandom.of(seed, batch.ids)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        params = attack.search(problem, rng).detach()
    return _judge(attack, problem, batch, threat, params, clean, limits)


def _judge(
    attack: Attack, problem: Problem, batch: Batch, threat: ThreatModel, params: Tensor, clean: Tensor, limits: Array
) -> dict[str, Any]:
    model, field = problem.model, problem.field
    ideal = problem.nothing()
    cost = threat.change.cost(field, params).double().cpu().numpy()
    violated = ~(cost <= limits * (1 + _SLACK) + _SLACK * (limits > 0)) | _outside(problem, threat, params)
    scores, perturbed = _answer(problem, params, violated, ideal)
    before = clean.double().cpu().numpy()
    fooled = threat.goal.fooled(model.task, batch.targets, before, scores)
    already = threat.goal.fooled(model.task, batch.targets, before, before)
    idle = already & ~fooled & (not attack.control)
    if idle.any():
        scores[idle], fooled[idle] = before[idle], True
        perturbed[torch.from_numpy(idle)] = threat.change.apply(field, ideal)[torch.from_numpy(idle)]
    cost[violated | idle] = 0.0
    seen = problem.meter
    passes = seen.passes.numpy()
    return {
        "perturbed": (problem.inputs if threat.change.surface == "embedding" else perturbed).cpu().numpy(),
        "fooled": fooled,
        "clean_scores": before,
        "scores": scores,
        "cost": cost,
        "queries": seen.queries.numpy(),
        "passes": passes,
        "flat": seen.flat.numpy() / np.maximum(passes, 1),
        "broken": seen.broken.numpy() / np.maximum(passes, 1),
        "violated": violated,
    }


def _answer(problem: Problem, params: Tensor, violated: Array, ideal: Tensor) -> tuple[Array, Tensor]:
    """The model's answer to what was found, with broken proposals taken back."""
    bad = torch.from_numpy(violated)
    kept = torch.where(bad.reshape(-1, *([1] * (params.dim() - 1))), ideal, params)
    with torch.no_grad():
        scores = problem._ask(kept)  # noqa: SLF001
        return scores.double().cpu().numpy(), problem.change.apply(problem.field, kept).detach()


def _outside(problem: Problem, threat: ThreatModel, params: Tensor) -> Array:
    """[n] whether a proposal leaves the valid range, moves what it must not, or is no number."""
    field = problem.field
    perturbed = threat.change.apply(field, params).detach()
    bad = ~torch.isfinite(perturbed.double()).flatten(1).all(dim=1)
    if field.low is not None and field.high is not None:
        slack = _SLACK * (field.high - field.low)
        beyond = (perturbed < field.low - slack) | (perturbed > field.high + slack)
        bad |= beyond.flatten(1).any(dim=1)
    if field.mask is not None:
        moved = (perturbed != field.clean) & (field.mask == 0)
        bad |= moved.flatten(1).any(dim=1)
    return np.asarray(bad.cpu().numpy())


def _field(
    model: Model, batch: Batch, threat: ThreatModel, inputs: Tensor, surface: Tensor, choices: Array | None
) -> Field:
    space = model.space
    mask = None
    if threat.where == "outside-mask":
        if batch.masks is None:
            raise ThreatError("lesion masks for 'outside-mask'", "cases without masks", "set 'where' to 'all'")
        mask = torch.from_numpy(1 - np.asarray(batch.masks, dtype=np.float32)).to(surface.dtype)
    if space.kind == "tokens":
        words = (inputs != space.padding).to(surface.dtype)
        mask = words.unsqueeze(-1) if threat.change.surface == "embedding" else words
        table = None if choices is None else torch.from_numpy(np.asarray(choices, dtype=np.int64))
        return Field(surface, None, None, torch.ones((), dtype=torch.float32), mask, table)
    low, high = (torch.from_numpy(np.asarray(edge)).to(surface.dtype) for edge in space.bounds())
    scale = torch.from_numpy(np.asarray(space.per_channel(space.scale))).to(surface.dtype)
    return Field(surface, low, high, scale, mask)


def _truth(model: Model, batch: Batch, threat: ThreatModel) -> Tensor:
    if threat.goal.kind == "targeted":
        return torch.from_numpy(threat.goal.targets(model.task, batch.targets).astype(np.int64))
    if model.task.kind == "regression":
        return torch.from_numpy(batch.targets.astype(np.float64))
    return torch.from_numpy(batch.targets.astype(np.int64))


def _join(pieces: list[dict[str, Any]], model: Model, batch: Batch) -> Outcome:
    if pieces:
        return Outcome(**{key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]})
    none = np.zeros(0)
    table = np.zeros((0, model.task.outputs))
    empty = np.zeros(0, dtype=bool)
    return Outcome(batch.inputs[:0], empty, table, table, none, none, none, none, none, empty)
