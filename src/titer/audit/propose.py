"""A first plan for a model and data nobody has audited before: units and limits that suit the kind of case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.errors import PlanError

if TYPE_CHECKING:
    from titer.cases.dataset import Dataset
    from titer.models.model import Access, Model

# Cases that `titer init` asks a model about: enough to see that classes are in another order, few for an endpoint.
_FIRST = 64
# What a tolerance means, by kind of task.
_TOLERATED = {"regression": "an error above", "segmentation": "a map with a Dice below"}


@dataclass(frozen=True)
class Proposal:
    """One threat of a proposed plan.

    Arguments
        change, norm: what may change. limits: as written in the plan. main: the one the summary speaks of.
        words: the comment behind them.
    """

    change: str
    norm: str
    limits: tuple[str, ...]
    main: str
    words: str


def propose(dataset: Dataset, access: Access) -> Proposal:
    """Limits for a kind of case, in its unit.

    Images: 1 to 8 grey levels of 255. ECG: 0.01 to 0.1 mV (a small square of ECG paper is 0.1 mV). EEG: 1 to 10 uV.
    Tables: 0.05 to 0.5 standard deviations. Notes: one to five words where synonyms are known, else the embedding.
    Anything else: 0.5 to 4 % of its range.
    """
    space = dataset.space
    if space.kind == "tokens":
        if dataset.synonyms:
            return Proposal("substitution", "", ("1", "2", "5"), "2", "words replaced by synonyms")
        if access != "gradients":
            raise PlanError(
                "synonyms, or a model that gives gradients, to attack notes",
                f"{dataset.card.name} without synonyms and a model that gives {access}",
                "add synonyms to the data set (data.options)",
            )
        return Proposal(
            "embedding", "l2", ("0.5", "1", "2", "4"), "2", "the numbers behind the words: no text does this"
        )
    if space.kind == "table" and space.radius_unit == "SD":
        return Proposal("additive", "linf", ("0.05", "0.1", "0.25", "0.5"), "0.25", "SD of each feature")
    unit = space.unit.casefold()
    if space.kind == "signal" and unit == "mv":
        return Proposal(
            "additive", "linf", ("0.01", "0.02", "0.05", "0.1"), "0.05", "mV; a small square of ECG paper is 0.1"
        )
    if space.kind == "signal" and unit in ("uv", "µv", "μv"):
        return Proposal("additive", "linf", ("1", "2", "5", "10"), "5", "microvolts")
    width = float(np.max(np.asarray(space.high) - np.asarray(space.low)))
    if space.kind in ("image", "volume") and width <= 1.0 + 1e-9:
        return Proposal("additive", "linf", ("1/255", "2/255", "4/255", "8/255"), "4/255", space.unit)
    steps = tuple(f"{width * part:.3g}" for part in (0.005, 0.01, 0.02, 0.04))
    return Proposal("additive", "linf", steps, steps[2], f"{space.unit}; 0.5 to 4 % of the range")


def attacks_for(access: Access, change: str = "additive") -> tuple[str, ...]:
    """Attacks that an attacker with this knowledge can run on a change, and the control.

    >>> attacks_for("scores")
    ('square', 'noise')
    >>> attacks_for("gradients", "substitution")
    ('jsma', 'random_search', 'noise')
    """
    if change == "substitution":
        return ("jsma", "random_search", "noise") if access == "gradients" else ("random_search", "noise")
    return {
        "gradients": ("fgsm", "pgd", "noise"), "scores": ("square", "noise"), "labels": ("random_search", "noise"),
    }[access]  # fmt: skip


def proposed(dataset: Dataset, access: Access, *, own: bool) -> dict[str, Any]:
    """The settings of a first plan, but for model and data.

    Arguments
        dataset: the cases. access: what the model gives. own: whether it is a model of the user's, which brings its
            own decision rule, and not one that is trained here.
    """
    found = propose(dataset, access)
    threat = {
        "change": found.change, **({"norm": found.norm} if found.norm else {}),
        "limits": [_number(limit) for limit in found.limits], "main": _number(found.main),
    }  # fmt: skip
    threshold = _threshold(dataset, own)
    return {
        "titer": 1,
        "name": f"First look, as titer init proposes: {dataset.card.title}",
        "threats": [threat],
        "attacks": list(attacks_for(access, found.change)),
        **({"threshold": threshold} if threshold else {}),
        **({"tolerance": tolerance(dataset)} if tolerated(dataset) else {}),
        "fail_if": [f"{_rule(dataset)} at {found.limits[0]}"],
    }


def propose_plan(model: str, data: str, *, root: Path | None, settings: dict[str, Any], options: dict[str, Any]) -> str:
    """Open a model and data, ask the model two cases, and write a plan that fits both.

    Arguments
        model: path, address, `module:function` or name of a reference model. data: name or path.
        root: folder of data sets. settings, options: further entries of `model:` and `data.options:`.
    """
    from titer.cases.find import find_dataset
    from titer.models.load import load_model

    dataset = find_dataset(data, root=root, **options)
    where = address(model)
    if "zoo" in where:
        return plan_for(model, data, dataset, "gradients", settings=settings, options=options)
    allowed = tolerance(dataset) if tolerated(dataset) else None
    opened = load_model({**where, **settings}, dataset, tolerance=allowed)
    seen = _first_look(opened, dataset)
    return seen + plan_for(model, data, dataset, opened.access, settings=settings, options=options)


def _first_look(model: Model, dataset: Dataset) -> str:
    """A comment that says how the model does on a few cases as they are, and warns where something must be wrong."""
    order = np.random.Generator(np.random.Philox(0)).permutation(len(dataset.cases))[:_FIRST]
    cases = dataset.cases.take(np.sort(order))
    right = float(model.task.correct(model.predict(cases.inputs), cases.targets).mean())
    said = f"# At first sight: {right:.0%} of {len(cases)} cases right, before any threshold is fixed.\n"
    if model.task.kind in ("regression", "multilabel", "segmentation"):
        return said
    commonest = float(np.bincount(cases.targets).max() / len(cases))
    if right < commonest:
        names = ", ".join(dataset.classes)
        said += (
            f"# CAUTION: always answering the commonest class gives {commonest:.0%}. Is the order of its classes\n"
            f"# {names}, as in the data? If not, name them: model: {{..., classes: [...]}}; or correct mean and std.\n"
        )
    return said


def plan_for(
    model: str, data: str, dataset: Dataset, access: Access, *, settings: dict[str, Any], options: dict[str, Any]
) -> str:
    """Text of a plan of at most 15 lines that `titer audit` accepts as it is."""
    place = address(model)
    found, settled = propose(dataset, access), proposed(dataset, access, own="zoo" not in place)
    where: dict[str, Any] = {"name" if _is_name(data) else "path": data, **({"options": options} if options else {})}
    people = len(set(dataset.cases.patients.tolist()))
    lines = [
        f"# {dataset.card.title}: {dataset.space.describe()}",
        "titer: 1",
        f"name: {_quoted(f'Audit of {Path(model).name or model}')}",
        f"data: {_flow(where)}  # {len(dataset.cases)} cases, {people} patients",
        f"model: {_flow({**place, **settings})}",
        f"threats:  # {found.words}",
        f"  - {_flow(settled['threats'][0])}",
        f"attacks: {_quoted(settled['attacks'])}  # the model gives {access}",
        *([f"threshold: {_quoted(settled['threshold'])}  # operating point, fixed on validation cases"]
          if "threshold" in settled else []),
        *([f"tolerance: {settled['tolerance']}  # {_TOLERATED[dataset.task]} this is wrong: set what is clinical"]
          if "tolerance" in settled else []),
        "seeds: [0]  # one trial per seed; five or more for statements about training and splits",
        f"fail_if: {_quoted(settled['fail_if'])}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def address(model: str) -> dict[str, Any]:
    """The `model:` part of a plan that says where a model is: path, address, reference, or reference model."""
    from titer.registry import MODELS

    if model.replace("-", "_") in MODELS.names():
        return {"zoo": model.replace("-", "_")}
    if model.startswith(("http://", "https://")):
        return {"url": model}
    if ":" in model and not Path(model).exists():
        return {"python": model}
    return {"path": model}


def _is_name(data: str) -> bool:
    from titer.registry import DATASETS

    return data in DATASETS.names()


def _threshold(dataset: Dataset, own: bool) -> Any:
    """Models trained here, and scores of anomaly, have no rule of their own."""
    if dataset.task == "anomaly":
        return {"percentile": 95}
    return "youden" if not own and dataset.task == "classes" and len(dataset.classes) == 2 else None


def tolerated(dataset: Dataset) -> bool:
    """Whether a plan for these data must say what is still right."""
    return dataset.task in _TOLERATED


def tolerance(dataset: Dataset) -> float:
    """A first guess at what is still right: of an error one standard deviation of the truth, to two digits; of a map a
    Dice of 0.7.
    """
    if dataset.task == "segmentation":
        return 0.7
    return float(f"{np.std(dataset.cases.targets.astype(float)):.2g}")


def _rule(dataset: Dataset) -> str:
    """The result that would be a failure: errors beyond the tolerance on average, findings no better than guessed."""
    if dataset.task == "regression":
        return f"mae > {np.format_float_positional(tolerance(dataset), trim='0')}"
    return {"multilabel": "macro_auroc < 0.5", "segmentation": "dice < 0.5"}.get(dataset.task, "robust_accuracy < 0.5")


def _number(limit: str) -> Any:
    """A limit as YAML has it, so that it stands in the plan without quotes."""
    return limit if "/" in limit else float(limit) if "." in limit else int(limit)


def _flow(options: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_quoted(value)}" for key, value in options.items()) + "}"


def _quoted(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("...").strip()
