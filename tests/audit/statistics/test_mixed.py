from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.audit.statistics.anova import repeated_measures
from titer.audit.statistics.mixed import mixed_model
from titer.errors import DataError

LAW = settings(deadline=None, max_examples=25)


@pytest.fixture
def gaps(defences):
    """The four defences without AT in the third trial and RS in the second."""
    defences["AT"][2] = np.nan
    defences["RS"][1] = np.nan
    return defences


# R 4.2.2, nlme 3.1: f <- lme(y ~ m, random = ~1|tr, data = d[-c(3, 12), ], method = "REML")
#   summary(f)$tTable; anova(f, type = "marginal"); VarCorr(f)
def test_agrees_with_r(gaps):
    result = mixed_model(gaps)
    assert (result.df_between, result.df_error, result.n, result.missing) == (3, 10, 18, 2)
    assert result.f == pytest.approx(115.278, abs=5e-4)
    assert (result.variance_trial, result.variance_error) == pytest.approx((1.1890595, 0.3834005), abs=1e-6)
    assert result.means["AT"] == pytest.approx(88.67841306, abs=1e-7)
    for name, difference, t in (
        ("GM", -6.27841306, -14.8628194),
        ("RS", 0.56642438, 1.2440668),
        ("LC", -2.97841306, -7.0507651),
    ):
        pair = result.contrasts.between(name, "AT")
        assert (pair.difference, pair.statistic) == pytest.approx((difference, t), abs=1e-6)


def test_agrees_with_statsmodels(gaps):
    rows = pd.DataFrame(
        [(y, name, trial) for name, column in gaps.items() for trial, y in enumerate(column) if np.isfinite(y)],
        columns=["y", "method", "trial"],
    )
    theirs = smf.mixedlm("y ~ 0 + method", rows, groups="trial").fit(reml=True)
    ours = mixed_model(gaps)
    assert [ours.means[name] for name in ("AT", "GM", "LC", "RS")] == pytest.approx(list(theirs.fe_params), abs=1e-4)
    assert ours.variance_error == pytest.approx(theirs.scale, rel=1e-3)
    assert ours.variance_trial == pytest.approx(float(theirs.cov_re.iloc[0, 0]), rel=1e-3)


@LAW
@given(st.integers(3, 8), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_complete_table_is_the_blocked_analysis(n, k, seed):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, k)) + rng.normal(0, 3, size=(n, 1))
    outcomes = {f"m{place}": column for place, column in enumerate(table.T)}
    mixed, blocked = mixed_model(outcomes), repeated_measures(outcomes)
    if mixed.variance_trial > 0:
        assert (mixed.f, mixed.p) == (pytest.approx(blocked.f, rel=1e-4), pytest.approx(blocked.p, rel=1e-3))
    assert mixed.df_error == blocked.df_error
    assert mixed.means == pytest.approx({name: column.mean() for name, column in outcomes.items()})


@LAW
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(-50, 50))
def test_unit_origin_and_order_do_not_matter(seed, unit, shift):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(6, 3)) + rng.normal(size=(6, 1))
    table[0, 0] = table[3, 2] = np.nan
    names = ("A", "B", "C")
    plain = mixed_model(dict(zip(names, table.T, strict=True)))
    moved = mixed_model(dict(zip(names[::-1], (unit * table + shift).T[::-1], strict=True)))
    assert moved.f == pytest.approx(plain.f, rel=1e-4)
    assert moved.variance_error == pytest.approx(unit**2 * plain.variance_error, rel=1e-4)
    assert moved.means["B"] == pytest.approx(unit * plain.means["B"] + shift, abs=1e-4)


def test_no_trial_effect_is_an_answer_without_a_warning():
    table = np.array([[1.0, 2.0, 4.0], [2.0, 1.0, 3.0], [1.5, 3.0, 1.0], [0.5, 0.0, 2.0]])
    table = table - table.mean(axis=1, keepdims=True)
    table[0, 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = mixed_model({"A": table[:, 0], "B": table[:, 1], "C": table[:, 2]})
    assert result.variance_trial == 0.0
    assert 0 < result.p <= 1


def test_sentence(gaps):
    assert "n = 18 outcomes, 2 missing" in str(mixed_model(gaps))


def test_refusals():
    nan = np.nan
    with pytest.raises(DataError, match="none of 'B'"):
        mixed_model({"A": [1.0, 2.0], "B": [nan, nan]})
    with pytest.raises(DataError, match="groups that share none"):
        mixed_model({"A": [1.0, 2.0, nan, nan], "B": [nan, nan, 1.0, 2.0]})
    with pytest.raises(DataError, match="more outcomes than trials and methods"):
        mixed_model({"A": [1.0, nan], "B": [2.0, 3.0]})
    with pytest.raises(DataError, match="outcomes that scatter"):
        mixed_model({"A": [1.0, 2.0, nan], "B": [2.0, 3.0, 5.0], "C": [4.0, 5.0, 7.0]})
    with pytest.raises(DataError, match="one entry per trial each"):
        mixed_model({"A": [1.0, 2.0], "B": [2.0, 3.0, 4.0]})
    with pytest.raises(DataError, match="an infinite one"):
        mixed_model({"A": [1.0, np.inf], "B": [2.0, 3.0]})
