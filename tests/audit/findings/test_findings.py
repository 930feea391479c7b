"""Findings: golden values of a published table, agreement with the routines they call, and what is left out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from build import RATES, Results, build, edited, joined, stand_in
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.attacks.fgsm import FGSM
from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.audit.findings._family import holm
from titer.audit.findings.attack_lowers_accuracy import AttackLowersAccuracy, cell_tests
from titer.audit.findings.attacks_differ import AttacksDiffer
from titer.audit.findings.models_differ import ModelsDiffer
from titer.audit.findings.noise_equivalence import NoiseEquivalence
from titer.audit.findings.sample_size import SampleSize
from titer.audit.report.schema import ComparisonFamily, TestResult
from titer.audit.results import CellResults
from titer.audit.statistics.equivalence import tost_paired
from titer.audit.statistics.multiplicity import adjust
from titer.audit.statistics.paired import paired_t
from titer.registry import STATISTICS

# Five trials (rows) of four methods; recomputed by hand and with R for the statistics of this project.
TABLE = {
    "AT": (88.1, 90.3, 86.9, 89.4, 87.8),
    "GM": (81.9, 83.0, 82.2, 84.1, 80.8),
    "RS": (89.0, 90.1, 88.2, 91.0, 87.9),
    "LC": (85.2, 86.4, 84.0, 87.3, 85.6),
}
ALL = (AttackLowersAccuracy, AttacksDiffer, ModelsDiffer, NoiseEquivalence, SampleSize)


def compute(kind: type, results: Results, seed: int = 0) -> tuple[ComparisonFamily, ...]:
    return tuple(kind().compute(results, np.random.default_rng(seed)))


def golden(clean: str = "", names: tuple[str, ...] = tuple(TABLE)) -> Results:
    """The table as robust accuracy of four attacks, in 1,000 cases per trial."""
    return build(
        attacks=[stand_in(name) for name in names],
        limits=("4",),
        cases=1000,
        seeds=range(5),
        wobble=0,
        clean=(lambda seed: TABLE[clean][seed] / 100) if clean else 0.95,
        rates=lambda attack, _, seed: TABLE[attack][seed] / 100,
    )


def percentages(cell: CellResults) -> tuple[list[float], list[float]]:
    before = [100 * float(trial.right_before.mean()) for trial in cell.trials]
    return before, [100 * float(trial.right_after.mean()) for trial in cell.trials]


def found(family: ComparisonFamily, start: str) -> TestResult:
    return next(test for test in family.results if test.name.startswith(start))


class TestGoldenValues:
    def test_attacks_differ(self):
        (family,) = compute(AttacksDiffer, golden())
        blocked = found(family, "repeated-measures")
        assert blocked.statistic == pytest.approx(137.568, rel=1e-5)
        assert blocked.df == (3, 12)
        assert blocked.p == pytest.approx(1.474e-9, rel=1e-3)
        one_way = found(family, "one-way")
        assert one_way.statistic == pytest.approx(29.3192, rel=1e-5)
        assert one_way.df == (3, 16)
        assert one_way.p == pytest.approx(9.766e-7, rel=1e-3)
        assert "assumes independent trials" in one_way.sentence
        assert found(family, "Friedman").statistic == pytest.approx(14.04, rel=1e-4)
        assert found(family, "Friedman").p == pytest.approx(0.002851, rel=1e-3)
        assert found(family, "AT against GM: paired").estimate == pytest.approx(6.1)
        assert family.results[0] is blocked

    def test_an_attack_lowers_accuracy(self):
        results = golden(clean="AT", names=("GM",))
        (family,) = compute(AttackLowersAccuracy, results)
        label = "GM: "
        test = found(family, f"{label}paired t-test")
        assert test.statistic == pytest.approx(12.374473, rel=1e-6)
        assert test.p == pytest.approx(2.4511e-4, rel=1e-4)
        assert (test.estimate, test.low, test.high) == pytest.approx((6.1, 4.731351, 7.468649), rel=1e-6)
        flips = found(family, f"{label}sign-flip")
        assert flips.p == 0.0625
        assert "cannot reach 0.05" in flips.sentence
        shapiro = found(family, f"{label}Shapiro")
        assert (shapiro.statistic, shapiro.p) == pytest.approx((0.940873, 0.672118), rel=1e-4)
        assert "16%" in shapiro.sentence
        assert found(family, f"{label}d_z").estimate == pytest.approx(5.534032, rel=1e-6)
        assert found(family, f"{label}d_av").estimate == pytest.approx(4.724785, rel=1e-6)
        assert found(family, f"{label}Hedges").estimate == pytest.approx(4.427226, rel=1e-6)

    def test_holm_of_the_sheet(self):
        tests = [TestResult(name=f"{p}", p=p, method="none", sentence="None.") for p in (0.001, 0.012, 0.03, 0.04)]
        assert [test.p_adjusted for test in holm(tests)] == pytest.approx([0.004, 0.036, 0.06, 0.06])

    def test_sample_size(self):
        (family,) = compute(SampleSize, golden())
        power = {test.name.rsplit(" ", 1)[1]: test.estimate for test in family.results[:6]}
        assert power["0.5"] == pytest.approx(0.14, abs=0.005)
        assert power["0.8"] == pytest.approx(0.28, abs=0.01)
        assert found(family, "trials needed").estimate == 34
        assert "this audit has 5" in found(family, "trials needed").sentence


class TestCellTests:
    def test_the_primary_test_is_the_paired_t_of_percentages(self):
        cell = next(c for c in build().cells if c.attack == "pgd")
        expected = paired_t(*percentages(cell))
        first = cell_tests(cell, np.random.default_rng(0))[0]
        assert (first.statistic, first.p, first.estimate) == (expected.t, expected.p, expected.difference)

    @pytest.mark.parametrize(("trials", "count"), [(1, 1), (2, 6), (3, 8), (5, 8)])
    def test_the_number_of_trials_decides_what_exists(self, trials, count):
        cell = build(seeds=range(trials)).cells[0]
        names = [test.name for test in cell_tests(cell, np.random.default_rng(0))]
        assert len(names) == count
        assert ("Shapiro-Wilk test" in names) == (trials >= 3)
        assert any(name.startswith("exact McNemar") for name in names)

    def test_mcnemar_goes_by_patient_unless_each_has_one_case(self):
        rng = np.random.default_rng(0)
        many = cell_tests(build(seeds=(0,)).cells[1], rng)[0]
        one = cell_tests(build(seeds=(0,), per_patient=1).cells[1], rng)[0]
        assert many.name == "exact McNemar test by patient"
        assert one.name == "exact McNemar test"
        assert "turned from right to wrong and 0 from wrong to right" in one.sentence

    @pytest.mark.parametrize("task", ["regression", "multilabel", "anomaly", "three"])
    def test_every_task_has_them(self, task):
        tests = cell_tests(
            build(task=task, kind="table", limits=("0.1", "0.2", "0.3")).cells[1], np.random.default_rng(0)
        )
        words = {"regression": "within tolerance", "multilabel": "all findings right"}.get(task, "accuracy")
        assert words in tests[0].sentence

    def test_trials_that_all_lose_alike_have_no_t_test(self):
        cell = build(wobble=0, clean=0.9, rates=lambda *_: 0.5, attacks=(PGD(),)).cells[0]
        tests = {test.name: test for test in cell_tests(cell, np.random.default_rng(0))}
        assert tests["paired t-test over trials"].p is None
        assert "does not exist" in tests["paired t-test over trials"].sentence
        assert tests["d_z"].estimate is None
        assert tests["Shapiro-Wilk test"].statistic is None
        assert tests["drop"].estimate == pytest.approx(40)

    def test_more_than_sixteen_trials_draw_sign_flips(self):
        cell = build(seeds=range(18), cases=40).cells[1]
        one, two = (cell_tests(cell, np.random.default_rng(7))[1] for _ in range(2))
        assert one == two
        assert "random" in one.method

    @settings(max_examples=10, deadline=None)
    @given(st.floats(0, 0.9), st.integers(2, 6))
    def test_are_valid_and_finite_whatever_was_measured(self, left, trials):
        cell = build(seeds=range(trials), cases=30, attacks=(PGD(),), rates=lambda *_: left).cells[0]
        for test in cell_tests(cell, np.random.default_rng(0)):
            assert TestResult.model_validate_json(test.model_dump_json()) == test
            assert test.low is None or test.high is None or test.low <= test.high


class TestAttackLowersAccuracy:
    def test_the_family_is_all_main_cells_of_a_model_without_controls(self):
        (family,) = compute(AttackLowersAccuracy, build())
        primary = [test for test in family.results if "paired t-test" in test.name]
        assert [test.name.split(":")[0] for test in primary] == ["fgsm", "pgd"]
        assert [test.p_adjusted for test in primary] == pytest.approx(adjust([test.p for test in primary]))
        assert "2/255" in family.notes[0]
        assert all(test.adjustment == "Holm over 2 tests" for test in primary)

    def test_a_test_that_does_not_exist_stays_in_the_family(self):
        real = TestResult(name="a", p=0.03, method="none", sentence="None.")
        assert holm([real, real.model_copy(update={"p": None})])[0].p_adjusted == pytest.approx(0.06)
        assert holm([real]) == [real]

    def test_one_trial_leaves_mcnemar(self):
        (family,) = compute(AttackLowersAccuracy, build(seeds=(4,)))
        assert all("McNemar" in test.name for test in family.results)
        assert any("one trial" in note for note in family.notes)


class TestAttacksDiffer:
    def test_leaves_out_controls_and_single_trials(self):
        (family,) = compute(AttacksDiffer, build())
        assert not any("noise" in test.name for test in family.results)
        assert compute(AttacksDiffer, build(seeds=(0,))) == ()
        assert compute(AttacksDiffer, build(attacks=(PGD(), Noise()))) == ()

    def test_two_attacks_have_no_friedman(self):
        (family,) = compute(AttacksDiffer, build())
        assert not any("Friedman" in test.name or "Nemenyi" in test.name for test in family.results)

    def test_attacks_that_leave_nothing_in_any_trial_say_so(self):
        (family,) = compute(AttacksDiffer, build(rates=lambda *_: 0.0, wobble=0))
        assert family.results[0].statistic is None
        assert "does not exist" in family.results[0].sentence


class TestModelsDiffer:
    def test_models_of_the_same_cases_are_blocked(self):
        other = {**RATES, "pgd": (0.8, 0.6, 0.4)}
        families = compute(ModelsDiffer, joined(build(name="A"), build(name="B", rates=other)))
        assert [family.heading.split("?")[0] for family in families] == [
            "Do the models differ before any attack",
            "Do the models differ under fgsm at 2/255 of the gray scale",
            "Do the models differ under pgd at 2/255 of the gray scale",
        ]
        assert all(family.results[0].name.startswith("repeated-measures") for family in families)

    def test_models_of_other_data_are_compared_by_their_drop(self):
        strip = build(name="B", kind="signal", task="binary", limits=("0.1", "0.2", "0.3"), data="strips")
        families = compute(ModelsDiffer, joined(build(name="A"), strip))
        assert {family.heading.rsplit(" ", 1)[1] for family in families} == {"fgsm", "pgd"}
        assert all("equal effort" in " ".join(family.notes) for family in families)
        assert all("Games-Howell" in family.results[-1].name for family in families)
        parts = (build(name="A"), strip)
        attacked = [next(c for c in part.cells if c.is_main and c.attack == "pgd") for part in parts]
        drops = [[100 * float(t.right_before.mean() - t.right_after.mean()) for t in cell.trials] for cell in attacked]
        expected = np.mean(drops[0]) - np.mean(drops[1])
        pgd = next(family for family in families if family.heading.endswith("pgd"))
        assert pgd.results[-1].estimate == pytest.approx(expected)

    def test_one_model_is_compared_with_nothing(self):
        assert compute(ModelsDiffer, build()) == ()


class TestNoiseEquivalence:
    def test_is_the_two_one_sided_test_with_the_margin_of_the_plan(self):
        results = build(margin=3.0, cases=1000)
        (family,) = compute(NoiseEquivalence, results)
        (test,) = family.results
        cell = next(cell for cell in results.cells if cell.is_main and cell.control)
        expected = tost_paired(*percentages(cell), margin=3.0)
        assert test.p == expected.p
        assert test.estimate == -expected.difference
        assert (test.low, test.high) == (-expected.high, -expected.low)
        assert "margin of 3.0 points" in test.sentence

    def test_needs_a_control_and_two_trials(self):
        assert compute(NoiseEquivalence, build(attacks=(FGSM(),))) == ()
        assert compute(NoiseEquivalence, build(seeds=(0,))) == ()


class TestAllFindings:
    def test_stand_in_the_registry_under_their_files_names(self):
        assert {each.name for each in ALL} <= set(STATISTICS.names())
        assert all(STATISTICS.find(each.name) is each for each in ALL)

    @pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
    def test_speak_in_finite_numbers_and_whole_sentences(self, kind):
        wobbly = joined(build(name="A"), build(name="B", wobble=0, rates=lambda *_: 0.0))
        for results in (build(), build(seeds=(0, 1)), build(seeds=(0,)), wobbly):
            for family in compute(kind, results):
                json.loads(family.model_dump_json())
                for test in family.results:
                    assert test.sentence[-1] == "."
                    assert test.sentence[0].isupper() or test.sentence.split()[0] in {*RATES, "d_z", "d_av"}
                    numbers = (test.statistic, test.p, test.estimate, test.low, test.high)
                    assert all(each is None or math.isfinite(each) for each in numbers)

    @pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
    def test_the_same_generator_gives_the_same_families(self, kind):
        assert compute(kind, build()) == compute(kind, build())

    def test_answers_of_untouched_cases_are_no_drop(self):
        results = edited(build(attacks=(PGD(),)), lambda cell, trial: {"scores": trial.before["scores"]})
        (family,) = compute(AttackLowersAccuracy, results)
        assert found(family, "pgd: exact McNemar").p == 1.0
