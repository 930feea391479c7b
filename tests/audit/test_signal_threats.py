"""Threats on signals as plans write them: bands, electrodes, leads, and where they may act."""

from __future__ import annotations

from typing import Any

import pytest

from titer.audit.plan import Plan, spread
from titer.audit.subject import Threatened, read_threats
from titer.cases.dataset import Dataset
from titer.cases.datasets.eeg_simulated import EegSimulated
from titer.errors import PlanError, ThreatError
from titer.models.recipe import task_of
from titer.threats.changes.band import Band


def threats(*raw: dict[str, Any], attacks: Any = ("pgd", "noise")) -> tuple[Threatened, ...]:
    data = EegSimulated().load(None, cases=20, channels=4, length=128)
    plan = {"titer": 1, "data": {"name": "eeg_simulated"}, "model": {"zoo": "t_cnn1d"}, "threats": raw}
    (subject,) = Plan.model_validate(spread({**plan, "attacks": attacks})).subjects
    return read_threats(subject, data, task_of(data), "gradients")


def said(threat: Threatened, data: Dataset | None = None) -> str:
    known = data or EegSimulated().load(None, cases=20, channels=4, length=128)
    return threat.model_at(threat.main, "gradients").sentence(known.space, task_of(known))


def test_a_band_with_limits_per_channel() -> None:
    (found,) = threats(
        {"change": "band", "norm": "linf", "limits": ["2 uV"], "options": {"high": 40, "most": [1, 2, 1, 2]}}
    )
    assert found.change == Band(high=40, most=(1, 2, 1, 2))
    assert (found.id, found.main.unit) == ("band-linf-high=40-most=1+2+1+2", "uV")
    assert "by at most 2 uV, within 0.5 to 40 Hz and 1/2/1/2 in its channel" in said(found)


def test_leads_are_counted_as_leads() -> None:
    (found,) = threats({"change": "dropped_lead", "limits": ["1 lead", 2, "75 %"]}, attacks=("greedy", "noise"))
    assert [(radius.value, radius.label, radius.unit) for radius in found.radii] == [
        (1.0, "1", "leads"), (2.0, "2", "leads"), (3.0, "75 %", "leads"),
    ]  # fmt: skip
    assert "may replace at most 2 leads by zero, a flat line or noise and" in said(found)
    (share,) = threats({"change": "dropped_lead", "limits": ["50 %"]}, attacks=("greedy",))
    assert "at most 50 % of all leads by" in said(share)


def test_the_same_change_inside_and_outside_a_mask_are_two_threats() -> None:
    places = ("all", "inside-mask", "outside-mask")
    found = threats(*({"change": "additive", "norm": "linf", "limits": [1], "where": where} for where in places))
    assert [each.id for each in found] == [
        "additive-linf", "additive-linf-inside-mask", "additive-linf-outside-mask",
    ]  # fmt: skip
    assert "only inside the marked region" in said(found[1])
    with pytest.raises(PlanError, match=r"differ in change, its settings, goal, .* or 'where'"):
        threats(*({"change": "additive", "norm": "linf", "limits": [1]} for _ in range(2)))


@pytest.mark.parametrize(
    ("raw", "error", "match"),
    [
        ({"change": "band", "limits": ["2 mV"]}, ThreatError, "a limit in uV"),
        ({"change": "band", "limits": [2], "options": {"slow": 1}}, PlanError, "did you mean 'low'|'slew'"),
        ({"change": "band", "limits": [2], "options": {"low": 63.9, "high": 63.95}}, ThreatError, "multiple of 1 Hz"),
        ({"change": "channels", "limits": [2], "options": {"most": 5}}, ThreatError, "at most 4 channels"),
        ({"change": "dropped_lead", "limits": [1]}, PlanError, "greedy for single edits"),
        ({"change": "dropped_lead", "limits": ["1 uV"]}, ThreatError, "a whole number of leads"),
    ],
)
def test_what_has_no_meaning_is_refused_with_a_remedy(raw: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        threats(raw, attacks=("pgd",))
