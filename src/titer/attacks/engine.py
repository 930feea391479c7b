"""The engine: teaches attacks that learn, runs a search, then applies, measures and judges what it found."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from titer.attacks._clean import remembered
from titer.attacks._device import pieces
from titer.attacks._rows import lanes
from titer.attacks.attack import Attack, untaught
from titer.attacks.problem import Meter, Problem
from titer.cases.case import Array, Batch
from titer.errors import AttackError, ThreatError
from titer.models.model import Model, allows, no_scores, to_tensor
from titer.models.prepare import prepared
from titer.threats.change import BallChange, Field
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

# A cost may pass its limit, and a value its range, by this part of it: what float32 cannot tell apart.
_SLACK = 1e-6
# How much longer a change is made that only the quicker form falls to.
_STRETCHES = (1e-5, 1e-4, 1e-3)
# Cases of a pool that are asked about at once.
_PIECE = 256
_OTHERWISE = "use an attack for that knowledge: 'square' for scores, 'hopskipjump' for labels"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of one attack on some cases; every array has one row per case.

    Arguments
        perturbed: [n, *shape] perturbed cases, exactly in range, as the model saw them (embeddings: the clean notes).
        fooled: whether the attacker got what was wanted.
        clean_scores, scores: [n, K] (maps: [n, K, *spatial]) before and after.
        cost: what was paid, in the unit of the limit; never above it.
        queries, passes: questions asked and gradients taken.
        flat, broken: share of the gradients that were all zero, or not numbers.
        violated: proposals that broke limit, mask, range or change; these cases were left clean.
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
    size: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Attack every case of a batch and judge the result.

    Arguments
        attack, model, batch, threat: who searches, against what, on which cases, under which rules.
        seed: text from which each case's random numbers follow, with the case's own name.
        limits: [n] one limit per case, instead of the threat's.
        choices: [V, C] for changes of words: what may replace each word.
        size: cases that are worked on at once, without influence on the result on the CPU; None for 256 to 1,024, by
            their size, or what fits into the memory of a graphics card.
        progress: called with the number of cases finished.

    Torch models are searched in a quicker form where there is one (`titer.models.prepare`) and judged as they are.
    Cases, search and judgement stay on the device of the model's weights. Bits are promised on the CPU: on a graphics
    card a sum may change in its last place with the cases beside it, and a search along a border with it. The
    model, its gradients and all global random state are as before when this returns. A proposal that breaks
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
    if attack.learns:
        raise untaught(attack)
    _check_pair(attack, model, batch, threat)
    per_case = np.full(len(batch), threat.limit) if limits is None else np.asarray(limits, dtype=np.float64)
    if per_case.shape != (len(batch),) or not np.isfinite(per_case).all() or (per_case < 0).any():
        raise ThreatError(f"{len(batch)} finite limits of 0 or more", str(per_case.shape), "give one limit per case")
    trial = _Trial(attack, model, threat, seed, choices)

    def piece(start: int, stop: int) -> dict[str, Any]:
        rows = np.arange(start, stop)
        found = trial.run(batch.take(rows), per_case[rows])
        if progress is not None:
            progress(len(rows))
        return found

    with model.ready(), _undisturbed(seed):
        return _join(pieces(len(batch), size, model, piece), model, batch)


def learn(
    attack: Attack, model: Model, pool: Batch, threat: ThreatModel, *, seed: str, choices: Array | None = None
) -> Attack:
    """Teach an attack that learns on a pool of cases; what comes back is run on other cases as any attack is.

    Arguments
        attack: an attack whose class says `learns`.
        model, pool, threat: against what, from which cases and under which rules it learns. The model may be a
            stand-in for the one that is attacked afterwards: what was learned is applied without asking.
        seed, choices: as in `run`.

    Nothing in the pool is judged and nothing is reported of it, so keep the cases of the pool apart from those that
    are attacked. The threat's limit of questions holds for each case of the pool. The order of the pool has no
    influence; model and global random state are as before when this returns.

    >>> import titer.testing.models as examples
    >>> from titer.attacks.universal import Universal
    >>> from titer.threats.changes.additive import Additive
    >>> model, batch = examples.linear(features=4, cases=40)
    >>> threat = ThreatModel(Additive("linf"), 1.0)
    >>> learned = learn(Universal(), model, batch.take(range(20)), threat, seed="docs")
    >>> outcome = run(learned, model, batch.take(range(20, 40)), threat, seed="docs")
    >>> learned.learns, int(outcome.queries.sum()), float(outcome.fooled.mean()) > 0.3
    (False, 0, True)
    """
    if not len(pool):
        raise AttackError(f"cases for {attack.name} to learn from", "an empty pool", "give it cases, none of the test")
    _check_pair(attack, model, pool, threat)
    order = np.argsort(np.asarray(pool.ids), kind="stable")
    with model.ready(), _undisturbed(seed):
        taught = _Trial(attack, model, threat, seed, choices).learn(pool.take(order))
    if taught.learns:
        raise AttackError(
            f"an attack that is done with learning from {attack.name}",
            f"{taught.name}, which learns",
            "correct 'learn'",
        )
    return taught


@dataclass(frozen=True, eq=False)
class _Trial:
    """Who searches, against what, under which rules: the same for every piece of the batch."""

    attack: Attack
    model: Model
    threat: ThreatModel
    seed: str
    choices: Array | None

    def run(self, batch: Batch, limits: Array) -> dict[str, Any]:
        problem = self._problem(batch, limits)
        judge = replace(problem, model=self.model.judging())
        clean = self._clean(problem, batch)
        before = clean if judge.model is problem.model else self._clean(judge, batch)
        rng = CaseRandom.of(self.seed, batch.ids).to(self.model.device)
        theirs = replace(_theirs(problem, clean), model=self._quick())
        params = self.attack.search(theirs, rng).detach()
        exact = self.model.device.type == "cpu"
        if self.attack.minimal and (theirs.model is not problem.model or not exact):
            params = self._recheck(replace(problem, clean=clean), theirs, params, rng)
        return self._judge(judge, params, batch, limits, before.double().cpu().numpy())

    def learn(self, pool: Batch) -> Attack:
        problem = self._problem(pool, np.full(len(pool), self.threat.limit))
        parts = torch.split(torch.arange(len(pool), device=problem.inputs.device), _PIECE)
        clean = torch.cat([self._clean(problem.rows(rows), pool.take(rows.cpu().numpy())) for rows in parts])
        theirs = replace(_theirs(problem, clean), model=self._quick())
        return self.attack.learn(theirs, CaseRandom.of(self.seed, pool.ids).to(self.model.device))

    def _quick(self) -> Model:
        """The model that is searched: its quicker form, unless a search along the border could not be repeated."""
        search = self.attack
        if search.minimal and (search.needs != "gradients" or self.threat.queries is not None):
            return self.model
        return prepared(self.model)

    def _recheck(self, problem: Problem, theirs: Problem, params: Tensor, rng: CaseRandom) -> Tensor:
        """Cases so near the border that only the quicker form is fooled are pushed over it, or searched again.

        A change that ends on the border is stretched by parts of a thousandth, which is more than rounding and less
        than anybody counts. Where that does not help, or breaks the limit, the search is done on the model itself. On a
        graphics card an answer changes with the cases that are asked about beside it, so that every change which does
        not fool is stretched, and none is searched again.
        """
        exact = self.model.device.type == "cpu"
        with torch.no_grad():
            if exact:
                claimed = theirs.advantage(theirs.ask(params)[0]) > 0
            else:
                claimed = (params != problem.nothing()).flatten(1).any(dim=1)
            fooled = problem.advantage(problem.ask(params)[0]) > 0
            rows = (claimed & ~fooled).nonzero()[:, 0]
            for stretch in _STRETCHES if isinstance(problem.change, BallChange) else ():
                if not len(rows):
                    return params
                part = problem.rows(rows)
                longer = part.project(params[rows] * (1 + stretch))
                over = part.advantage(part.ask(longer)[0]) > 0
                params = params.index_copy(0, rows[over], longer[over])
                rows = rows[~over]
        if not len(rows) or not exact:
            return params
        again = self.attack.search(_theirs(problem.rows(rows), problem.clean[rows]), rng.rows(rows)).detach()
        return params.index_copy(0, rows, again)

    def _clean(self, problem: Problem, batch: Batch) -> Tensor:
        with torch.no_grad():
            clean = remembered(problem.model, batch, lambda: problem.ask(problem.nothing())[0])
        self.model.task.check(clean.double().cpu().numpy(), batch.targets)
        return clean

    def _problem(self, batch: Batch, limits: Array) -> Problem:
        model, threat = self.model, self.threat
        inputs = to_tensor(batch.inputs, model.space).to(model.device)
        surface = inputs
        if threat.change.surface == "embedding":
            with torch.no_grad():
                surface = model.embed(inputs)
        field = _field(self, batch, inputs, surface)
        threat.change.check(field)
        size = surface.dtype if surface.is_floating_point() else torch.float32
        return Problem(
            model=model,
            inputs=inputs,
            field=field,
            change=threat.change,
            limit=torch.as_tensor(limits, dtype=size, device=inputs.device),
            goal=threat.goal,
            truth=_truth(model, batch, threat).to(model.device),
            clean=torch.zeros(len(batch), model.task.outputs, device=inputs.device),
            knowledge=threat.knowledge,
            meter=Meter(len(batch), inputs.device),
            index=torch.arange(len(batch), device=inputs.device),
            budget=threat.queries,
            lane=lanes(model, batch.ids),
        )

    def _judge(self, problem: Problem, params: Tensor, batch: Batch, limits: Array, before: Array) -> dict[str, Any]:
        change, goal, task = self.threat.change, self.threat.goal, self.model.task
        ideal = problem.nothing()
        _check_shape(self.attack, params, ideal)
        cost = change.cost(problem.field, params).double().cpu().numpy()
        # Written so that a cost that is no number counts as too much.
        violated = ~(cost <= limits * (1 + _SLACK)) | _outside(problem, params)
        taken_back = torch.from_numpy(violated).to(params.device).reshape(-1, *([1] * (params.dim() - 1)))
        with torch.no_grad():
            answer, perturbed = problem.ask(torch.where(taken_back, ideal, params))
        scores = answer.double().cpu().numpy()
        task.check(scores)
        fooled = goal.fooled(task, batch.targets, before, scores)
        already = goal.fooled(task, batch.targets, before, before)
        idle = already & ~fooled & (not self.attack.control)
        if idle.any():
            rows = torch.from_numpy(np.flatnonzero(idle)).to(params.device)
            scores[idle], fooled[idle] = before[idle], True
            perturbed[rows] = change.apply(problem.field.rows(rows), ideal[rows])
        cost[violated | idle] = 0.0
        shown = problem.inputs if change.surface == "embedding" else perturbed
        seen = problem.meter.told()
        return {
            "perturbed": shown.cpu().numpy(),
            "fooled": fooled,
            "clean_scores": before,
            "scores": scores,
            "cost": cost,
            **seen,
            "violated": violated,
        }


def _theirs(problem: Problem, clean: Tensor) -> Problem:
    """The problem as the attack gets it, on copies: whatever it does to them, the judge has its own."""
    return replace(
        problem,
        inputs=problem.inputs.clone(),
        field=replace(problem.field, clean=problem.field.clean.clone()),
        clean=problem.seen(clean).clone(),
    )


@contextmanager
def _undisturbed(seed: str) -> Iterator[None]:
    """All global random state set from the seed (for models that draw) and put back afterwards."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "little")
    plain, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(number)
        np.random.seed(number)
        random.seed(number)
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(array)


def _check_pair(attack: Attack, model: Model, batch: Batch, threat: ThreatModel) -> None:
    model.space.check(batch.inputs, "cases under attack")
    threat.check(model.space, model.task)
    seen = threat.knowledge == "structure" and model.trees() is not None
    if not (seen or allows(model.access, threat.knowledge)):
        raise ThreatError(
            f"an attacker who sees no more than the model gives ({model.access})",
            f"knowledge {threat.knowledge!r}",
            f"set knowledge to {model.access!r}",
        )
    if not allows(threat.knowledge, attack.needs):
        raise AttackError(
            f"{attack.needs} for {attack.name}",
            f"an attacker who sees {threat.knowledge}",
            _OTHERWISE if attack.needs != "structure" else "set the threat's 'knowledge' to 'structure'",
        )
    missing = attack.accepts(model)
    if missing is not None:
        raise AttackError(f"a model that {attack.name} can attack", f"{model.name}: {missing}", _OTHERWISE)
    if not attack.fits(threat.change):
        raise AttackError(
            f"a change that {attack.name} can search",
            f"{threat.change.name!r} {getattr(threat.change, 'norm', '')}".strip(),
            "choose another attack or another change in the plan",
        )


def _check_shape(attack: Attack, params: Tensor, ideal: Tensor) -> None:
    if params.shape != ideal.shape or params.dtype != ideal.dtype:
        raise AttackError(
            f"parameters of shape {list(ideal.shape)} and type {ideal.dtype} from {attack.name}",
            f"{list(params.shape)} and {params.dtype}",
            "return parameters of the change, one per case",
        )


def _outside(problem: Problem, params: Tensor) -> Array:
    """[n] whether a proposal leaves the valid range, moves what it must not, is no number or not of the change."""
    field = problem.field
    perturbed = problem.change.apply(field, params).detach()
    bad = ~torch.isfinite(perturbed).flatten(1).all(dim=1) | ~problem.change.valid(field, params)
    if field.low is not None and field.high is not None:
        slack = _SLACK * (field.high - field.low)
        beyond = (perturbed < field.low - slack) | (perturbed > field.high + slack)
        bad |= beyond.flatten(1).any(dim=1)
    if field.mask is not None:
        moved = (perturbed != field.clean) & (field.mask == 0)
        bad |= moved.flatten(1).any(dim=1)
    return np.asarray(bad.cpu().numpy())


def _field(trial: _Trial, batch: Batch, inputs: Tensor, surface: Tensor) -> Field:
    space, threat, choices = trial.model.space, trial.threat, trial.choices
    mask = None
    if threat.where != "all":
        if batch.masks is None:
            what = "lesion masks" if threat.where == "outside-mask" else "masks"
            raise ThreatError(f"{what} for {threat.where!r}", "cases without masks", "set 'where' to 'all'")
        marked = np.asarray(batch.masks, dtype=np.float32)
        mask = torch.from_numpy(marked if threat.where == "inside-mask" else 1 - marked).to(surface)
    if space.kind == "tokens":
        words = inputs != space.padding if mask is None else (inputs != space.padding) & (mask != 0)
        mask = (words.unsqueeze(-1) if threat.change.surface == "embedding" else words).to(torch.float32)
        table = None if choices is None else torch.from_numpy(np.asarray(choices, dtype=np.int64)).to(surface.device)
        one = torch.ones((), dtype=torch.float32, device=surface.device)
        return Field(surface, None, None, one, mask, table)
    low, high = (torch.from_numpy(np.asarray(edge)).to(surface) for edge in space.bounds())
    scale = torch.from_numpy(np.asarray(space.per_channel(space.scale))).to(surface)
    return Field(surface, low, high, scale, mask, rate=space.rate, spacing=space.spacing, names=space.names)


def _truth(model: Model, batch: Batch, threat: ThreatModel) -> Tensor:
    if threat.goal.kind == "targeted":
        return torch.from_numpy(threat.goal.targets(model.task, batch.targets).astype(np.int64))
    if model.task.kind == "regression":
        return torch.from_numpy(batch.targets.astype(np.float64))
    return torch.from_numpy(batch.targets.astype(np.int64))


def _join(parts: list[dict[str, Any]], model: Model, batch: Batch) -> Outcome:
    if parts:
        return Outcome(**{key: np.concatenate([part[key] for part in parts]) for key in parts[0]})
    none = np.zeros(0)
    table = no_scores(model)
    empty = np.zeros(0, dtype=bool)
    return Outcome(batch.inputs[:0], empty, table, table, none, none, none, none, none, empty)
