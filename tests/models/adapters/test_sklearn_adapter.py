"""scikit-learn: translation against the estimator itself, gradients against finite differences, and the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from adapter_examples import ONE, TABLE, THREE, TWO, labels, rows
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC

from titer.cases.space import Space
from titer.errors import ModelError, PlanError
from titer.models.adapters.classmap import ClassMap
from titer.models.adapters.fingerprint import object_digest
from titer.models.adapters.sklearn import SklearnModel, sklearn_model
from titer.models.adapters.sklearn_files import load_skops
from titer.models.adapters.sklearn_torch import translate
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task

DOSE = Task("regression", ("dose",), tolerance=0.5)
FINDINGS = Task("multilabel", ("edema", "mass"))
SCALERS = {
    "none": [],
    "standard": [StandardScaler()],
    "standard-no-mean": [StandardScaler(with_mean=False)],
    "standard-no-std": [StandardScaler(with_std=False)],
    "minmax": [MinMaxScaler((-2, 3))],
    "minmax-clip": [MinMaxScaler(clip=True)],
    "maxabs": [MaxAbsScaler()],
    "robust": [RobustScaler()],
    "robust-no-center": [RobustScaler(with_centering=False)],
    "pca": [StandardScaler(), PCA(3)],
    "pca-whiten": [PCA(3, whiten=True)],
}
CLASSIFIERS = {
    "logistic": LogisticRegression(),
    "linear-svc": LinearSVC(),
    "sgd-hinge": SGDClassifier(random_state=0),
    "sgd-log": SGDClassifier(loss="log_loss", random_state=0),
    "ridge": RidgeClassifier(),
    "lda": LinearDiscriminantAnalysis(),
    "mlp-relu": MLPClassifier((5, 3), max_iter=60, random_state=0),
    "mlp-tanh": MLPClassifier((5,), activation="tanh", max_iter=60, random_state=0),
    "mlp-logistic": MLPClassifier((5,), activation="logistic", max_iter=60, random_state=0),
}
REGRESSORS = {
    "linear": LinearRegression(),
    "ridge": Ridge(),
    "mlp": MLPRegressor(hidden_layer_sizes=(6,), max_iter=80, random_state=0),
}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def _said(fitted: Any, data: np.ndarray) -> np.ndarray:
    """What the estimator says, as decided by its own methods."""
    return fitted.predict_proba(data) if hasattr(fitted, "predict_proba") else fitted.decision_function(data)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("last", CLASSIFIERS)
@pytest.mark.parametrize("scaler", ["none", "standard", "pca"])
def test_translation_equals_the_classifier(scaler: str, last: str, classes: int) -> None:
    _check_translation(scaler, last, classes)


@pytest.mark.parametrize("scaler", SCALERS)
def test_translation_equals_every_scaler(scaler: str) -> None:
    _check_translation(scaler, "logistic", 2)


def _check_translation(scaler: str, last: str, classes: int) -> None:
    data = rows()
    fitted = make_pipeline(*SCALERS[scaler], CLASSIFIERS[last]).fit(data, labels(data, classes))
    task = TWO if classes == 2 else THREE
    model = sklearn_model(fitted, TABLE, task, cases=data)
    assert isinstance(model, TorchModel)
    assert "translated exactly" in model.notes[-1]
    new = rows(200, seed=9)
    told, said = model.predict(new), _said(fitted, new)
    if hasattr(fitted, "predict_proba"):
        np.testing.assert_allclose(np.exp(told), said, atol=1e-9)
    elif classes == 2:
        np.testing.assert_allclose(told[:, 1] - told[:, 0], said, rtol=1e-9, atol=1e-9)
    else:
        np.testing.assert_allclose(told, said, rtol=1e-9, atol=1e-9)
    assert np.array_equal(task.decide(told), fitted.predict(new))


@pytest.mark.parametrize("last", REGRESSORS)
@pytest.mark.parametrize("scaler", ["none", "robust", "pca-whiten"])
def test_translation_equals_the_regressor(scaler: str, last: str) -> None:
    fitted = make_pipeline(*SCALERS[scaler], REGRESSORS[last]).fit(rows(), np.sin(rows()).sum(1))
    model = sklearn_model(fitted, TABLE, DOSE)
    assert isinstance(model, TorchModel)
    np.testing.assert_allclose(model.predict(rows(99, 5))[:, 0], fitted.predict(rows(99, 5)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("last", ["logistic", "mlp-tanh", "mlp-logistic", "linear-svc", "sgd-log"])
def test_gradients_equal_finite_differences_of_the_estimator(last: str) -> None:
    data = rows()
    fitted = make_pipeline(StandardScaler(), PCA(3), CLASSIFIERS[last]).fit(data, labels(data, 3))
    model = sklearn_model(fitted, TABLE, THREE)
    plain = SklearnModel(fitted, TABLE, THREE)
    point = torch.from_numpy(rows(8, 4)).requires_grad_(True)
    with model.ready():
        (gradient,) = torch.autograd.grad(model.scores(point)[:, 2].sum(), point)
    step = 1e-6
    for feature in range(4):
        moved = np.zeros(4)
        moved[feature] = step
        rise = plain.predict(rows(8, 4) + moved)[:, 2] - plain.predict(rows(8, 4) - moved)[:, 2]
        # Where a probability is below 1e-12 the estimator's own numbers stand still.
        alive = plain.predict(rows(8, 4))[:, 2] > -25
        assert alive.any()
        np.testing.assert_allclose(gradient[alive, feature].numpy(), rise[alive] / (2 * step), rtol=1e-4, atol=1e-5)


def test_multilabel_perceptrons_are_translated_and_forests_asked() -> None:
    data = rows()
    truth = np.stack([labels(data), labels(-data)], axis=1)
    fitted = MLPClassifier((5,), max_iter=60, random_state=0).fit(data, truth)
    model = sklearn_model(fitted, TABLE, FINDINGS)
    assert isinstance(model, TorchModel)
    np.testing.assert_allclose(1 / (1 + np.exp(-model.predict(data))), fitted.predict_proba(data), atol=1e-9)
    forest = RandomForestClassifier(9, random_state=0).fit(data, truth)
    asked = sklearn_model(forest, TABLE, FINDINGS)
    assert np.array_equal(FINDINGS.decide(asked.predict(data)), forest.predict(data))
    constant = MultiOutputClassifier(RandomForestClassifier(3, random_state=0)).fit(
        data, np.stack([labels(data), np.zeros(len(data), dtype=int)], axis=1)
    )
    assert (sklearn_model(constant, TABLE, FINDINGS).predict(data)[:, 1] < -20).all()


def test_what_cannot_be_translated_is_asked_and_says_why() -> None:
    data = rows()
    forest = make_pipeline(Normalizer(), RandomForestClassifier(5, random_state=0, n_jobs=2)).fit(data, labels(data))
    model = sklearn_model(forest, TABLE, TWO)
    assert (type(model), model.access) == (SklearnModel, "scores")
    assert "scores only: no exact translation of Normalizer" in model.notes[-1]
    np.testing.assert_allclose(np.exp(model.predict(data)), forest.predict_proba(data).clip(1e-12), atol=1e-12)
    with pytest.raises(ModelError, match="Normalizer"):
        sklearn_model(forest, TABLE, TWO, access="gradients")


def test_a_translation_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tilted(LogisticRegression):
        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(np.asarray(X) + 1e-6)

    Tilted.__name__ = "LogisticRegression"
    data = rows()
    model = sklearn_model(Tilted().fit(data, labels(data)), TABLE, TWO)
    assert model.access == "scores"
    assert "the translation differs by" in model.notes[-1]


def test_labels_methods_and_searches() -> None:
    data = rows()

    class Silent(ClassifierMixin, BaseEstimator):
        def fit(self, X: Any, y: Any) -> Any:
            self.classes_ = np.unique(y)
            self.fitted_ = True
            return self

        def predict(self, X: Any) -> Any:
            return self.classes_[(np.asarray(X)[:, 0] > 0).astype(int)]

    silent = sklearn_model(Silent().fit(data, np.array(["healthy", "sick"])[labels(data)]), TABLE, TWO)
    assert silent.access == "labels"
    assert np.array_equal(silent.predict(data).argmax(1), (data[:, 0] > 0).astype(int))
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]})
    assert sklearn_model(search.fit(data, labels(data)), TABLE, TWO).access == "gradients"
    machine = SVC().fit(data, labels(data))
    assert sklearn_model(machine, TABLE, TWO).access == "scores"
    assert sklearn_model(machine, TABLE, TWO, output="predict").access == "labels"
    assert sklearn_model(machine, TABLE, TWO, access="labels").access == "labels"
    logistic = LogisticRegression().fit(data, labels(data))
    plain = sklearn_model(logistic, TABLE, TWO, output="decision_function", access="scores")
    np.testing.assert_allclose(plain.predict(data)[:, 1], logistic.decision_function(data), atol=1e-12)
    assert sklearn_model(logistic, TABLE, ONE).predict(data).shape == (60, 1)
    with pytest.raises(ModelError, match="predict_proba"):
        sklearn_model(LinearSVC().fit(data, labels(data)), TABLE, TWO, output="predict_proba")
    with pytest.raises(PlanError, match="output among"):
        sklearn_model(logistic, TABLE, TWO, output="transform")
    with pytest.raises(ModelError, match="labels only"):
        sklearn_model(machine, TABLE, TWO, output="predict", access="gradients")


def test_outlier_detectors_score_high_for_the_abnormal() -> None:
    detector = IsolationForest(n_estimators=30, random_state=0).fit(rows(200) * 0.3)
    model = sklearn_model(detector, TABLE, Task("anomaly", ("normal", "abnormal")))
    told = model.predict(np.concatenate((np.zeros((1, 4)), np.full((1, 4), 3.0))))
    assert told[0, 0] < 0 < told[1, 0]
    assert np.array_equal(model.task.decide(model.predict(rows())), (detector.predict(rows()) == -1).astype(int))


def test_features_are_matched_by_name() -> None:
    names = ["sodium", "potassium", "urea", "age"]
    frame = pd.DataFrame(rows(), columns=names)
    for last in (LogisticRegression(), RandomForestClassifier(5, random_state=0)):
        fitted = make_pipeline(StandardScaler(), last).fit(frame, labels(rows()))
        turned = Space("table", (4,), "mg/dL", -3.0, 3.0, names=tuple(reversed(names)))
        model = sklearn_model(fitted, turned, TWO)
        assert any("matched by name" in note for note in model.notes)
        np.testing.assert_allclose(
            np.exp(model.predict(rows()[:, ::-1].copy())), fitted.predict_proba(frame).clip(1e-12), atol=1e-9
        )
        other = Space("table", (4,), "mg/dL", -3.0, 3.0, names=("a", "b", "c", "d"))
        assert any("in their order" in note for note in sklearn_model(fitted, other, TWO).notes)


def test_own_class_names_and_numbers_are_read() -> None:
    data = rows()
    named = LogisticRegression().fit(data, np.array(["sick", "healthy"])[labels(data)])
    model = sklearn_model(named, TABLE, TWO)
    expected = named.predict_proba(data)[:, list(named.classes_).index("sick")]
    np.testing.assert_allclose(np.exp(model.predict(data))[:, 1], expected, atol=1e-9)
    machine = LinearSVC().fit(data, np.array(["sick", "healthy"])[labels(data)])
    decided = sklearn_model(machine, TABLE, TWO)
    assert np.array_equal(TWO.decide(decided.predict(data)), (machine.predict(data) == "sick").astype(int))
    numbered = sklearn_model(LogisticRegression().fit(data, labels(data) * 2 - 1), TABLE, TWO)
    assert "-1 = healthy, 1 = sick" in numbered.notes[0]
    turned = sklearn_model(named, TABLE, TWO, classes=ClassMap(("sick", "healthy")))
    np.testing.assert_allclose(np.exp(turned.predict(data))[:, 0], expected, atol=1e-9)


def test_pictures_are_flattened_and_notes_read_as_text() -> None:
    space = Space("image", (1, 2, 2), "grey level", -3.0, 3.0)
    fitted = LogisticRegression().fit(rows(), labels(rows()))
    told = sklearn_model(fitted, space, TWO).predict(rows().reshape(-1, 1, 2, 2))
    np.testing.assert_allclose(np.exp(told), fitted.predict_proba(rows()), atol=1e-9)
    notes = Space("tokens", (4,), "word", vocabulary=("", "fever", "cough", "fine"))
    reader = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["fever cough", "fine", "fine fine"], [1, 0, 0])
    model = sklearn_model(reader, notes, TWO)
    given = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [3, 3, 0, 0]])
    expected = reader.predict_proba(["fever cough", "fine", "fine fine"])
    np.testing.assert_allclose(np.exp(model.predict(given)), expected, atol=1e-9)


def test_estimators_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="fitted estimator"):
        sklearn_model(LogisticRegression(), TABLE, TWO)
    fitted = LogisticRegression().fit(rows(), labels(rows()))
    with pytest.raises(ModelError, match=r"4 values.*3 values"):
        sklearn_model(fitted, Space("table", (3,), "mg/dL"), TWO)
    with pytest.raises(ModelError, match="a model of 3 classes"):
        sklearn_model(fitted, TABLE, THREE)
    with pytest.raises(ModelError):
        sklearn_model(StandardScaler().fit(rows()), TABLE, TWO)
    forest = RandomForestRegressor(3).fit(rows(), rows()[:, 0])
    assert sklearn_model(forest, TABLE, DOSE).predict(rows()).shape == (60, 1)


def test_digest_sees_what_was_learned() -> None:
    def fitted(seed: int) -> Any:
        return RandomForestClassifier(4, random_state=seed).fit(rows(), labels(rows()))

    assert object_digest(fitted(0)) == object_digest(fitted(0)) != object_digest(fitted(1))
    first, second = (sklearn_model(fitted(0), TABLE, TWO), sklearn_model(fitted(0), TABLE, TWO, mean=1.0))
    assert first.digest != second.digest
    frame = pd.DataFrame(rows(), columns=list("abcd"))
    fitted_on_names = LogisticRegression().fit(frame, labels(rows()))
    orders = {
        sklearn_model(fitted_on_names, Space("table", (4,), "mg/dL", -3.0, 3.0, names=tuple(names)), TWO).digest
        for names in ("abcd", "dcba", "badc")
    }
    assert len(orders) == 3


def test_normalization_comes_before_the_estimator() -> None:
    fitted = LogisticRegression().fit(rows(), labels(rows()))
    model = sklearn_model(fitted, TABLE, TWO, mean=(1.0, 0.0, 0.0, 0.0), std=2.0)
    expected = fitted.predict_proba((rows() - [1.0, 0.0, 0.0, 0.0]) / 2.0)
    np.testing.assert_allclose(np.exp(model.predict(rows())), expected, atol=1e-9)


def test_translate_names_the_part_it_does_not_know() -> None:
    from titer.models.adapters.sklearn_torch import Untranslatable

    huber = SGDClassifier(loss="modified_huber", random_state=0).fit(rows(), labels(rows()))
    with pytest.raises(Untranslatable, match="modified_huber"):
        translate(huber, "predict_proba")
    assert sklearn_model(huber, TABLE, TWO, output="decision_function").access == "gradients"
    with pytest.raises(Untranslatable, match="SVC"):
        translate(SVC().fit(rows(), labels(rows())), "decision_function")


def test_skops_files_are_read_after_an_audit_of_their_types(tmp_path: Path) -> None:
    io = pytest.importorskip("skops.io")
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows(), labels(rows()))
    io.dump(fitted, tmp_path / "m.skops")
    model = sklearn_model(load_skops(tmp_path / "m.skops"), TABLE, TWO)
    np.testing.assert_allclose(np.exp(model.predict(rows())), fitted.predict_proba(rows()), atol=1e-9)
    io.dump({"path": Path("x"), "f": np.linalg.norm, "g": print}, tmp_path / "odd.skops")
    with pytest.raises(ModelError, match="trusted"):
        load_skops(tmp_path / "odd.skops")
    (tmp_path / "bad.skops").write_bytes(b"PK\x03\x04 no archive")
    for name in ("bad.skops", "none.skops"):
        with pytest.raises(ModelError, match=name):
            load_skops(tmp_path / name)
