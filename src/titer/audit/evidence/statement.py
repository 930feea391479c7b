"""Statements over reports: in-toto, signed with Ed25519 in a DSSE envelope."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.atomic import write_whole
from titer.audit.evidence.bundle import STATEMENT, evidence_files, folder_of
from titer.audit.evidence.keys import envelope_type, signer
from titer.audit.report.schema import Report

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://titer.readthedocs.io/robustness-report/v1"
PAYLOAD = "application/vnd.in-toto+json"


def statement_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The in-toto statement over a report and what belongs to it.

    Arguments
        files: name -> bytes, with `report.json` among them.
    """
    report = Report.model_validate_json(files["report.json"])
    identity = report.identity
    return {
        "_type": TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": sha256(data).hexdigest()}} for name, data in sorted(files.items())
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "created": identity.created,
            "titerVersion": identity.titer_version,
            "plan": {"name": identity.plan.name, "digest": identity.plan.digest},
            "models": [{"name": card.name, "digest": card.digest} for card in report.models],
            "datasets": [{"name": card.name, "digest": card.digest} for card in report.datasets],
            "verdict": {True: "limits held", False: "limits not held", None: "no limits set"}[report.passed],
        },
    }


def sign_report(path: Path, key: Path) -> Path:
    """Sign the report in a folder: writes `report.dsse.json` beside it.

    Arguments
        path: the folder, or its report.json.
        key: an Ed25519 private key (PEM, PKCS 8, without a password).
    """
    folder = folder_of(path)
    payload = json.dumps(
        statement_of(evidence_files(folder)), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return write_whole(folder / STATEMENT, signed(payload.encode(), signer(key)))


def signed(payload: bytes, key: Signer) -> str:
    """A DSSE envelope around a statement, as JSON text."""
    envelope = envelope_type()(payload, PAYLOAD, {})
    envelope.sign(key)
    return json.dumps(envelope.to_dict(), sort_keys=True, indent=1) + "\n"
