"""What all results share: they are frozen, print n, interval and method, and become plain JSON."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from titer.audit.statistics import (
    anova,
    auroc,
    bootstrap,
    effect_size,
    equivalence,
    error_shift,
    friedman,
    mcnemar,
    mixed,
    multiplicity,
    normality,
    paired,
    paired_proportions,
    posthoc,
    power,
    proportions,
    sign_flip,
    threshold,
    wilcoxon,
)
from titer.audit.statistics._result import Result, _plain

FIRST, SECOND = [88.1, 90.3, 86.9, 89.4, 87.8], [81.9, 83.0, 82.2, 84.1, 80.8]
GROUPS = {"A": FIRST, "B": SECOND, "C": [89.0, 90.1, 88.2, 91.0, 87.9]}
ILL = np.array([0, 1] * 15)
PATIENTS = np.arange(30) // 2
SCORES = np.arange(30) % 7 + ILL
COSTS = error_shift.Costs(10, 1)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


RESULTS: dict[str, Callable[[], Result]] = {
    "wilson": lambda: proportions.wilson(3, 9),
    "confusion": lambda: proportions.confusion([1, 0], [1, 1]),
    "rates": lambda: proportions.rates(proportions.confusion(ILL, SCORES > 3)),
    "one_vs_rest": lambda: proportions.one_vs_rest(np.arange(30) % 3, np.arange(30) % 4 % 3),
    "auroc": lambda: auroc.auroc(ILL, SCORES),
    "compare_auroc": lambda: auroc.compare_auroc(ILL, SCORES, -SCORES),
    "cluster_ratio": lambda: bootstrap.cluster_ratio(ILL, patients=PATIENTS, rng=rng()),
    "cluster_bootstrap": lambda: bootstrap.cluster_bootstrap(np.median, [SCORES], patients=PATIENTS, rng=rng()),
    "paired_t": lambda: paired.paired_t(FIRST, SECOND),
    "sign_flip": lambda: sign_flip.sign_flip(FIRST, SECOND),
    "wilcoxon": lambda: wilcoxon.wilcoxon(FIRST, SECOND),
    "shapiro": lambda: normality.shapiro(FIRST),
    "normal_plot": lambda: normality.normal_plot(FIRST),
    "effect_sizes": lambda: effect_size.effect_sizes(FIRST, SECOND, rng=rng()),
    "mcnemar": lambda: mcnemar.mcnemar_counts(5, 2),
    "mcnemar_by_disease": lambda: mcnemar.mcnemar_by_disease(ILL, ILL, 1 - ILL),
    "paired_shift": lambda: paired_proportions.paired_shift(ILL, np.ones(30)),
    "one_way": lambda: anova.one_way(GROUPS),
    "repeated_measures": lambda: anova.repeated_measures(GROUPS),
    "welch": lambda: anova.welch(GROUPS),
    "tukey": lambda: posthoc.tukey(GROUPS),
    "tukey_blocked": lambda: posthoc.tukey_blocked(GROUPS),
    "games_howell": lambda: posthoc.games_howell(GROUPS),
    "paired_contrasts": lambda: posthoc.paired_contrasts(GROUPS),
    "friedman": lambda: friedman.friedman(GROUPS),
    "nemenyi": lambda: friedman.nemenyi(GROUPS),
    "mixed_model": lambda: mixed.mixed_model({**GROUPS, "C": [89.0, np.nan, 88.2, 91.0, 87.9]}),
    "holm": lambda: multiplicity.holm({"a": 0.01, "b": 0.2}, family="f"),
    "tost": lambda: equivalence.tost_paired(FIRST, SECOND, margin=2),
    "paired_t_power": lambda: power.paired_t_power(1.0, 5),
    "mcnemar_sample_size": lambda: power.mcnemar_sample_size(0.3, 0.1),
    "threshold": lambda: threshold.at_sensitivity(ILL, SCORES, target=0.9),
    "error_shift": lambda: error_shift.error_shift(ILL, ILL, 1 - ILL, costs=COSTS, patients=PATIENTS, rng=rng()),
    "nothing varies": lambda: anova.one_way({"A": [1.0, 1.0], "B": [1.0, 1.0]}),
    "nothing estimable": lambda: proportions.wilson(0, 0),
}


@pytest.mark.parametrize("name", RESULTS)
def test_plain_json_without_nan_in_the_order_of_the_fields(name):
    result = RESULTS[name]()
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert list(json.loads(text)) == [field.name for field in dataclasses.fields(result)]


@pytest.mark.parametrize("name", RESULTS)
def test_frozen(name):
    result = RESULTS[name]()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(result, dataclasses.fields(result)[0].name, None)


@pytest.mark.parametrize("name", RESULTS)
def test_sentence_has_no_machine_in_it(name):
    text = str(RESULTS[name]())
    assert not re.search(r"\bnan\b", text)
    assert not any(word in text for word in ("array(", "np.", "<titer", "object at"))
    assert any(mark in text for mark in ("n =", " of ", "cases"))


@pytest.mark.parametrize("name", RESULTS)
def test_same_inputs_same_result(name):
    assert RESULTS[name]().to_dict() == RESULTS[name]().to_dict()


def test_numpy_values_become_python_values():
    plain = _plain({"a": np.float64(1.5), "b": np.arange(2), "c": (np.bool_(True), None), "d": np.float64("inf")})
    assert plain == {"a": 1.5, "b": [0, 1], "c": [True, None], "d": None}
    assert type(plain["c"][0]) is bool
    with pytest.raises(TypeError, match="set has no plain form"):
        _plain({1})


def test_importing_the_package_loads_no_numerical_library():
    code = (
        "import sys, titer.audit.statistics;"
        "print([name for name in ('numpy', 'scipy', 'statsmodels', 'pandas', 'torch') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert out.stdout.strip() == "[]"


def environment() -> dict[str, str]:
    import os
    from pathlib import Path

    import titer

    source = str(Path(titer.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": source}
