"""Check-up: each doubt is raised by the model that deserves it, and by no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from titer.attacks.pgd import PGD
from titer.audit.checkup import DOUBTS, check_model
from titer.audit.checkup.effort import Effort
from titer.audit.checkup.exam import Exam, exam_of
from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.space import Space
from titer.models.adapters.bpda import Through
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task

SPACE = Space("table", (6,), "unit", -3.0, 3.0)
TASK = Task("classes", ("low", "high"), positive=(1,))


def head(scale: float = 1.0) -> nn.Linear:
    """Two logits whose difference is w . x."""
    layer = nn.Linear(6, 2)
    weight = torch.tensor([1.0, -2.0, 0.5, 1.5, -0.5, 1.0])
    layer.weight.data = scale * torch.stack([-weight / 2, weight / 2])
    layer.bias.data.zero_()
    return layer


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.2 * torch.randn_like(x)


class Divided(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.where(x[:, :1] > 2, torch.nan, 1.0)


class Rounded(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(4 * x) / 4


class Detached(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.95 * x.detach() + 0.05 * x


class Rooted(nn.Module):
    """A square root with an infinite slope below 1, where it is handed a zero."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = (x - 1) * (x > 1)
        return x + torch.sqrt(y)


class Clipped(nn.Module):
    """A margin that stops rising: no slope where the answer is sure."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.clamp(-0.05, 0.05)


def data() -> Dataset:
    inputs = np.random.default_rng(0).uniform(-3, 3, size=(60, 6)).astype(np.float32)
    targets = (head()(torch.from_numpy(inputs)).argmax(dim=1)).numpy()
    card = DataCard("rows", "rows", "CC0-1.0", "made here", "made here", "none", synthetic=True)
    return Dataset(card, SPACE, "classes", ("low", "high"), (1,), Batch.of(inputs, targets))


def raised(*parts: nn.Module, **settings: Any) -> set[str]:
    model = TorchModel(nn.Sequential(*parts), SPACE, TASK, **settings)
    found = check_model(exam_of(model, data(), "0.3"))
    assert {each.name for each in found} == set(DOUBTS.names())
    for each in found:
        assert each.evidence.endswith(".")
        assert bool(each.meaning and each.done) == (each.status == "raised")
    return {each.name for each in found if each.status == "raised"}


def test_nothing_is_held_against_an_honest_model() -> None:
    assert raised(head()) == set()
    torch.manual_seed(0)  # a draw with all units dead on some case would rightly be doubted
    assert raised(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)) <= {"whole_range"}


@dataclass(frozen=True)
class Suspect:
    """A model and the doubts that it must raise; `may` are those that follow from its fault."""

    make: Callable[[], list[nn.Module]]
    must: set[str]
    may: frozenset[str] = frozenset()


FOLLOWS = frozenset({"finite_differences", "black_box", "whole_range", "effort"})
SUSPECTS = {
    "not a number": Suspect(lambda: [Divided(), head()], {"numbers"}),
    "random": Suspect(lambda: [Noise(), head()], {"random_answers"}, frozenset({"black_box"})),
    "softmax": Suspect(lambda: [head(), nn.Softmax(dim=1)], {"probabilities"}, frozenset({"saturation"})),
    "rounded": Suspect(lambda: [Rounded(), head()], {"gradients", "finite_differences", "black_box"}, FOLLOWS),
    "clipped": Suspect(lambda: [head(), Clipped()], {"gradients", "black_box"}, FOLLOWS),
    "detached": Suspect(lambda: [Detached(), head()], {"finite_differences"}),
    "infinite slope": Suspect(lambda: [Rooted(), head()], {"gradients"}, FOLLOWS),
    "saturated": Suspect(lambda: [head(500.0)], {"saturation"}),
    "turned round": Suspect(
        lambda: [Through(lambda x: x, proxy=torch.neg), head()], {"finite_differences", "black_box", "whole_range"}
    ),
}


@pytest.mark.parametrize("name", SUSPECTS)
def test_a_suspect_raises_its_own_doubt(name: str) -> None:
    suspect = SUSPECTS[name]
    found = raised(*suspect.make())
    assert suspect.must <= found <= suspect.must | suspect.may


def test_stand_ins_clear_the_doubts_about_rounding() -> None:
    found = raised(Rounded(), head(), backward={"0": "identity"})
    assert found == set()


def test_found_probabilities_are_no_doubt() -> None:
    assert "probabilities" not in raised(head(), nn.Softmax(dim=1), probabilities=None)


def test_a_search_that_gets_worse_with_more_steps_is_raised() -> None:
    class Odd(Exam):
        def attacked(self, attack: Any, limit: float | None = None) -> Any:
            found = super().attacked(attack, limit)
            if isinstance(attack, PGD) and attack.steps == 40:
                found.fooled[:] = False
            return found

    exam = exam_of(TorchModel(head(), SPACE, TASK), data(), "1.5")
    odd = Odd(exam.raw, exam.cases, exam.limit, exam.label)
    assert Effort().ask(odd).status == "raised"
    assert Effort().ask(exam).status == "clear"


def test_models_without_gradients_are_asked_what_they_can_answer() -> None:
    model = TorchModel(head(), SPACE, TASK, access="scores")
    found = {each.name: each.status for each in check_model(exam_of(model, data(), "0.3"))}
    assert found["numbers"] == found["random_answers"] == "clear"
    assert found["gradients"] == found["black_box"] == "not applicable"
