"""EDF and BDF recordings: sizes are checked before the library opens the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from titer.cases.files.bounds import check_size, reading
from titer.cases.files.recording import Recording
from titer.errors import DataError

SUFFIXES = (".edf", ".bdf")
_TO_UV = {"uv": 1.0, "µv": 1.0, "μv": 1.0, "mv": 1000.0, "v": 1e6, "nv": 0.001}
_ANNOTATIONS = ("edf annotations", "bdf annotations")


def read_edf(path: Path, what: str, channels: tuple[str, ...] | None = None) -> Recording:
    """One EDF(+) or BDF(+) recording in uV; the valid range is what the header says that the device can record.

    Arguments
        path: the file. what: name for messages. channels: which to read; None takes all that are in volts.

    Refuses (`DataError`) files shorter or longer than their header says, discontinuous ones, channels of different
    rates, and units other than volts.
    """
    with reading(what):
        _check_length(path, what)
        from pyedflib import EdfReader

        with EdfReader(str(path)) as opened:
            labels = [str(name).strip() for name in opened.getSignalLabels()]
            units = [opened.getPhysicalDimension(k).strip().lower() for k in range(len(labels))]
            wanted = [k for k, unit in enumerate(units) if unit in _TO_UV] if channels is None else []
            for name in channels or ():
                if name not in labels:
                    raise DataError(f"channel {name!r} in {what}", ", ".join(labels), "correct 'channels'")
                wanted.append(labels.index(name))
            wrong = [k for k in wanted if units[k] not in _TO_UV]
            if wrong or not wanted:
                raise DataError(f"channels of {what} in volts", units[wrong[0]] if wrong else "none", "set 'channels'")
            rates = {float(opened.getSampleFrequency(k)) for k in wanted}
            if len(rates) > 1:
                raise DataError(f"one sampling rate in {what}", str(sorted(rates)), "set the option 'channels'")
            scale = [_TO_UV[units[k]] for k in wanted]
            values = np.stack([opened.readSignal(k) * factor for k, factor in zip(wanted, scale, strict=True)])
            ends = [
                sorted((opened.getPhysicalMinimum(k) * factor, opened.getPhysicalMaximum(k) * factor))
                for k, factor in zip(wanted, scale, strict=True)
            ]
            code = str(opened.getPatientCode()).strip()
    return Recording(
        values=values.astype(np.float32),
        names=tuple(labels[k] for k in wanted),
        rate=rates.pop(),
        unit="uV",
        low=float(min(low for low, _ in ends)),
        high=float(max(high for _, high in ends)),
        # "X" is the standard's word for "not known".
        patient="" if code.upper() in ("", "X") else code,
    )


def _check_length(path: Path, what: str) -> None:
    """Header fields and file length must agree; the library would read past damaged ones."""
    length = path.stat().st_size
    check_size(length, what)
    with path.open("rb") as stream:
        head = stream.read(256)
        if len(head) < 256:
            raise DataError(f"{what} with a whole header", f"{len(head)} bytes", "copy it again from its source")
        size, records, signals = int(head[184:192]), int(head[236:244]), int(head[252:256])
        if not (1 <= signals <= 4096 and records >= 1 and size == 256 * (signals + 1)):
            raise DataError(f"{what} with signals and records", f"{signals} and {records}", "export it again")
        table = stream.read(256 * signals)
    counts = table[216 * signals : 224 * signals]
    samples = sum(int(counts[8 * k : 8 * k + 8]) for k in range(signals))
    width = 3 if head[0] == 0xFF else 2
    promised = size + records * samples * width
    if promised != length:
        raise DataError(f"{what} of {promised} bytes, as its header says", f"{length} bytes", "copy it again")
    check_size(records * samples * 12.0, what)
