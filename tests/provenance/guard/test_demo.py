"""The demo does what it says."""

from __future__ import annotations

from pathlib import Path

from titer.provenance.guard.demo import IMAGES, PERTURBED, run_demo
from titer.provenance.ledger.record import parse


def test_perturbed_images_are_stopped_and_the_others_answered_as_without_the_guard(tmp_path: Path) -> None:
    lines: list[str] = []
    outcome = run_demo(tmp_path / "site", lines.append)
    assert outcome.holds
    assert (outcome.calls, outcome.false_alarms, outcome.missed, outcome.equal) == (len(IMAGES), 0, 0, True)
    stopped = [each for each in outcome.answers if each.action == "quarantine"]
    assert len(stopped) == len(PERTURBED)
    for answer in stopped:
        assert answer.reasons == ("content.px",)
        assert [each.frame for each in answer.checked.differences] == [0]
        assert parse(answer.leaf).ext["verdict"] == "altered"
    assert len(list((tmp_path / "site" / "quarantine").iterdir())) == len(PERTURBED)
    assert any("perturbed at 1/255" in line for line in lines)
