"""Clinical table: linear programs as known answers, and no row that breaks a constraint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.attacks.square import Square
from titer.audit.subject import build
from titer.cases.case import Batch
from titer.cases.datasets.breast_biopsies import BreastBiopsies
from titer.cases.space import Space
from titer.errors import ThreatError
from titer.models.adapters.torch import TorchModel
from titer.models.task import Task
from titer.testing import models
from titer.testing.checks import check_attack
from titer.threats.change import Field
from titer.threats.changes.clinical_table import ClinicalTable
from titer.threats.random import CaseRandom
from titer.threats.threat import ThreatModel

Array = np.ndarray[Any, Any]
NAMES = (
    "age",
    "sex",
    "parity",
    "systolic",
    "diastolic",
    "height",
    "weight",
    "bmi",
    "never",
    "former",
    "current",
    "dose",
)
LOW = torch.tensor([0, 0, 0, 50, 30, 1.2, 30, 5, 0, 0, 0, 0], dtype=torch.float32)
HIGH = torch.tensor([110, 1, 15, 250, 150, 2.2, 200, 120, 1, 1, 1, 20], dtype=torch.float32)
SCALE = torch.tensor([15, 0.5, 2, 20, 12, 0.1, 15, 5, 0.5, 0.5, 0.5, 3], dtype=torch.float32)
RULES: dict[str, Any] = {
    "immutable": ["age", "sex"],
    "integer": ["parity"],
    "steps": {"dose": 0.5},
    "rising": ["dose"],
    "ranges": {"height": [1.4, 2.1]},
    "one_of": {"smoking": ["never", "former", "current"]},
    "relations": ["diastolic + 10 <= systolic", "bmi = weight / (height * height)"],
    "scale": {"never": 1, "former": 1, "current": 1},
}


def patients(seed: int, count: int = 4) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, len(NAMES)))
    rows[:, 0], rows[:, 1], rows[:, 2] = (
        rng.integers(20, 90, count),
        rng.integers(0, 2, count),
        rng.integers(0, 5, count),
    )
    rows[:, 3] = rng.uniform(90, 180, count)
    rows[:, 4] = np.minimum(rows[:, 3] - rng.uniform(10, 50, count), 140)
    rows[:, 5], rows[:, 6] = rng.uniform(1.5, 1.9, count), rng.uniform(45, 110, count)
    rows[:, 7] = rows[:, 6] / rows[:, 5] ** 2
    rows[np.arange(count), 8 + rng.integers(0, 3, count)] = 1
    rows[:, 11] = rng.integers(0, 20, count) / 2
    return torch.from_numpy(rows.astype(np.float32))


def field(seed: int, count: int = 4) -> Field:
    return Field(patients(seed, count), LOW, HIGH, SCALE, names=NAMES)


def assert_kept(before: Array, after: Array) -> None:
    """Every constraint of RULES, checked without the library."""
    assert np.array_equal(before[:, :2], after[:, :2])
    assert np.array_equal(after[:, 2], after[:, 2].round())
    assert (after[:, 11] >= before[:, 11]).all()
    assert np.array_equal(2 * after[:, 11], (2 * after[:, 11]).round())
    assert ((after[:, 5] >= 1.4 - 1e-6) & (after[:, 5] <= 2.1 + 1e-6)).all()
    assert np.isin(after[:, 8:11], (0, 1)).all()
    assert (after[:, 8:11].sum(axis=1) == 1).all()
    wide = after.astype(np.float64)
    assert (wide[:, 4] + 10 <= wide[:, 3] * (1 + 3e-5)).all()
    np.testing.assert_allclose(wide[:, 7], wide[:, 6] / wide[:, 5] ** 2, rtol=3e-5)
    assert ((after >= LOW.numpy()) & (after <= HIGH.numpy())).all()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    norm=st.sampled_from(["linf", "l2", "l0"]),
    size=st.floats(0.001, 30),
    bound=st.floats(0, 4),
)
def test_no_row_ever_breaks_a_constraint_or_the_limit(seed: int, norm: str, size: float, bound: float) -> None:
    change = build(ClinicalTable, {"norm": norm, **RULES}, "threat")
    here = field(seed)
    change.check(here)
    limit = torch.tensor([0.0, bound, bound / 2, float(np.floor(bound))])
    limit = limit.floor() if norm == "l0" else limit
    wild = size * SCALE * torch.from_numpy(np.random.default_rng(seed).normal(size=here.clean.shape)).float()
    for params in (change.project(here, wild, limit), change.sample(here, limit, CaseRandom.of("s", "abcd"), seed)):
        rows = change.apply(here, params)
        assert bool(change.valid(here, params).all())
        assert bool((change.cost(here, params) <= limit.double() * (1 + 1e-6)).all())
        assert_kept(here.clean.numpy(), rows.numpy())
        assert torch.equal(rows[0], here.clean[0])
    # Parameters of no limit at all give a valid row too, or leave it.
    assert_kept(here.clean.numpy(), change.apply(here, wild).numpy())


@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=5), Noise(), RandomSearch(5), Square(queries=40)], ids=repr)
def test_every_attack_leaves_valid_rows(attack: Any) -> None:
    change = build(ClinicalTable, RULES, "threat")
    rows = patients(3, 30).numpy()
    space = Space(
        "table", (12,), "mixed", tuple(LOW.tolist()), tuple(HIGH.tolist()), tuple(SCALE.tolist()), "SD", NAMES
    )
    rng = np.random.default_rng(0)
    weight = torch.from_numpy(rng.normal(size=(2, 12))) / SCALE.double()
    bias = -(torch.from_numpy(rows).double() @ weight.T).median(dim=0).values
    model = TorchModel(models.Affine(weight.float(), bias.float()), space, Task("classes", ("well", "ill")))
    batch = Batch.of(rows, model.task.decide(model.predict(rows)))
    outcome = run(attack, model, batch, ThreatModel(change, 1.2), seed="s")
    assert not outcome.violated.any()
    assert (outcome.cost <= 1.2 * (1 + 1e-6)).all()
    assert_kept(rows, outcome.perturbed)
    if isinstance(attack, PGD):
        assert outcome.fooled.any()
        moved = outcome.perturbed != rows
        assert moved[:, 2].any()
        assert moved[:, 7].any()
        assert moved[:, 8:11].any()


RELATIONS = ("a <= b", "total = a + b + c", "d + 2 * e <= f + 0.3", "c >= -0.5 * d")
LETTERS = ("a", "b", "c", "total", "d", "e", "f", "g")


def programs(seed: int) -> tuple[TorchModel, Batch, list[tuple[Array, float, bool]]]:
    """A linear model on rows that keep RELATIONS, and these as (weights, bound, equality)."""
    rng = np.random.default_rng(seed)
    rows = rng.uniform(-0.5, 0.5, size=(400, 8))
    rows[:, 1] = rows[:, 0] + rng.uniform(0, 0.2, 400)
    rows[:, 3] = rows[:, :3].sum(axis=1)
    kept = (rows[:, 4] + 2 * rows[:, 5] <= rows[:, 6] + 0.3) & (rows[:, 2] >= -0.5 * rows[:, 4])
    rows = rows[kept][:12]
    space = Space("table", (8,), "unit", -3.0, 3.0, names=LETTERS)
    module = models.Affine(torch.from_numpy(rng.normal(size=(1, 8))), torch.zeros(1, dtype=torch.float64))
    model = TorchModel(module, space, Task("binary", ("no", "yes"), (1,)))
    planes = [
        (np.array([1, -1, 0, 0, 0, 0, 0, 0.0]), 0.0, False),
        (np.array([1, 1, 1, -1, 0, 0, 0, 0.0]), 0.0, True),
        (np.array([0, 0, 0, 0, 1, 2, -1, 0.0]), 0.3, False),
        (np.array([0, 0, -1, 0, -0.5, 0, 0, 0.0]), 0.0, False),
    ]
    return model, Batch.of(rows, model.task.decide(model.predict(rows))), planes


@pytest.mark.parametrize("seed", range(3))
def test_linear_models_fall_as_far_as_the_linear_program_says(seed: int) -> None:
    model, batch, planes = programs(seed)
    weight = next(model.module.parameters()).detach().numpy()[0]
    bias = next(b for name, b in model.module.named_parameters() if name == "bias").detach().numpy()[0]
    bound = 0.4
    change = ClinicalTable(relations=RELATIONS, immutable=("g",))
    outcome = run(
        PGD(steps=40, restarts=1, losses=("margin",), reach=15), model, batch, ThreatModel(change, bound), seed="s"
    )
    assert not outcome.violated.any()
    for row, truth, got, fooled in zip(batch.inputs, batch.targets, outcome.scores[:, 0], outcome.fooled, strict=True):
        sign = 1.0 if truth == 0 else -1.0
        ends = [(max(-3, x - bound), min(3, x + bound)) for x in row[:7]] + [(row[7], row[7])]
        best = optimize.linprog(
            -sign * weight,
            A_ub=np.array([a for a, _, equal in planes if not equal]),
            b_ub=[b for _, b, equal in planes if not equal],
            A_eq=np.array([a for a, _, equal in planes if equal]),
            b_eq=[b for _, b, equal in planes if equal],
            bounds=ends,
        )
        exact = sign * (float(weight @ best.x) + float(bias))
        clean = sign * (float(weight @ row) + float(bias))
        assert sign * got <= exact + 1e-6
        assert sign * got - clean >= 0.98 * (exact - clean)
        assert fooled == (exact > 0) or abs(exact) < 0.02 * (exact - clean)


def test_projection_is_the_nearest_valid_row() -> None:
    _, batch, planes = programs(0)
    here = Field(
        torch.from_numpy(batch.inputs[:3]), torch.tensor(-3.0), torch.tensor(3.0), torch.ones(8), names=LETTERS
    )
    change = ClinicalTable("l2", relations=RELATIONS)
    wild = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 8)))
    kept = change.project(here, wild, torch.full((3,), 0.8)).numpy()
    for row, wanted, got in zip(batch.inputs, wild.numpy(), kept, strict=False):
        cuts: list[Any] = [{"type": "ineq", "fun": lambda d: 0.64 - d @ d}]
        for a, b, equal in planes:
            room = 0.0 if equal else b - a @ row
            cuts.append({"type": "eq" if equal else "ineq", "fun": lambda d, a=a, r=room: r - a @ d})
        best = optimize.minimize(lambda d, w=wanted: ((d - w) ** 2).sum(), np.zeros(8), constraints=cuts, tol=1e-12)
        np.testing.assert_allclose(got, best.x, atol=2e-4)


def test_limits_of_few_features_count_categories_once_and_what_follows_not() -> None:
    change = build(ClinicalTable, {"norm": "l0", **RULES}, "threat")
    here = field(5)
    params = torch.zeros(4, 12)
    params[:, 6] = 3.0
    params[:, 8:11] = here.clean[:, [10, 8, 9]] - here.clean[:, 8:11]
    rows = change.apply(here, params)
    assert change.cost(here, params).tolist() == [2.0] * 4
    assert bool((rows[:, 7] != here.clean[:, 7]).all())
    assert torch.equal(rows[:, 8:11], here.clean[:, [10, 8, 9]])


def test_a_case_alone_is_projected_to_the_same_bits() -> None:
    change = build(ClinicalTable, {"norm": "l2", **RULES}, "threat")
    here = field(8, 30)
    wild = SCALE * torch.from_numpy(np.random.default_rng(2).normal(size=here.clean.shape)).float()
    limit = torch.linspace(0.1, 2, 30)
    whole = change.project(here, wild, limit)
    for row in (0, 7, 29):
        index = torch.tensor([row])
        assert torch.equal(change.project(here.rows(index), wild[index], limit[index])[0], whole[row])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_attacks_on_it_keep_the_laws(norm: Any) -> None:
    change = ClinicalTable(norm, immutable=("x1",), relations=("x2 <= x3 + 4", "x4 >= -2"), rising=("x5",))
    check_attack(PGD(steps=3), [("table", change, 0.3)])


def test_biopsies_keep_their_worst_values_above_their_means() -> None:
    data = BreastBiopsies().load(None)
    change = ClinicalTable(
        relations=("mean radius <= worst radius", "mean area <= worst area"), immutable=("texture error",)
    )
    change.suits(data.space)
    low, high = (torch.from_numpy(np.asarray(edge)).float().expand(30) for edge in data.space.bounds())
    clean = torch.from_numpy(data.cases.inputs)
    here = Field(clean, low, high, torch.tensor(data.space.scale).float(), names=data.space.names)
    change.check(here)
    drawn = change.sample(here, torch.full((569,), 0.5), CaseRandom.of("s", data.cases.ids), 0)
    rows = change.apply(here, drawn)
    assert bool((rows[:, 0] <= rows[:, 20] * (1 + 2e-5)).all())
    assert torch.equal(rows[:, 11], clean[:, 11])
    assert bool((drawn != 0).any(dim=1).all())


def test_a_plan_reads_its_names_and_the_sentence_tells_them() -> None:
    change = build(ClinicalTable, {"norm": "linf", **RULES}, "threat")
    space = Space("table", (12,), "mixed", 0.0, 300.0, names=NAMES)
    change.suits(space)
    assert change.sentence("0.5 SD") == (
        "change every value by at most 0.5 SD, keeping age and sex as recorded; parity a whole number; dose a multiple "
        "of 0.5; height within 1.4 and 2.1; dose from falling; one category of smoking; diastolic + 10 <= systolic; "
        "bmi = weight / (height * height)"
    )


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"immutable": ["agee"]}, "did you mean 'age'"),
        ({"relations": ["diastolic < systolic"]}, "one of <=, >= or ="),
        ({"relations": ["diastolic <= sistolic"]}, "did you mean 'systolic'"),
        ({"relations": ["a <= __import__('os')"]}, "expected the end"),
        ({"relations": ["1 <= 2"]}, "between features"),
        ({"relations": ["(age <= 2"]}, "closing bracket"),
        ({"ranges": {"age": [3, 3]}}, "from low to high"),
        ({"steps": {"dose": 0}}, "above 0"),
        ({"steps": ["dose"]}, "mapping"),
        ({"one_of": {"smoking": ["never"]}}, "two different features"),
        ({"one_of": {"a": ["never", "former"], "b": ["former", "current"]}}, "one category"),
        ({"rising": ["dose"], "falling": ["dose"]}, "one direction"),
        ({"scale": {"dose": -1}}, "scale above 0"),
        ({"norm": "l1"}, "norm"),
    ],
)
def test_constraints_that_mean_nothing_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ThreatError, match=word):
        build(ClinicalTable, settings, "threat").suits(Space("table", (12,), "mixed", names=NAMES))


def test_a_threat_refuses_names_that_no_feature_has_before_anything_runs() -> None:
    space = Space("table", (12,), "mixed", names=NAMES)
    with pytest.raises(ThreatError, match="did you mean 'parity'"):
        ThreatModel(ClinicalTable(integer=("parities",)), 0.1).check(space, Task("classes", ("well", "ill")))


def test_clean_rows_that_break_a_constraint_are_refused() -> None:
    here = field(1)
    here.clean[2, 4] = here.clean[2, 3] + 1
    with pytest.raises(ThreatError, match="1 of 4 that break it, first in row 2"):
        build(ClinicalTable, RULES, "threat").check(here)
