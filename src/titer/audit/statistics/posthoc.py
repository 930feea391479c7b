"""Which methods differ: all pairs, with intervals, at one error rate for the whole family.

    tukey             independent trials with one variance (flagged, as for the one-way analysis)
    tukey_blocked     the same with the error of the blocked analysis: use this when methods share their trials
    games_howell      independent trials, each method with its own variance
    paired_contrasts  paired t tests of all pairs, p-values by Holm; assumes least

Formula of the first three: q = |difference| / se is compared with the studentized range of k means,
    tukey se = sqrt(MS_error/2 (1/n_i + 1/n_j)),  games_howell se = sqrt((s_i^2/n_i + s_j^2/n_j)/2) with Welch's df.
Holm has no matching intervals; those of `paired_contrasts` are Bonferroni's, which hold jointly and are a little wide.
Sources: Tukey 1953; Kramer 1956 (doi 10.2307/3001469); Games and Howell 1976 (doi 10.3102/10769986001002113);
Holm 1979 (Scandinavian Journal of Statistics 6, 65-70).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy.typing as npt

from titer.audit.statistics._checks import INDEPENDENT, blocks, fraction, groups, summary
from titer.audit.statistics._result import Result, number, p_value
from titer.audit.statistics._studentized_range import quantile, upper_tail
from titer.audit.statistics.multiplicity import adjust
from titer.audit.statistics.paired import paired_t


@dataclass(frozen=True)
class Contrast(Result):
    """One pair of methods: first - second with a joint interval and an adjusted p."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    statistic: float
    df: float
    p: float

    def __str__(self) -> str:
        limits = f"{number(self.low)} to {number(self.high)}"
        return f"{self.first} - {self.second} {number(self.difference)} ({limits}; {p_value(self.p)})"


@dataclass(frozen=True)
class Contrasts(Result):
    """All pairs of methods, at one joint confidence."""

    contrasts: tuple[Contrast, ...]
    n: int
    confidence: float
    method: str
    caution: str = ""

    def __str__(self) -> str:
        pairs = ", ".join(str(contrast) for contrast in self.contrasts)
        caution = f"; {self.caution}" if self.caution else ""
        return f"{pairs} (joint {100 * self.confidence:g} % CIs; n = {self.n} outcomes, {self.method}{caution})"

    def between(self, first: str, second: str) -> Contrast:
        """The contrast first - second, whichever way round it was computed."""
        for found in self.contrasts:
            if (found.first, found.second) == (first, second):
                return found
            if (found.first, found.second) == (second, first):
                turned = (-found.difference, -found.high, -found.low, -found.statistic)
                return Contrast(first, second, *turned, found.df, found.p)
        raise KeyError((first, second))


def tukey(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> Contrasts:
    """Tukey's (Tukey-Kramer) test of all pairs of methods with independent trials.

    Arguments: outcomes {method: (trials,)}. Refuses fewer than two methods or two trials of one (DataError).

    >>> print(tukey({"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0]}))
    A - B 6 (3.382 to 8.618; p = 0.00313) (joint 95 % CIs; n = 6 outcomes, Tukey HSD; assumes independent trials)
    """
    names, columns = groups(outcomes)
    return tukey_from_summary(
        names,
        [float(column.mean()) for column in columns],
        [float(column.std(ddof=1)) for column in columns],
        [column.size for column in columns],
        confidence=confidence,
    )


def tukey_from_summary(
    names: Sequence[str],
    means: npt.ArrayLike,
    sds: npt.ArrayLike,
    n: int | Sequence[int],
    *,
    confidence: float = 0.95,
) -> Contrasts:
    """Tukey's test from a published table of means and standard deviations.

    Arguments: names, means, sds (methods,); n trials per method, one number for all or one each.
    Refuses fewer than two methods, negative deviations, or fewer than two trials (DataError).

    >>> print(tukey_from_summary(["A", "B"], [89.0, 82.0], [1.3, 1.2], 5).contrasts[0])
    A - B 7 (5.175 to 8.825; p < 0.0001)
    """
    fraction("confidence", confidence)
    mean, sd, sizes = summary(means, sds, n)
    df = int(sizes.sum()) - mean.size
    error = float(((sizes - 1) * sd**2).sum()) / df
    contrasts = [
        range_contrast(
            (names[i], names[j]),
            float(mean[i] - mean[j]),
            math.sqrt(error / 2 * (1 / sizes[i] + 1 / sizes[j])),
            methods=mean.size,
            df=df,
            confidence=confidence,
        )
        for i, j in combinations(range(mean.size), 2)
    ]
    return Contrasts(tuple(contrasts), int(sizes.sum()), confidence, "Tukey HSD", INDEPENDENT)


def tukey_blocked(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> Contrasts:
    """Tukey's test with the trial as block, to follow `anova.repeated_measures`.

    Arguments: outcomes {method: (trials,)}, the same trials for every method. It assumes that all differences between
    methods share one variance; where that is in doubt, use `paired_contrasts`.

    >>> print(tukey_blocked({"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0]}).contrasts[0])
    A - B 6 (3.516 to 8.484; p = 0.00913)
    """
    fraction("confidence", confidence)
    names, table = blocks(outcomes)
    n, k = table.shape
    residual = table - table.mean(axis=0) - table.mean(axis=1)[:, None] + table.mean()
    df = (n - 1) * (k - 1)
    se = math.sqrt(float((residual**2).sum()) / df / n)
    means = table.mean(axis=0)
    contrasts = [
        range_contrast((names[i], names[j]), float(means[i] - means[j]), se, methods=k, df=df, confidence=confidence)
        for i, j in combinations(range(k), 2)
    ]
    return Contrasts(tuple(contrasts), n * k, confidence, "Tukey HSD with the blocked error")


def games_howell(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> Contrasts:
    """Games and Howell's test of all pairs of methods whose trials scatter differently.

    Arguments: outcomes {method: (trials,)}. Refuses fewer than two methods or two trials of one (DataError).

    >>> print(games_howell({"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0]}).contrasts[0])
    A - B 6 (2.686 to 9.314; p = 0.0124)
    """
    fraction("confidence", confidence)
    names, columns = groups(outcomes)
    squares = [float(column.var(ddof=1)) / column.size for column in columns]
    contrasts = []
    for i, j in combinations(range(len(names)), 2):
        joint = squares[i] + squares[j]
        df = joint**2 / sum(squares[at] ** 2 / (columns[at].size - 1) for at in (i, j)) if joint > 0 else math.nan
        contrasts.append(
            range_contrast(
                (names[i], names[j]),
                float(columns[i].mean() - columns[j].mean()),
                math.sqrt(joint / 2),
                methods=len(names),
                df=df,
                confidence=confidence,
            )
        )
    n = sum(column.size for column in columns)
    return Contrasts(tuple(contrasts), n, confidence, "Games-Howell", INDEPENDENT)


def paired_contrasts(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> Contrasts:
    """Paired t tests of all pairs of methods that share their trials, adjusted by Holm.

    Arguments: outcomes {method: (trials,)}, the same trials for every method. A pair whose differences are all
    identical has no t test; its p is undefined and it stays in the family as if its p were 1.

    >>> outcomes = {"A": [88.0, 90.0, 87.0], "B": [82.0, 83.0, 82.0], "C": [88.5, 90.1, 86.0]}
    >>> print(paired_contrasts(outcomes).between("A", "B"))
    A - B 6 (1.584 to 10.42; p = 0.0274)
    """
    fraction("confidence", confidence)
    names, table = blocks(outcomes)
    pairs = list(combinations(range(len(names)), 2))
    joint = 1 - (1 - confidence) / len(pairs)
    tests = [paired_t(table[:, i], table[:, j], confidence=joint) for i, j in pairs]
    adjusted = adjust([1.0 if math.isnan(test.p) else test.p for test in tests])
    contrasts = [
        Contrast(
            names[i],
            names[j],
            test.difference,
            test.low,
            test.high,
            test.t,
            test.df,
            math.nan if math.isnan(test.p) else p,
        )
        for (i, j), test, p in zip(pairs, tests, adjusted, strict=True)
    ]
    return Contrasts(tuple(contrasts), table.size, confidence, "paired t, Holm p-values, Bonferroni intervals")


def range_contrast(
    pair: tuple[str, str], difference: float, se: float, *, methods: int, df: float, confidence: float
) -> Contrast:
    """A difference judged by the studentized range; undefined when the trials do not vary."""
    if not se > 1e-12 * abs(difference):
        return Contrast(*pair, difference, math.nan, math.nan, math.nan, df, math.nan)
    half = quantile(confidence, methods, df) * se
    p = upper_tail(abs(difference) / se, methods, df)
    return Contrast(*pair, difference, difference - half, difference + half, difference / se, df, p)
