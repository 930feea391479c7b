"""What a model said of images that came by C-STORE, which has no room for an answer: a private folder of JSON files."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

from titer.errors import GuardError
from titer.provenance.guard.inprocess import Answer
from titer.provenance.guard.work import plain


class Results:
    """One file for each image that was let through or withheld, `<leaf hash of the decision>.json`, whole or absent.

    Where preparation or model failed there is no answer to keep; what an override gives goes to whoever asked for it.

    A file holds `instance` (SOP instance UID, "" where the image could not be read), `decision` and `index` of its
    leaf, `verdict`, `action`, `reasons`, `banner`, and `output`, null where the image was withheld from the model.
    The UID tells whose image it was: the folder is as private as the images are, and only its owner may read it.

    Arguments
        folder: made if it is not there. Whoever reads the files takes them away; this program never deletes one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            raise _unusable(error) from error

    def keep(self, raw: bytes, answer: Answer) -> None:
        """Write what came of an image; nothing where the decision could not be noted."""
        if answer.decision is None:
            return
        name, index = answer.decision.leaf_hash.hex(), answer.decision.index
        told = {
            "instance": "" if answer.checked.fingerprint is None else _instance(raw),
            "decision": name,
            "index": index,
            "verdict": answer.verdict,
            "action": answer.action,
            "reasons": list(answer.reasons),
            "banner": answer.banner,
            "output": None if answer.action == "quarantine" else plain(answer.output),
        }
        beside = self._folder / f".{name}.part"
        try:
            with os.fdopen(
                os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
            ) as file:
                json.dump(told, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._folder / f"{name}.json")
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise _unusable(error) from error


def _instance(raw: bytes) -> str:
    from pydicom import dcmread

    found = dcmread(io.BytesIO(raw), stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    return str(found.get("SOPInstanceUID", ""))


def _unusable(error: OSError) -> GuardError:
    return GuardError(
        "a folder for results that can be written",
        str(error.strerror),
        "make room, or correct 'results' of the DICOM path",
        code="results.unavailable",
    )
