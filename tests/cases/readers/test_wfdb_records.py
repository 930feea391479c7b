"""WFDB records: written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases_made import rng, wfdb_beats, wfdb_record

from titer.cases.find import find_dataset
from titer.errors import DataError, PlanError


def wave(seed: int, length: int = 1000, leads: int = 2) -> Any:
    return np.cumsum(rng(seed).normal(0, 0.02, (length, leads)), axis=0)


def records(root: Path, count: int = 4, **options: Any) -> Path:
    for number in range(count):
        wfdb_record(root, f"r{number}", wave(number), **options)
    return root


def labels(root: Path, rows: list[str], header: str = "record,label,patient,split,sex") -> Path:
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


ROWS = ["r0,normal,A,train,F", "r1,af,B,val,M", "r2.hea,normal,A,test,F", "r3,af,C,test,F"]


def test_records_of_a_table(tmp_path: Path) -> None:
    data = find_dataset(labels(records(tmp_path), ROWS))
    assert (data.space.shape, data.space.unit, data.space.rate) == ((2, 1000), "mV", 250.0)
    assert (data.classes, data.positive) == (("af", "normal"), (0,))
    assert data.cases.patients.tolist() == [0, 1, 0, 2]
    assert data.cases.inputs[1] == pytest.approx(wave(1).T, abs=1e-3)
    assert data.official is not None
    assert data.official.tolist() == ["train", "validation", "test", "test"]
    assert data.cases.groups["sex"].tolist() == ["F", "M", "F", "F"]


def test_windows_keep_patients_together(tmp_path: Path) -> None:
    rows = ["r0,normal", "r1,af", "r2,normal", "r3,af"]
    data = find_dataset(labels(records(tmp_path), rows, "record,label"), seconds=1.5, channels=["lead 1"])
    assert data.space.shape == (1, 375)
    assert len(data.cases) == 8
    assert data.cases.patients.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert data.cases.inputs[1, 0] == pytest.approx(wave(0)[375:750, 1], abs=1e-3)
    assert "each record counts as one patient" in data.card.subjects


def test_resampling(tmp_path: Path) -> None:
    t = np.arange(2000) / 250
    for number in range(2):
        wfdb_record(tmp_path, f"r{number}", np.sin(2 * np.pi * 3 * t + number)[:, None])
    data = find_dataset(labels(tmp_path, ["r0,a", "r1,b"], "record,label"), rate=100)
    assert (data.space.rate, data.space.shape) == (100.0, (1, 800))
    inner = np.arange(50, 750)
    assert data.cases.inputs[0, 0, inner] == pytest.approx(np.sin(2 * np.pi * 3 * inner / 100), abs=0.01)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 0.001), ("V", 1000.0), ("mV", 1.0)])
def test_units_become_millivolts(tmp_path: Path, unit: str, factor: float) -> None:
    for number in range(2):
        wfdb_record(tmp_path, f"r{number}", wave(number) / factor, units=unit)
    data = find_dataset(labels(tmp_path, ["r0,a", "r1,b"], "record,label"))
    assert data.cases.inputs[0] == pytest.approx(wave(0).T, abs=2e-3)


def test_other_units_are_refused(tmp_path: Path) -> None:
    records(tmp_path, 2, units="mmHg")
    with pytest.raises(DataError, match=r"mV, uV or V.*mmHg"):
        find_dataset(labels(tmp_path, ["r0,a", "r1,b"], "record,label"))


def test_labels_from_comments(tmp_path: Path) -> None:
    for number, word in enumerate(("infarction", "Healthy control", "infarction")):
        wfdb_record(tmp_path, f"r{number}", wave(number), comments=["age: 60", f"Reason for admission: {word}"])
    data = find_dataset(tmp_path, comment="Reason for admission")
    assert data.classes == ("Healthy control", "infarction")
    assert data.cases.targets.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="a comment 'Diagnosis'"):
        find_dataset(tmp_path, comment="Diagnosis")
    with pytest.raises(DataError, match=r"add labels.csv"):
        find_dataset(tmp_path)


def test_beats(tmp_path: Path) -> None:
    records(tmp_path, 2)
    wfdb_beats(tmp_path, "r0", [10, 200, 400, 600, 800, 990], list("NNVA+N"))
    wfdb_beats(tmp_path, "r1", [300, 500], list("LF"))
    data = find_dataset(tmp_path, beats="atr", before=0.2, after=0.3)
    # The first and last mark have no room for their window; "+" marks a rhythm.
    assert data.classes == ("F", "N", "S", "V")
    assert [data.classes[k] for k in data.cases.targets] == ["N", "V", "S", "N", "F"]
    assert data.cases.patients.tolist() == [0, 0, 0, 1, 1]
    assert data.space.shape == (2, 125)
    assert data.cases.inputs[1] == pytest.approx(wave(0)[350:475].T, abs=1e-3)
    alone = find_dataset(tmp_path / "r0.hea", beats="atr", classes=["N", "S", "V", "F", "Q"][:3], rate=125)
    assert alone.space.shape == (2, 125)
    with pytest.raises(DataError, match=r"no such file|annotations"):
        find_dataset(tmp_path, beats="qrs")
    with pytest.raises(DataError, match="annotation name"):
        find_dataset(tmp_path, beats="../x")


def test_real_record_of_twelve_leads(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "format_samples"
    if not source.is_dir():
        pytest.skip("no format samples")
    for name in ("s0010_re_10s.hea", "s0010_re_10s.dat"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    from titer.cases.files.wfdb import read_record

    record = read_record(tmp_path / "s0010_re_10s", "the record")
    assert record.values.shape[1] == 10_000
    assert record.rate == 1000.0
    assert 0.2 < np.abs(record.values).max() < 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("r0.dat", "../r1.dat"), "a path elsewhere|damaged"),
        (lambda text: text.replace("r0.dat", "/etc/passwd"), "a path elsewhere|damaged"),
        (lambda text: text.replace("r0.dat", "https://x.org/r0.dat"), "a path elsewhere|damaged"),
        (lambda text: text.replace("r0.dat", "gone.dat"), "no such file|damaged"),
        (lambda text: text.replace("r0 2 250 1000", "r0 2 250 900000000000"), "GiB|damaged"),
        (lambda text: text.replace("r0 2 250 1000", "r0 2 250 999"), "checksum"),
        (lambda text: text.replace("r0 2 250 1000", "r0 2 250"), "length and sampling rate|damaged"),
        (lambda text: text.replace("r0 2 250 1000", "r0 2 0 1000"), "length and sampling rate|damaged"),
        (lambda text: text.replace("r0 2 250 1000", "r0/3 2 250 1000"), "one segment|damaged"),
        (lambda text: text.replace("\n", " "), "cut-off|damaged"),
    ],
)
def test_headers_that_lie(tmp_path: Path, change: Any, message: str) -> None:
    folder = tmp_path / "set"
    records(folder, 2)
    wfdb_record(tmp_path, "r1", wave(1))
    header = folder / "r0.hea"
    header.write_text(change(header.read_text()))
    with pytest.raises(DataError, match=message):
        find_dataset(labels(folder, ["r0,a", "r1,b"], "record,label"))


def test_changed_samples_do_not_fit_the_checksum(tmp_path: Path) -> None:
    records(tmp_path, 2)
    data = bytearray((tmp_path / "r0.dat").read_bytes())
    data[100] ^= 1
    (tmp_path / "r0.dat").write_bytes(data)
    with pytest.raises(DataError, match="checksum"):
        find_dataset(labels(tmp_path, ["r0,a", "r1,b"], "record,label"))


def test_records_that_differ(tmp_path: Path) -> None:
    wfdb_record(tmp_path, "r0", wave(0))
    wfdb_record(tmp_path, "r1", wave(1), fs=500)
    labels(tmp_path, ["r0,a", "r1,b"], "record,label")
    with pytest.raises(DataError, match="set the options 'rate' and 'channels'"):
        find_dataset(tmp_path)
    with pytest.raises(DataError, match="set the option 'seconds'"):
        find_dataset(tmp_path, rate=250)
    assert len(find_dataset(tmp_path, rate=250, seconds=1).cases) == 6
    with pytest.raises(DataError, match="channel 'aVR'"):
        find_dataset(tmp_path, channels=["aVR"])
    with pytest.raises(DataError, match="make 'seconds' smaller"):
        find_dataset(tmp_path, rate=250, seconds=60)
    with pytest.raises(PlanError, match="'rate'"):
        find_dataset(tmp_path, rate=-1)


@pytest.mark.parametrize("name", ["../r0", "/tmp/r0", "x/../../r0"])
def test_records_outside_the_folder(tmp_path: Path, name: str) -> None:
    records(tmp_path, 1)
    inner = tmp_path / "set"
    inner.mkdir()
    with pytest.raises(DataError, match="a path inside the folder"):
        find_dataset(labels(inner, [f"{name},a", f"{name},b"], "record,label"))


def test_samples_behind_a_link(tmp_path: Path) -> None:
    records(tmp_path, 2)
    inner = tmp_path / "set"
    records(inner, 2)
    (inner / "r0.dat").unlink()
    (inner / "r0.dat").symlink_to(tmp_path / "r0.dat")
    with pytest.raises(DataError, match="a path elsewhere"):
        find_dataset(labels(inner, ["r0,a", "r1,b"], "record,label"))


def test_values_beyond_the_range(tmp_path: Path) -> None:
    wfdb_record(tmp_path, "r0", wave(0) + 12)
    wfdb_record(tmp_path, "r1", wave(1))
    labels(tmp_path, ["r0,a", "r1,b"], "record,label")
    with pytest.raises(DataError, match=r"within -10.0 to 10.0 mV"):
        find_dataset(tmp_path)
    assert find_dataset(tmp_path, high=20).space.high == 20.0
