"""Measurements in tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases_made import rng

from titer.cases.find import find_dataset
from titer.errors import DataError, PlanError


def written(path: Path, **columns: Any) -> Path:
    names = [name.replace("__", " ") for name in columns]
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def columns(count: int = 20) -> dict[str, Any]:
    return {
        "age__[years]": rng(1).integers(20, 80, count),
        "potassium__(mmol/l)": rng(2).normal(4, 0.5, count).round(2),
        "label": ["sick" if k % 3 == 0 else "healthy" for k in range(count)],
    }


def test_features_in_units_with_limits_in_sd(tmp_path: Path) -> None:
    made = columns()
    data = find_dataset(written(tmp_path / "t.csv", **made, patient=[f"P{k // 2}" for k in range(20)]))
    assert data.space.names == ("age [years]", "potassium (mmol/l)")
    assert data.space.radius_unit == "SD"
    assert data.space.scale == pytest.approx((np.std(made["age__[years]"]), np.std(made["potassium__(mmol/l)"])))
    assert (data.classes, data.positive) == (("healthy", "sick"), (1,))
    assert data.cases.inputs[:, 1] == pytest.approx(made["potassium__(mmol/l)"], abs=1e-5)
    assert len(set(data.cases.patients.tolist())) == 10
    low = np.asarray(data.space.low)
    assert low == pytest.approx(data.cases.inputs.min(axis=0), abs=1e-3)


def test_ranges_features_and_one_unit(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", a=rng(1).normal(0, 1, 9), b=rng(2).normal(0, 1, 9), label=list("xyxyxyxyx"))
    data = find_dataset(path, features=["b"], range={"b": [-9, 9]})
    assert data.space.names == ("b",)
    assert (data.space.low, data.space.high) == ((-9.0,), (9.0,))
    with pytest.raises(PlanError, match="'range'"):
        find_dataset(path, range={"c": [0, 1]})
    with pytest.raises(DataError, match="a column 'c'"):
        find_dataset(path, features=["c"])
    one = written(tmp_path / "u.csv", **{"a__(mV)": rng(1).normal(0, 1, 9), "label": list("xyxyxyxyx")})
    assert find_dataset(one).space.unit == "mV"


def test_missing_cells_are_refused_or_dropped(tmp_path: Path) -> None:
    made = columns()
    made["age__[years]"] = ["" if k == 4 else value for k, value in enumerate(made["age__[years]"])]
    path = written(tmp_path / "t.csv", **made)
    with pytest.raises(DataError, match=r"none in line 6, column 'age \[years\]' \(1 rows\)"):
        find_dataset(path)
    assert len(find_dataset(path, missing="drop").cases) == 19
    with pytest.raises(PlanError, match="refuse, drop"):
        find_dataset(path, missing="fill")


def test_a_regression(tmp_path: Path) -> None:
    made = columns()
    made["label"] = rng(3).normal(100, 10, 20)
    path = written(tmp_path / "t.csv", **made)
    data = find_dataset(path, task="regression", title="Pressure")
    assert data.task == "regression"
    assert data.classes == ("label",)
    assert data.cases.targets == pytest.approx(made["label"])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"label": ["only"] * 20}, {}, "at least two classes"),
        ({"label": [""] + ["a", "b"] * 9 + ["a"]}, {}, "a label for every case"),
        ({"label": ["a", "x"] * 10}, {"task": "regression"}, "numbers to predict"),
        ({"label": ["a", "b"] * 10}, {"task": "anomaly"}, "labeled normal"),
        ({"age__[years]": [5] * 20}, {"features": ["age [years]"]}, "never does"),
        ({"age__[years]": ["old"] * 20}, {"features": ["age [years]"]}, "a word in line 2"),
        ({"age__[years]": ["inf"] * 20}, {"features": ["age [years]"]}, "a number in every cell"),
        ({"patient": [""] + ["P"] * 19}, {}, "a patient key for every case"),
        ({"split": ["somewhere"] * 20}, {}, "train, val or test"),
    ],
)
def test_wrong_contents(tmp_path: Path, change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_dataset(written(tmp_path / "t.csv", **{**columns(), **change}), **options)


def test_words_are_no_features(tmp_path: Path) -> None:
    data = find_dataset(written(tmp_path / "t.csv", **columns(), id=range(20), ward=list("ab" * 10)))
    assert data.space.names == ("age [years]", "potassium (mmol/l)")
    only = {"ward": list("ab" * 10), "label": list("xy" * 10)}
    with pytest.raises(DataError, match="columns of numbers"):
        find_dataset(written(tmp_path / "u.csv", **only))
    with pytest.raises(DataError, match=r"columns ward"):
        find_dataset(written(tmp_path / "v.csv", ward=list("ab" * 10)))
