"""Heart beats cut from a recording, with the classes of ANSI/AAMI EC57."""

from __future__ import annotations

import numpy as np

from titer.cases.case import Array
from titer.cases.files.recording import Recording
from titer.cases.files.wfdb_marks import Beats

# Annotation symbols of PhysioNet -> normal, supraventricular, ventricular, fusion, unknown.
AAMI = {
    **dict.fromkeys("NLRejn", "N"), **dict.fromkeys("AaJS", "S"), **dict.fromkeys("VE", "V"), "F": "F",
    **dict.fromkeys("/fQ", "Q"),
}  # fmt: skip


def cut_beats(recording: Recording, marks: Beats, *, rate: float, before: float, after: float) -> tuple[Array, Array]:
    """Windows [n, C, T] around beats, and the row numbers [n] of the marks kept: beats that lie wholly inside.

    Arguments
        recording: channels at their present rate. marks: beats at the rate of the file.
        rate: of the recorded file, in Hz; marks count in it unless they say otherwise.
        before, after: seconds on either side of the mark.
    """
    length = round((before + after) * recording.rate)
    first = np.round(marks.samples / (marks.rate or rate) * recording.rate).astype(np.int64) - round(
        before * recording.rate
    )
    known = np.array([symbol in AAMI for symbol in marks.symbols], dtype=bool)
    kept = np.flatnonzero(known & (first >= 0) & (first + length <= recording.values.shape[1]))
    if not len(kept):
        return np.empty((0, len(recording.values), length), dtype=np.float32), kept
    columns = first[kept][:, None] + np.arange(length)
    return np.moveaxis(recording.values[:, columns], 0, 1), kept
