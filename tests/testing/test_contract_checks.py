"""The contract checks catch what they are for, and pass what keeps the rules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from titer.attacks.attack import Attack
from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.problem import Problem
from titer.errors import PlanError
from titer.registry import ATTACKS
from titer.testing import models
from titer.testing.checks import LAWS, check_attack, situations
from titer.threats.changes.additive import Additive
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

TABLE = [("table", Additive("linf"), 0.2)]


class Honest(Attack):
    """A step of FGSM; those below spoil it one way each."""

    name: ClassVar[str] = "honest"
    reference: ClassVar[str] = "none"

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        return problem.project(problem.step(problem.slope(problem.nothing(), "margin")[1], 1.0))


class Moody(Honest):
    """Draws from the global generator."""

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        Moody.calls = getattr(Moody, "calls", 0) + 1  # type: ignore[attr-defined]
        return problem.project(super().search(problem, rng) * (0.5 + 0.01 * Moody.calls % 0.3))  # type: ignore[attr-defined]


class Sociable(Honest):
    """Lets a case depend on its neighbors."""

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        params = super().search(problem, rng)
        return params * (0.5 + 0.5 * params.mean().abs() / (1 + params.mean().abs()))


class Greedy(Honest):
    """Takes the largest limit for everybody."""

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        return super().search(problem.within(problem.limit.max().expand_as(problem.limit).clone()), rng)


class Boundless(Honest):
    """Goes twice as far as it may."""

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        return 2 * super().search(problem, rng)


class Restless(Honest):
    """Moves even where it must not."""

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        return super().search(problem, rng) + 1e-3


class Vandal(Honest):
    """Leaves gradients on the weights."""

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        module: Any = problem.model
        for weight in module.module.parameters():
            weight.grad = torch.ones_like(weight)
        return super().search(problem, rng)


class Sneak(Honest):
    """Asks the model behind the meter's back."""

    def search(self, problem: Problem, rng: CaseRandom) -> Tensor:
        problem.model.scores(problem.inputs)
        return super().search(problem, rng)


@pytest.mark.parametrize(
    ("attack", "law"),
    [
        (Moody, "the same run gives the same bits"),
        (Sociable, "a case alone gives the bits it gives in a batch"),
        (Greedy, "a limit per case equals separate runs"),
        (Boundless, "limit, mask, range and change are kept"),
        (Restless, "limit, mask, range and change are kept|limit zero changes nothing"),
        (Vandal, "model, cases and random states stay as they were"),
        (Sneak, "every question is counted and the budget kept"),
    ],
)
def test_each_law_is_enforced(attack: type[Attack], law: str) -> None:
    with pytest.raises(AssertionError, match=f"honest breaks '({law})'"):
        check_attack(attack, TABLE)


def test_an_honest_attack_passes_all() -> None:
    assert set(check_attack(Honest(), TABLE)) == set(LAWS)


def test_the_ground_covers_every_space_and_task() -> None:
    met = list(situations(FGSM()))
    assert {situation.model.space.kind for situation in met} == {"table", "image", "volume", "signal", "tokens"}
    assert {situation.model.task.kind for situation in met} == {
        "classes",
        "binary",
        "multilabel",
        "regression",
        "anomaly",
    }
    assert all(len(set(map(str, situation.batch.targets))) > 1 for situation in met)


def test_an_attack_that_fits_nothing_is_told() -> None:
    class Idle(Honest):
        def fits(self, change: object) -> bool:
            return False

    with pytest.raises(AssertionError, match="fits none of the changes"):
        check_attack(Idle)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package from outside with one attack in one file, installed as pip would."""
    (tmp_path / "outsider.py").write_text(
        "from typing import ClassVar\n"
        "from titer.attacks.attack import Attack\n\n\n"
        "class Halfway(Attack):\n"
        '    """Half a step of FGSM."""\n\n'
        "    name: ClassVar[str] = 'halfway'\n"
        "    reference: ClassVar[str] = 'an example'\n\n"
        "    def search(self, problem, rng):\n"
        "        _, slope, _ = problem.slope(problem.nothing(), 'margin')\n"
        "        return problem.project(problem.step(slope, 0.5))\n"
    )
    info = tmp_path / "outsider-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[titer.attacks]\nhalfway = outsider:Halfway\nbroken = outsider:ClassVar\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("outsider", None)


@pytest.mark.usefixtures("installed")
def test_an_attack_from_outside_is_found_checked_and_run() -> None:
    assert "halfway" in ATTACKS.names()
    attack = ATTACKS.find("halfway")
    check_attack(attack, TABLE)
    model, batch = models.linear(4, 10)
    outcome = run(attack(), model, batch, ThreatModel(Additive(), 0.4), seed="s")
    reference = run(FGSM(loss="margin"), model, batch, ThreatModel(Additive(), 0.2), seed="s")
    np.testing.assert_allclose(outcome.perturbed, reference.perturbed)
    with pytest.raises(PlanError, match="subclass of Attack"):
        ATTACKS.find("broken")
