"""Do the tests reject as often as they say (2,000 seeded data sets each), and do the intervals cover (1,000 each)?

Trials come in blocks: the methods of one trial share its luck, drawn from N(0, 2^2), on top of noise from N(0, 1). A
count of 2,000 puts the standard error of a rate of 5 % at 0.5 points, so 3.5 to 6.5 % are three standard errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice

import numpy as np
import pytest

from titer.audit.statistics import posthoc
from titer.audit.statistics.anova import one_way, repeated_measures, welch
from titer.audit.statistics.auroc import auroc, compare_auroc
from titer.audit.statistics.bootstrap import cluster_ratio
from titer.audit.statistics.effect_size import _exact
from titer.audit.statistics.equivalence import tost_paired
from titer.audit.statistics.friedman import friedman, nemenyi
from titer.audit.statistics.mcnemar import mcnemar_counts
from titer.audit.statistics.mixed import mixed_model
from titer.audit.statistics.normality import shapiro
from titer.audit.statistics.paired import paired_t
from titer.audit.statistics.paired_proportions import paired_shift_counts
from titer.audit.statistics.posthoc import games_howell, paired_contrasts, tukey_blocked
from titer.audit.statistics.proportions import Confusion, rates, wilson
from titer.audit.statistics.sign_flip import sign_flip
from titer.audit.statistics.wilcoxon import wilcoxon

TABLES = 2000
INTERVALS = 1000
NAMES = ("A", "B", "C", "D")


def tables(n: int, k: int, *, luck: float = 2.0) -> Iterator[dict[str, np.ndarray]]:
    """Outcomes of k methods that do not differ, over n trials whose luck they share."""
    rng = np.random.default_rng(1000 * n + k)
    drawn = rng.normal(size=(TABLES, k, n)) + luck * rng.normal(size=(TABLES, 1, n))
    return (dict(zip(NAMES, table, strict=False)) for table in drawn)


def rejected(p_values: list[float], level: float = 0.05) -> float:
    return float(np.mean(np.array(p_values) <= level))


PAIRED: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "paired t": lambda a, b: paired_t(a, b).p,
    "sign flips": lambda a, b: sign_flip(a, b).p,
    "Wilcoxon": lambda a, b: wilcoxon(a, b).p,
    "Shapiro-Wilk": lambda a, b: shapiro(a - b).p,
    "TOST at its margin": lambda a, b: tost_paired(a + 1.5, b, margin=1.5).p,
}


@pytest.mark.parametrize("name", PAIRED)
def test_paired_tests_reject_as_often_as_they_say(name):
    p = [PAIRED[name](table["A"], table["B"]) for table in tables(10, 2)]
    assert 0.035 <= rejected(p) <= 0.065


GROUPED: dict[str, Callable[[dict[str, np.ndarray]], float]] = {
    "repeated measures": lambda table: repeated_measures(table).p,
    "Friedman": lambda table: friedman(table).p,
    "Tukey, blocked": lambda table: min(pair.p for pair in tukey_blocked(table).contrasts),
    "Holm on paired t": lambda table: min(pair.p for pair in paired_contrasts(table).contrasts),
    "Nemenyi": lambda table: min(pair.p for pair in nemenyi(table).contrasts),
}


@pytest.mark.parametrize("name", GROUPED)
def test_blocked_tests_reject_as_often_as_they_say(name):
    p = [GROUPED[name](table) for table in tables(10, 3)]
    assert 0.035 <= rejected(p) <= 0.065


def test_five_trials_of_four_defences():
    assert 0.035 <= rejected([repeated_measures(table).p for table in tables(5, 4)]) <= 0.065


def test_one_way_analyses_are_conservative_when_blocks_matter():
    """The luck that trials share is counted as error, which hides differences rather than inventing them."""
    blocked = list(tables(10, 3))[:500]
    assert rejected([one_way(table).p for table in blocked]) < 0.01
    assert rejected([welch(table).p for table in blocked]) < 0.01


INDEPENDENT: dict[str, Callable[[dict[str, np.ndarray]], float]] = {
    "one-way": lambda table: one_way(table).p,
    "Welch": lambda table: welch(table).p,
    "Games-Howell": lambda table: min(pair.p for pair in games_howell(table).contrasts),
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_one_way_analyses_reject_as_often_as_they_say_when_trials_are_independent(name, monkeypatch):
    # Only p is looked at here, and the quantiles of the intervals take most of the time.
    monkeypatch.setattr(posthoc, "quantile", lambda *_: 3.0)
    spread = {"A": 1.0, "B": 1.0, "C": 1.0} if name == "one-way" else {"A": 0.5, "B": 1.0, "C": 2.0}
    p = [
        INDEPENDENT[name]({key: spread[key] * column for key, column in table.items()})
        for table in tables(10, 3, luck=0.0)
    ]
    assert 0.035 <= rejected(p) <= 0.065


def test_mixed_model_rejects_as_often_as_it_says():
    p = []
    for table in tables(8, 3):
        table["A"][0] = table["C"][3] = table["C"][5] = np.nan
        p.append(mixed_model(table).p)
    assert 0.035 <= rejected(p) <= 0.065


def test_comparison_of_aurocs_rejects_as_often_as_it_says():
    rng = np.random.default_rng(4)
    ill = np.arange(120) < 60
    shared = rng.normal(size=(TABLES, 120)) + ill
    scores = shared[:, None] + rng.normal(size=(TABLES, 2, 120))
    assert 0.035 <= rejected([compare_auroc(ill, one, two).p for one, two in scores]) <= 0.065


@pytest.mark.parametrize("cases", [10, 34, 80, 300])
def test_exact_mcnemar_never_rejects_more_often_than_it_says(cases):
    """Exactly, from the binomial distribution: a test of counts cannot spend all of its 5 %, and never spends more."""
    from scipy.stats import binom

    b = np.arange(cases + 1)
    p = np.array([mcnemar_counts(int(one), cases - int(one)).p for one in b])
    level = float(binom.pmf(b, cases, 0.5)[p <= 0.05].sum())
    assert 0.01 < level <= 0.05


# Coverage


def covered(limits: list[tuple[float, float]], truth: float) -> float:
    low, high = np.array(limits).T
    return float(np.mean((low <= truth) & (truth <= high)))


def pairs(n: int, difference: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((table["A"] + difference, table["B"]) for table in islice(tables(n, 2), INTERVALS))


@pytest.mark.parametrize("test", [paired_t, sign_flip, wilcoxon])
def test_intervals_of_paired_tests_cover(test):
    results = [test(one, two) for one, two in pairs(10, 3.0)]
    assert 0.93 <= covered([(result.low, result.high) for result in results], 3.0) <= 0.97


def test_exact_interval_of_d_z_covers():
    limits = []
    for one, two in pairs(10, 1.0):
        change = one - two
        limits.append(_exact(float(change.mean() / change.std(ddof=1)), 10, 0.95))
    assert 0.93 <= covered(limits, 1.0 / np.sqrt(2)) <= 0.97


def test_joint_intervals_cover_all_pairs_at_once():
    results = [tukey_blocked(table).contrasts for table in islice(tables(10, 3), INTERVALS)]
    assert 0.93 <= np.mean([all(pair.low <= 0 <= pair.high for pair in result) for result in results]) <= 0.97


@cache
def share(k: int, n: int) -> tuple[float, float]:
    return wilson(k, n).low, wilson(k, n).high


def test_wilson_covers_on_average_over_shares():
    """Each share has its own exact coverage, which swings with the counts; the average is what Wilson promises."""
    from scipy.stats import binom

    for n in (50, 200):
        low, high = np.array([share(k, n) for k in range(n + 1)]).T
        truths = np.linspace(0.02, 0.98, 97)
        coverage = [binom.pmf(np.arange(n + 1), n, p)[(low <= p) & (p <= high)].sum() for p in truths]
        assert 0.93 <= np.mean(coverage) <= 0.97
        assert min(coverage) > 0.88


def test_balanced_accuracy_covers():
    rng = np.random.default_rng(6)
    found, cleared = rng.binomial(40, 0.8, size=INTERVALS), rng.binomial(160, 0.95, size=INTERVALS)
    results = [
        rates(Confusion(tp=int(tp), fn=40 - int(tp), fp=160 - int(tn), tn=int(tn))).balanced_accuracy
        for tp, tn in zip(found, cleared, strict=True)
    ]
    assert 0.93 <= covered([(result.low, result.high) for result in results], 0.875) <= 0.97


def test_shift_of_a_rate_covers():
    rng = np.random.default_rng(7)
    cells = rng.multinomial(100, [0.1, 0.02, 0.18, 0.7], size=INTERVALS)
    results = [paired_shift_counts(*(int(cell) for cell in row)) for row in cells]
    assert 0.93 <= covered([(result.low, result.high) for result in results], 0.16) <= 0.97


def test_auroc_covers_and_by_patient_too():
    rng = np.random.default_rng(8)
    ill = np.arange(100) < 50
    results = [auroc(ill, rng.normal(size=100) + ill) for _ in range(INTERVALS)]
    # Two normal distributions one deviation apart: Phi(1/sqrt(2)).
    assert 0.93 <= covered([(result.low, result.high) for result in results], 0.7602499) <= 0.97
    patients = np.arange(240) // 4
    ill = (np.arange(240) // 4) % 2 == 0
    limits = []
    for _ in range(INTERVALS):
        scores = np.repeat(rng.normal(size=60), 4) + rng.normal(size=240) + np.sqrt(2) * ill
        result = auroc(ill, scores, patients=patients)
        limits.append((result.low, result.high))
    assert 0.93 <= covered(limits, 0.7602499) <= 0.97


def test_bootstrap_of_patients_covers_where_one_of_cases_would_not():
    rng = np.random.default_rng(9)
    patients = np.arange(240) // 4
    by_patient, by_case = [], []
    for _ in range(INTERVALS):
        # The chance of a right answer differs from patient to patient, 0.8 on average.
        correct = rng.random(240) < np.repeat(rng.beta(1.6, 0.4, size=60), 4)
        result = cluster_ratio(correct, patients=patients, rng=rng, resamples=500)
        by_patient.append((result.low, result.high))
        result = cluster_ratio(correct, patients=np.arange(240), rng=rng, resamples=500)
        by_case.append((result.low, result.high))
    assert 0.92 <= covered(by_patient, 0.8) <= 0.97
    assert covered(by_case, 0.8) < 0.88
