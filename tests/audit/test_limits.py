"""Limits as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.audit.limits import read_limit
from titer.cases.space import Space
from titer.errors import ThreatError

ECG = Space("signal", (1, 250), "mV", -5.0, 5.0, rate=125.0)
IMAGE = Space("image", (1, 10, 10), "grey level (0-1)")
NOTE = Space("tokens", (8,), "word", vocabulary=("pad", "fever"))


@pytest.mark.parametrize(
    ("raw", "space", "counted", "value", "label", "unit"),
    [
        ("4/255", IMAGE, False, 4 / 255, "4/255", "grey level (0-1)"),
        (0.05, ECG, False, 0.05, "0.05", "mV"),
        ("0.05 mV", ECG, False, 0.05, "0.05", "mV"),
        ("0.05 MV", ECG, False, 0.05, "0.05", "mV"),
        ("2 %", IMAGE, True, 2.0, "2 %", "values"),
        ("0.5 %", IMAGE, True, 1.0, "0.5 %", "values"),
        (3, NOTE, True, 3.0, "3", "words"),
        ("1e-3", ECG, False, 1e-3, "1e-3", "mV"),
    ],
)
def test_forms(raw: object, space: Space, counted: bool, value: float, label: str, unit: str) -> None:
    found = read_limit(raw, space, counted=counted)
    assert (found.value, found.label, found.unit) == (pytest.approx(value), label, unit)


@pytest.mark.parametrize(
    ("raw", "space", "counted"),
    [("0.05 HU", ECG, False), ("-1", ECG, False), (0, ECG, False),
     ("0", IMAGE, True), ("0 mV", ECG, False), ("0/255", IMAGE, False), ("0 %", IMAGE, True), (0.0, NOTE, False),
     ("a lot", ECG, False), ("1/0", ECG, False), ("2.5", IMAGE, True),
     (True, ECG, False), ("3 mV", NOTE, True)],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(raw: object, space: Space, counted: bool) -> None:
    with pytest.raises(ThreatError):
        read_limit(raw, space, counted=counted)


@pytest.mark.parametrize(
    ("raw", "value", "label"), [("2", 2.0, "2"), ("1 lead", 1.0, "1"), ("3 leads", 3.0, "3"), ("25 %", 3.0, "25 %")]
)
def test_what_a_change_counts_has_its_own_name(raw: str, value: float, label: str) -> None:
    twelve = Space("signal", (12, 250), "mV", -5.0, 5.0, rate=125.0)
    found = read_limit(raw, twelve, counted=True, unit="leads", places=12)
    assert (found.value, found.label, found.unit) == (value, label, "leads")
    with pytest.raises(ThreatError, match="a whole number of leads"):
        read_limit("0.1 mV", twelve, counted=True, unit="leads", places=12)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_fractions_are_exact(top: int, bottom: int) -> None:
    assert read_limit(f"{top}/{bottom}", ECG, counted=False).value == top / bottom


@pytest.mark.parametrize(
    ("raw", "unit", "value", "label"),
    [
        ("15 degrees", "degrees", 15.0, "15"),
        (0.5, "of the ranges", 0.5, "0.5"),
        ("1.5", "pixels", 1.5, "1.5"),
        ("20 %", "%", 20.0, "20"),
    ],
)
def test_a_change_may_have_a_unit_of_its_own(raw: object, unit: str, value: float, label: str) -> None:
    found = read_limit(raw, ECG, counted=False, unit=unit)
    assert (found.value, found.label, found.unit) == (value, label, unit)
    with pytest.raises(ThreatError, match=f"a limit in {unit}"):
        read_limit("0.1 mV", ECG, counted=False, unit=unit)
