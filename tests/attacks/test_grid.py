"""The grid: all settings of a change with few parameters."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from lesions import trained
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.engine import Outcome, run
from titer.attacks.grid import Grid
from titer.attacks.pgd import PGD
from titer.attacks.problem import Best, Problem
from titer.attacks.random_search import RandomSearch
from titer.errors import AttackError
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.affine import Affine
from titer.threats.changes.contrast import Contrast
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

TURNS = Affine(shift=0, padding="border")


def attacked(attack: Attack, change: Affine = TURNS, limit: float = 30.0) -> Outcome:
    model, batch = trained()
    return run(attack, model, batch, ThreatModel(change, limit, knowledge=attack.needs), seed="s")


def test_turning_a_lesion_fools_a_network_that_saw_them_upright() -> None:
    model, batch = trained()
    clean = model.task.correct(model.predict(batch.inputs), batch.targets).mean()
    grid = attacked(Grid(points=31))
    ten, single = (attacked(RandomSearch(queries=queries)) for queries in (10, 1))
    standing = [1 - outcome.fooled.mean() for outcome in (grid, ten, single)]
    assert clean > 0.95
    assert standing[0] <= standing[1] <= standing[2] <= clean
    assert clean - standing[0] >= 0.15
    assert single.fooled.mean() < (clean - standing[0]) / 2


def test_shifts_make_it_worse_and_slopes_do_not_find_all_of_it() -> None:
    both = Affine(padding="border")
    grid, walk = attacked(Grid(), both, 1.0), attacked(PGD(steps=10), both, 1.0)
    assert grid.fooled.sum() > attacked(Grid()).fooled.sum()
    assert grid.fooled.sum() >= walk.fooled.sum()


def test_more_draws_never_help_the_model() -> None:
    fooled = [attacked(RandomSearch(queries=queries)).fooled for queries in (1, 3, 10, 30)]
    for fewer, more in pairwise(fooled):
        assert (more >= fewer).all()


class OnTheGrid(RandomSearch):
    """Draws points of the grid."""

    def _draw(self, problem: Problem, rng: CaseRandom, question: int) -> Tensor:
        nodes = problem.gridded.grid(problem.field, problem.limit, None)
        place = (rng.uniform((1,), question) * nodes.shape[1]).long()
        return nodes[torch.arange(len(nodes)), place[:, 0]]


def test_no_draw_from_the_grid_beats_the_grid() -> None:
    both = Affine(padding="border")
    drawn = attacked(OnTheGrid(queries=30), both, 0.6)
    assert drawn.fooled.any()
    assert (attacked(Grid(), both, 0.6).fooled >= drawn.fooled).all()


def test_it_finds_what_trying_one_by_one_finds() -> None:
    model, batch = models.network("image", 30)
    change = Contrast()
    threat = ThreatModel(change, 0.8, knowledge="labels")
    found = run(Grid(points=5), model, batch, threat, seed="s")
    fooled = np.zeros(len(batch), dtype=bool)
    clean = batch.inputs
    middle = clean.mean(axis=(2, 3), keepdims=True)
    for gain, light in product(np.linspace(-0.8, 0.8, 5), repeat=2):
        times = 1 + 0.2 * gain if gain >= 0 else 1 / (1 - 0.2 * gain)
        changed = np.clip(middle + times * (clean - middle) + 0.1 * light, 0, 1).astype(np.float32)
        fooled |= ~model.task.correct(model.predict(changed), batch.targets)
    assert 0 < fooled.mean() < 1
    np.testing.assert_array_equal(found.fooled, fooled)
    assert (found.queries[~found.fooled] == 24).all()


def test_the_mildest_setting_that_fools_can_be_asked_for() -> None:
    far, near = attacked(Grid(points=61)), attacked(Grid(points=61, mildest=True))
    np.testing.assert_array_equal(far.fooled, near.fooled)
    hit = far.fooled & (near.cost > 0)
    assert (near.cost[hit] <= far.cost[hit] + 1e-4).all()
    assert near.cost[hit].mean() < 0.9 * far.cost[hit].mean()


def test_the_whole_grid_gives_the_largest_margin() -> None:
    part, whole = attacked(Grid()), attacked(Grid(whole=True))
    np.testing.assert_array_equal(part.fooled, whole.fooled)
    assert (whole.queries == 30).all()
    assert part.queries[part.fooled].mean() < 25


@pytest.mark.parametrize("budget", [1, 2, 7, 29])
def test_a_limit_of_questions_cuts_it_off(budget: int) -> None:
    model, batch = trained()
    threat = ThreatModel(TURNS, 30.0, knowledge="labels", queries=budget)
    outcome = run(Grid(), model, batch, threat, seed="s")
    assert outcome.queries.max() == budget
    assert not outcome.violated.any()


def test_cases_with_limits_of_their_own_have_grids_of_their_own() -> None:
    model, batch = trained()
    limits = np.linspace(5, 40, len(batch))
    outcome = run(Grid(), model, batch, ThreatModel(TURNS, 1.0, knowledge="labels"), seed="s", limits=limits)
    assert (outcome.cost <= limits * (1 + 1e-6)).all()
    assert outcome.cost.max() > 35


def test_a_change_with_many_parameters_is_refused() -> None:
    model, batch = models.network("image", 3)
    with pytest.raises(AttackError, match="a change that grid can search"):
        run(Grid(), model, batch, ThreatModel(Additive(), 0.1), seed="s")
    with pytest.raises(AttackError, match="points of at least 1"):
        Grid(points=0)


def test_a_question_counts_a_case_as_often_as_it_holds_it() -> None:
    model, batch = models.network("image", 4)

    class Twice(Grid):
        def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
            rows = torch.tensor([0, 0, 0, 2])
            problem.rows(rows).scores(problem.nothing()[rows])
            return Best.of(problem).params

    outcome = run(Twice(), model, batch, ThreatModel(Contrast(), 1.0), seed="s")
    assert outcome.queries.tolist() == [3, 0, 1, 0]
