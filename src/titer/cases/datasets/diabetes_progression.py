"""Diabetes patients and how far their disease went in a year; real patients, shipped with scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.files.bounds import reading
from titer.cases.options import refuse_unknown
from titer.cases.readers.table_csv import MIXED
from titer.cases.space import Space
from titer.digest import digest_arrays
from titer.errors import DataError

# Name with unit, lowest and highest value that the measurement can take in an adult.
_FEATURES = (
    ("age (years)", 18.0, 110.0), ("body mass index (kg/m2)", 10.0, 80.0),
    ("mean blood pressure (mmHg)", 30.0, 200.0), ("total cholesterol (mg/dl)", 50.0, 600.0),
    ("LDL (mg/dl)", 10.0, 500.0), ("HDL (mg/dl)", 5.0, 150.0), ("cholesterol/HDL (ratio)", 1.0, 20.0),
    ("log triglycerides (ln mg/dl)", 2.5, 8.0), ("blood glucose (mg/dl)", 30.0, 600.0),
)  # fmt: skip
_DIGEST = "43a28c7d3cf1c4cbb9cb67486e89ac06e370b76abd43210371b235e2ee2bc3b9"


class DiabetesProgression(DatasetSource):
    """442 patients with nine measurements and a score of disease progression after one year, 25 to 346. No options.

    Sex is a subgroup and no feature, because nothing between its two codes exists. A regression: an audit needs a
    tolerance, the largest error that counts as right. The mean absolute error of a linear model is about 43.

    Source: Efron, Hastie, Johnstone, Tibshirani, Least angle regression, Ann. Statist. 32:407 (2004), doi
    10.1214/009053604000000067.

    >>> data = DiabetesProgression().load(None)
    >>> data.task, data.cases.inputs.shape, float(data.cases.targets.mean().round(1))
    ('regression', (442, 9), 152.1)
    """

    name: ClassVar[str] = "diabetes_progression"
    embedded: ClassVar[bool] = True

    def load(self, root: Path | None, **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        with reading("the diabetes patients in scikit-learn"):
            from sklearn.datasets import load_diabetes

            found = load_diabetes(scaled=False)
        values = np.asarray(found.data, dtype=np.float64)
        targets = np.asarray(found.target, dtype=np.float64)
        if digest_arrays(values, targets) != _DIGEST:
            raise DataError("the patients of scikit-learn 1.5 to 1.9", "other values", "install one of them")
        names, low, high = zip(*_FEATURES, strict=True)
        sex, features = values[:, 1], np.delete(values, 1, axis=1)
        space = Space("table", (9,), MIXED, low, high, tuple(map(float, features.std(axis=0))), "SD", names)
        ids = tuple(f"diabetes-{row:03d}" for row in range(len(values)))
        groups = {"sex": np.where(sex == 1, "code 1", "code 2"),
                  "age_group": np.where(features[:, 0] < 50, "under 50", "50 and over")}  # fmt: skip
        people = np.arange(len(values), dtype=np.int64)
        batch = Batch(features.astype(np.float32), targets, people, ids, groups)
        return Dataset(_CARD, space, "regression", ("progression score after one year",), (), batch)


_CARD = DataCard(
    name="diabetes_progression",
    title="Diabetes: nine measurements and disease progression after one year",
    licence="no licence stated; published by the authors for research, shipped with scikit-learn (BSD-3-Clause)",
    citation="Efron, Hastie, Johnstone, Tibshirani, Least angle regression, Ann. Statist. 32:407-499 (2004), "
    "doi 10.1214/009053604000000067",
    source="shipped with scikit-learn (load_diabetes, unscaled)",
    subjects="one row per patient; no key is published",
    cautions=("The progression score has no published unit.", "The source does not say which sex each code means."),
    digests={"diabetes_data_raw.csv.gz (values and targets)": _DIGEST},
)
