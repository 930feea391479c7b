"""Real patients that need neither folder nor network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from titer.cases.find import find_dataset
from titer.cases.leakage import check_leakage
from titer.cases.splits import split
from titer.errors import DataError, PlanError


def test_biopsies() -> None:
    data = find_dataset("breast_biopsies")
    assert np.bincount(data.cases.targets).tolist() == [357, 212]
    assert data.classes[1] == "malignant"
    assert data.positive == (1,)
    assert data.space.names[0] == "mean radius (pixels)"
    assert np.asarray(data.space.scale)[3] == pytest.approx(351.6, abs=0.1)
    assert np.all(data.cases.inputs >= 0)
    found = check_leakage(data, split(data, seed=0))
    assert (found.identical, found.similar) == (0, 0)


def test_biopsies_are_easy_as_published() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    data = find_dataset("breast_biopsies")
    parts = split(data, seed=0)
    scaler = StandardScaler().fit(data.cases.inputs[parts.train])
    model = LogisticRegression().fit(scaler.transform(data.cases.inputs[parts.train]), data.cases.targets[parts.train])
    assert model.score(scaler.transform(data.cases.inputs[parts.test]), data.cases.targets[parts.test]) > 0.94


def test_progression() -> None:
    data = find_dataset("diabetes_progression")
    assert (data.task, data.positive) == ("regression", ())
    assert (data.cases.targets.min(), data.cases.targets.max()) == (25.0, 346.0)
    assert set(data.cases.groups) == {"sex", "age_group"}
    assert not any("sex" in name for name in data.space.names)
    check_leakage(data, split(data, seed=0))


@pytest.mark.parametrize("name", ["breast_biopsies", "diabetes_progression"])
def test_no_options(name: str) -> None:
    with pytest.raises(PlanError, match="known: none"):
        find_dataset(name, size=3)


def test_other_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.datasets

    real = sklearn.datasets.load_breast_cancer()
    real.data[0, 0] += 1
    monkeypatch.setattr(sklearn.datasets, "load_breast_cancer", lambda: real)
    with pytest.raises(DataError, match="other values"):
        find_dataset("breast_biopsies")


@pytest.mark.parametrize("name", ["cxr_pediatric", "brain_tumor_mri", "notes_mtsamples"])
def test_sets_that_need_a_folder_say_so(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITER_DATA", raising=False)
    with pytest.raises(DataError, match=r"neither --data nor TITER_DATA is set.*; set --data or TITER_DATA"):
        find_dataset(name)
    with pytest.raises(DataError, match="not all of them in"):
        find_dataset(name, root=tmp_path)
