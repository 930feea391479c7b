"""Preparing inputs and reading answers: laws, closed forms, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from adapter_examples import ONE, THREE, TWO
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.cases.space import Space
from titer.errors import ModelError, PlanError
from titer.models.adapters.answers import Answers, detect_probabilities
from titer.models.adapters.classmap import ClassMap, read_labels
from titer.models.adapters.intake import LAYOUTS, Intake, arranged, find_layout, pieces, read_layout
from titer.models.task import Task

FINDINGS = Task("multilabel", ("edema", "mass", "nodule"))
DOSE = Task("regression", ("dose",), tolerance=0.5)
STRANGE = Task("anomaly", ("normal", "abnormal"))
numbers = st.floats(-20, 20, allow_nan=False)


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    layout=st.sampled_from(LAYOUTS),
    count=st.integers(0, 4),
)
def test_every_layout_holds_the_same_values(shape: tuple[int, int, int], layout: str, count: int) -> None:
    if layout == "squeezed" and shape[0] != 1:
        shape = (1, *shape[1:])
    intake = Intake(Space("image", shape, "grey level"), layout=layout)  # type: ignore[arg-type]
    given_ = torch.arange(count * int(np.prod(shape)), dtype=torch.float64).reshape(count, *shape)
    seen = intake(given_)
    assert seen.shape == (count, *intake.shape)
    assert sorted(seen.flatten().tolist()) == given_.flatten().tolist()
    if count:
        back = seen.movedim(-1, 1) if layout == "channels-last" else seen.reshape(count, *shape)
        assert torch.equal(back.reshape(count, *shape), given_)
        assert seen.data_ptr() != given_.data_ptr()


@given(mean=st.tuples(numbers, numbers), std=st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)))
def test_normalization_is_exact_per_channel(mean: tuple[float, float], std: tuple[float, float]) -> None:
    space = Space("signal", (2, 3), "mV", -20, 20)
    given_ = np.random.default_rng(0).uniform(-20, 20, (4, 2, 3))
    seen = Intake(space, mean, std)(torch.from_numpy(given_)).numpy()
    assert np.array_equal(seen, (given_ - np.array(mean)[:, None]) / np.array(std)[:, None])


def test_grey_pictures_become_color_with_one_normalization_per_color() -> None:
    intake = Intake(Space("image", (1, 2, 2), "grey level"), (0.1, 0.2, 0.3), (1.0, 2.0, 4.0), "channels-last", 3)
    seen = intake(torch.ones(1, 1, 2, 2, dtype=torch.float64))
    assert seen.shape == (1, 2, 2, 3)
    np.testing.assert_allclose(seen[0, 1, 1].numpy(), [0.9, 0.4, 0.175])


@pytest.mark.parametrize(
    ("settings_", "error"),
    [
        ({"layout": "sideways"}, PlanError),
        ({"layout": "squeezed", "channels": 3}, PlanError),
        ({"channels": 0}, PlanError),
        ({"mean": (0.0, 1.0)}, ModelError),
        ({"std": 0.0}, ModelError),
        ({"std": float("nan")}, ModelError),
        ({"mean": float("inf")}, ModelError),
    ],
)
def test_settings_that_cannot_be_are_refused(settings_: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        Intake(Space("image", (1, 2, 2), "grey level"), **settings_)
    with pytest.raises(PlanError):
        Intake(Space("table", (3,), "mg/dL"), channels=3)


@pytest.mark.parametrize(
    ("dims", "space", "channels", "layout"),
    [
        ((1, 28, 28), (1, 28, 28), None, "channels-first"),
        ((28, 28, 1), (1, 28, 28), None, "channels-last"),
        ((28, 28), (1, 28, 28), None, "squeezed"),
        ((784,), (1, 28, 28), None, "flat"),
        ((None, None, None), (3, 8, 9), None, "channels-first"),
        ((None, None, 3), (3, 8, 9), None, "channels-last"),
        ((224, 224, 3), (1, 224, 224), 3, "channels-last"),
        (None, (1, 28, 28), None, "channels-first"),
        ((1, 28, 28), (1, 28, 28), 1, "channels-first"),
    ],
)
def test_layout_is_found(dims: tuple | None, space: tuple, channels: int | None, layout: str) -> None:
    assert find_layout(dims, Space("image", space, "grey level"), channels, "x") == layout


def test_misfit_names_both_shapes_and_the_way_out() -> None:
    with pytest.raises(ModelError, match=r"3 x 28 x 28.*1 x 28 x 28.*channels: 3"):
        find_layout((3, 28, 28), Space("image", (1, 28, 28), "grey level"), None, "chest.onnx")
    with pytest.raises(ModelError, match=r"any x 64.*1 x 28 x 28.*resize"):
        find_layout((None, 64), Space("image", (1, 28, 28), "grey level"), None, "chest.onnx")
    assert read_layout("nhwc") == "channels-last"
    assert read_layout(None) is None
    assert arranged((1, 4), "squeezed") == (4,)
    with pytest.raises(PlanError, match="NHWC"):
        read_layout("CHWN")


@given(count=st.integers(1, 20), block=st.one_of(st.none(), st.integers(1, 7)))
def test_blocks_cover_every_case_once(count: int, block: int | None) -> None:
    given_ = torch.arange(float(count)).unsqueeze(1)
    parts = list(pieces(given_, block))
    assert torch.equal(torch.cat([piece[:n] for piece, n in parts]), given_)
    assert all(block is None or len(piece) == block for piece, _ in parts)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=4))
def test_probabilities_give_back_the_logits_up_to_a_constant(rows: list) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    told = Answers(THREE, probabilities=True).scores(torch.softmax(logits, 1), len(rows))
    expected = torch.log_softmax(logits, 1).clamp_min(np.log(1e-12))
    np.testing.assert_allclose(told.numpy(), expected.numpy(), atol=1e-9)
    found = Answers(FINDINGS, probabilities=True).scores(torch.sigmoid(logits / 2), len(rows))
    np.testing.assert_allclose(found.numpy(), (logits / 2).numpy(), atol=1e-6)


def test_one_number_for_two_classes_is_the_log_odds_of_the_second() -> None:
    raw = torch.tensor([-1.0, 2.0])
    assert Answers(TWO).scores(raw, 2).tolist() == [[0.0, -1.0], [0.0, 2.0]]
    assert Answers(ONE).scores(raw, 2).tolist() == [[-1.0], [2.0]]
    turned = ClassMap(("sick", "healthy"))
    assert Answers(TWO, classes=turned).scores(raw, 2).tolist() == [[0.0, 1.0], [0.0, -2.0]]
    half = Answers(TWO, probabilities=True, classes=turned).scores(torch.tensor([[0.25]]), 1)
    np.testing.assert_allclose(half.numpy(), [[0.0, np.log(3)]], atol=1e-6)


def test_two_numbers_for_one_score_are_their_difference() -> None:
    raw = torch.tensor([[1.0, 3.0]])
    assert Answers(STRANGE).scores(raw, 1).tolist() == [[2.0]]
    shares = Answers(ONE, probabilities=True).scores(torch.tensor([[0.2, 0.8]], dtype=torch.float64), 1)
    np.testing.assert_allclose(shares.numpy(), [[np.log(4)]], atol=1e-9)


def test_classes_are_reordered_merged_and_left_out() -> None:
    raw = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64))
    merged = ClassMap(("sick", None, "healthy", "sick"))
    told = Answers(TWO, classes=merged).scores(raw, 1)
    np.testing.assert_allclose(told.exp().numpy(), [[0.3, 0.5]])
    assert Answers(FINDINGS, classes=ClassMap(("nodule", "edema", "mass"))).scores(
        torch.tensor([[1.0, 2.0, 3.0]]), 1
    ).tolist() == [[2.0, 3.0, 1.0]]


@pytest.mark.parametrize(
    ("task", "shape"),
    [(TWO, (3, 3)), (THREE, (3, 2)), (TWO, (2, 2)), (DOSE, (3, 2)), (TWO, (3, 2, 2)), (FINDINGS, (3,)), (TWO, (3, 0))],
)
def test_wrong_shapes_are_refused_with_the_shape(task: Task, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=rf"{shape[-1]}\]") as caught:
        Answers(task).scores(torch.zeros(shape), 3)
    assert "case" in caught.value.expected
    assert caught.value.remedy


def test_trailing_ones_and_half_precision_are_read() -> None:
    assert Answers(TWO).scores(torch.zeros(3, 2, 1, 1), 3).shape == (3, 2)
    assert Answers(DOSE).scores(torch.zeros(3, dtype=torch.float16), 3).dtype == torch.float32
    assert Answers(DOSE).scores(torch.zeros(3, dtype=torch.float64), 3).dtype == torch.float64


@pytest.mark.parametrize("data", [("healthy",), ("healthy", "sick", "dead"), ("healthy", "healthy")])
def test_maps_that_leave_a_class_out_or_invent_one_are_refused(data: tuple[str, ...]) -> None:
    with pytest.raises(PlanError, match="healthy, sick"):
        Answers(TWO, classes=ClassMap(data))
    with pytest.raises(PlanError):
        Answers(FINDINGS, classes=ClassMap(("edema", "edema", "mass", "nodule")))
    with pytest.raises(PlanError, match="leave 'classes' out"):
        Answers(DOSE, classes=ClassMap(("x",)))
    with pytest.raises(PlanError):
        ClassMap.read("healthy")


def test_own_names_are_matched_numbered_or_refused() -> None:
    found, said = ClassMap.found(["sick", "healthy"], TWO, "x")
    assert found is not None
    assert found.columns(TWO) == ((1,), (0,))
    assert "by name" in said
    numbered, said = ClassMap.found(np.array([2, -1, 1]), THREE, "x")
    assert numbered is not None
    assert numbered.columns(THREE) == ((1,), (2,), (0,))
    assert "-1 = a, 1 = b, 2 = c" in said
    with pytest.raises(ModelError, match=r"clear.*classes:"):
        ClassMap.found(["clear", "ill"], TWO, "x")
    with pytest.raises(ModelError, match="with 3"):
        ClassMap.found([0, 1, 2], TWO, "x")


def test_labels_are_read_by_name_place_and_map() -> None:
    assert read_labels(np.array([1.0, 0.0]), None, TWO).tolist() == [1, 0]
    assert read_labels(np.array([True, False]), None, TWO).tolist() == [1, 0]
    assert read_labels(np.array([b"sick", b"healthy"], dtype=object), ClassMap(("healthy", "sick")), TWO).tolist() == [
        1,
        0,
    ]
    mapped = ClassMap.read({"PNEUMONIA": "sick", "NORMAL": "healthy", "VIRUS": "sick"})
    assert read_labels(np.array(["VIRUS", "NORMAL"]), mapped, TWO).tolist() == [1, 0]
    assert read_labels(np.array([5, 7]), ClassMap.read({7: "sick", 5: "healthy"}), TWO).tolist() == [0, 1]
    for wrong in (np.array([2]), np.array(["ill"]), np.array([0.5]), np.array([-1])):
        with pytest.raises(ModelError, match="label among"):
            read_labels(wrong, None, TWO)


def test_labels_become_scores_that_decide_the_same() -> None:
    for task in (TWO, THREE, ONE):
        raw = np.arange(len(task.classes))
        assert task.decide(Answers(task).labels(raw, len(raw)).numpy()).tolist() == raw.tolist()
    found = np.array([[0, 1, 1], [1, 0, 0]])
    assert FINDINGS.decide(Answers(FINDINGS).labels(found, 2).numpy()).tolist() == found.tolist()
    assert Answers(DOSE).labels(np.array([1.5, 2]), 2).tolist() == [[1.5], [2.0]]
    for task, raw in ((TWO, np.zeros((2, 2))), (FINDINGS, np.array([[0, 2, 0]])), (TWO, np.zeros(3))):
        with pytest.raises(ModelError):
            Answers(task).labels(raw, 2)


def test_probabilities_are_detected_or_asked_for() -> None:
    assert detect_probabilities(np.array([[0.2, 0.8]]), TWO)[0]
    assert not detect_probabilities(np.array([[0.2, 0.7]]), TWO)[0]
    assert not detect_probabilities(np.array([[-0.2, 1.2]]), TWO)[0]
    assert not detect_probabilities(np.array([3.0]), TWO)[0]
    assert not detect_probabilities(np.array([0.5]), DOSE)[0]
    assert detect_probabilities(np.array([0.5]), TWO, known=True)[0]
    assert not detect_probabilities(np.array([0.5]), TWO, known=False)[0]
    for raw, task in ((np.array([0.5]), TWO), (np.array([[0.5, 0.1, 0.2]]), FINDINGS)):
        with pytest.raises(ModelError, match="could be either"):
            detect_probabilities(raw, task)
    with pytest.raises(ModelError, match="sum to 1"):
        detect_probabilities(np.array([[0.9, 0.8]]), TWO, known=True)
