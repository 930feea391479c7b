"""Jobs that cannot run are refused before any work starts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.audit.run import Job
from titer.audit.run.job import checked, not_json
from titer.errors import PlanError

NAMES = [f"job{index}" for index in range(8)]
DAGS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=16).map(
    lambda edges: [(low, high) for low, high in edges if low < high]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def job(key: str, **settings: Any) -> Job:
    return Job(key=key, **{"function": "run_samples:tell", **settings})


@given(DAGS, st.permutations(NAMES))
def test_every_job_comes_after_what_it_needs(edges: list[tuple[str, str]], order: list[str]) -> None:
    jobs = [job(name, after=tuple({low for low, high in edges if high == name})) for name in order]
    place = {ordered.key: rank for rank, ordered in enumerate(checked(jobs, stored=lambda key: False))}
    assert sorted(place) == sorted(NAMES)
    assert all(place[low] < place[high] for low, high in edges)


@given(DAGS)
def test_an_order_that_can_run_is_kept(edges: list[tuple[str, str]]) -> None:
    jobs = [job(name, after=tuple({low for low, high in edges if high == name})) for name in NAMES]
    assert list(checked(jobs, stored=lambda key: False)) == jobs


@given(JSON)
def test_what_json_carries_is_taken(value: Any) -> None:
    assert not_json(value) is None
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, {"b": float("nan")}]}, "payload.a[1].b = nan"),
        ({"a": float("inf")}, "payload.a = inf"),
        ({1: "a"}, "the key 1, a int"),
        ({"a": {2, 3}}, "payload.a, a builtins.set"),
        ({"a": b"bytes"}, "payload.a, a builtins.bytes"),
    ],
)
def test_what_json_cannot_carry_is_named(value: Any, where: str) -> None:
    with pytest.raises(PlanError, match="JSON can carry") as caught:
        checked([job("a", payload=value)], stored=lambda key: False)
    assert where in caught.value.got


@pytest.mark.parametrize("key", ["", "../a", "a/b", ".new-a", "a" * 129, "a b"])
def test_misnamed_keys_are_refused(key: str) -> None:
    with pytest.raises(PlanError, match="digest"):
        job(key)


@pytest.mark.parametrize("function", ["len", "a.b", "a:b:c", "a b:c", ":f", "m:"])
def test_misnamed_functions_are_refused(function: str) -> None:
    with pytest.raises(PlanError, match=r"package\.module:function"):
        job("a", function=function)


@pytest.mark.parametrize("function", ["no_such_module:f", "run_samples:absent", "run_samples:os", "__main__:f"])
def test_unknown_functions_are_refused(function: str) -> None:
    with pytest.raises(PlanError, match=function):
        checked([job("a", function=function)], stored=lambda key: False)


def test_one_key_for_two_jobs_is_refused_and_a_repeated_job_is_not() -> None:
    with pytest.raises(PlanError, match="one key for one job"):
        checked([job("a", payload={"seed": 1}), job("a", payload={"seed": 2})], stored=lambda key: False)
    assert len(checked([job("a"), job("a")], stored=lambda key: False)) == 1


def test_circles_and_missing_jobs_are_refused() -> None:
    circle = [job("a", after=("b",), label="one"), job("b", after=("a",), label="two")]
    with pytest.raises(PlanError, match=r"a circle: .*one -> .*two"):
        checked(circle, stored=lambda key: False)
    with pytest.raises(PlanError, match="no job and no result b"):
        checked([job("a", after=("b",))], stored=lambda key: False)
    assert checked([job("a", after=("b",))], stored=lambda key: key == "b")
