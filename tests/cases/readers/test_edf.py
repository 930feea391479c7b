"""EDF and BDF recordings: written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases_made import edf, rng

from titer.cases.find import find_dataset
from titer.errors import DataError


def wave(seed: int, seconds: int = 10) -> Any:
    return rng(seed).normal(0, 40, (2, 100 * seconds))


def recordings(root: Path, count: int = 4, **options: Any) -> Path:
    for number in range(count):
        edf(root / f"e{number}.edf", wave(number), **options)
    return root


def labels(root: Path, rows: list[str], header: str = "path,label,patient") -> Path:
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


ROWS = ["e0.edf,normal,A", "e1.edf,seizure,B", "e2.edf,normal,A", "e3.edf,seizure,C"]


@pytest.mark.parametrize("bdf", [False, True])
def test_round_trip(tmp_path: Path, bdf: bool) -> None:
    recordings(tmp_path, bdf=bdf)
    data = find_dataset(labels(tmp_path, ROWS))
    assert (data.space.shape, data.space.unit, data.space.rate) == ((2, 1000), "uV", 100.0)
    assert (data.space.low, data.space.high) == (-400.0, 400.0)
    assert data.cases.inputs[1] == pytest.approx(np.clip(wave(1), -400, 400), abs=0.02)
    assert data.cases.patients.tolist() == [0, 1, 0, 2]
    assert (data.classes, data.positive) == (("normal", "seizure"), (1,))


def test_units_become_microvolts(tmp_path: Path) -> None:
    for number in range(2):
        edf(tmp_path / f"e{number}.edf", wave(number) / 10, unit="mV")
    data = find_dataset(labels(tmp_path, ["e0.edf,a", "e1.edf,b"], "path,label"))
    assert data.cases.inputs[0] == pytest.approx(wave(0) * 100, abs=20)
    assert data.space.high == 400_000.0


def test_labeled_stretches_and_windows(tmp_path: Path) -> None:
    recordings(tmp_path, 2)
    rows = ["e0.edf,background,0,4", "e0.edf,seizure,4,9.5", "e1.edf,background,,"]
    data = find_dataset(labels(tmp_path, rows, "path,label,start,end"), seconds=2, channels=["C1"], rate=50)
    assert data.space.shape == (1, 100)
    assert [data.classes[k] for k in data.cases.targets] == ["background"] * 2 + ["seizure"] * 2 + ["background"] * 5
    assert data.cases.patients.tolist() == [0] * 4 + [1] * 5
    with pytest.raises(DataError, match="set the option 'seconds'"):
        find_dataset(tmp_path)
    labels(tmp_path, ["e0.edf,a,-1,4", "e1.edf,b,0,x"], "path,label,start,end")
    with pytest.raises(DataError, match="times of at least 0 s"):
        find_dataset(tmp_path, seconds=1)


def test_patient_codes_of_the_files(tmp_path: Path) -> None:
    for number, code in enumerate(("MRN1", "MRN2", "MRN1")):
        edf(tmp_path / f"e{number}.edf", wave(number), code=code)
    data = find_dataset(labels(tmp_path, ["e0.edf,a", "e1.edf,b", "e2.edf,a"], "path,label"))
    assert data.cases.patients.tolist() == [0, 1, 0]
    assert "as a number" in data.card.subjects
    assert "MRN" not in str((data.card, data.cases.ids, data.cases.groups))
    edf(tmp_path / "e2.edf", wave(2), code="X")
    again = find_dataset(tmp_path)
    assert again.cases.patients.tolist() == [0, 1, 2]
    assert "each file counts as one patient" in again.card.subjects


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": ["Fz"]}, "channel 'Fz'"),
        ({"seconds": 60}, "make 'seconds' smaller"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_dataset(labels(recordings(tmp_path), ROWS), **options)


def test_other_units_are_refused(tmp_path: Path) -> None:
    recordings(tmp_path, 2, unit="%")
    with pytest.raises(DataError, match="in volts"):
        find_dataset(labels(tmp_path, ROWS[:2]))
    with pytest.raises(DataError, match="in volts"):
        find_dataset(tmp_path, channels=["C0"])


def test_a_recording_without_labels(tmp_path: Path) -> None:
    recordings(tmp_path, 1)
    for path in (tmp_path, tmp_path / "e0.edf"):
        with pytest.raises(DataError, match=r"write labels.csv"):
            find_dataset(path)


@pytest.mark.parametrize(
    ("place", "value"), [(236, b"9       "), (236, b"-1      "), (252, b"9999"), (184, b"1       "), (252, b"x   ")]
)
def test_headers_that_lie(tmp_path: Path, place: int, value: bytes) -> None:
    path = recordings(tmp_path, 2) / "e0.edf"
    data = bytearray(path.read_bytes())
    data[place : place + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(DataError):
        find_dataset(labels(tmp_path, ROWS[:2]))


def test_paths_outside(tmp_path: Path) -> None:
    recordings(tmp_path, 1)
    inner = tmp_path / "set"
    inner.mkdir()
    with pytest.raises(DataError, match="a path inside the folder"):
        find_dataset(labels(inner, ["../e0.edf,a", "../e0.edf,b"], "path,label"))
    (inner / "x.edf").symlink_to(tmp_path / "e0.edf")
    with pytest.raises(DataError, match="a link that leads out"):
        find_dataset(labels(inner, ["x.edf,a", "x.edf,b"], "path,label"))
