"""Statistical tests as lines and tables."""

from __future__ import annotations

from titer.audit.report.formats import ends, number, p_text, significant
from titer.audit.report.schema import Draft, TestResult
from titer.audit.report.view.table import ABSENT, Column, Entry, Group, Numbers, Table, head


def statistic_text(test: TestResult) -> str:
    """The statistic with its degrees of freedom, such as 't(4) = 12.4'."""
    if test.statistic is None:
        return ""
    freedom = f"({', '.join(significant(df) for df in test.df)})" if test.df else ""
    return f"{test.statistic_name or 'statistic'}{freedom} = {significant(test.statistic)}"


def estimate_text(test: TestResult) -> str:
    """The estimate with its interval, such as '6.1 points (4.7 to 7.5)'."""
    if test.estimate is None:
        return ""
    unit = test.unit or ""
    text = number(test.estimate, unit).rstrip()
    if test.low is not None and test.high is not None:
        text += f" ({100 * test.level:g}% interval {ends(test.low, test.high, unit)})"
    return text


def p_values(test: TestResult) -> str:
    """The p value, and the adjusted one with its method."""
    parts = [p_text(test.p)] if test.p is not None else []
    if test.p_adjusted is not None:
        parts.append(f"adjusted {p_text(test.p_adjusted)}" + (f" ({test.adjustment})" if test.adjustment else ""))
    return ", ".join(parts)


def described(test: TestResult) -> str:
    """A test as one line: name, numbers, n, method, meaning."""
    size = "" if test.n is None else f"n {test.n:,}"
    numbers = [part for part in (estimate_text(test), statistic_text(test), p_values(test), size) if part]
    stated = f"{'; '.join(numbers)}. " if numbers else ""
    return f"{test.name}: {stated}{test.sentence} Method: {test.method}."


def comparison_tables(report: Draft, numbers: Numbers) -> tuple[tuple[str, Table], ...]:
    """Heading and table of each family of tests."""
    columns = (
        Column("Test"),
        Column("Estimate", numeric=True),
        Column("Statistic", numeric=True),
        Column("p", numeric=True),
        Column("n", numeric=True),
        Column("What it means"),
    )
    made = []
    for family in report.comparisons:
        rows = tuple(_row(test) for test in family.results)
        number = numbers.table()
        table = Table(f"tests-{number}", family.question, columns, (Group(rows),), family.notes, number)
        made.append((family.heading, table))
    return tuple(made)


def _estimate(test: TestResult) -> Entry:
    if test.estimate is None:
        return ABSENT
    known = test.low is not None and test.high is not None
    reach = f"{100 * test.level:g}%: {ends(test.low or 0.0, test.high or 0.0, test.unit or '')}" if known else ""
    return Entry(text=number(test.estimate, test.unit or "").rstrip(), small=reach, numeric=True)


def _row(test: TestResult) -> tuple[Entry, ...]:
    adjusted = "" if test.p_adjusted is None else f"adjusted {p_text(test.p_adjusted)}"
    return (
        head(test.name, small=test.adjustment or ""),
        _estimate(test),
        Entry(text=statistic_text(test) or "–", numeric=True),
        Entry(text=p_text(test.p) if test.p is not None else "–", small=adjusted, numeric=True),
        Entry(text="–" if test.n is None else f"{test.n:,}", numeric=True),
        Entry(text=test.sentence, small="" if test.method == test.name else test.method),
    )
