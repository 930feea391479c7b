"""Attacks stopped: `python tests/provenance/prove_attack.py` sends untouched and perturbed images to a guarded model.

Every image that pydicom brings and that can be perturbed is captured over DICOM; half are moved by one step of FGSM at
1/255 in the archive; all go to a guarded model that counts its calls.
"""

from __future__ import annotations

import io
import logging
import secrets
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from acceptance import tell
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prove_transport import sources

from titer.errors import FingerprintError
from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.fingerprint.dicom import changed_boxes
from titer.provenance.guard import demo
from titer.provenance.guard.capture import Capture
from titer.provenance.guard.dicom import Receiver, capturing, guarding, send
from titer.provenance.guard.index import Index
from titer.provenance.guard.inprocess import Answer, guard
from titer.provenance.guard.policy import Policy
from titer.provenance.guard.quarantine import Quarantine
from titer.provenance.guard.tensor import program_digest, tensor_digest
from titer.provenance.ledger.chain import Chain


def images(folder: Path) -> dict[str, tuple[bytes, bytes]]:
    """By name: an image and what FGSM makes of it, for those whose stored values the preparation can read."""
    found = {}
    model = demo.Classifier()
    for name, path in sources(folder):
        raw = path.read_bytes()
        try:
            if "px" not in fingerprint_of(raw, "dicom") or fingerprint_of(raw, "dicom").notes["lossy"]:
                continue
            if pydicom.dcmread(io.BytesIO(raw)).file_meta.TransferSyntaxUID.is_compressed:
                # Only a codec could write the moved one.
                continue
            moved = demo.perturb(raw, model)
            if not boxes(raw, moved):
                continue
        except (FingerprintError, ValueError, AttributeError, TypeError, NotImplementedError, RuntimeError, KeyError):
            # No pixels that the preparation can read.
            continue
        found[name] = raw, moved
    return found


def boxes(one: bytes, other: bytes) -> dict[int, Any]:
    """What changed by the pixels themselves."""
    return dict(changed_boxes(stored(one), stored(other)))


def stored(raw: bytes) -> np.ndarray[Any, Any]:
    """Stored values by frame, row, column and sample."""
    data = pydicom.dcmread(io.BytesIO(raw))
    values = np.asarray(data.pixel_array)
    return values.reshape(int(data.get("NumberOfFrames") or 1), data.Rows, data.Columns, data.SamplesPerPixel)


def main() -> int:
    """Capture, perturb, send; 1 unless every perturbed image was stopped in the right place and no other was."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="titer-attack-") as name:
        folder = Path(name)
        store = images(folder)
        ledger = demo._ledger(folder / "site")
        index = Index(f"sqlite:///{folder}/index.sqlite", secrets.token_bytes(32))
        point = Capture(Chain(ledger, Ed25519PrivateKey.generate()), index)
        with Receiver(capturing(point, lambda _: None)) as modality:
            store = {each: pair for each, pair in store.items() if send(pair[0], modality.port) == demo.SUCCESS}
        model, answers = demo.Classifier(), list[Answer]()
        guarded = guard(
            model, ledger, Policy(captures=frozenset({point.chain.public}), mode="block"), index=index,
            key=Ed25519PrivateKey.generate(), model_digest="ab" * 32, prepare=demo.pixels,
            preparation=program_digest("pixels", "1"), quarantine=Quarantine(folder / "quarantine"),
        )  # fmt: skip
        alarms = missed = misplaced = unequal = 0
        with Receiver(guarding(guarded, answers.append)) as front:
            for raw, moved in store.values():
                send(raw, front.port)
                alarms += answers[-1].action != "pass"
                bare = demo.Classifier()(demo.pixels(raw))
                unequal += answers[-1].output is None or tensor_digest(answers[-1].output) != tensor_digest(bare)
                calls = model.calls
                send(moved, front.port)
                missed += answers[-1].verdict != "altered" or model.calls != calls
                wrong = not placed(answers[-1], boxes(raw, moved))
                if wrong:
                    misplaced += 1
                    told = {each.frame: each.boxes for each in answers[-1].checked.differences}
                    print(f"named {told}, changed {boxes(raw, moved)}")
        index.close()
        ledger.close()
    many = len(store)
    print(f"{many} images untouched: {alarms} false alarms, {unequal} answers other than without the guard")
    print(f"{many} images perturbed at 1/255: {many - missed} stopped before the model, {misplaced} in the wrong place")
    tell(6, "untouched", f"{many} images, {alarms} false alarms, {unequal} other answers", held=not (alarms or unequal))
    words = f"{many - missed} of {many} altered without a call of the model, {many - misplaced} in the right place"
    tell(6, "perturbed by FGSM at 1/255", words, held=not (missed or misplaced) and many > 0)
    return 1 if alarms or missed or misplaced or unequal or not many else 0


def placed(answer: Answer, exact: dict[int, Any]) -> bool:
    """Whether the frames are those that changed, and each exact box lies in one of the blocks that were named."""
    told = {each.frame: each.boxes for each in answer.checked.differences if each.frame is not None}
    if set(told) != set(exact):
        return False
    return all(
        min(box.top for box in told[frame]) <= box.top
        and max(box.bottom for box in told[frame]) >= box.bottom
        and min(box.left for box in told[frame]) <= box.left
        and max(box.right for box in told[frame]) >= box.right
        for frame, box in exact.items()
    )


if __name__ == "__main__":
    sys.exit(main())
