"""A subject, ready to be worked on: data loaded, attacks built, threats checked, limits read."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from titer.audit.limits import Radius, read_limit
from titer.audit.plan import Plan, Subject, ThreatSpec
from titer.cases.dataset import Dataset
from titer.digest import digest
from titer.errors import DataError, PlanError, TiterError, did_you_mean
from titer.faults import expectation, worst
from titer.models.adapters.spec import check_model, read_reference
from titer.registry import ATTACKS, CHANGES, MODELS

if TYPE_CHECKING:
    from titer.attacks.attack import Attack
    from titer.cases.splits import Split
    from titer.models.model import Access, Knowledge
    from titer.models.recipe import Recipe
    from titer.models.task import Task
    from titer.threats.change import Change
    from titer.threats.threat import ThreatModel

# Objects handed over in Python live here under a token; they never leave the process.
OBJECTS: dict[str, Any] = {}


@dataclass(frozen=True)
class RadiusSearch:
    """How the smallest limit of each case is searched.

    Arguments
        label, attack: what searches. high: the widest limit. tolerance: in the unit of the limit; None for a thousandth
            of the widest, or where radii are found exactly.
    """

    label: str
    attack: Attack
    high: Radius
    tolerance: float | None


@dataclass(frozen=True, eq=False)
class Threatened:
    """One threat of a subject: its change, radii in growing order, and the attacks that search it.

    Arguments
        mark: tells it from another threat of the subject whose settings read the same in a name.
        search: for the smallest limit of each case, where the plan asks for it.
    """

    spec: ThreatSpec
    change: Change
    radii: tuple[Radius, ...]
    main: Radius
    attacks: tuple[Attack, ...]
    labels: tuple[str, ...] = ()
    mark: str = ""
    search: RadiusSearch | None = None

    def __post_init__(self) -> None:
        if not self.labels:
            object.__setattr__(self, "labels", tuple(attack.name for attack in self.attacks))

    @property
    def id(self) -> str:
        """Short name within the subject: the change, and whatever differs from what is usual."""
        spec = self.spec
        parts = [
            spec.change,
            getattr(self.change, "norm", ""),
            self.change.variant,
            *(f"{name}={_short(value)}" for name, value in sorted(self._unusual().items())),
            spec.goal if spec.goal != "untargeted" else "",
            "" if spec.target is None else f"to-{_short(spec.target)}",
            spec.where if spec.where != "all" else "",
            "" if spec.knowledge is None else f"seeing-{spec.knowledge}",
            "" if spec.queries is None else f"{spec.queries}-queries",
            self.mark,
        ]
        return "-".join(filter(None, map(str, parts)))

    @property
    def rules(self) -> list[Any]:
        """All that makes it another threat than others, but for its limits and attacks."""
        spec = self.spec
        return [spec.change, settings_of(self.change), spec.goal, spec.target, spec.where, spec.knowledge, spec.queries]

    def attack(self, label: str) -> Attack:
        """The attack that reports call so."""
        return self.attacks[self.labels.index(label)]

    def named(self) -> tuple[tuple[str, Attack], ...]:
        """Each attack with its label, in the order of the plan."""
        return tuple(zip(self.labels, self.attacks, strict=True))

    def _unusual(self) -> dict[str, Any]:
        """Settings of the change that differ from its defaults; where its variant tells, what is off needs no word."""
        usual = inspect.signature(type(self.change)).parameters
        return {
            name: value
            for name, value in self.spec.options.items()
            if name in usual and value != usual[name].default and (value or not self.change.variant)
        }

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
    return recipe_in(subject.model)


def recipe_in(model: Mapping[str, Any]) -> Recipe | None:
    """The reference model that a plan's words on a model name; None where they name one that is there already."""
    if model.get("zoo") is None:
        return None
    said = read_reference(model)
    made: Recipe = build(MODELS.find(said.zoo), said.options, "model.options")
    return made


def build(kind: type[Any], settings: Mapping[str, Any], where: str) -> Any:
    """An attack, change or recipe from its settings; an unknown one is refused with the nearest known name."""
    known = list(inspect.signature(kind).parameters)
    for key in settings:
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise PlanError(
                f"a setting of {kind.__name__} in {where}", repr(key), f"{hint}known: {', '.join(known) or 'none'}"
            )
    # Of a dataclass each field is read where it was declared, which may be another module than the method's.
    declared = get_type_hints(kind if is_dataclass(kind) else kind.__init__)
    plain = {key: _of_kind(key, value, declared.get(key, Any), where) for key, value in settings.items()}
    try:
        return kind(**plain)
    except TiterError:
        raise
    except (TypeError, ValueError) as error:
        raise PlanError(
            f"settings that {kind.__name__} accepts in {where}", f"{settings}: {error}", "correct them"
        ) from error


def _of_kind(key: str, value: Any, declared: Any, where: str) -> Any:
    """A setting, refused where it is of another kind than its declaration says."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    given = tuple(value) if isinstance(value, list) else value
    try:
        kind = TypeAdapter(declared, config=ConfigDict(strict=False))
    except PydanticUserError:
        return given
    try:
        kind.validate_python(given)
    except ValidationError as error:
        expected = expectation(worst(error.errors(include_url=False)))
        raise PlanError(f"{expected} for {key!r} in {where}", repr(value), f"correct {key!r}") from error
    return given


def read_attacks(raw: tuple[str | dict[str, Any], ...]) -> tuple[tuple[str, Attack], ...]:
    """Attacks from a plan with their labels: a name, or a mapping with `name`, settings, and if wanted a label `as`.

    An attack that is there once is called by its name; one that is there with several settings, also by those that
    tell them apart.

    >>> [label for label, _ in read_attacks(("fgsm", {"name": "pgd", "steps": 5}, {"name": "pgd", "as": "long pgd"}))]
    ['fgsm', 'pgd', 'long pgd']
    >>> [label for label, _ in read_attacks(({"name": "pgd", "steps": 5}, {"name": "pgd", "steps": 50}))]
    ['pgd steps=5', 'pgd steps=50']
    """
    made: list[tuple[str, Attack]] = []
    for each in raw:
        settings = {"name": each} if isinstance(each, str) else dict(each)
        name, label = settings.pop("name", None), settings.pop("as", "")
        if not isinstance(name, str):
            raise PlanError("an attack with a 'name'", repr(each), "write for example {name: pgd, steps: 40}")
        made.append((_label(label, name), _attack(name, settings)))
    _refuse_repeats(made)
    labels = [label or _telling(attack, [other for said, other in made if not said]) for label, attack in made]
    twice = next((label for place, label in enumerate(labels) if label in labels[:place]), None)
    if twice is not None:
        raise PlanError("a label of its own for every attack", f"{twice!r} twice", "correct 'as'")
    return tuple(zip(labels, (attack for _, attack in made), strict=True))


def _attack(name: str, settings: Mapping[str, Any]) -> Attack:
    """An attack; one that it runs itself, and models that it works on, are written as a plan writes its own."""
    from titer.attacks.attack import Attack

    kind = ATTACKS.find(name)
    declared = get_type_hints(kind)
    plain = dict(settings)
    for key, value in settings.items():
        if declared.get(key) is Attack:
            ((_, plain[key]),) = read_attacks((value,))
    if kind.borrows:
        raw = settings.get("surrogates", ())
        if not isinstance(raw, (list, tuple)):
            raise PlanError(f"a list of 'surrogates' of {name}", repr(raw), "write for example surrogates: [t_cnn]")
        plain["surrogates"] = tuple(model_words(each) for each in raw)
    made: Attack = build(kind, plain, f"attack {name}")
    return made


def model_words(raw: Any) -> dict[str, Any]:
    """What a plan says of a model, as `model:` says it; a reference model or a file may stand there by its name.

    >>> model_words("t-cnn"), model_words("models/chest.onnx")
    ({'zoo': 't_cnn'}, {'path': 'models/chest.onnx'})
    """
    if isinstance(raw, str):
        name = raw.replace("-", "_").lower()
        raw = {"zoo" if name in MODELS.names() else "path": name if name in MODELS.names() else raw}
    if not isinstance(raw, Mapping):
        raise PlanError(
            "the name of a model or what 'model' would say of it", repr(raw), "write for example surrogates: [t_cnn]"
        )
    check_model(raw)
    return dict(raw)


def _label(label: Any, name: str) -> str:
    """A label that may stand in tables, names of cells and commands."""
    if label == "":
        return ""
    if not isinstance(label, str) or not re.fullmatch(r"[^\W_][\w .,=+-]{0,39}", label):
        raise PlanError(
            "a label of at most 40 letters, digits, blanks and signs . , = + -", repr(label), "correct 'as'"
        )
    if label != name and label in ATTACKS.names():
        raise PlanError(f"a label for {name} that is no other attack's name", repr(label), "choose another 'as'")
    return label


def _refuse_repeats(made: list[tuple[str, Attack]]) -> None:
    for place, (_, attack) in enumerate(made):
        if any(settings_of(attack) == settings_of(other) for _, other in made[:place]):
            raise PlanError("every attack once", f"{attack.name} twice with the same settings", "remove one of them")


def _telling(attack: Attack, others: list[Attack]) -> str:
    """The name, with those settings by which it differs from others of the same name."""
    alike = [settings_of(other) for other in others if other.name == attack.name]
    mine = settings_of(attack)
    differing = [key for key in mine if any(mine[key] != other[key] for other in alike)]
    return " ".join([attack.name, *(f"{key}={_short(mine[key])}" for key in differing)])


def _short(value: Any) -> str:
    """A setting in a name: letters, digits and few signs."""
    plain = "+".join(map(_short, value)) if isinstance(value, (list, tuple)) else str(value)
    if isinstance(value, float):
        plain = f"{value:g}"
    if isinstance(value, dict):
        plain = ",".join(f"{key}={_short(inner)}" for key, inner in sorted(value.items()))
    word = re.sub(r"[^\w=.,+-]+", "-", plain)
    return word if len(word) <= 40 else f"{word[:30]}-{digest(plain)[:8]}"


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
        sees = spec.knowledge or access
        fitting = tuple((label, a) for label, a in attacks if a.fits(change) and allows(sees, a.needs))
        if spec.attacks is not None and len(fitting) < len(attacks):
            wrong = next(label for label, _ in attacks if label not in dict(fitting))
            raise PlanError(
                f"attacks that can search {spec.change!r} seeing {sees}",
                wrong,
                "remove it from this threat's attacks, or change the threat",
            )
        if not [a for _, a in fitting if not a.control]:
            raise PlanError(
                f"an attack that can search {spec.change!r} seeing {sees}",
                ", ".join(label for label, _ in attacks),
                "add one: pgd or jsma with gradients, square with scores, greedy for single edits",
            )
        used |= {label for label, _ in fitting}
        labels, searches = zip(*fitting, strict=True)
        made = Threatened(
            spec, change, tuple(radii), main, searches, labels, search=_radius_search(spec, change, sees, radii, read)
        )
        made.model_at(main, access).check(dataset.space, task)
        threats.append(made)
    _all_used(subject, used, access)
    return _told_apart(threats)


def _radius_search(
    spec: ThreatSpec, change: Change, sees: Knowledge, radii: list[Radius], read: Callable[[Any], Radius]
) -> RadiusSearch | None:
    """The search for minimal radii that a threat asks for; what cannot search is refused."""
    from titer.models.model import allows

    if spec.radii is None:
        return None
    ((label, attack),) = read_attacks((spec.radii.attack,))
    if attack.control or attack.learns or attack.borrows or not attack.fits(change) or not allows(sees, attack.needs):
        raise PlanError(
            f"an attack for 'radii' that searches {spec.change!r} for one case at a time, seeing {sees}",
            label,
            "write for example radii: {attack: pgd}",
        )
    if spec.queries is not None and not attack.minimal:
        raise PlanError(
            "no 'queries' beside 'radii' whose attack runs many times",
            f"{label} with {spec.queries} queries",
            "leave 'queries' out, or take an attack that minimizes the change itself",
        )
    high = radii[-1] if spec.radii.high is None else read(spec.radii.high)
    tolerance = None if spec.radii.tolerance is None else read(spec.radii.tolerance).value
    if tolerance is not None and tolerance >= high.value:
        raise PlanError(f"a tolerance below the widest limit {high.label}", f"{tolerance:g}", "correct 'radii'")
    return RadiusSearch(label, attack, high, tolerance)


def _told_apart(threats: list[Threatened]) -> tuple[Threatened, ...]:
    """The threats with identifiers of their own: names lose signs and capitals, so that two may read the same."""
    rules = [digest(threat.rules) for threat in threats]
    if len(set(rules)) != len(rules):
        raise PlanError(
            "threats that differ in change, its settings, goal, knowledge, queries or 'where'",
            ", ".join(threat.id for threat in threats),
            "put their limits into one threat",
        )
    ids = [threat.id.casefold() for threat in threats]
    return tuple(
        replace(threat, mark=rule[:8]) if ids.count(name) > 1 else threat
        for threat, name, rule in zip(threats, ids, rules, strict=True)
    )


def _all_used(subject: Subject, used: set[str], access: Access) -> None:
    if all(spec.attacks is not None for spec in subject.threats):
        return
    idle = [label for label, _ in read_attacks(subject.attacks) if label not in used]
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
    if dataset.task == "segmentation" and tolerance is None:
        raise PlanError("a 'tolerance' for a segmentation", "none", "say which Dice is the least that is still right")
    return Task(dataset.task, dataset.classes, dataset.positive, tolerance=tolerance)


def split_of(subject: Subject, dataset: Dataset, seed: int, plan_trained: bool) -> Any:
    """The parts for one trial, checked for leakage; returns the split and the sentence of the check.

    A model of the user's was trained elsewhere, very likely on the train part of the source: where the source fixes
    parts, its validation part fixes the threshold and its test part is attacked, unless the plan wants another split.
    """
    from titer.audit.operating import rule_for
    from titer.cases.leakage import check_leakage
    from titer.cases.splits import official_parts, split

    spec = subject.data.split
    if spec.by == "official" and dataset.official is None:
        raise DataError("a source that fixes its own split", dataset.card.name, "use 'by: patient'")
    needed = rule_for(subject, dataset, own=not plan_trained).needs_cases
    as_given = spec.by == "official" or (spec.by is None and spec.fractions is None and dataset.official is not None)
    if as_given and not plan_trained:
        parts = official_parts(dataset)
        if needed and not len(parts.validation):
            raise DataError(
                f"a validation part in {dataset.card.name}, to fix the threshold on",
                "train and test parts alone",
                "write 'threshold: default' or a number, or split: {by: patient} if the model never saw these cases",
            )
    else:
        attacks = attacks_in(subject)
        halved = needed or any(attack.learns for attack in attacks)
        trains = plan_trained or any("zoo" in each for attack in attacks for each in surrogates_of(attack))
        usual = (0.5, 0.25, 0.25) if trains else (0.0, 0.5, 0.5) if halved else (0.0, 0.0, 1.0)
        parts = split(dataset, seed=seed, fractions=spec.fractions or usual, by=spec.by or "patient")
    return check_leakage(dataset, _with_receipts(subject, dataset, parts), near_duplicates=spec.near_duplicates)


def _with_receipts(subject: Subject, dataset: Dataset, parts: Split) -> Split:
    """The parts without the cases that lack a valid receipt; who is in which part stays as it was."""
    import numpy as np

    receipts = subject.data.receipts
    if receipts is None or not receipts.withheld:
        return parts
    lacking = np.flatnonzero(np.isin(dataset.cases.ids, receipts.withheld))
    names = ("train",) if receipts.cases == "train" else ("train", "validation", "test")
    kept = {name: np.setdiff1d(getattr(parts, name), lacking) for name in names}
    gone = np.concatenate([np.setdiff1d(getattr(parts, name), kept[name]) for name in names])
    if any(len(getattr(parts, name)) and not len(rows) for name, rows in kept.items()):
        raise DataError("cases with a valid receipt in every part", "a part without", "capture more cases")
    return replace(parts, **kept, left_out=np.concatenate([parts.left_out, gone]))


def attacks_in(subject: Subject) -> list[Attack]:
    """All attacks that a subject names, for all threats or for one."""
    lists = (subject.attacks, *(each.attacks for each in subject.threats))
    return [attack for raw in lists if raw is not None for _, attack in read_attacks(raw)]


def surrogates_of(attack: Attack) -> tuple[dict[str, Any], ...]:
    """What a plan says of each model that an attack works on; nothing for most attacks."""
    return tuple(getattr(attack, "surrogates")) if attack.borrows else ()  # noqa: B009 - only some have them


def settings_of(attack: Attack | Change) -> dict[str, Any]:
    """Every setting of an attack or change, defaults included; an attack among them with its name."""
    from titer.attacks.attack import Attack

    values = {field.name: getattr(attack, field.name) for field in fields(attack)}  # type: ignore[arg-type]
    inner = {name: settings_of(value) for name, value in values.items() if isinstance(value, Attack)}
    return {"name": attack.name, **asdict(attack), **inner}  # type: ignore[call-overload]


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
    named = {each.name: {**each.model, "name": each.name} for each in subjects}
    return plan.model_copy(update={"subjects": tuple(_borrowing(each, named) for each in subjects)})


def _borrowing(subject: Subject, named: Mapping[str, dict[str, Any]]) -> Subject:
    """The subject with what the plan says of its models in place of their names among the surrogates."""

    def told(raw: tuple[str | dict[str, Any], ...] | None) -> Any:
        if raw is None:
            return None
        return tuple(_told(each, named) if isinstance(each, dict) else each for each in raw)

    threats = tuple(each.model_copy(update={"attacks": told(each.attacks)}) for each in subject.threats)
    return subject.model_copy(update={"attacks": told(subject.attacks), "threats": threats})


def _told(attack: dict[str, Any], named: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    models = attack.get("surrogates")
    if not isinstance(models, (list, tuple)):
        return attack
    return {**attack, "surrogates": [named.get(each, each) if isinstance(each, str) else each for each in models]}
