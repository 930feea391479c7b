"""The named sets of real patients: counts as published, splits, and what the leakage check says of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from titer.cases.card import describe
from titer.cases.find import find_dataset
from titer.cases.leakage import check_leakage
from titer.cases.splits import split
from titer.errors import DataError, LeakageError, PlanError

# Name, options, shape, cases per class, patients.
SETS: list[tuple[str, dict[str, Any], tuple[int, ...], list[int], int]] = [
    ("cxr_pediatric", {}, (1, 64, 64), [520, 520], 1040),
    ("cxr_pediatric", {"task": "subtypes"}, (1, 64, 64), [520, 260, 260], 1040),
    ("brain_tumor_mri", {"size": 32}, (1, 32, 32), [350, 350, 350, 350], 1400),
    ("brain_tumor_mri", {"task": "anomaly"}, (1, 64, 64), [350, 1050], 1400),
    ("breastmnist", {}, (1, 28, 28), [210, 570], 780),
    ("pneumoniamnist", {}, (1, 28, 28), [1583, 4273], 5856),
    ("retinamnist", {}, (3, 28, 28), [714, 186, 326, 282, 92], 1600),
    ("retinamnist", {"task": "any"}, (3, 28, 28), [714, 886], 1600),
    ("adrenalmnist3d", {}, (1, 32, 32, 32), [1234, 350], 1584),
    ("ecg_mitbih", {}, (1, 180), [14076, 7008], 43),
    ("eeg_bonn", {}, (1, 512), [3200, 800], 500),
    ("eeg_bonn", {"task": "intracranial", "length": 1024}, (1, 1024), [800, 400], 300),
    ("eeg_bonn", {"task": "sets"}, (1, 512), [800] * 5, 500),
    ("ecg_mitbih", {"task": "aami"}, (1, 180), [14076, 2780, 7008, 802], 43),
    ("ecg_mitbih", {"task": "strips"}, (1, 1250), [840, 480], 43),
    ("notes_mtsamples", {}, (512,),
     [288, 88, 191, 55, 45, 109, 121, 79, 291, 42, 21, 135], 1465),
]  # fmt: skip


_READ: dict[str, Any] = {}


def present(real_data: Path, name: str, options: dict[str, Any]) -> Any:
    """The data set, read once for all tests."""
    folder = "medmnist" if "mnist" in name else name
    if not (real_data / folder).is_dir():
        pytest.skip(f"no folder {folder}")
    key = f"{name} {options}"
    if key not in _READ:
        _READ[key] = find_dataset(name, root=real_data, **options)
    return _READ[key]


@pytest.mark.parametrize(("name", "options", "shape", "counts", "patients"), SETS, ids=lambda x: str(x)[:40])
def test_counts(
    real_data: Path, name: str, options: dict[str, Any], shape: tuple[int, ...], counts: list[int], patients: int
) -> None:
    data = present(real_data, name, options)
    assert data.space.shape == shape
    assert np.bincount(data.cases.targets).tolist() == counts
    assert len(np.unique(data.cases.patients)) == patients
    assert len(set(data.cases.ids)) == len(data.cases)
    assert data.card.name == name
    assert data.card.digests
    assert all(len(value) == 64 for value in data.card.digests.values())
    for part in ("licence", "citation", "source", "subjects", "cautions"):
        assert getattr(data.card, part)
    assert describe(data).startswith(f"# {data.card.title}")
    assert len(split(data, seed=0).test)
    if data.official is not None:
        assert len(split(data, seed=0, by="official").test)


# What the default, "refuse", says of a split by patient; large sets are left to the named tests below.
@pytest.mark.parametrize(
    ("name", "options", "clean"),
    [
        ("cxr_pediatric", {}, True),
        ("ecg_mitbih", {"task": "strips"}, True),
        ("ecg_mitbih", {}, True),
        ("eeg_bonn", {}, True),
        ("brain_tumor_mri", {"task": "anomaly"}, False),
        ("breastmnist", {}, False),
        ("retinamnist", {}, False),
        ("notes_mtsamples", {}, False),
    ],
)
def test_leakage(real_data: Path, name: str, options: dict[str, Any], clean: bool) -> None:
    data = present(real_data, name, options)
    parts = split(data, seed=0)
    found = check_leakage(data, parts, near_duplicates="drop")
    assert clean == (len(found.dropped) == 0)
    assert len(found.dropped) < 0.15 * len(data.cases)
    if not clean:
        with pytest.raises(LeakageError, match="near-identical"):
            check_leakage(data, parts)


def test_official_parts_as_published(real_data: Path) -> None:
    x_rays = present(real_data, "cxr_pediatric", {})
    assert [len(rows) for rows in split(x_rays, seed=0, by="official").parts().values()] == [696, 104, 240]
    retina = present(real_data, "retinamnist", {})
    assert [len(rows) for rows in split(retina, seed=0, by="official").parts().values()] == [1080, 120, 400]


def test_records_201_and_202_are_one_person(real_data: Path) -> None:
    beats = present(real_data, "ecg_mitbih", {})
    raw = np.load(real_data / "ecg_mitbih" / "beats180hz.npz")
    rows = np.array([int(name.removeprefix("beat-")) for name in beats.cases.ids])
    record = raw["record"][rows]
    assert np.allclose(raw["ecg"][rows] / 200, beats.cases.inputs[:, 0], atol=1e-6)
    codes = {int(number): set(beats.cases.patients[record == number].tolist()) for number in np.unique(record)}
    assert codes[201] == codes[202]
    assert len({code for each in codes.values() for code in each}) == 43
    official = split(beats, seed=0, by="official")
    assert set(record[official.left_out].tolist()) == {201}
    assert set(record[official.test].tolist()) == set(raw["record"][raw["split"] == "DS2"].tolist())


def test_windows_of_a_segment_stay_together_and_keep_their_names(real_data: Path) -> None:
    every, inside = present(real_data, "eeg_bonn", {}), present(real_data, "eeg_bonn", {"task": "intracranial"})
    raw = np.load(real_data / "eeg_bonn" / "bonn_eeg.npz")
    assert set(inside.cases.ids) < set(every.cases.ids)
    row = every.cases.ids.index("eeg-403-2")
    assert np.array_equal(every.cases.inputs[row, 0], raw["eeg"][403, 1024:1536])
    assert every.cases.groups["set"][row] == raw["set"][403] == "E"
    parts = split(every, seed=0)
    segment = np.array([name.split("-")[1] for name in every.cases.ids])
    assert not set(segment[parts.train]) & set(segment[parts.test])


def test_known_duplicates_are_found(real_data: Path) -> None:
    pneumonia = present(real_data, "pneumoniamnist", {})
    parts = split(pneumonia, seed=0)
    with pytest.raises(LeakageError, match="identical"):
        check_leakage(pneumonia, parts)
    found = check_leakage(pneumonia, parts, near_duplicates="report")
    assert found.identical > 0
    assert found.similar == 0
    dropped = check_leakage(pneumonia, parts, near_duplicates="drop")
    assert dropped.split.test.tolist() == parts.test.tolist()
    assert len(dropped.dropped) == found.identical


def test_notes_have_synonyms_and_options(real_data: Path) -> None:
    notes = present(real_data, "notes_mtsamples", {})
    words = notes.space.vocabulary
    assert len(notes.synonyms) > 100
    assert words.index("physician") in notes.synonyms[words.index("doctor")]
    two = present(real_data, "notes_mtsamples", {"length": 32, "specialties": ["Neurology", "Urology"]})
    assert two.classes == ("Neurology", "Urology")
    with pytest.raises(PlanError, match="'Astrology'"):
        present(real_data, "notes_mtsamples", {"specialties": ["Neurology", "Astrology"]})


@pytest.mark.parametrize("name", ["cxr_pediatric", "ecg_mitbih", "notes_mtsamples", "breastmnist", "retinamnist"])
def test_unknown_options_and_tasks(real_data: Path, name: str) -> None:
    with pytest.raises(PlanError, match=r"did you mean|known:"):
        present(real_data, name, {"tasks": "x"})
    if name in ("cxr_pediatric", "ecg_mitbih", "retinamnist"):
        with pytest.raises(PlanError, match="'task'"):
            present(real_data, name, {"task": "everything"})


def test_a_changed_file_is_refused(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "medmnist" / "retinamnist.npz"
    if not source.is_file():
        pytest.skip("no retinamnist")
    target = tmp_path / "medmnist" / "retinamnist.npz"
    target.parent.mkdir()
    data = bytearray(source.read_bytes())
    data[-1] ^= 1
    target.write_bytes(data)
    with pytest.raises(DataError, match=r"with SHA-256 254915f5.*give its path instead"):
        find_dataset("retinamnist", root=tmp_path)
    target.write_bytes(source.read_bytes())
    assert len(find_dataset("retinamnist", root=tmp_path).cases) == 1600
    assert len(find_dataset("retinamnist", root=target.parent).cases) == 1600
    assert len(find_dataset(target).cases) == 1600
