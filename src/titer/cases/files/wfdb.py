"""WFDB records: headers are checked before the library opens what they name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from titer.cases.files.bounds import check_size, reading
from titer.cases.files.recording import Recording
from titer.errors import DataError

_TO_MV = {"mv": 1.0, "v": 1000.0, "uv": 0.001, "µv": 0.001, "μv": 0.001}
# What clinical recorders can store; files rarely say.
LIMIT_MV = 10.0


def read_record(base: Path, what: str, low: float = -LIMIT_MV, high: float = LIMIT_MV) -> Recording:
    """One WFDB record in mV.

    Arguments
        base: path of the record, without `.hea`. what: name for messages. low, high: valid range in mV.

    Refuses (`DataError`) files that the header names outside the folder, several segments, units other than volts,
    cut-off headers or data, and samples that do not fit the header's checksum.
    """
    with reading(what), warnings.catch_warnings():
        # The library's own warnings speak to its developers.
        warnings.simplefilter("ignore")
        import wfdb

        _check_lines(base.parent / f"{base.name}.hea", what)
        header = wfdb.rdheader(str(base))
        _check_header(header, base.parent, what)
        record = wfdb.rdrecord(str(base), physical=False)
        _check_sums(record, what)
        values = np.asarray(record.dac(return_res=64), dtype=np.float64).T
        factors = np.array([_to_mv(unit, what) for unit in record.units])
        return Recording(
            values=(values * factors[:, None]).astype(np.float32),
            names=tuple(map(str, record.sig_name)),
            rate=float(record.fs),
            unit="mV",
            low=low,
            high=high,
            comments=tuple(map(str, record.comments or ())),
        )


def _check_lines(path: Path, what: str) -> None:
    check_size(path.stat().st_size, what)
    if not path.read_bytes().endswith(b"\n"):
        raise DataError(f"a line end after the last line of the header of {what}", "a cut-off line", "copy it again")


def _check_header(header: Any, folder: Path, what: str) -> None:
    if not getattr(header, "file_name", None) or not header.n_sig:
        raise DataError(f"one segment with signals in {what}", "none or several", "write it as one segment with wfdb")
    for name in set(header.file_name):
        target = (folder / name).resolve()
        if Path(name).name != name or target.parent != folder.resolve():
            raise DataError(f"signal files beside the header of {what}", "a path elsewhere", "put them in one folder")
    if not header.sig_len or not header.fs or header.fs <= 0:
        raise DataError(f"length and sampling rate in the header of {what}", "none", "complete the header")
    check_size(8.0 * header.sig_len * sum(header.samps_per_frame), what)


def _check_sums(record: Any, what: str) -> None:
    if set(record.samps_per_frame) != {1}:
        return
    for wanted, found in zip(record.checksum, record.calc_checksum(), strict=True):
        if wanted is None or int(wanted) % 65536 != found:
            came = "none" if wanted is None else f"{found} instead of {int(wanted) % 65536}"
            raise DataError(f"samples of {what} that fit their checksum", came, "copy the record again")


def _to_mv(unit: str, what: str) -> float:
    if unit.lower() not in _TO_MV:
        raise DataError(f"channels of {what} in mV, uV or V", unit, "set the option 'channels' to those in volts")
    return _TO_MV[unit.lower()]
