"""The MIT-BIH Arrhythmia Database: fetched as WFDB records with `wfdb`, and cut into beats and strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from titer.cases.case import Array
from titer.cases.datasets._local import not_fetched
from titer.cases.files.recording import Recording
from titer.cases.files.wfdb import read_record
from titer.cases.files.wfdb_marks import Beats, read_beats
from titer.cases.readers._beats import AAMI, cut_beats

# De Chazal et al., IEEE Trans. Biomed. Eng. 51:1196 (2004), doi 10.1109/TBME.2004.827359; paced records left out.
DS1 = (101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230)
DS2 = (100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210, 212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234)
RECORDS = tuple(sorted(DS1 + DS2))
BEAT_RATE, STRIP_RATE, STRIPS = 180, 125, 30
_MOST_NORMAL = 320
_EDGE = 5.115


def fetch_records(target: Path, missing: str) -> None:
    """Download the 44 records and their beat marks."""
    remedy = "set --data or TITER_DATA to a folder with ecg_mitbih/, or pip install wfdb where there is a network"
    try:
        import wfdb

        wfdb.dl_database("mitdb", str(target), records=[str(each) for each in RECORDS], annotators=["atr"])
    except Exception as error:  # the package raises whatever its downloader does
        raise not_fetched("the files of ecg_mitbih", missing, "wfdb", error, remedy) from error


def beats_of(folder: Path, records: tuple[int, ...] = RECORDS) -> dict[str, Array]:
    """Beats at 180 Hz, 0.4 s before to 0.6 s after the mark, in mV: arrays ecg, aami, symbol, record.

    Of normal beats at most 320 a record are kept, drawn with the record's number as the seed.
    """
    pieces: dict[str, list[Array]] = {"ecg": [], "aami": [], "symbol": [], "record": []}
    for record in records:
        lead, marks = _opened(folder, record)
        windows, kept = cut_beats(lead.at_rate(BEAT_RATE), marks, rate=lead.rate, before=0.4, after=0.6)
        symbols = marks.symbols[kept]
        classes = np.array([AAMI[symbol] for symbol in symbols])
        normal = np.random.Generator(np.random.Philox(record)).permutation(np.flatnonzero(classes == "N"))
        rows = np.sort(np.concatenate([normal[:_MOST_NORMAL], np.flatnonzero(classes != "N")]))
        pieces["ecg"].append(windows[rows, 0])
        pieces["aami"].append(classes[rows])
        pieces["symbol"].append(symbols[rows])
        pieces["record"].append(np.full(len(rows), record))
    return {name: np.concatenate(each) for name, each in pieces.items()}


def strips_of(folder: Path, records: tuple[int, ...] = RECORDS) -> dict[str, Array]:
    """Thirty strips of ten seconds a record at 125 Hz, evenly spread, in mV: arrays ecg, ectopy, record."""
    pieces: dict[str, list[Array]] = {"ecg": [], "ectopy": [], "record": []}
    for record in records:
        lead, marks = _opened(folder, record)
        windows = lead.at_rate(STRIP_RATE).windows(10.0)[:, 0]
        chosen = np.unique(np.round(np.linspace(0, len(windows) - 1, STRIPS)).astype(np.int64))
        early = np.array([AAMI.get(symbol, "") in ("S", "V", "F") for symbol in marks.symbols])
        hit = np.unique((marks.samples[early] / (marks.rate or lead.rate) // 10).astype(np.int64))
        pieces["ecg"].append(windows[chosen])
        pieces["ectopy"].append(np.isin(chosen, hit).astype(np.int64))
        pieces["record"].append(np.full(len(chosen), record))
    return {name: np.concatenate(each) for name, each in pieces.items()}


def _opened(folder: Path, record: int) -> tuple[Recording, Beats]:
    """Lead MLII where there is one, else the first, and the beat marks."""
    whole = read_record(folder / str(record), f"record {record}", -_EDGE - 0.005, _EDGE)
    lead = "MLII" if "MLII" in whole.names else whole.names[0]
    return whole.chosen((lead,), f"record {record}"), read_beats(folder / str(record), "atr", f"record {record}")
