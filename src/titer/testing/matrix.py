"""Every attack against every kind of target: who runs on what, and why the rest is refused.

Nothing is listed by hand: attacks and changes come from their folders and from installed packages. A pairing either
runs and keeps limit, range and independence, or is refused with a remedy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome, learn, run
from titer.cases.case import Array, Batch
from titer.cases.space import Space
from titer.errors import TiterError
from titer.models.model import Model
from titer.registry import ATTACKS, CHANGES
from titer.testing import models
from titer.threats.change import Change
from titer.threats.changes.additive import Additive
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.lowpass import LowPass
from titer.threats.changes.substitution import Substitution
from titer.threats.threat import ThreatModel

_CASES = 4
# Settings that say how long an attack searches, and how little is enough to see that it runs.
_SHORT = {
    "steps": 3, "restarts": 2, "iterations": 3, "rounds": 2, "tries": 2, "starts": 2, "samples": 4, "draws": 2,
    "queries": 24, "epochs": 1, "pool": 4, "searches": 2, "candidates": 64, "trials": 4, "refine": 1, "pairs": 3,
}  # fmt: skip
_PLAIN = Space("image", (2, 9, 7), "optical density", (0.0, -2.0), (0.3, 3.0))
_CT = Space("volume", (1, 4, 6, 5), "HU", -1000.0, 1000.0)
_SD = Space("table", (6,), "SD", -3.0, 3.0)


@dataclass(frozen=True)
class Target:
    """One kind of target.

    Arguments
        label: its column. kind, answer, where: see `titer.testing.models.network`. change, limit: the threat.
        dtype: what the cases are stored as. fixed: the change is what the column is about; elsewhere an attack that
            does not search it gets one that it does.
    """

    label: str
    kind: models.Place
    answer: models.Answer
    change: Change
    limit: float
    where: Space | None = None
    dtype: str = "float32"
    fixed: bool = False

    @property
    def place(self) -> tuple[models.Place, models.Answer, Space | None, str]:
        """What decides model and cases."""
        return self.kind, self.answer, self.where, self.dtype

    def suited(self, attack: Attack) -> Target:
        """The same target under a change that the attack searches, if there is one."""
        if self.fixed or attack.fits(self.change):
            return self
        others: list[tuple[Change, float]] = [(Additive("l2"), 2 * self.limit), (Additive("l0"), 3.0)]
        others += [(each.change, each.limit) for each in _further() if self.kind in each.change.kinds]
        fitting = ((change, limit) for change, limit in others if attack.fits(change))
        change, limit = next(fitting, (self.change, self.limit))
        return replace(self, change=change, limit=limit)


@dataclass(frozen=True)
class Pairing:
    """One attack on one target: `refused` is why it does not run, and empty where it does."""

    attack: str
    target: str
    refused: str = ""


ANSWERS = (
    Target("one logit", "table", "binary", Additive("linf"), 0.3),
    Target("two classes", "table", "two classes", Additive("linf"), 0.3),
    Target("three classes", "table", "classes", Additive("linf"), 0.3),
    Target("findings", "table", "multilabel", Additive("linf"), 0.3),
    Target("regression", "table", "regression", Additive("linf"), 0.3),
    Target("anomaly", "table", "anomaly", Additive("linf"), 0.3),
    Target("maps", "image", "segmentation", Additive("linf"), 0.1),
    Target("one-logit maps", "image", "mask", Additive("linf"), 0.1),
)
INPUTS = (
    Target("1-D", "signal", "classes", Additive("linf"), 0.3),
    Target("2-D", "image", "two classes", Additive("linf"), 0.1),
    Target("3-D", "volume", "binary", Additive("linf"), 50.0, _CT),
    Target("float16", "table", "classes", Additive("linf"), 0.3, None, "float16"),
    Target("float64", "table", "classes", Additive("linf"), 0.3, None, "float64"),
    Target("in SD", "table", "binary", Additive("linf"), 0.3, _SD),
    Target("range per channel", "image", "classes", Additive("linf"), 0.05, _PLAIN),
)
CHANGED = (
    Target("L2", "image", "classes", Additive("l2"), 0.5, fixed=True),
    Target("L0", "image", "classes", Additive("l0"), 4.0, fixed=True),
    Target("lowpass", "signal", "classes", LowPass("linf"), 0.3, fixed=True),
    Target("words", "tokens", "classes", Substitution(), 2.0, fixed=True),
    Target("embedding", "tokens", "binary", Embedding("l2"), 0.5, fixed=True),
)


def targets() -> tuple[Target, ...]:
    """All targets: the ones above, and each further change of the registry on the first kind of space it is for."""
    return ANSWERS + INPUTS + CHANGED + tuple(_further())


def quick(kind: type[Attack], model: Model | None = None) -> Attack:
    """An attack with defaults, but short: settings that say how long it searches are lowered where they can be.

    An attack that searches surrogates is given this model as one.

    >>> from titer.attacks.pgd import PGD
    >>> quick(PGD).steps
    3
    """
    named = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    short: dict[str, Any] = {"surrogates": (model,)} if model is not None and "surrogates" in named else {}
    for each in fields(kind):  # type: ignore[arg-type]
        usual = each.default
        least = next((most for word, most in _SHORT.items() if word == each.name or each.name.endswith(f"_{word}")), 0)
        if usual is MISSING or isinstance(usual, bool) or not isinstance(usual, int) or not 0 < least < usual:
            continue
        try:
            kind(**short, **{each.name: least})
        except TiterError:
            continue
        short[each.name] = least
    return kind(**short)


@lru_cache(maxsize=64)
def row(name: str, device: str = "cpu") -> tuple[Pairing, ...]:
    """All pairings of one attack, each one tried; raises AssertionError where one runs and breaks a law.

    On another device than the CPU, where bits are not promised, independence of the batch is not asked for.
    """
    kind = ATTACKS.find(name)
    found = []
    for target in targets():
        try:
            suited = target.suited(quick(kind, _made(*target.place)[0]))
            attack = quick(kind, _made(*suited.place)[0])
        except (TypeError, TiterError) as error:
            found.append(Pairing(name, target.label, f"it needs settings of its own ({error})"))
        else:
            found.append(_try(attack, suited, device))
    return tuple(found)


def page() -> str:
    """The matrix as Markdown: `docs/matrix.md`."""
    said = (
        "Made by `python -m titer.testing.matrix > docs/matrix.md` from the pairings that the tests try; not edited by "
        "hand. A dot marks a pairing that runs within limit and range, the same alone and in a batch; in the first two "
        "tables the change is additive (L-infinity, or the first that the attack searches). A number says why a "
        "pairing is refused; the error also says what to use instead."
    )
    parts = ["# What runs on what", said]
    rows = {name: {pair.target: pair.refused for pair in row(name)} for name in ATTACKS.names()}
    reasons: dict[str, int] = {}
    shown = (
        ("Kinds of answer", ANSWERS),
        ("Kinds of input", INPUTS),
        ("Kinds of change", (*CHANGED, *_further())),
    )
    for title, group in shown:
        labels = [target.label for target in group]
        lines = [f"| attack | {' | '.join(labels)} |", "|---|" + "---|" * len(labels)]
        for name, found in rows.items():
            signs = []
            for label in labels:
                why = found[label]
                signs.append("·" if not why else str(reasons.setdefault(why, len(reasons) + 1)))
            lines.append(f"| {name} | {' | '.join(signs)} |")
        parts += [f"## {title}", "\n".join(lines)]
    parts += ["## Why not", "\n".join(f"{number}. {why}" for why, number in reasons.items())]
    return "\n\n".join(parts) + "\n"


@lru_cache(maxsize=64)
def _made(
    kind: models.Place, answer: models.Answer, where: Space | None, dtype: str, trees: bool = False
) -> tuple[Model, Batch, Array | None]:
    model: Model
    if trees and kind == "table" and where is None and answer not in ("multilabel", "anomaly"):
        model, batch = models.forest(_CASES, answer=answer, seed=5)
    else:
        model, batch = models.network(kind, _CASES, answer=answer, seed=5, where=where)
    if kind == "tokens":
        return model, batch, models.choices(model.space)
    inputs = batch.inputs.astype(dtype)
    return model, Batch.of(inputs, model.task.decide(model.predict(inputs))), None


def _try(attack: Attack, target: Target, device: str) -> Pairing:
    model, batch, choices = _made(*target.place, trees=attack.needs == "structure")
    before = batch.inputs.copy()
    module = getattr(model, "module", torch.nn.Identity())
    state = {key: value.clone() for key, value in module.state_dict().items()}
    luck = torch.get_rng_state()
    module.train()
    module.to(device)
    try:
        threat = ThreatModel(target.change, target.limit, knowledge=attack.needs)
        taught = learn(attack, model, batch, threat, seed="matrix", choices=choices) if attack.learns else attack
        found = run(taught, model, batch, threat, seed="matrix", choices=choices)
        alone = run(taught, model, batch.take([2]), threat, seed="matrix", choices=choices)
    except TiterError as error:
        if not error.remedy:
            raise AssertionError(f"{attack.name} refuses {target.label} without a remedy: {error}") from error
        return Pairing(attack.name, target.label, f"{error.expected}, got {error.got}".replace(attack.name, "it"))
    finally:
        left = all(part.training for part in module.modules())
        module.to("cpu").eval()
    where = f"{attack.name} on {target.label}"
    _true(left, f"{where}: training mode changed")
    _true(np.array_equal(before, batch.inputs), f"{where}: cases changed in place")
    after = module.state_dict()
    _true(all(torch.equal(value, after[key]) for key, value in state.items()), f"{where}: the model changed")
    _true(torch.equal(luck, torch.get_rng_state()), f"{where}: the global random state changed")
    _keeps(found, batch, model.space, target, where)
    for name in ("perturbed", "fooled", "scores", "cost", "queries") if device == "cpu" else ():
        same = np.array_equal(getattr(found, name)[[2]], getattr(alone, name))
        _true(same, f"{where}: '{name}' of a case depends on its company")
    return Pairing(attack.name, target.label)


def _keeps(outcome: Outcome, batch: Batch, space: Space, target: Target, where: str) -> None:
    _true(not outcome.violated.any(), f"{where}: {int(outcome.violated.sum())} proposals broke limit, mask or range")
    _true(bool((outcome.cost <= target.limit * (1 + 1e-6)).all()), f"{where}: a cost of {outcome.cost.max()}")
    if space.kind == "tokens":
        return
    low, high = (edge.astype(outcome.perturbed.dtype) for edge in space.bounds())
    inside = (outcome.perturbed >= low) & (outcome.perturbed <= high)
    _true(bool(inside.all()), f"{where}: a value out of range")
    if type(target.change) is not Additive or target.change.norm == "l0":
        return
    # Half precision may begin past the range, from where the engine moves it back.
    clean = np.clip(batch.inputs.astype(outcome.perturbed.dtype), low, high).astype(np.float64)
    moved = np.abs((outcome.perturbed - clean) / space.per_channel(space.scale)).reshape(len(batch), -1)
    size = moved.max(axis=1) if target.change.norm == "linf" else np.sqrt((moved**2).sum(axis=1))
    _true(bool((size <= target.limit * (1 + 1e-6)).all()), f"{where}: moved by {size.max()}")


def _further() -> Iterator[Target]:
    known = {target.change.name for target in CHANGED}
    for name in CHANGES.names():
        if name in known or name == "additive":
            continue
        try:
            change: Change = CHANGES.find(name)()
        except (TypeError, TiterError):
            continue
        yield Target(name, change.kinds[0], "classes", change, 1.0, fixed=True)


def _true(held: bool, otherwise: str) -> None:
    if not held:
        raise AssertionError(otherwise)


if __name__ == "__main__":
    import sys

    torch.set_num_threads(1)
    sys.stdout.write(page())
