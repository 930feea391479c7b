"""How fast capture, guard and verification are: measured for `prove_speed.py`, beside DCMTK's own storage server."""

from __future__ import annotations

import io
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from provenance_tools import ORIGIN, mark_of
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.guard.capture import Capture
from titer.provenance.guard.dicom import Receiver, capturing
from titer.provenance.guard.index import Index
from titer.provenance.guard.inprocess import guard
from titer.provenance.guard.policy import Policy
from titer.provenance.guard.quarantine import Quarantine
from titer.provenance.ledger import settings
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.verify import verify

PROGRAMS = ("storescp", "storescu")


def slices(many: int, seed: int = 0) -> list[bytes]:
    """CT slices of 512x512 pixels of 16 bits, of one series."""
    data = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    rng = np.random.default_rng(seed)
    made = []
    for number in range(many):
        # Smooth like tissue, with noise in the low bits: no compressor is tried, and none could cheat.
        wave = np.add.outer(np.sin(np.arange(512) / 40 + number), np.cos(np.arange(512) / 60)) * 300
        values = (wave + rng.normal(0, 12, (512, 512))).astype(np.int16)
        data.Rows = data.Columns = 512
        data.PixelData = values.tobytes()
        data.InstanceNumber = number + 1
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid(
            entropy_srcs=[f"{seed}.{number}"]
        )
        file = io.BytesIO()
        data.save_as(file, enforce_file_format=True, implicit_vr=False, little_endian=True)
        made.append(file.getvalue())
    return made


@contextmanager
def site(folder: Path) -> Iterator[tuple[Any, Any, Capture]]:
    settings.create(folder, ORIGIN, str(mark_of(folder).path))
    index = Index(f"sqlite:///{folder}/index.sqlite", bytes(32))
    with settings.opened(folder) as ledger:
        yield ledger, index, Capture(Chain(ledger, Ed25519PrivateKey.generate()), index)
    index.close()


def overhead(folder: Path, many: int) -> tuple[float, float]:
    """What the guard adds to the answer about one slice: 50th and 99th percentile in ms.

    The same preparation and model are run without the guard and taken off.
    """
    images = slices(many)

    def prepare(raw: bytes) -> np.ndarray[Any, Any]:
        return np.asarray(pydicom.dcmread(io.BytesIO(raw)).pixel_array, dtype=np.float32)

    def model(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.array([values.mean()])

    times = []
    with site(folder) as (ledger, index, point):
        for raw in images:
            point.capture(raw, "dicom", wait="durable")
        point.capture(slices(1, seed=1)[0], "dicom")
        guarded = guard(
            model, ledger, Policy(captures=frozenset({point.chain.public}), mode="block"), index=index,
            key=Ed25519PrivateKey.generate(), model_digest="ab" * 32, prepare=prepare, preparation="cd" * 32,
            quarantine=Quarantine(folder / "quarantine"),
        )  # fmt: skip
        guarded(images[0], "dicom")
        for raw in images:
            start = time.perf_counter()
            model(prepare(raw))
            bare = time.perf_counter()
            answer = guarded(raw, "dicom")
            times.append((time.perf_counter() - bare - (bare - start)) * 1e3)
            assert answer.verdict == "verified", answer.reasons
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def stored(folder: Path, many: int) -> tuple[float, float]:
    """Slices a second on one association, sent by DCMTK's storescu: to Titer, which fingerprints and records each, and
    to DCMTK's storescp, which writes files."""
    files = folder.with_name(f"{folder.name}-files")
    files.mkdir()
    for number, raw in enumerate(slices(many)):
        (files / f"{number:04d}.dcm").write_bytes(raw)
    with site(folder) as (ledger, _, point):
        with Receiver(capturing(point, lambda _: None)) as server:
            ours = _sent(server.port, files)
        assert ledger.store.size() == many
    inbox = folder.with_name(f"{folder.name}-inbox")
    inbox.mkdir()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    program = subprocess.Popen(["storescp", "-od", str(inbox), str(port)])
    try:
        _await(port)
        theirs = _sent(port, files)
    finally:
        program.terminate()
        program.wait(10)
    assert len(list(inbox.iterdir())) == many
    shutil.rmtree(files)
    shutil.rmtree(inbox)
    return many / ours, many / theirs


def _sent(port: int, files: Path) -> float:
    start = time.perf_counter()
    command = ["storescu", "+sd", "-aec", "TITER", "127.0.0.1", str(port), str(files)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def _await(port: int) -> None:
    for _ in range(200):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("storescp does not listen")


def missing() -> str | None:
    """Why there is no storage server to compare with."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(lacking)} not installed: install the package dcmtk" if lacking else None


def offline(folder: Path, many: int) -> float:
    """Milliseconds to verify one slice against its receipt: fingerprint, opening, receipt and policy, in memory."""
    with site(folder) as (ledger, _, point):
        done = [point.capture(raw, "dicom") for raw in slices(4)]
        receipts = [ledger.receipt(each.appended.index) for each in done]
        key = settings.verifier_keys(folder, settings.read(folder))[0]
    policy = f"log {key}\nquorum none\n#titer capture {point.chain.public}\n".encode()
    images, times = slices(4), []
    for number in range(many):
        at = number % 4
        start = time.perf_counter()
        found = verify(fingerprint_of(images[at], "dicom"), done[at].opening, receipts[at], policy)
        times.append((time.perf_counter() - start) * 1e3)
        assert found.outcome == "verified"
    return statistics.median(times)
