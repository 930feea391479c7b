"""A subject, ready to be worked on: data loaded, attacks built, threats checked, limits read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.audit.limits import Radius, read_limit
from titer.audit.plan import Plan, Subject, ThreatSpec
from titer.cases.dataset import Dataset
from titer.errors import DataError, PlanError, TiterError
from titer.registry import ATTACKS, CHANGES, MODELS

if TYPE_CHECKING:
    from titer.attacks.attack import Attack
    from titer.models.model import Access
    from titer.models.recipe import Recipe
    from titer.models.task import Task
    from titer.threats.change import Change
    from titer.threats.threat import ThreatModel

# Objects handed over in Python live here under a token; they never leave the process.
OBJECTS: dict[str, Any] = {}


@dataclass(frozen=True, eq=False)
class Threatened:
    """One threat of a subject: its change, radii in growing order, and the attacks that search it."""

    spec: ThreatSpec
    change: Change
    radii: tuple[Radius, ...]
    main: Radius
    attacks: tuple[Attack, ...]

    @property
    def id(self) -> str:
        """Short name within the subject."""
        parts = [
            self.spec.change,
            getattr(self.change, "norm", ""),
            self.change.variant,
            self.spec.goal if self.spec.goal != "untargeted" else "",
            self.spec.where if self.spec.where != "all" else "",
        ]
        return "-".join(filter(None, map(str, parts)))

    def model_at(self, radius: Radius, access: Access) -> ThreatModel:
        """The threat model at one radius, against a model that gives `access`."""
        from titer.threats.goal import Goal
        from titer.threats.threat import ThreatModel

        return ThreatModel(
            self.change,
            radius.value,
            radius.label,
            Goal(self.spec.goal, self.spec.target),
            self.spec.knowledge or access,
            self.spec.queries,
            self.spec.where,
        )


def read_dataset(subject: Subject, root: Path | None) -> Dataset:
    """The cases of a subject; the same object for the same words within one process."""
    from titer.digest import canonical

    spec = subject.data
    if spec.path is not None and spec.path.startswith("memory:"):
        found: Dataset = OBJECTS[spec.path]
        return found
    return _read(spec.name or str(spec.path), root, canonical(spec.options))


@lru_cache(maxsize=8)
def _read(where: str, root: Path | None, options: str) -> Dataset:
    import json

    from titer.cases.find import find_dataset

    return find_dataset(where, root=root, **json.loads(options))


def recipe_of(subject: Subject) -> Recipe | None:
    """The reference model that a subject trains, or None for a model of the user's."""
    if "zoo" not in subject.model:
        return None
    known = ("zoo", "options", "epochs", "name")
    for key in subject.model:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise PlanError(
                "a known key of 'model'", repr(key), f"did you mean {near[0]!r}?" if near else f"use {known}"
            )
    made: Recipe = build(
        MODELS.find(str(subject.model["zoo"])), dict(subject.model.get("options", {})), "model.options"
    )
    return made


def build(kind: type[Any], settings: Mapping[str, Any], where: str) -> Any:
    """An attack, change or recipe from its settings; an unknown one is refused with the nearest known name."""
    known = list(inspect.signature(kind).parameters)
    for key in settings:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
            raise PlanError(f"a setting of {kind.__name__} in {where}", repr(key), hint)
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    try:
        return kind(**plain)
    except TiterError:
        raise
    except (TypeError, ValueError) as error:
        raise PlanError(
            f"settings that {kind.__name__} accepts in {where}", f"{settings}: {error}", "correct them"
        ) from error


def read_attacks(raw: tuple[str | dict[str, Any], ...]) -> tuple[Attack, ...]:
    """Attacks from a plan: a name, or a mapping with `name` and settings."""
    made = []
    for each in raw:
        settings = {"name": each} if isinstance(each, str) else dict(each)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise PlanError("an attack with a 'name'", repr(each), "write for example {name: pgd, steps: 40}")
        made.append(build(ATTACKS.find(name), settings, f"attack {name}"))
    names = [attack.name for attack in made]
    if len(set(names)) != len(names):
        raise PlanError("every attack once per threat", ", ".join(names), "give variants a threat of their own")
    return tuple(made)


def read_threats(subject: Subject, dataset: Dataset, task: Task, access: Access) -> tuple[Threatened, ...]:
    """All threats of a subject, each paired with the attacks that fit it; what cannot run is refused."""
    from titer.models.model import allows

    used: set[str] = set()
    threats = []
    for spec in subject.threats:
        settings = {**spec.options, **({"norm": spec.norm} if spec.norm else {})}
        change: Change = build(CHANGES.find(spec.change), settings, f"threat {spec.change}")
        read = partial(
            read_limit,
            space=dataset.space,
            counted=change.counts,
            unit=change.unit(dataset.space),
            places=change.places(dataset.space),
        )
        radii = sorted({read(raw) for raw in spec.limits}, key=lambda r: r.value)
        main = radii[len(radii) // 2] if spec.main is None else read(spec.main)
        if main.value not in [radius.value for radius in radii]:
            raise PlanError(f"a main limit among {[r.label for r in radii]}", main.label, "correct 'main'")
        attacks = read_attacks(spec.attacks if spec.attacks is not None else subject.attacks)
        fitting = tuple(a for a in attacks if a.fits(change) and allows(spec.knowledge or access, a.needs))
        if spec.attacks is not None and len(fitting) < len(attacks):
            wrong = next(a for a in attacks if a not in fitting)
            raise PlanError(
                f"attacks that can search {spec.change!r} seeing {spec.knowledge or access}",
                wrong.name,
                "remove it from this threat's attacks, or change the threat",
            )
        if not [a for a in fitting if not a.control]:
            raise PlanError(
                f"an attack that can search {spec.change!r} seeing {spec.knowledge or access}",
                ", ".join(a.name for a in attacks),
                "add one: pgd or jsma with gradients, square with scores, greedy for single edits",
            )
        used |= {a.name for a in fitting}
        made = Threatened(spec, change, tuple(radii), main, fitting)
        made.model_at(main, access).check(dataset.space, task)
        threats.append(made)
    _all_used(subject, used, access)
    ids = [threat.id for threat in threats]
    if len(set(ids)) != len(ids):
        raise PlanError(
            "threats that differ in change, norm, goal or 'where'", ", ".join(ids), "put their limits into one threat"
        )
    return tuple(threats)


def _all_used(subject: Subject, used: set[str], access: Access) -> None:
    if all(spec.attacks is not None for spec in subject.threats):
        return
    idle = [a.name for a in read_attacks(subject.attacks) if a.name not in used]
    if idle:
        raise PlanError(
            f"attacks that fit one of the threats and a model that gives {access}",
            ", ".join(idle),
            "remove them, or add a threat that they can search (jsma: additive l0 or substitution)",
        )


def task_of(dataset: Dataset, subject: Subject) -> Task:
    """What a model trained here will decide."""
    from titer.models.task import Task

    tolerance = subject.tolerance
    if dataset.task == "regression" and tolerance is None:
        raise PlanError("a 'tolerance' for a regression", "none", f"say which error in {dataset.classes[0]} is wrong")
    return Task(dataset.task, dataset.classes, dataset.positive, tolerance=tolerance)


def split_of(subject: Subject, dataset: Dataset, seed: int, plan_trained: bool) -> Any:
    """The parts for one trial, checked for leakage; returns the split and the sentence of the check."""
    from titer.cases.leakage import check_leakage
    from titer.cases.splits import split

    spec = subject.data.split
    if spec.by == "official" and dataset.official is None:
        raise DataError("a source that fixes its own split", dataset.card.name, "use 'by: patient'")
    fractions = spec.fractions or ((0.5, 0.25, 0.25) if plan_trained else (0.0, 0.5, 0.5))
    parts = split(dataset, seed=seed, fractions=fractions, by=spec.by)
    return check_leakage(dataset, parts, near_duplicates=spec.near_duplicates)


def settings_of(attack: Attack) -> dict[str, Any]:
    """Every setting of an attack or change, defaults included."""
    return {"name": attack.name, **asdict(attack)}  # type: ignore[call-overload]


def _called(model: Mapping[str, Any]) -> str:
    """What a model of the user's is called where the plan does not say: its file, function or address.

    >>> _called({"path": "models/chest-v2.onnx"}), _called({"python": "mine:net"}), _called({"url": "http://h/v2/models/a"})
    ('chest-v2', 'net', 'a')
    """
    if "path" in model:
        return Path(str(model["path"])).stem
    if "python" in model:
        return str(model["python"]).rpartition(":")[2]
    return str(model.get("url", "")).rstrip("/").partition(":predict")[0].rpartition("/")[2] or "model"


def renamed(plan: Plan) -> Plan:
    """The plan with a name for every subject, unique and readable."""
    subjects, seen = [], set()
    for number, each in enumerate(plan.subjects):
        base = each.name or str(each.model.get("name") or each.model.get("zoo") or _called(each.model))
        name = base if base not in seen else f"{base} {number + 1}"
        if name in seen:
            raise PlanError("a name for each subject", name, "give each subject its own 'name'")
        seen.add(name)
        subjects.append(each.model_copy(update={"name": name}))
    return plan.model_copy(update={"subjects": tuple(subjects)})
