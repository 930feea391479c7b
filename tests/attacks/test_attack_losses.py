"""What attacks climb."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from titer.attacks.losses import LOSSES, advantage, loss
from titer.errors import AttackError, ThreatError
from titer.models.task import Task
from titer.testing import models
from titer.threats.goal import Goal

ANSWERS = ("classes", "two classes", "binary", "multilabel", "regression", "anomaly")
GOALS = (Goal(), Goal("targeted"), Goal("targeted", 0), Goal("raise"), Goal("lower"))


def drawn(answer: str, seed: int, *, threshold: float) -> tuple[Task, torch.Tensor, torch.Tensor, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    task = models.task(answer)  # type: ignore[arg-type]
    if task.two_sided or task.kind == "multilabel":
        task = task.at(threshold)
    scores, clean = (torch.from_numpy(rng.normal(size=(12, task.outputs))) for _ in range(2))
    if task.kind == "regression":
        truth = rng.normal(size=12)
    elif task.kind == "multilabel":
        truth = rng.integers(0, 2, size=(12, task.outputs))
    else:
        truth = rng.integers(0, len(task.classes), size=12)
    return task, scores, clean, truth


def accepts(goal: Goal, task: Task) -> bool:
    """Goals that a task refuses are tested elsewhere."""
    try:
        goal.check(task)
    except ThreatError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(
    answer=st.sampled_from(ANSWERS),
    goal=st.sampled_from(GOALS),
    seed=st.integers(0, 999),
    threshold=st.sampled_from((0.0, 0.7, -0.4)),
)
def test_the_advantage_is_positive_exactly_when_the_goal_is_reached(
    answer: str, goal: Goal, seed: int, threshold: float
) -> None:
    task, scores, clean, truth = drawn(answer, seed, threshold=threshold)
    assume(accepts(goal, task))
    aim = torch.from_numpy(goal.targets(task, truth) if goal.kind == "targeted" else truth)
    margin = advantage(task, goal, scores, aim, clean)
    assert (margin > 0).tolist() == goal.fooled(task, truth, clean.numpy(), scores.numpy()).tolist()


@settings(max_examples=100, deadline=None)
@given(
    answer=st.sampled_from(ANSWERS), goal=st.sampled_from(GOALS), seed=st.integers(0, 99), name=st.sampled_from(LOSSES)
)
def test_every_loss_has_a_finite_gradient_for_every_task(answer: str, goal: Goal, seed: int, name: str) -> None:
    task, scores, clean, truth = drawn(answer, seed, threshold=0.1)
    assume(accepts(goal, task))
    aim = torch.from_numpy(goal.targets(task, truth) if goal.kind == "targeted" else truth)
    point = scores.clone().requires_grad_(True)
    value = loss(name)(task, goal, point, aim, clean)
    assert value.shape == (12,)
    (gradient,) = torch.autograd.grad(value.sum(), point)
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient != 0).any(dim=1).all())


def test_cross_entropy_is_that_of_torch() -> None:
    task, scores, clean, truth = drawn("classes", 0, threshold=0.0)
    expected = torch.nn.functional.cross_entropy(scores, torch.from_numpy(truth), reduction="none")
    torch.testing.assert_close(loss("ce")(task, Goal(), scores, torch.from_numpy(truth), clean), expected)


def test_difference_of_logits_ratio_by_hand_and_its_invariance() -> None:
    task = Task("classes", ("a", "b", "c", "d"))
    scores = torch.tensor([[5.0, 3.0, 1.0, 0.0]])
    truth = torch.tensor([0])
    value = loss("dlr")(task, Goal(), scores, truth, scores)
    assert float(value) == pytest.approx(-(5 - 3) / (5 - 1))
    torch.testing.assert_close(loss("dlr")(task, Goal(), 7 * scores + 3, truth, scores), value)


def test_the_targeted_ratio_by_hand_its_invariance_and_what_it_is_below_four_classes() -> None:
    task = Task("classes", ("a", "b", "c", "d", "e"))
    scores, truth = torch.tensor([[5.0, 3.0, 1.0, 0.0, -9.0]]), torch.tensor([0])
    value = loss("dlr-target2")(task, Goal(), scores, truth, scores)
    assert float(value) == pytest.approx((1 - 5) / (5 - 0.5))
    torch.testing.assert_close(loss("dlr-target2")(task, Goal(), 7 * scores + 3, truth, 7 * scores + 3), value)
    few = Task("classes", ("a", "b", "c"))
    clean, now = torch.tensor([[5.0, 3.0, 1.0]]), torch.tensor([[4.0, 3.0, 2.0]])
    assert float(loss("dlr-target2")(few, Goal(), now, truth, clean)) == pytest.approx(-2 / 4)


def test_a_wanted_class_that_is_the_lowest_of_three_still_has_a_slope() -> None:
    task, scores = Task("classes", ("a", "b", "c")), torch.tensor([[5.0, 3.0, 1.0]], requires_grad=True)
    value = loss("dlr")(task, Goal("targeted"), scores, torch.tensor([2]), scores.detach())
    (gradient,) = torch.autograd.grad(value.sum(), scores)
    torch.testing.assert_close(gradient, torch.tensor([[-0.25, 0.0, 0.25]]))


def test_a_ratio_rises_on_once_the_truth_is_in_third_place() -> None:
    task, scores = Task("classes", tuple("abcd")), torch.tensor([[1.0, 5.0, 3.0, 0.0]], requires_grad=True)
    value = loss("dlr")(task, Goal(), scores, torch.tensor([0]), scores.detach())
    assert value.tolist() == [1.0]
    (gradient,) = torch.autograd.grad(value.sum(), scores)
    torch.testing.assert_close(gradient, torch.tensor([[-0.25, 0.25, 0.0, 0.0]]))


@pytest.mark.parametrize("answer", ["two classes", "binary", "multilabel", "regression", "anomaly"])
@pytest.mark.parametrize("name", ["dlr", "dlr-target"])
def test_ratios_rise_with_the_margin_where_there_are_few_logits(answer: str, name: str) -> None:
    task, scores, clean, truth = drawn(answer, 0, threshold=0.1)
    aim = torch.from_numpy(truth)
    margin = loss("margin" if name == "dlr" else "target")(task, Goal(), scores, aim, clean)
    value = loss(name)(task, Goal(), scores, aim, clean)
    # In units that do not depend on where the walk is, so that two steps of one walk can be compared.
    unit = loss("margin" if name == "dlr" else "target")(task, Goal(), clean, aim, clean).abs()
    torch.testing.assert_close(value * unit, margin, check_dtype=False)


def test_a_threshold_shifts_what_is_climbed() -> None:
    task = Task("classes", ("normal", "sick"), positive=(1,)).at(2.0)
    scores, truth = torch.tensor([[0.0, 1.5]]), torch.tensor([1])
    assert float(advantage(task, Goal(), scores, truth, scores)) == 0.5
    assert float(advantage(task, Goal("lower"), scores, truth, scores)) == 0.5


def test_targets_take_the_ways_of_being_wrong_in_turn() -> None:
    task = Task("multilabel", ("a", "b", "c"))
    clean, truth = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1, 0, 1]])
    ways = [float(loss(f"target{rank}")(task, Goal(), clean, truth, clean)) for rank in (1, 2, 3, 4)]
    assert ways == [-0.5, -1.0, -2.0, -0.5]
    age = Task("regression", ("age",), tolerance=1.0)
    above, y = torch.tensor([[51.0]]), torch.tensor([50.0])
    assert [float(loss(name)(age, Goal(), above, y, above)) for name in ("target", "target2")] == [1.0, -1.0]


@pytest.mark.parametrize("name", ["hinge", "target0", "target-1", "", "target1x", "dlr2", "dlr-target0"])
def test_unknown_losses_are_refused(name: str) -> None:
    with pytest.raises(AttackError, match="a loss among ce, margin, dlr, target"):
        loss(name)
