"""Families of tests: Holm's correction of tests that were declared to belong together, and their names."""

from __future__ import annotations

from collections.abc import Sequence

from titer.audit.report.formats import p_text
from titer.audit.report.schema import TestResult
from titer.audit.statistics.multiplicity import adjust

ALPHA = 0.05


def holm(tests: Sequence[TestResult]) -> list[TestResult]:
    """The tests with Holm's p beside their own; one that does not exist stays in the family as if its p were 1."""
    if len(tests) < 2:
        return list(tests)
    adjusted = adjust([1.0 if test.p is None else test.p for test in tests])
    made = []
    for test, new in zip(tests, adjusted, strict=True):
        if test.p is None:
            made.append(test)
            continue
        corrected = f"{p_text(new)} after Holm's correction for {len(tests)} tests"
        update = {
            "p_adjusted": new,
            "adjustment": f"Holm over {len(tests)} tests",
            "sentence": f"{test.sentence.removesuffix('.')}; {corrected}.",
        }
        made.append(test.model_copy(update=update))
    return made


def named(test: TestResult, subject: str) -> TestResult:
    """The test with what it is about in front of its name."""
    return test.model_copy(update={"name": f"{subject}: {test.name}"})
