"""Do several methods differ when some trials of some methods are missing: a linear mixed model with random trials.

Formula: outcome_ij = method_j + trial_i + error_ij, trial_i ~ N(0, tau^2), error_ij ~ N(0, sigma^2). The ratio
tau^2/sigma^2 is the maximum of the restricted likelihood, the methods are estimated by generalized least squares at it,
and t and F tests use the within-trial degrees of freedom N - trials - (methods - 1). On a complete table with
tau^2 > 0 this is the repeated-measures analysis of variance exactly.
Sources: Laird and Ware 1982 (doi 10.2307/2529876); Pinheiro and Bates 2000, Mixed-Effects Models in S (the degrees of
freedom, which are those of R's nlme).
The ratio is one number, so it is found by a bounded search rather than by statsmodels' MixedLM: that reports failed
convergence in most data sets without a trial effect, where tau^2 = 0 is simply the answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import fdtrc, stdtr, stdtrit

from titer.audit.statistics._checks import Floats, fraction, sparse_blocks
from titer.audit.statistics._result import Result, number, p_value
from titer.audit.statistics.multiplicity import adjust
from titer.audit.statistics.posthoc import Contrast, Contrasts
from titer.errors import DataError


@dataclass(frozen=True)
class MixedModel(Result):
    """F test that all methods agree, their estimated means, all pairs, and the variances of trials and of errors."""

    f: float
    df_between: int
    df_error: int
    p: float
    means: dict[str, float]
    contrasts: Contrasts
    variance_trial: float
    variance_error: float
    n: int
    missing: int
    confidence: float
    method: str = "linear mixed model, random trials, REML"

    def __str__(self) -> str:
        test = f"F({self.df_between}, {self.df_error}) = {number(self.f)}, {p_value(self.p)}"
        return f"{test} (n = {self.n} outcomes, {self.missing} missing, {self.method}); {self.contrasts}"


@dataclass(frozen=True)
class _Sums:
    """All that the likelihood needs; outcomes are centered first, so that no digits are lost in the squares."""

    center: float
    cells: Floats
    sizes: Floats
    of_methods: Floats
    cell_totals: Floats
    trial_totals: Floats
    squares: float


@dataclass(frozen=True)
class _Fit:
    """Estimates at one ratio of variances; `criterion` is -2 log restricted likelihood up to a constant."""

    criterion: float
    means: Floats
    covariance: Floats
    sigma2: float


def mixed_model(outcomes: Mapping[str, npt.ArrayLike], *, confidence: float = 0.95) -> MixedModel:
    """Compare methods over shared trials of which some are missing.

    Arguments: outcomes {method: (trials,)} with NaN where a method has no result for that trial.
    Refuses fewer than two methods, methods that share no trials even by way of others, too few results to leave a
    degree of freedom, and results without scatter (DataError). Pairs have Holm p-values and Bonferroni intervals.

    >>> nan = float("nan")
    >>> outcomes = {"A": [88.0, 90.0, 87.0, 89.0], "B": [82.0, nan, 81.5, 84.0], "C": [88.5, 90.0, nan, 88.6]}
    >>> result = mixed_model(outcomes)
    >>> round(result.f, 2), result.df_error, round(result.contrasts.between("A", "B").difference, 3)
    (125.76, 4, 5.547)
    """
    fraction("confidence", confidence)
    names, table = sparse_blocks(outcomes)
    trial, method = np.nonzero(np.isfinite(table))
    y, n, k = table[trial, method], trial.size, len(names)
    trials = np.unique(trial, return_inverse=True)[1]
    design = np.eye(k)[method]
    df = _degrees_of_freedom(design, trials)
    within = _both(design, trials)
    left = y - within @ np.linalg.lstsq(within, y, rcond=None)[0]
    if np.abs(left).max() <= 1e-12 * np.abs(y).max():
        raise DataError("outcomes that scatter within trials", "none that do", "the differences are exact: print them")
    ratio, fit = _restricted_maximum(_sums(table))
    away = fit.means[1:] - fit.means[0]
    to_first = np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)])
    f = float(away @ np.linalg.solve(to_first @ fit.covariance @ to_first.T, away)) / (k - 1)
    return MixedModel(
        f=f,
        df_between=k - 1,
        df_error=df,
        p=float(fdtrc(k - 1, df, f)),
        means=dict(zip(names, fit.means.tolist(), strict=True)),
        contrasts=_contrasts(names, fit, df, n=n, confidence=confidence),
        variance_trial=ratio * fit.sigma2,
        variance_error=fit.sigma2,
        n=n,
        missing=table.size - n,
        confidence=confidence,
    )


def _both(design: Floats, trials: npt.NDArray[np.intp]) -> Floats:
    return np.hstack([design, np.eye(int(trials.max()) + 1)[trials]])


def _degrees_of_freedom(design: Floats, trials: npt.NDArray[np.intp]) -> int:
    n, k = design.shape
    blocks = int(trials.max()) + 1
    if np.linalg.matrix_rank(_both(design, trials)) < blocks + k - 1:
        raise DataError(
            "methods that share trials, at least by way of others", "groups that share none", "run them again"
        )
    df = int(n - blocks - (k - 1))
    if df < 1:
        raise DataError("more outcomes than trials and methods", f"{n}, {blocks} and {k}", "add trials")
    return df


def _restricted_maximum(sums: _Sums) -> tuple[float, _Fit]:
    """The ratio of variances with the highest restricted likelihood: a grid over the share, then a bounded search."""

    def at(share: float) -> _Fit:
        return _fit(sums, share / (1 - share))

    shares = np.linspace(0, 1 - 1e-6, 9)
    best = int(np.argmin([at(float(share)).criterion for share in shares]))
    bounds = (float(shares[max(0, best - 1)]), float(shares[min(8, best + 1)]))
    found = minimize_scalar(lambda share: at(share).criterion, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    share = 0.0 if at(0.0).criterion <= float(found.fun) else float(found.x)
    return share / (1 - share), at(share)


def _fit(sums: _Sums, ratio: float) -> _Fit:
    """Generalized least squares with variance sigma^2 (I + ratio J) within a trial, whose inverse is known.

    With n_i outcomes in a trial that inverse is I - ratio/(1 + ratio n_i) J, so sums by trial are all it takes.
    """
    n, k = int(sums.of_methods.sum()), sums.of_methods.size
    shrink = ratio / (1 + ratio * sums.sizes)
    information = np.diag(sums.of_methods) - (sums.cells.T * shrink) @ sums.cells
    moment = sums.cell_totals - sums.cells.T @ (shrink * sums.trial_totals)
    covariance = np.linalg.inv(information)
    means = covariance @ moment
    squares = sums.squares - float(shrink @ sums.trial_totals**2) - float(means @ moment)
    sigma2 = max(squares, np.finfo(float).tiny) / (n - k)
    logs = float(np.log1p(ratio * sums.sizes).sum()) + float(np.linalg.slogdet(information)[1])
    return _Fit(
        (n - k) * math.log(sigma2) + logs,
        means + sums.center,
        np.asarray(covariance * sigma2, dtype=np.float64),
        sigma2,
    )


def _sums(table: Floats) -> _Sums:
    center = float(np.nanmean(table))
    there, centered = np.isfinite(table), np.nan_to_num(table - center, nan=0.0)
    return _Sums(
        center=center,
        cells=there.astype(np.float64),
        sizes=there.sum(axis=1).astype(np.float64),
        of_methods=there.sum(axis=0).astype(np.float64),
        cell_totals=centered.sum(axis=0),
        trial_totals=centered.sum(axis=1),
        squares=float((centered**2).sum()),
    )


def _contrasts(names: tuple[str, ...], fit: _Fit, df: int, *, n: int, confidence: float) -> Contrasts:
    pairs = list(combinations(range(len(names)), 2))
    quantile = float(stdtrit(df, 1 - (1 - confidence) / len(pairs) / 2))
    difference = np.array([fit.means[i] - fit.means[j] for i, j in pairs])
    cov = fit.covariance
    se = np.sqrt([cov[i, i] + cov[j, j] - 2 * cov[i, j] for i, j in pairs])
    t = difference / se
    p = adjust((2 * stdtr(df, -np.abs(t))).tolist())
    contrasts = tuple(
        Contrast(names[i], names[j], float(d), float(d - quantile * s), float(d + quantile * s), float(z), df, new)
        for (i, j), d, s, z, new in zip(pairs, difference, se, t, p, strict=True)
    )
    return Contrasts(contrasts, n, confidence, "mixed model, Holm p-values, Bonferroni intervals")
