"""Operating points: every way to fix one, on models whose scores are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from titer.audit.operating import check_rule, fix, read_rule, rule_for
from titer.audit.plan import DataSpec, SplitSpec, Subject, ThreatSpec
from titer.audit.subject import split_of
from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space
from titer.errors import DataError, LeakageError, PlanError
from titer.models.load import adapt
from titer.models.model import Model
from titer.models.task import Task
from titer.registry import ATTACKS

RNG = np.random.default_rng(5)
INPUTS = RNG.random((200, 1)).astype(np.float32)
TARGETS = (INPUTS[:, 0] + RNG.normal(0, 0.2, 200) > 0.5).astype(np.int64)
CARD = DataCard("drawn", "two hundred people", "CC0-1.0", "", "", "none", synthetic=True)


def data(task: Any = "classes", official: Array | None = None) -> Dataset:
    cases = Batch.of(INPUTS, TARGETS)
    return Dataset(CARD, Space("table", (1,), "mg/dL", 0.0, 1.0), task, ("well", "sick"), (1,), cases, official)


def subject(threshold: Any = None, split: SplitSpec | None = None, own: bool = True) -> Subject:
    return Subject(
        data=DataSpec(name="drawn", split=split or SplitSpec()), threats=(ThreatSpec(limits=(0.1,)),),
        model={"path": "model.onnx"} if own else {"zoo": "t_mlp"}, threshold=threshold,
    )  # fmt: skip


def probabilities(cases: Array) -> Array:
    return np.concatenate((1 - cases, cases), axis=1)


def logits(cases: Array) -> Array:
    return np.concatenate((np.zeros_like(cases), 10 * cases - 5), axis=1)


def called(model: Model, rule: Any, rows: Array | None = None) -> tuple[Array, str]:
    task, words = fix(read_rule(rule), model, data(), np.arange(0) if rows is None else rows)
    return np.asarray(task.decide(model.predict(INPUTS)) == 1), words


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("kind", ["probability", "plain"])
def test_a_probability_is_on_the_scale_of_a_model_that_gives_probabilities(share: float, kind: str) -> None:
    sick, words = called(adapt(probabilities, data()), share if kind == "plain" else {"probability": share})
    clear = np.abs(INPUTS[:, 0] - share) > 1e-5
    np.testing.assert_array_equal(sick[clear], (INPUTS[:, 0] > share)[clear])
    assert words == f"given in the plan: probability above {share:g}"


@pytest.mark.parametrize("score", [-2.0, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("kind", ["score", "plain"])
def test_a_number_is_a_score_where_the_model_gives_scores(score: float, kind: str) -> None:
    sick, words = called(adapt(logits, data()), score if kind == "plain" else {"score": score})
    clear = np.abs(10 * INPUTS[:, 0] - 5 - score) > 1e-4
    np.testing.assert_array_equal(sick[clear], (10 * INPUTS[:, 0] - 5 > score)[clear])
    assert words == f"given in the plan: score above {score:g}"


def test_a_probability_works_for_logits_and_a_score_for_probabilities() -> None:
    by_share, _ = called(adapt(logits, data()), {"probability": 0.5})
    by_score, _ = called(adapt(logits, data()), {"score": 0})
    np.testing.assert_array_equal(by_share, by_score)
    by_odds, _ = called(adapt(probabilities, data()), {"score": 0})
    by_half, _ = called(adapt(probabilities, data()), 0.5)
    np.testing.assert_array_equal(by_odds, by_half)


def test_translated_pipelines_keep_the_scale_of_their_probabilities() -> None:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(INPUTS, TARGETS)
    model = adapt(fitted, data())
    assert (model.access, model.gives_probabilities) == ("gradients", True)
    sick, _ = called(model, 0.3)
    share = fitted.predict_proba(INPUTS)[:, 1]
    clear = np.abs(share - 0.3) > 1e-5
    np.testing.assert_array_equal(sick[clear], (share > 0.3)[clear])
    assert not adapt(fitted, data(), output="decision_function").gives_probabilities


def test_findings_share_one_threshold() -> None:
    task = Task("multilabel", ("effusion", "edema"))

    class Two(Model):
        name, digest, access, gives_probabilities = "two", "two", "scores", True
        space = data().space

        def __init__(self) -> None:
            self.task = task

        def scores(self, inputs: Any) -> Any:
            return inputs.repeat(1, 2)

    fixed, _ = fix(read_rule(0.25), Two(), data(), np.arange(0))
    assert fixed.decide(np.array([[np.log(1 / 3) + 0.01, np.log(1 / 3) - 0.01]])).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("task", "own", "name"),
    [("classes", True, "default"), ("classes", False, "youden"), ("anomaly", True, "percentile"),
     ("anomaly", False, "percentile")],
)  # fmt: skip
def test_the_usual_rule(task: str, own: bool, name: str) -> None:
    assert rule_for(subject(own=own), data(task), own=own).name == name


@pytest.mark.parametrize(
    ("rule", "task", "more", "said"),
    [
        ("youden", Task("classes", ("a", "b", "c")), {}, "two sides"),
        (0.5, Task("classes", ("a", "b", "c")), {}, "two sides"),
        (0.5, Task("regression", ("age",), tolerance=1.0), {}, "two sides"),
        ("youden", Task("multilabel", ("a", "b")), {}, "two sides"),
        ("youden", Task("binary", ("a", "b")), {"access": "labels"}, "labels only"),
        (0.5, Task("binary", ("a", "b")), {"access": "labels"}, "labels only"),
        (30, Task("binary", ("a", "b")), {"probabilities": True}, "probability"),
        ({"probability": 0.5}, Task("anomaly", ("normal", "abnormal")), {}, "anomaly"),
    ],
)
def test_rules_that_a_task_cannot_follow_are_refused(rule: Any, task: Task, more: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        check_rule(read_rule(rule), task, **{"access": "scores", "probabilities": False, **more})


def test_a_rule_that_needs_cases_gets_them() -> None:
    model = adapt(logits, data())
    sick, words = called(model, {"sensitivity": 0.9}, np.arange(200))
    assert sick[TARGETS == 1].mean() >= 0.9
    assert words == "sensitivity of 0.9 on 200 validation cases"
    with pytest.raises(PlanError, match="validation cases"):
        called(model, "youden")


PARTS = np.array(["train"] * 120 + ["validation"] * 40 + ["test"] * 40)


def sizes(spec: Subject, dataset: Dataset, *, trained: bool = False) -> list[int]:
    return [len(rows) for rows in split_of(spec, dataset, 0, trained).split.parts().values()]


def test_a_model_trained_elsewhere_is_tested_on_the_test_part_of_the_source() -> None:
    for rule in (None, "youden", 0.5, {"sensitivity": 0.9}):
        parts = split_of(subject(rule), data(official=PARTS), 0, False).split
        assert parts.test.tolist() == list(range(160, 200))
        assert parts.validation.tolist() == list(range(120, 160))
        assert parts.train.tolist() == list(range(120))


def test_the_plan_can_choose_another_split() -> None:
    dataset = data(official=PARTS)
    assert sizes(subject("youden", SplitSpec(by="patient")), dataset) == [0, 100, 100]
    assert sizes(subject(None, SplitSpec(by="patient")), dataset) == [0, 0, 200]
    assert sizes(subject("youden", SplitSpec(fractions=(0, 0.25, 0.75))), dataset) == [0, 50, 150]


def test_a_model_trained_here_is_split_by_patient_unless_the_plan_says_official() -> None:
    dataset = data(official=PARTS)
    assert sizes(subject(own=False), dataset, trained=True) == [100, 50, 50]
    assert sizes(subject(own=False, split=SplitSpec(by="official")), dataset, trained=True) == [120, 40, 40]


def test_without_parts_and_without_a_threshold_to_fix_all_cases_are_tested() -> None:
    assert sizes(subject(), data()) == [0, 0, 200]
    assert sizes(subject(0.5), data()) == [0, 0, 200]
    assert sizes(subject("youden"), data()) == [0, 100, 100]
    assert sizes(subject(), data("anomaly"))[1] > 0


def test_an_attack_that_learns_gets_cases_that_are_not_attacked() -> None:
    learner = next(name for name in ATTACKS.names() if ATTACKS.find(name).learns)
    plain = subject()
    assert sizes(plain.model_copy(update={"attacks": (learner,)}), data()) == [0, 100, 100]
    threat = plain.threats[0].model_copy(update={"attacks": (learner,)})
    assert sizes(plain.model_copy(update={"threats": (threat,)}), data()) == [0, 100, 100]


def test_training_cases_never_fix_a_threshold() -> None:
    pair = np.array(["train"] * 100 + ["test"] * 100)
    assert sizes(subject(), data(official=pair)) == [100, 0, 100]
    with pytest.raises(DataError, match="validation part"):
        split_of(subject("youden"), data(official=pair), 0, False)
    with pytest.raises(DataError, match="test part"):
        split_of(subject(), data(official=np.array(["train"] * 200)), 0, False)
    with pytest.raises(DataError, match="by: patient"):
        split_of(subject(split=SplitSpec(by="official")), data(), 0, False)


def test_a_patient_in_the_train_and_the_test_part_of_the_source_stops_the_audit() -> None:
    cases = Batch.of(INPUTS, TARGETS, patients=np.concatenate((np.arange(190), np.arange(10))))
    with pytest.raises(LeakageError, match="patient"):
        split_of(subject(), replace(data(official=PARTS), cases=cases), 0, False)
