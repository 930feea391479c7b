"""Decoders in processes of their own: one that dies, hangs or lies refuses one object."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from titer.errors import FingerprintError
from titer.provenance.fingerprint import _worker
from titer.provenance.fingerprint._pixels import Frame
from titer.provenance.fingerprint.dicom import fingerprint

FRAME = Frame(2, 2, 1, 8, 8, 7, 0, False, "MONOCHROME2")


class Answer:
    """A helper that answers what it was told to."""

    alive = True

    def __init__(self, told: dict[str, object], flat: bytes = b"") -> None:
        self.told, self.flat = told, flat

    def ask(self, *_: object) -> tuple[dict[str, object], bytes]:
        return self.told, self.flat

    def end(self) -> None:
        self.alive = False


def asked(monkeypatch: pytest.MonkeyPatch, told: dict[str, object], flat: bytes = b"") -> str:
    monkeypatch.setattr(_worker, "_HELPERS", _worker._Helpers())
    _worker._HELPERS.give_back(Answer(told, flat))  # type: ignore[arg-type]
    with pytest.raises(FingerprintError) as refused:
        _worker.decode(b"", FRAME, "rle", None)
    return refused.value.code


def test_a_helper_that_lies_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, {}) == "malformed.codestream"
    assert asked(monkeypatch, {"type": "O", "planar": False}, bytes(8)) == "malformed.codestream"
    assert asked(monkeypatch, {"type": "<u2", "planar": False}, bytes(7)) == "malformed.codestream"
    assert asked(monkeypatch, {"type": "|u1", "planar": False}, bytes(5)) == "malformed.codestream"
    assert asked(monkeypatch, {"error": "PanicException"}) == "malformed.codestream"
    assert asked(monkeypatch, {"missing": "rle"}) == "unsupported.decoder"


def _program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """Helpers that run another program."""
    script = tmp_path / "helper.sh"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    monkeypatch.setattr(_worker, "_HELPERS", _worker._Helpers())
    monkeypatch.setattr(sys, "executable", str(script))


@pytest.mark.skipif(os.name == "nt", reason="the helpers of this test are shell scripts")
@pytest.mark.parametrize(
    "text",
    ["exit 0", "kill -9 $$", "printf '\\377\\377\\377\\377\\377\\377\\377\\377'; cat", "head -c 8 /dev/zero; sleep 1",
     "printf '\\003\\000\\000\\000\\000\\000\\000\\000[1]'; cat",
     "printf '\\001\\000\\000\\000\\000\\000\\000\\000x'; cat"],
)  # fmt: skip
def test_a_helper_that_dies_or_answers_nonsense_refuses_the_object(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    _program(monkeypatch, tmp_path, text)
    with pytest.raises(FingerprintError) as refused:
        fingerprint(get_testdata_file("MR_small_RLE.dcm"))
    assert refused.value.code == "malformed.codestream"


@pytest.mark.skipif(os.name == "nt", reason="the helpers of this test are shell scripts")
def test_a_helper_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(monkeypatch, tmp_path, "exec sleep 600")
    monkeypatch.setattr(_worker, "_LONGEST_SECONDS", 0.2)
    with pytest.raises(FingerprintError) as refused:
        fingerprint(get_testdata_file("MR_small_RLE.dcm"))
    assert refused.value.code == "malformed.codestream"


def test_a_helper_waits_for_the_next_codestream_and_is_replaced_when_it_died(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker, "_HELPERS", _worker._Helpers())
    path = get_testdata_file("MR_small_RLE.dcm")
    made = fingerprint(path)
    first = _worker._HELPERS.take()
    _worker._HELPERS.give_back(first)
    assert fingerprint(path) == made
    assert _worker._HELPERS.take() is first
    first._process.kill()
    first._process.wait()
    _worker._HELPERS.give_back(first)
    assert fingerprint(path) == made
    assert _worker._HELPERS.take() is not first


def test_an_interrupted_question_ends_its_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker, "_HELPERS", _worker._Helpers())
    helper = _worker._HELPERS.take()
    _worker._HELPERS.give_back(helper)

    def interrupted(*_: object) -> tuple[bytes, bytes]:
        raise KeyboardInterrupt

    monkeypatch.setattr(_worker, "_get", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fingerprint(get_testdata_file("MR_small_RLE.dcm"))
    assert not helper.alive


def test_at_the_end_no_helper_is_left() -> None:
    helpers = _worker._Helpers()
    helper = helpers.take()
    helpers.give_back(helper)
    helpers.end()
    assert not helper.alive


def test_callers_at_the_same_time_each_have_a_helper() -> None:
    paths = [
        get_testdata_file(name) for name in ("MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm", "MR_small_jp2klossless.dcm")
    ]
    alone = [fingerprint(path) for path in paths]
    found: dict[int, object] = {}
    threads = [
        threading.Thread(target=lambda at=at: found.__setitem__(at, fingerprint(paths[at % 3]))) for at in range(6)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [found[at] for at in range(6)] == alone * 2


def test_a_forked_child_forgets_the_helpers_of_its_parent() -> None:
    helpers = _worker._Helpers()
    helpers.give_back(Answer({}))  # type: ignore[arg-type]
    helpers._forget()
    assert helpers._waiting == []


def test_the_loop_answers_words_errors_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> tuple[np.ndarray, bool]:
        raise ImportError(name="rle")

    monkeypatch.setitem(_worker.ROUTINES, "missing", missing)
    monkeypatch.setitem(_worker.ROUTINES, "fine", lambda *_: (np.arange(4, dtype="<u2"), True))
    given, taken = io.BytesIO(), io.BytesIO()
    head = {"frame": FRAME.__dict__, "claimed": None}
    for family in ("fine", "missing", "rle"):
        _worker._put(given, json.dumps({**head, "family": family}).encode(), b"x")
    given.seek(0)
    _worker.serve(given, taken)
    taken.seek(0)
    told = [_worker._get(taken, 100) for _ in range(3)]
    assert json.loads(told[0][0]) == {"type": "<u2", "planar": True}
    assert told[0][1] == np.arange(4, dtype="<u2").tobytes()
    assert json.loads(told[1][0]) == {"missing": "rle"}
    assert "error" in json.loads(told[2][0])


def test_each_helper_shows_the_decoder_it_has() -> None:
    from titer.provenance.fingerprint._codecs import decoder_of

    for family in ("rle", "jpeg", "jpeg_lossless", "jpeg_ls", "jpeg_2000"):
        found = decoder_of(family)
        assert found.name
        assert found.version[0].isdigit()
