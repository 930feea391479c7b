"""What all kinds promise: one kind recognizes an object, nothing around it matters, and little is needed to read it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims_made import claim, file_of, one, provider, subscriber
from dicom_made import image, ramp, written
from signals_made import edf, record, waveform

from titer.errors import FingerprintError
from titer.provenance.fingerprint import Limits, fingerprint_of, kinds

VALUES = np.arange(600).reshape(200, 3) - 300
RESOURCE = b'{"resourceType": "Observation", "valueDecimal": 0.10000000000000001}'


def nifti() -> bytes:
    import nibabel

    return bytes(nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)).to_bytes())


def objects() -> dict[str, tuple[str, Any]]:
    """Name: kind and content."""
    return {
        "dicom": ("dicom", image(ramp(4, 4))),
        "waveform": ("signal", written(waveform(VALUES))),
        "edf": ("signal", edf(VALUES)),
        "bdf": ("signal", edf(VALUES, bits=24)),
        "wfdb": ("signal", record(VALUES)),
        "nifti": ("volume", nifti()),
        "nifti.gz": ("volume", gzip.compress(nifti())),
        "x12": ("x12", one().rstrip()),
        "fhir": ("fhir", RESOURCE),
        "text": ("text", "P\u0430tient \u00e9\r\nA".encode()),
        "row": ("row", b'{"age": 61.50, "sex": "f", "k": null}'),
    }


@pytest.mark.parametrize("name", objects())
def test_exactly_one_kind_recognizes_each_object(name: str, tmp_path: Path) -> None:
    kind, content = objects()[name]
    if name in ("text", "row"):
        with pytest.raises(FingerprintError) as caught:
            fingerprint_of(content)
        assert caught.value.code == "unsupported.kind"
        return
    if name == "wfdb":
        for each, data in content.items():
            (tmp_path / each).write_bytes(data)
        content = tmp_path / "a.hea"
    made = fingerprint_of(content)
    assert made.kind == kind
    assert made == fingerprint_of(objects()[name][1], kind)
    assert kind in kinds()


@pytest.mark.parametrize("name", objects())
def test_every_cut_object_is_refused_or_another_one(name: str) -> None:
    kind, content = objects()[name]
    if name == "wfdb":
        content = {**content, "a.dat": content["a.dat"][:-1]}
        with pytest.raises(FingerprintError):
            fingerprint_of(content, kind)
        return
    plain = fingerprint_of(content, kind)
    for size in sorted({*range(0, len(content), max(1, len(content) // 97)), len(content) - 1}):
        try:
            assert fingerprint_of(content[:size], kind).digests != plain.digests
        except FingerprintError as error:
            assert error.code.split(".")[0] in ("malformed", "unsupported", "limit")  # noqa: PT017


@pytest.mark.parametrize("name", [name for name in objects() if name not in ("wfdb", "row")])
def test_an_object_beyond_the_limit_is_refused_before_it_is_read(name: str) -> None:
    kind, content = objects()[name]
    with pytest.raises(FingerprintError) as caught:
        fingerprint_of(content, kind, Limits(object_bytes=10))
    assert caught.value.code == "limit.object"


SCRIPT = """
import pickle, sys
from titer.provenance.fingerprint import fingerprint_of
for name, (kind, content) in sorted(pickle.load(sys.stdin.buffer).items()):
    print(name, *(f"{each.label}={each.value.hex()}" for each in fingerprint_of(content, kind).digests))
large = {"torch", "scipy", "pandas", "wfdb", "nibabel", "edfio", "pyedflib", "rfc8785", "pyx12"}
print(*sorted(large & set(sys.modules)))
"""


def answers(**environment: str) -> str:
    import pickle

    # The image needs codecs only where it is compressed; here it is not.
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=pickle.dumps(objects()),
        capture_output=True,
        check=True,
        env={**os.environ, **environment},
        timeout=120,
    )
    return found.stdout.decode("ascii")


def test_locale_time_zone_and_order_of_dictionaries_do_not_matter() -> None:
    first = answers(LC_ALL="C", TZ="UTC", PYTHONHASHSEED="1", PYTHONUTF8="0")
    second = answers(LC_ALL="tr_TR.UTF-8", TZ="Asia/Kathmandu", PYTHONHASHSEED="2", PYTHONUTF8="1")
    assert first == second
    lines = first.splitlines()
    assert len(lines) == len(objects()) + 1
    # A capture device needs none of the large libraries.
    assert lines[-1] == ""


def test_reading_takes_memory_for_a_piece_and_not_for_the_object(tmp_path: Path) -> None:
    import tracemalloc

    sizes = {}
    for name, content, kind in (
        ("text", "Caf\u00e9 au lait.\n".encode() * (1 << 20), "text"),
        ("signal", edf(np.zeros((1_500_000, 4), np.int64), 30000, duration="60"), "signal"),
        ("x12", file_of([*provider(), *subscriber(2, 1), *claim(), *["NTE*ADD*" + "A" * 70] * 10000]), "x12"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        tracemalloc.start()
        fingerprint_of(path, kind)
        sizes[name] = (tracemalloc.get_traced_memory()[1], len(content))
        tracemalloc.stop()
    assert sizes["text"][1] > 15e6
    assert sizes["signal"][1] > 11e6
    assert all(peak < 8e6 for peak, _ in sizes.values()), sizes
