"""The example report's subgroups, comparisons, traps and limits."""

from __future__ import annotations

from report_example_results import LIMITS, MODELS, STRENGTH, cell, share

from titer.audit.report import schema as s


def subgroups() -> tuple[s.SubgroupTable, ...]:
    def both(n: int, k: int, after: int) -> tuple[int, dict[str, s.Measure]]:
        return n, {"clean accuracy": share(k, n), "robust accuracy": share(after, n)}

    target = cell("T-CNN", "PGD", 2).id
    sex = {"female": both(289, 269, 92), "male": both(311, 287, 74)}
    age = {
        "under 18": both(7, 6, 1),
        "18 to 64": both(381, 358, 121),
        "65 to 79": both(180, 166, 38),
        "80 and older": both(32, 26, 6),
    }
    hidden = "Groups under ten cases are withheld, and one more so that they cannot be had by subtraction."
    return (
        s.SubgroupTable(cell=target, column="sex", rows=s.suppress_small(sex)),
        s.SubgroupTable(cell=target, column="age", rows=s.suppress_small(age), note=hidden),
    )


def comparisons() -> tuple[s.ComparisonFamily, ...]:
    def test(name: str, symbol: str, value: float, df: tuple[float, ...], p: float, sentence: str) -> s.TestResult:
        return s.TestResult(
            name=name, statistic_name=symbol, statistic=value, df=df, p=p, n=20, method=name, sentence=sentence
        )

    def pair(one: str, two: str, estimate: float, p: float) -> s.TestResult:
        return s.TestResult(
            name=f"{one} against {two}",
            estimate=estimate,
            low=estimate - 2.4,
            high=estimate + 2.4,
            unit="points",
            p=p,
            p_adjusted=min(1.0, 3 * p),
            adjustment="Holm over 3 tests",
            n=5,
            method="paired t on trials",
            sentence=f"{one} and {two} differ."
            if 3 * p < 0.05
            else f"No difference between {one} and {two} was shown.",
        )

    return (
        s.ComparisonFamily(
            heading="Do the attacks differ on T-CNN?",
            question="Is the mean accuracy drop the same under every attack?",
            results=(
                test(
                    "one-way ANOVA", "F", 29.3192, (3, 16), 9.766e-07, "The drops differ, if trials were independent."
                ),
                test("blocked ANOVA", "F", 137.568, (3, 12), 1.474e-09, "The drops differ within trials."),
                test("Friedman", "chi2", 14.04, (3,), 0.002851, "The ranks of the attacks differ within trials."),
            ),
            notes=(
                "One-way ANOVA assumes independent trials; these share their splits, so read the blocked analysis.",
            ),
        ),
        s.ComparisonFamily(
            heading="Which attacks differ on T-CNN?",
            question="Which pairs of attacks have different drops?",
            results=(
                pair("PGD", "FGSM", 24.1, 0.0006),
                pair("PGD", "JSMA", 8.2, 0.011),
                pair("JSMA", "FGSM", 15.9, 0.03),
            ),
        ),
    )


def traps(cells: tuple[s.Cell, ...]) -> tuple[s.Trap, ...]:
    sprung = tuple(c.id for c in cells if c.suspect)
    meaning = "The search is not finding what is there, so robust accuracy is overstated."
    remedy = "Raise the number of steps and restarts, lower the step size, or use another loss."

    def trap(identifier: str, name: str, question: str, status: s.Status, evidence: str, **more: object) -> s.Trap:
        return s.Trap.model_validate(
            {
                "id": identifier,
                "name": name,
                "question": question,
                "status": status,
                "evidence": evidence,
                "meaning": meaning,
                "remedy": remedy,
                **more,
            }
        )

    return (
        trap(
            "monotone",
            "Larger limits hurt more",
            "Does robust accuracy never rise with the limit?",
            "passed",
            "No rise larger than 0 cases in 14 steps.",
        ),
        trap(
            "iterative-not-weaker",
            "Iterated attacks beat single steps",
            "Is PGD at least as strong as FGSM?",
            "failed",
            "On T-AE, FGSM leaves 31.6 % and PGD 45.1 % at 4/255.",
            cells=sprung,
            explanation="The score is flat around normal scans; the plan keeps both and reads the lower one.",
        ),
        trap(
            "noise",
            "Noise hurts far less",
            "Does random noise cost less than a quarter of PGD?",
            "passed",
            "Noise costs at most 6.1 % of what PGD costs.",
        ),
        trap(
            "whole-box",
            "No limit, no accuracy",
            "Does a limit over the whole range leave nothing?",
            "passed",
            "At 255/255 PGD leaves 0 of 600 cases right.",
        ),
        trap(
            "gradients",
            "Gradients can be seen",
            "Are gradients zero or NaN on at most 1 % of cases?",
            "passed",
            "Zero on 0.2 % of cases.",
        ),
        trap(
            "black-box",
            "White box beats black box",
            "Is no score-based attack stronger than PGD?",
            "not applicable",
            "The plan has no score-based attack.",
        ),
    )


def limits() -> s.Verdict:
    place = [f"{m}/{a}/{i}" for m in MODELS for a in STRENGTH for i in range(len(LIMITS[MODELS[m][1]][1]))]
    one = "T-CNN", "PGD", 2
    index = place.index("T-CNN/PGD/2")
    found = cell(*one).metrics
    assert isinstance(found, s.ClassificationMetrics)
    return s.Verdict(
        passed=False,
        rules=(
            s.Rule(
                rule="robust_accuracy < 0.50 on T-CNN at 4/255",
                measured=found.robust_accuracy.value,
                limit=0.5,
                status="broken",
                cell=cell(*one).id,
                path=f"$.cells[{index}].metrics.robust_accuracy.value",
            ),
            s.Rule(
                rule="clean_accuracy < 0.85",
                measured=found.clean_accuracy.value,
                limit=0.85,
                status="held",
                cell=cell(*one).id,
                path=f"$.cells[{index}].metrics.clean_accuracy.value",
            ),
        ),
    )
