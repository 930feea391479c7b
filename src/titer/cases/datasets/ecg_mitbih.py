"""Heart beats and ten-second strips of the MIT-BIH Arrhythmia Database."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.datasets._local import Fixed, cache_folder
from titer.cases.datasets._mitbih import BEAT_RATE, DS1, RECORDS, STRIP_RATE, beats_of, fetch_records, strips_of
from titer.cases.files.bounds import reading
from titer.cases.files.npz import read_npz
from titer.cases.options import one_of, refuse_unknown
from titer.cases.space import Space
from titer.errors import DataError

_BEATS, _STRIPS = "beats180hz.npz", "strips10s_125hz.npz"
_REMEDY = "set --data or TITER_DATA to a folder with ecg_mitbih/"
_FILES = {
    _BEATS: Fixed(
        "ecg_mitbih", {_BEATS: ("643dfc537ba1b45392935f6c385b4ded791caace94c11bd98b2a9a043d80592a",)}, _REMEDY
    ),
    _STRIPS: Fixed(
        "ecg_mitbih", {_STRIPS: ("acd28731d6ae9e0e9c975b67b4b9274eb53cdc3cee7f56b3cd62a25095c1680a",)}, _REMEDY
    ),
}
# The recorders had 11-bit converters over 10 mV, 200 steps per mV, with zero at 1024.
_LOW, _HIGH = -5.12, 5.115
_NAMES = {"N": "normal", "S": "supraventricular", "V": "ventricular", "F": "fusion"}


class EcgMitbih(DatasetSource):
    """One lead (MLII where there is one) of 44 records with marks by cardiologists, in mV.

    Option `task`
        "ventricular": beats of one second at 180 Hz, normal against ventricular (default).
        "aami": beats, four classes of ANSI/AAMI EC57 (N, S, V, F; the 15 unknown beats are left out).
        "strips": ten seconds at 125 Hz, with or without any ectopic beat (S, V or F).

    Patients are records; 201 and 202 are one person. The official parts are the partition of de Chazal et al. (2004)
    without its validation part, and without record 201, whose person is in the test part too. Beats carry the group
    `beat`, the original mark (N normal, L and R bundle branch block, ...).

    Where the local folder lacks the files, the records are fetched with `wfdb`; the normal beats kept, at most 320 a
    record, are then others than in the files.

    Source: Moody and Mark, IEEE Eng. Med. Biol. 20(3):45 (2001), doi 10.1109/51.932724.
    """

    name: ClassVar[str] = "ecg_mitbih"
    fetched_by: ClassVar[str] = "wfdb"

    def load(self, root: Path | None, *, task: str = "ventricular", **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        one_of(task, "task", ("ventricular", "aami", "strips"))
        if task == "strips":
            found, digests = _found(root, _STRIPS, ("ecg", "record", "ectopy"))
            targets = found["ectopy"].astype(np.int64)
            names: tuple[str, ...] = ("no ectopic beat", "ectopic beat")
            rows, rate, groups, stem = np.arange(len(targets)), STRIP_RATE, {}, "strip"
        else:
            found, digests = _found(root, _BEATS, ("ecg", "record", "aami", "symbol"))
            marks = "NV" if task == "ventricular" else "NSVF"
            rows = np.flatnonzero(np.isin(found["aami"], list(marks)))
            targets = np.array([marks.index(mark) for mark in found["aami"][rows]], dtype=np.int64)
            names = tuple(_NAMES[mark] for mark in marks)
            rate, groups, stem = BEAT_RATE, {"beat": found["symbol"][rows]}, "beat"
        record = found["record"][rows].astype(np.int64)
        people = np.unique(np.where(record == 202, 201, record), return_inverse=True)[1].astype(np.int64)
        inputs = np.ascontiguousarray(found["ecg"][rows][:, None], dtype=np.float32)
        # Names count rows of the file, so that a beat keeps its name in every task.
        ids = tuple(f"{stem}-{row:05d}" for row in rows)
        space = Space("signal", inputs.shape[1:], "mV", _LOW, _HIGH, names=("MLII",), rate=float(rate))
        official = np.where(np.isin(record, DS1), "train", "test")
        official[record == 201] = ""
        batch = Batch(inputs, targets, people, ids, groups)
        positive = tuple(range(1, len(names)))
        return Dataset(_card(digests), space, "classes", names, positive, batch, official.astype("U10"))


def _found(root: Path | None, file: str, names: tuple[str, ...]) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays with signals in mV, and the digests of the files they came from."""
    try:
        folder = _FILES[file].located(root)
    except DataError:
        if root is not None and any((place / file).is_file() for place in (root / "ecg_mitbih", root)):
            raise
        records = _records(root, _FILES[file].missing(root))
        return (beats_of(records) if file == _BEATS else strips_of(records)), {}
    arrays = read_npz(folder / file, (*names, "units_per_mv"))
    arrays["ecg"] = arrays["ecg"].astype(np.float32) / float(arrays.pop("units_per_mv"))
    return arrays, _FILES[file].used()


def _records(root: Path | None, missing: str) -> Path:
    """A folder with all records: `mitdb` below the root, else fetched once."""
    places = ([] if root is None else [root / "mitdb"]) + [cache_folder() / "mitdb"]
    for place in places:
        if all((place / f"{record}.{end}").is_file() for record in RECORDS for end in ("hea", "dat", "atr")):
            return place
    with reading(f"a writable cache folder ({places[-1]})"):
        places[-1].mkdir(parents=True, exist_ok=True)
    fetch_records(places[-1], missing)
    return places[-1]


def _card(digests: dict[str, str]) -> DataCard:
    return DataCard(
        name="ecg_mitbih",
        title="ECG beats and strips of the MIT-BIH Arrhythmia Database",
        licence="ODC-BY 1.0",
        citation="Moody and Mark, The impact of the MIT-BIH Arrhythmia Database, IEEE Eng. Med. Biol. 20(3):45-50 "
        "(2001), doi 10.1109/51.932724; Goldberger et al., PhysioNet, Circulation 101:e215 (2000)",
        source="PhysioNet, mitdb 1.0.0, doi 10.13026/C2F305; resampled from 360 Hz by a polyphase filter",
        subjects="the record; records 201 and 202 are of one person and share a code",
        cautions=(
            "Valid range: -5.12 to 5.115 mV, what the 11-bit recorders could store.",
            "43 persons: intervals must count persons, not beats; a few hold most of the ventricular beats.",
            "Normal beats are capped at 320 a record; all other beats are kept, so prevalence is not clinical.",
            "Paced records 102, 104, 107 and 217 are left out.",
        ),
        digests=digests,
    )
