"""Any model of the user's as a `Model`: from the `model:` part of a plan, or from an object in Python."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from titer.cases.dataset import Dataset
from titer.digest import canonical
from titer.models.adapters.spec import ModelSpec, read_spec
from titer.models.model import Model

_KEPT = 4
_loaded: OrderedDict[str, Model] = OrderedDict()
# Endpoints stay for good: their count of queries must not start again.
_endpoints: dict[str, Model] = {}
_lock = threading.Lock()


def load_model(
    spec: Mapping[str, Any],
    dataset: Dataset,
    *,
    folder: Path | None = None,
    tolerance: float | None = None,
    ledger: Path | None = None,
) -> Model:
    """The model that a plan names, found to fit the data: it is asked about two cases before this returns.

    The same words give the same loaded model within one process, so that an endpoint's budget holds and a file is
    read once; a file that changed is read again.

    Arguments
        spec: the `model:` part of a plan; `ModelSpec` lists its keys.
        dataset: the cases that the model will be asked about; its classes are the ones that count.
        folder: where relative paths and modules are looked for; the working directory if left out.
        tolerance: for a regression whose spec names none.
        ledger: file in which queries of an endpoint are counted for all processes; else each counts its own.

    Refuses unknown keys (`PlanError`), files that cannot be read safely, and models whose answers do not fit the
    data (`ModelError`; `EndpointError` for endpoints).

    >>> import numpy as np
    >>> from titer.cases.case import Batch
    >>> from titer.cases.dataset import DataCard
    >>> from titer.cases.space import Space
    >>> card = DataCard("toy", "two people", "CC0-1.0", "", "", "none", synthetic=True)
    >>> cases = Batch.of(np.array([[1.0, 9.0], [9.0, 1.0]]), np.array([0, 1]))
    >>> data = Dataset(card, Space("table", (2,), "mg/dL", 0.0, 9.0), "classes", ("low", "high"), (1,), cases)
    >>> load_model({"object": lambda x: x[:, ::-1]}, data).predict(cases.inputs).tolist()
    [[9.0, 1.0], [1.0, 9.0]]
    """
    from titer.models.adapters.build import build

    checked = read_spec(spec if tolerance is None else {"tolerance": tolerance, **spec})
    if checked.object is not None:
        return build(checked, dataset, folder)
    words = {name: str(value) for name, value in spec.items()}
    key = canonical([words, tolerance, str(folder), dataset.digest, _stamp(checked, folder), str(ledger)])
    with _lock:
        if checked.url is not None:
            if key not in _endpoints:
                _endpoints[key] = build(checked, dataset, folder, ledger)
            return copy.copy(_endpoints[key])
        if key not in _loaded:
            _loaded[key] = build(checked, dataset, folder)
        _loaded.move_to_end(key)
        while len(_loaded) > _KEPT:
            _loaded.popitem(last=False)
        return copy.copy(_loaded[key])


def adapt(model: Any, dataset: Dataset, **options: Any) -> Model:
    """An object as a model of this data set: a torch module, an estimator, a function of arrays, or a `Model` as it is.

    Arguments
        options: keys of `model:` in a plan, such as mean, std, classes or access.

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from titer.cases.case import Batch
    >>> from titer.cases.dataset import DataCard
    >>> from titer.cases.space import Space
    >>> card = DataCard("toy", "two people", "CC0-1.0", "", "", "none", synthetic=True)
    >>> cases = Batch.of(np.array([[1.0, 9.0], [9.0, 1.0]]), np.array([0, 1]))
    >>> data = Dataset(card, Space("table", (2,), "mg/dL", 0.0, 9.0), "classes", ("low", "high"), (1,), cases)
    >>> adapt(LogisticRegression().fit(cases.inputs, cases.targets), data).access
    'gradients'
    """
    return load_model({"object": model, **options}, dataset)


def _stamp(spec: ModelSpec, folder: Path | None) -> list[int]:
    from titer.models.adapters.build import placed

    if spec.path is None:
        return []
    try:
        found = placed(spec.path, folder).stat()
    except OSError:
        return []
    return [found.st_ino, found.st_size, found.st_mtime_ns]
