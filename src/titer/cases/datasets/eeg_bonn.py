"""Single-channel EEG segments of the University of Bonn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.datasets._local import Fixed
from titer.cases.files.npz import read_npz
from titer.cases.options import one_of, refuse_unknown, whole
from titer.cases.space import Space
from titer.errors import DataError

_FILE = "bonn_eeg.npz"
_DATA = Fixed(
    "eeg_bonn",
    {_FILE: ("007d705dbe12a9042eb0913a004582ba597542d0e2659b0cfa49efe6c661fce7",)},
    "set --data or TITER_DATA to a folder with eeg_bonn/",
)
RATE = 173.61
# The recorder had a converter of 12 bits; one step is read as 1 uV, as the literature on these data does.
_LOW, _HIGH = -2048.0, 2047.0
_NAMES = {
    "A": "healthy, eyes open",
    "B": "healthy, eyes closed",
    "C": "other hemisphere",
    "D": "epileptogenic zone",
    "E": "seizure",
}
_TASKS = {"seizure": "ABCDE", "intracranial": "CDE", "sets": "ABCDE"}


class EegBonn(DatasetSource):
    """500 segments of 23.6 s at 173.61 Hz in five sets, cut into windows; in microvolt.

    Options
        task: "seizure", set E against all others (default); "intracranial", E against C and D, which were recorded with
            the same kind of electrodes; "sets", all five.
        length: samples of a window (512); whole windows from the start of each segment.

    Windows of one segment share a code and stay in one part of a split. Every window carries the group `set`.

    Source: Andrzejak et al., Phys. Rev. E 64, 061907 (2001), doi 10.1103/PhysRevE.64.061907.
    """

    name: ClassVar[str] = "eeg_bonn"

    def load(self, root: Path | None, *, task: str = "seizure", length: int = 512, **more: Any) -> Dataset:
        refuse_unknown(more, self.load)
        one_of(task, "task", _TASKS)
        whole(length, "length", 64, 4097)
        found = read_npz(_DATA.located(root) / _FILE, ("eeg", "set"))
        values, sets = found["eeg"], found["set"]
        if values.ndim != 2 or len(values) != len(sets) or values.shape[1] < length:
            raise DataError(
                f"segments of {length} samples or more, each with its set", str(values.shape), "copy the file again"
            )
        chosen = np.flatnonzero(np.isin(sets, list(_TASKS[task])))
        pieces = values.shape[1] // length
        windows = values[chosen, : pieces * length].reshape(-1, 1, length).astype(np.float32)
        segment = np.repeat(chosen, pieces)
        number = np.tile(np.arange(pieces), len(chosen))
        own: Array = sets[segment]
        names = tuple(_NAMES.values()) if task == "sets" else ("no seizure", "seizure")
        targets = np.array(["ABCDE".index(each) for each in own]) if task == "sets" else own == "E"
        # Names count segments of the file, so that a window keeps its name in every task.
        ids = tuple(f"eeg-{own_segment:03d}-{piece}" for own_segment, piece in zip(segment, number, strict=True))
        codes = np.unique(segment, return_inverse=True)[1].astype(np.int64)
        space = Space("signal", (1, length), "uV", _LOW, _HIGH, names=("EEG",), rate=RATE)
        batch = Batch(windows, targets.astype(np.int64), codes, ids, {"set": own.astype("U1")})
        return Dataset(_CARD, space, "classes", names, (len(names) - 1,), batch)


_CARD = DataCard(
    name="eeg_bonn",
    title="EEG segments of the University of Bonn",
    licence="free for research with citation; no text of a licence comes with the data",
    citation="Andrzejak, Lehnertz, Mormann, Rieke, David, Elger, Indications of nonlinear deterministic and "
    "finite-dimensional structures in time series of brain electrical activity, Phys. Rev. E 64, 061907 (2001), "
    "doi 10.1103/PhysRevE.64.061907",
    source="Bonn EEG time series, sets A to E, values unchanged",
    subjects="the segment; five persons a set, not published which",
    cautions=(
        "A and B were recorded on the scalp, C, D and E within the head: E against all may be a matter of electrodes.",
        "A person's segments may stand in two parts of a split, as nobody knows whose they are.",
        "Amplitudes are converter steps, taken as microvolt; a few segments of set D and E touch the end of the range.",
    ),
    digests=_DATA.used(),
)
