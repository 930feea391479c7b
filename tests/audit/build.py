"""Synthetic results in memory: whole audits without a model, healthy unless a test plants a fault.

    results = build(cases=200, seeds=(0, 1, 2))                       # one model, FGSM, PGD and noise at three radii
    worse = edited(results, lambda cell, trial: {"flat": ...})        # other columns in some attacked tables
    both = joined(build(name="A"), build(name="B", kind="signal"))    # several models in one audit

Every case has a hardness; it is answered wrongly, before or under an attack, where its hardness passes the rate. So
larger limits and stronger attacks turn a superset of cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from build_parts import SPACES, TASKS, attacked_table, clean_table, dataset_of

from titer.attacks.attack import Attack
from titer.attacks.fgsm import FGSM
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.audit.jobs import Prepared, Trial
from titer.audit.limits import read_limit
from titer.audit.plan import DataSpec, Plan, Subject, ThreatSpec
from titer.audit.results import CellResults, Measured, Results, cell_name
from titer.audit.subject import Threatened
from titer.audit.table import Array, Table
from titer.digest import digest
from titer.threats.changes.additive import Additive
from titer.threats.changes.substitution import Substitution
from titer.threats.goal import Goal

Kind = Literal["image", "rgb", "volume", "signal", "table", "tokens"]
Rate = Callable[[str, int, int], float]
Edit = Callable[[CellResults, Measured], Mapping[str, Array] | None]
USUAL = (FGSM(), PGD(), Noise())
RATES: Mapping[str, Sequence[float]] = {
    "fgsm": (0.75, 0.5, 0.3), "pgd": (0.65, 0.35, 0.1), "guess": (0.7, 0.45, 0.25), "noise": (0.9, 0.89, 0.88),
}  # fmt: skip


class StandIn(Attack):
    """Stands for any attack in results that nothing was run for."""

    reference: ClassVar[str] = "none"

    def search(self, problem: Any, rng: Any) -> Any:
        raise NotImplementedError


def stand_in(name: str, **attributes: Any) -> Attack:
    """An attack of that name, with other attributes of the class if told, such as `needs` or `control`."""
    made: type[Attack] = dataclass(frozen=True)(type(name, (StandIn,), {"name": name, **attributes}))
    return made()


def build(
    *,
    name: str = "T-CNN",
    kind: Kind = "image",
    task: str = "classes",
    norm: str = "linf",
    limits: Sequence[str] = ("1", "2", "4"),
    main: str | None = None,
    attacks: Sequence[Attack] = USUAL,
    rates: Mapping[str, Sequence[float]] | Rate = RATES,
    clean: float | Callable[[int], float] = 0.9,
    cases: int = 200,
    seeds: Sequence[int] = (0, 1, 2),
    goal: str = "untargeted",
    change: Any = None,
    data: str = "data",
    per_patient: int = 2,
    access: str = "gradients",
    facts: Mapping[str, Any] | None = None,
    wobble: float = 0.02,
    **plan: Any,
) -> Results:
    """One model under one threat.

    Arguments
        limits: as in a plan; for pictures in parts of 255.
        rates: attack -> share of cases that withstand, per limit; or a function of attack, limit and seed.
        clean: share answered rightly at first; or a function of the seed. wobble: how much shares vary between trials.
        facts: more facts of the clean tables. plan: further settings of the plan, such as gallery, explain or margin.
    """
    space, meaning = SPACES[kind], TASKS[task]
    pictures = kind in ("image", "rgb") and norm == "linf"
    texts = tuple(f"{limit}/255" if pictures and "/" not in limit else limit for limit in limits)
    threat = _threat(kind, norm, texts, main, goal, change, attacks)
    subject = Subject(
        name=name, data=DataSpec(name=data), model={"zoo": "t_cnn"}, threats=(threat.spec,),
        tolerance=meaning.tolerance, attacks=tuple(each.name for each in attacks),
    )  # fmt: skip
    dataset = dataset_of(data, space, meaning, 2 * cases, per_patient)
    audit = Plan(titer=1, subjects=(subject,), seeds=tuple(seeds), **plan)
    prepared = Prepared(audit, None, (dataset,), ((threat,),), (), ())
    grouped: dict[str, list[Measured]] = {}
    for number in seeds:
        rng = np.random.default_rng(number)
        rows = np.sort(rng.permutation(2 * cases)[:cases])
        order = (rng.permutation(cases) + 0.5) / cases
        # Luck of the split, of the attacks in it, and of noise.
        luck, chance, draw = wobble * rng.uniform(-1, 1, 3) * (1.0, 0.5, 0.25)
        hard = order - luck
        right = clean(number) if callable(clean) else clean
        before = clean_table(dataset, meaning, rows, hard >= right, model=name, access=access, more=facts or {})
        asked = digest(["clean", data, number])
        for place, radius in enumerate(threat.radii):
            for attack in attacks:
                share = rates(attack.name, place, number) if callable(rates) else rates[attack.name][place]
                own = draw if attack.control else chance + 0.2 * wobble * rng.uniform(-1, 1)
                wrong = hard - own >= (share if attack.control else min(share, right))
                after = attacked_table(
                    dataset, meaning, before, wrong, attack, radius=radius.value, goal=Goal(threat.spec.goal),
                    most=audit.gallery,
                )  # fmt: skip
                key = digest(["attack", name, number, place, attack.name])
                trial = Trial(0, 0, place, attack.name, number, asked, key)
                grouped.setdefault(cell_name(prepared, trial), []).append(Measured(trial, meaning, before, after))
    cells = tuple(_cell(prepared, cell, trials) for cell, trials in grouped.items())
    return Results(replace(prepared, trials=tuple(each.trial for cell in cells for each in cell.trials)), cells)


def edited(results: Results, edit: Edit) -> Results:
    """The results with other columns in attacked tables; `edit` gives new columns, or None to leave a table alone."""
    return _edited(results, "after", edit)


def edited_clean(results: Results, edit: Edit) -> Results:
    """The same for clean tables."""
    return _edited(results, "before", edit)


def joined(*parts: Results) -> Results:
    """Several models in one audit, under the first one's plan settings."""
    cells: list[CellResults] = []
    for number, part in enumerate(parts):
        for cell in part.cells:
            trials = tuple(replace(each, trial=replace(each.trial, subject=number)) for each in cell.trials)
            cells.append(replace(cell, trials=trials))
    subjects = tuple(part.prepared.plan.subjects[0] for part in parts)
    prepared = Prepared(
        parts[0].prepared.plan.model_copy(update={"subjects": subjects}),
        None,
        tuple(part.prepared.datasets[0] for part in parts),
        tuple(part.prepared.threats[0] for part in parts),
        (),
        tuple(each.trial for cell in cells for each in cell.trials),
    )
    return Results(prepared, tuple(cells))


def _edited(results: Results, when: Literal["before", "after"], edit: Edit) -> Results:
    def of(cell: CellResults, trial: Measured) -> Measured:
        columns = edit(cell, trial)
        if columns is None:
            return trial
        table = trial.before if when == "before" else trial.after
        changed = Table({**table.columns, **columns}, table.facts)
        return replace(trial, before=changed) if when == "before" else replace(trial, after=changed)

    cells = (replace(cell, trials=tuple(of(cell, trial) for trial in cell.trials)) for cell in results.cells)
    return replace(results, cells=tuple(cells))


def _threat(
    kind: Kind, norm: str, texts: tuple[str, ...], main: str | None, goal: Any, change: Any, attacks: Sequence[Attack]
) -> Threatened:
    space = SPACES[kind]
    change = change or (Substitution() if kind == "tokens" else Additive(norm))  # type: ignore[arg-type]
    radii = tuple(read_limit(text, space, counted=change.counts) for text in texts)
    middle = radii[len(radii) // 2] if main is None else read_limit(main, space, counted=change.counts)
    spec = ThreatSpec(change=change.name, norm=norm, limits=texts, goal=goal)
    return Threatened(spec, change, radii, middle, tuple(attacks))


def _cell(prepared: Prepared, name: str, trials: list[Measured]) -> CellResults:
    trial, threat = trials[0].trial, prepared.threats[0][0]
    control = next(each.control for each in threat.attacks if each.name == trial.attack)
    subject, data = prepared.plan.subjects[0], prepared.datasets[0]
    return CellResults(name, subject, data, threat, threat.radii[trial.radius], trial.attack, control, tuple(trials))
