"""Annotation files: agreement with the wfdb package, and files that make it run forever."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from cases_made import wfdb_beats
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.cases.files.wfdb_marks import SYMBOLS, read_beats
from titer.errors import DataError


@given(
    st.lists(
        st.tuples(st.one_of(st.integers(0, 900), st.integers(1024, 2**31 - 1)), st.sampled_from(sorted(SYMBOLS))),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=40, deadline=None)
def test_agrees_with_wfdb(tmp_path_factory: pytest.TempPathFactory, marks: list[tuple[int, int]]) -> None:
    import wfdb

    folder = tmp_path_factory.mktemp("marks")
    samples = np.cumsum([gap for gap, _ in marks]) % (2**31 - 1)
    samples.sort()
    wfdb_beats(folder, "r", samples, [SYMBOLS[code] for _, code in marks], fs=360)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = wfdb.rdann(str(folder / "r"), "atr")
    found = read_beats(folder / "r", "atr", "r")
    # wfdb leaves out the note that says the rate.
    shift = 1
    assert (found.samples[shift:] == expected.sample).all()
    assert found.symbols[shift:].tolist() == expected.symbol
    assert found.rate == expected.fs
    assert len(found.samples) == len(samples) + 1


def test_every_symbol_is_that_of_wfdb() -> None:
    from wfdb.io.annotation import ann_labels

    theirs = {label.label_store: label.symbol for label in ann_labels}
    assert {code: theirs[code] for code in SYMBOLS} == SYMBOLS


def test_a_file_on_which_wfdb_never_ends(tmp_path: Path) -> None:
    text = b"## time resolution: x..."
    words = [(22 << 10).to_bytes(2, "little"), (63 << 10 | len(text)).to_bytes(2, "little"), text]
    (tmp_path / "r.atr").write_bytes(b"".join(words) + (1 << 10 | 5).to_bytes(2, "little") + b"\0\0")
    found = read_beats(tmp_path / "r", "atr", "r")
    assert found.samples.tolist() == [0, 5]
    assert found.rate is None


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "r.atr").write_bytes(data + b"\0\0")
    try:
        found = read_beats(folder / "r", "atr", "r")
    except DataError:
        return
    assert len(found.samples) == len(found.symbols)


def test_marks_in_another_time(tmp_path: Path) -> None:
    wfdb_beats(tmp_path, "r", [100, 200], list("NV"), fs=500)
    assert read_beats(tmp_path / "r", "atr", "r").rate == 500
