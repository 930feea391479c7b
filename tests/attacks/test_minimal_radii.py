"""Minimal radii: bisection and costs against exact distances; what is already wrong, and what is never fooled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_linear_bounds import exact_limits
from test_smallest_changes import greedy

from titer.attacks.deepfool import DeepFool
from titer.attacks.engine import run
from titer.attacks.fgsm import FGSM
from titer.attacks.fmn import FMN
from titer.attacks.jsma import JSMA
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.attacks.radius import Radii, minimal_radii, whole
from titer.attacks.sigma_zero import SigmaZero
from titer.attacks.square import Square
from titer.cases.case import Batch
from titer.errors import AttackError, ThreatError
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.embedding import Embedding
from titer.threats.changes.substitution import Substitution
from titer.threats.threat import ThreatModel

LINF = ThreatModel(Additive("linf"), 1.0)


def test_bisection_finds_exact_distances_within_its_tolerance() -> None:
    model, batch = models.linear(8, 30, low=-3.0, high=3.0)
    exact = exact_limits(model, batch.inputs, batch.targets, "linf")
    found = minimal_radii(PGD(steps=5, restarts=1), model, batch, LINF, seed="s", high=3.0, tolerance=0.002)
    assert (found.radius >= exact * (1 - 1e-6)).all()
    assert (found.radius <= exact + 0.002 + 1e-6).all()
    assert found.tolerance == 0.002
    # Ten halvings or so of six questions, not one run for each case and limit.
    assert found.queries is not None
    assert found.queries.max() <= 13 * 6


def test_attacks_that_minimize_are_asked_once() -> None:
    model, batch = models.linear(8, 30)
    exact = exact_limits(model, batch.inputs, batch.targets, "linf")
    found = minimal_radii(FMN(), model, batch, LINF, seed="s")
    np.testing.assert_allclose(found.radius, exact, rtol=1e-2)
    assert found.queries is not None
    assert found.queries.max() <= 102
    assert found.tolerance == 0.0


def test_radii_say_what_runs_at_each_limit_say() -> None:
    model, batch = models.network("image", 20, answer="two classes")
    attack = PGD(steps=4, restarts=1)
    found = minimal_radii(attack, model, batch, LINF, seed="s", high=0.5, tolerance=0.001)
    for limit in (0.02, 0.05, 0.1):
        fooled = run(attack, model, batch, LINF.at(limit), seed="s").fooled
        assert (found.stands(limit) <= ~fooled).mean() >= 0.9
    shares = found.standing(np.linspace(0, 0.5, 20))
    assert shares[0] == 1.0
    assert (np.diff(shares) <= 0).all()
    limits, stairs = found.curve()
    np.testing.assert_allclose(stairs, found.standing(limits))


def test_wrong_cases_have_radius_zero_and_constant_models_an_infinite_one() -> None:
    model, batch = models.linear(5, 20)
    wrong = batch.targets.copy()
    wrong[:4] = 1 - wrong[:4]
    for attack in (DeepFool(), FGSM(), Noise()):
        found = minimal_radii(attack, model, Batch.of(batch.inputs, wrong), LINF, seed="s", high=5.0)
        assert (found.radius[:4] == 0).all()
        assert (found.radius[4:] > 0).all()
    fixed, cases = models.constant("table", 5)
    for attack in (DeepFool(), PGD(steps=2)):
        found = minimal_radii(attack, fixed, cases, LINF, seed="s")
        assert np.isinf(found.radius).all()
        assert math.isinf(found.median)
        assert "above" in str(found)


def test_a_case_alone_has_the_radius_it_has_among_others() -> None:
    model, batch = models.network("table", 9)
    together = minimal_radii(Square(queries=20), model, batch, LINF, seed="s", high=2.0).radius
    alone = minimal_radii(Square(queries=20), model, batch.take([4]), LINF, seed="s", high=2.0).radius
    assert together[4] == alone[0]
    pieces = minimal_radii(Square(queries=20), model, batch, LINF, seed="s", high=2.0, size=2).radius
    np.testing.assert_array_equal(together, pieces)


def test_numbers_of_values_are_found_exactly() -> None:
    model, batch = models.linear(40, 20, low=-1.3, high=1.3)
    threat = ThreatModel(Additive("l0", most=0.3), 1.0)
    exact = greedy(model, batch, 0.3)
    for attack in (SigmaZero(), JSMA(pairs=False)):
        np.testing.assert_array_equal(minimal_radii(attack, model, batch, threat, seed="s").radius, exact)
    # Random edits need more, but always a whole number.
    noise = minimal_radii(Noise(tries=3), model, batch, threat, seed="s").radius
    finite = np.isfinite(noise)
    assert (noise[finite] >= exact[finite]).all()
    assert (noise[finite] % 1 == 0).all()


def test_words_are_counted() -> None:
    model, batch = models.network("tokens", 8, answer="two classes")
    choices = models.choices(model.space)
    found = minimal_radii(JSMA(), model, batch, ThreatModel(Substitution(), 1.0), seed="s", choices=choices)
    assert (found.radius[np.isfinite(found.radius)] >= 1).all()
    assert found.high == 9.0


def test_the_widest_limit_follows_from_the_range() -> None:
    model, batch = models.network("signal", 2)
    for norm, expected in (("linf", 10.0), ("l2", 10 * math.sqrt(40)), ("l0", 40.0)):
        assert whole(model, batch, ThreatModel(Additive(norm), 1.0)) == pytest.approx(expected)  # type: ignore[arg-type]
    notes, cases = models.network("tokens", 2)
    with pytest.raises(ThreatError, match="give the widest limit"):
        minimal_radii(DeepFool(), notes, cases, ThreatModel(Embedding("l2"), 1.0), seed="s")
    assert len(minimal_radii(DeepFool(), notes, cases, ThreatModel(Embedding("l2"), 1.0), seed="s", high=9.0)) == 2


def test_medians_lie_between_neighbors_and_outlast_infinity() -> None:
    radii = Radii(np.array([np.inf, 0.0, 2.0, 1.0]), tuple("abcd"), np.arange(4), "pgd", "mV", 3.0)
    assert radii.median == 1.5
    assert math.isinf(radii.quantile(0.9))
    np.testing.assert_array_equal(radii.stands(1.0), [True, False, True, False])
    assert "1 wrong without any change, 1 never fooled" in str(radii)
    assert math.isnan(Radii(np.zeros(0), (), np.zeros(0), "pgd", "mV", 3.0).median)
    with pytest.raises(AttackError, match="larger 'high'"):
        radii.stands(4.0)


@pytest.mark.parametrize("wrong", [{"high": 0.0}, {"low": 2.0, "high": 1.0}, {"high": math.inf}, {"tolerance": 0.0}])
def test_limits_without_sense_are_refused(wrong: dict[str, float]) -> None:
    model, batch = models.linear(3, 2)
    with pytest.raises(ThreatError, match=r"expected .*, got .*; correct"):
        minimal_radii(FGSM(), model, batch, LINF, seed="s", **wrong)  # type: ignore[arg-type]
