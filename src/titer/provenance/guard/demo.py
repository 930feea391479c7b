"""A hospital in a folder: images captured over DICOM, some perturbed in the archive, all sent to a guarded model."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from titer.errors import RecordError
from titer.provenance.fingerprint.dicom import changed_boxes
from titer.provenance.guard.capture import Capture, Captured
from titer.provenance.guard.dicom import SUCCESS, Receiver, capturing, guarding, send
from titer.provenance.guard.index import Index
from titer.provenance.guard.inprocess import Answer, guard
from titer.provenance.guard.policy import Policy
from titer.provenance.guard.quarantine import Held, Quarantine
from titer.provenance.guard.tensor import program_digest, tensor_digest
from titer.provenance.ledger import merkle, record
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.ledger import Admitted, Ledger
from titer.provenance.ledger.mark import FileMark, Mark
from titer.provenance.ledger.note import Note, Signer, opened
from titer.provenance.ledger.publish import Site
from titer.provenance.ledger.sequencer import Signing
from titer.provenance.ledger.store import Store

ORIGIN = "hospital.example/demo"
IMAGES = ("CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "SC_rgb_small_odd.dcm")
PERTURBED = ("CT_small.dcm", "MR_small.dcm", "SC_rgb_small_odd.dcm")


@dataclass
class Classifier:
    """A linear model over the brightness of fixed waves, which counts its calls."""

    calls: int = 0

    def __call__(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        self.calls += 1
        score = float((values * self.weights(values.shape)).sum())
        return np.array([1 / (1 + np.exp(-score))])

    def weights(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Its weights, and the slope of its score."""
        size = int(np.prod(shape))
        waves: np.ndarray[Any, Any] = np.cos(np.arange(size) * 0.7) * 30 / size
        return waves.reshape(shape)


@dataclass(frozen=True)
class Outcome:
    """What one run of the demo showed."""

    answers: tuple[Answer, ...]
    calls: int
    false_alarms: int
    missed: int
    equal: bool

    @property
    def holds(self) -> bool:
        """Whether all perturbed images were stopped, none of the others, and answers are the same with the guard."""
        return not self.false_alarms and not self.missed and self.equal and self.calls == len(IMAGES)


def pixels(raw: bytes) -> np.ndarray[Any, Any]:
    """The preparation: stored values from 0 to 1."""
    from pydicom import dcmread

    values = np.asarray(dcmread(io.BytesIO(raw)).pixel_array, dtype=float)
    scaled: np.ndarray[Any, Any] = (values - values.min()) / max(float(np.ptp(values)), 1.0)
    return scaled


def perturb(raw: bytes, model: Classifier) -> bytes:
    """The image one step of FGSM away: each stored value by 1/255 of the image's range, at least by 1.

    Source: Goodfellow, Shlens and Szegedy, ICLR 2015, arXiv:1412.6572; the slope of a linear model is its weights.
    """
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(raw))
    values = dataset.pixel_array
    step = max(1, round(float(np.ptp(values)) / 255))
    moved = values.astype(np.int64) + step * np.sign(model.weights(values.shape)).astype(np.int64)
    # Inside the image's own range, so that nothing looks odd.
    dataset.PixelData = (
        np.clip(moved, values.min(), values.max()).astype(values.dtype).tobytes().ljust(len(dataset.PixelData), b"\0")
    )
    made = io.BytesIO()
    dataset.save_as(made, enforce_file_format=True)
    return made.getvalue()


def run_demo(folder: Path, write: Callable[[str], None]) -> Outcome:
    """Run the demo in an empty folder, and write what happens line by line."""
    from pydicom.data import get_testdata_file

    ledger = _ledger(folder)
    index = Index(f"sqlite:///{folder}/index.sqlite", secrets.token_bytes(32))
    try:
        originals = {name: Path(str(get_testdata_file(name, download=False))).read_bytes() for name in IMAGES}
        return _play(folder, ledger, index, originals, write)
    finally:
        index.close()
        ledger.close()


def _play(
    folder: Path, ledger: Ledger, index: Index, originals: dict[str, bytes], write: Callable[[str], None]
) -> Outcome:
    captured: list[Captured] = []
    point = Capture(Chain(ledger, Ed25519PrivateKey.generate()), index)
    with Receiver(capturing(point, captured.append)) as modality:
        for name, raw in originals.items():
            _require_success(name, send(raw, modality.port))
            write(f"captured  {name}: leaf {captured[-1].appended.index}")
    model = Classifier()
    archive = [(name, raw, False) for name, raw in originals.items()]
    archive += [(name, perturb(originals[name], model), True) for name in PERTURBED]
    held: list[Held] = []
    guarded = guard(
        model,
        ledger,
        Policy(captures=frozenset({point.chain.public}), mode="block"),
        index=index,
        key=Ed25519PrivateKey.generate(),
        model_digest=hashlib.sha256(b"titer guard demo: linear").hexdigest(),
        prepare=pixels,
        preparation=program_digest("titer.provenance.guard.demo.pixels", "1"),
        quarantine=Quarantine(folder / "quarantine", held.append),
    )
    answers: list[Answer] = []
    false_alarms = missed = 0
    equal = True
    with Receiver(guarding(guarded, answers.append)) as front:
        for name, raw, forged in archive:
            _require_success(name, send(raw, front.port))
            answer = answers[-1]
            missed += forged and (answer.verdict != "altered" or answer.action != "quarantine")
            false_alarms += not forged and answer.action != "pass"
            if answer.output is not None:
                equal &= tensor_digest(answer.output) == tensor_digest(Classifier()(pixels(raw)))
            _describe(name, answer, forged, write)
            if forged:
                before, after = (_stored(each) for each in (originals[name], raw))
                write(f"          exactly: {', '.join(map(str, changed_boxes(before, after).values()))}")
    calls = model.calls
    write(f"\n{len(archive)} images, {len(PERTURBED)} of them perturbed at 1/255 after capture")
    write(f"stopped {len(held)}, missed {missed}, false alarms {false_alarms}, calls of the model {calls}")
    write(f"answers with and without the guard {'are equal' if equal else 'DIFFER'}")
    return Outcome(tuple(answers), calls, false_alarms, missed, equal)


def _describe(name: str, answer: Answer, forged: bool, write: Callable[[str], None]) -> None:
    word = "stopped " if answer.action == "quarantine" else "answered"
    write(f"{word}  {name}{' (perturbed)' if forged else ''}: {answer.verdict}. {answer.checked.sentence}")
    receipt = answer.checked.receipt
    if receipt is not None:
        size = Checkpoint.parse(Note.parse(receipt.note).text).size
        write(
            f"          proof: leaf {receipt.index} under a signed root of {size} leaves, {len(receipt.proof)} hashes"
        )


def _stored(raw: bytes) -> np.ndarray[Any, Any]:
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(raw))
    values = np.asarray(dataset.pixel_array)
    return values[None] if dataset.SamplesPerPixel > 1 and values.ndim == 3 else values


def _require_success(name: str, status: int) -> None:
    if status != SUCCESS:
        raise RecordError(
            f"{name} to be taken", f"status {status:#06x}", "see the messages above", code="demo.transfer"
        )


def _ledger(folder: Path) -> Ledger:
    """A ledger with fresh keys, and its mark in a folder of its own."""
    signer = Signer(ORIGIN, Ed25519PrivateKey.generate())

    def sign(checkpoint: Checkpoint) -> bytes:
        text = checkpoint.text()
        return Note(text, (signer.sign(text),)).format()

    def check(raw: bytes) -> Checkpoint:
        note = Note.parse(raw)
        if signer.verifier not in opened(note, [signer.verifier]):
            raise RecordError("the log's own signature", "none", "fetch the checkpoint again", code="note.unsigned")
        return Checkpoint.parse(note.text)

    def admit(leaf: bytes) -> Admitted:
        told = record.parse(leaf)
        return Admitted(told.capture_key, told.counter)

    log, url = folder / "log", f"sqlite:///{folder.resolve()}/log/entries.sqlite"
    log.mkdir(parents=True)
    Store.create(url, origin=ORIGIN).close()
    mark = FileMark(folder / "mark" / "mark")
    mark.create(Mark(ORIGIN, 0, merkle.EMPTY))
    return Ledger(Store.open(url), Site(log), mark, ORIGIN, Signing(sign, check), admit)
