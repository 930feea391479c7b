"""The face in Python: `titer.audit(model, data, plan="chest-xray-quick")`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.audit.plan import Plan
from titer.errors import PlanError

if TYPE_CHECKING:
    from titer.audit.report.schema import Report
    from titer.cases.dataset import Dataset


def audit(
    model: Any,
    data: Any,
    plan: str | Path | Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    root: str | Path | None = None,
    **settings: Any,
) -> Report:
    """Audit a model on data and return the report.

    Arguments
        model: a torch module, a scikit-learn estimator, a function of arrays, a `titer.models.model.Model`, the path of
            a model file, the address of an endpoint, or the name of a reference model such as "t-cnn".
        data: a `Dataset`, the name of a data set, or the path of a file or folder.
        plan: the name of a built-in plan (`titer list` names them), the path of a plan, or a mapping; what it says of
            model and data is replaced. Left out, the plan is what `titer init` would write for this model and data;
            `report.identity` gives its title and every setting.
        out: folder for results, so that a stopped audit resumes; a temporary one if left out.
        root: folder of data sets that are found by name; TITER_DATA if left out.
        settings: entries of the plan to override, e.g. `seeds=(0, 1)`, and settings of the model such as
            `mean=0.5, std=0.25`. Surrogates of attacks may be objects, as the model may.

    Returns the report: `report.passed`, `report.save("out/")`.

    >>> report = audit("t-cnn", "chest_phantom", {"titer": 1, "threats": [{"limits": ["4/255"]}], "attacks": ["fgsm"],
    ...     "model": {"epochs": 1}, "data": {"options": {"cases": 240}}})  # doctest: +SKIP
    """
    from titer.audit.driver import opened, run
    from titer.audit.plan_file import check_plan
    from titer.audit.run.choose import choose
    from titer.audit.subject import attacks_in, surrogates_of
    from titer.cases.find import data_root

    raw = {} if plan is None else _mapping(plan)
    known = set(Plan.model_fields) | {"threats", "attacks", "threshold", "tolerance", "costs"}
    chosen = {key: value for key, value in settings.items() if key in known}
    options = {key: value for key, value in settings.items() if key not in known}
    folder = data_root(None if root is None else Path(root))
    spec, dataset = _data(data, raw.get("data", {}), folder)
    asked = _model(model, dataset, {**_kept(raw.get("model", {})), **options})
    if plan is None:
        raw = _proposed(asked, dataset, chosen.get("tolerance"))
    made = check_plan(_lent({**raw, **chosen, "data": spec, "model": asked}, dataset))
    in_memory = any(
        "object" in model or str(subject.data.path).startswith("memory:")
        for subject in made.subjects
        for model in (subject.model, *(each for attack in attacks_in(subject) for each in surrogates_of(attack)))
    )
    executor = choose("inline" if in_memory else None)
    with nullcontext(out) if out is not None else tempfile.TemporaryDirectory(prefix="titer-") as place:
        results = Path(place)
        return run(opened(made, folder, out=results), results, executor)


def _lent(raw: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The plan with a token in place of every object among the surrogates of its attacks."""

    def told(attack: Any) -> Any:
        models = attack.get("surrogates") if isinstance(attack, Mapping) else None
        if not isinstance(models, (list, tuple)):
            return attack
        words = (str, Path, Mapping)
        kept = [str(each) if isinstance(each, Path) else each for each in models]
        return {
            **attack,
            "surrogates": [each if isinstance(each, words) else _model(each, dataset, {}) for each in kept],
        }

    def inside(part: Any) -> Any:
        listed = part.get("attacks") if isinstance(part, Mapping) else None
        return {**part, "attacks": [told(each) for each in listed]} if isinstance(listed, (list, tuple)) else part

    made: dict[str, Any] = inside(raw)
    if isinstance(raw.get("threats"), (list, tuple)):
        made = {**made, "threats": [inside(each) for each in raw["threats"]]}
    return made


def _mapping(plan: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    import yaml

    from titer.audit.plans import plan_text

    if isinstance(plan, Mapping):
        return {"titer": 1, **plan}
    path = Path(plan)
    text = path.read_text(encoding="utf-8") if path.is_file() else plan_text(str(plan))
    raw = yaml.safe_load(text)
    if not isinstance(raw, dict):
        raise PlanError("a mapping of settings", type(raw).__name__, "begin the plan with 'titer: 1'")
    if "subjects" in raw:
        raise PlanError("a plan for one model", "'subjects'", "run it with 'titer audit', or take a plan without them")
    return raw


def _proposed(model: Mapping[str, Any], dataset: Dataset, tolerance: float | None) -> dict[str, Any]:
    """What `titer init` would propose for this model and data, under a title that says so."""
    from titer.audit.propose import proposed, tolerated
    from titer.audit.propose import tolerance as usual
    from titer.audit.subject import OBJECTS
    from titer.models.load import load_model

    if "zoo" in model:
        return proposed(dataset, "gradients", own=False)
    if tolerated(dataset) and tolerance is None:
        tolerance = usual(dataset)
    opened = OBJECTS[model["object"]] if "object" in model else load_model(model, dataset, tolerance=tolerance)
    return proposed(dataset, opened.access, own=True)


def _kept(model: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan says of a model beyond where it is."""
    return {key: value for key, value in model.items() if key not in ("zoo", "path", "url", "python", "object")}


def _data(data: Any, spec: Mapping[str, Any], root: Path | None) -> tuple[dict[str, Any], Dataset]:
    from titer.audit.subject import OBJECTS
    from titer.cases.dataset import Dataset
    from titer.cases.find import find_dataset
    from titer.registry import DATASETS

    rest = {key: value for key, value in spec.items() if key not in ("name", "path")}
    if isinstance(data, Dataset):
        token = f"memory:{data.digest}"
        OBJECTS[token] = data
        return {**rest, "path": token}, data
    where = str(data)
    found = find_dataset(where, root=root, **rest.get("options", {}))
    return {**rest, ("name" if where in DATASETS.names() else "path"): where}, found


def _model(model: Any, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    from titer.audit.subject import OBJECTS
    from titer.models.load import adapt
    from titer.registry import MODELS

    if isinstance(model, (str, Path)):
        text = str(model)
        name = text.replace("-", "_")
        if name in MODELS.names():
            return {"zoo": name, **options}
        return {("url" if text.startswith(("http://", "https://")) else "path"): text, **options}
    adapted = adapt(model, dataset, **options)
    token = f"memory:{adapted.digest}"
    OBJECTS[token] = adapted
    return {"object": token, "name": adapted.name}
