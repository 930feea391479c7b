"""All eighteen kinds of identifiers go in by every way there is; no file, message, metric or log line holds one.

What holds them by design is private, and stays with the data: the quarantine, which keeps objects, and the index, whose
openings lead to them. Everything else is searched byte by byte, also for their base 64, and for their bare hashes.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
import pytest
from guard_tools import Counting, Hospital
from planted import PLANTED, pieces
from trail_tools import FhirReceiver, SyslogReceiver, certificates

from titer.provenance.guard.dicom import Receiver, capturing, guarding, send
from titer.provenance.guard.policy import Finding
from titer.provenance.guard.trail.atna import Atna
from titer.provenance.guard.trail.fhir import Fhir
from titer.provenance.guard.trail.fhir_server import FhirServer
from titer.provenance.guard.trail.logs import Log, handler
from titer.provenance.guard.trail.metrics import Metrics
from titer.provenance.guard.trail.ndjson import NdjsonFolder
from titer.provenance.guard.trail.outbox import Outbox
from titer.provenance.guard.trail.spool import Spool
from titer.provenance.guard.trail.syslog import TlsSyslog, message

ALL = " ".join(PLANTED.values())
PRIVATE = ("quarantine", "index.sqlite")


def dicom_file(number: int) -> bytes:
    """A picture whose header holds every kind."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{number + 1}"
    header = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    header.Modality = "DX"
    header.PatientName, header.PatientID = PLANTED["A name"], PLANTED["H medical record number"]
    header.PatientBirthDate = PLANTED["C date"].replace("-", "")
    header.PatientAddress = header.InstitutionName = PLANTED["B place"]
    header.PatientTelephoneNumbers = [PLANTED["D telephone"], PLANTED["E fax"]]
    header.AccessionNumber = PLANTED["J account number"]
    header.DeviceSerialNumber = PLANTED["M device number"]
    header.OtherPatientIDs = PLANTED["I health plan number"]
    header.RetrieveURI = PLANTED["N web address"]
    header.PatientComments = ALL
    header.Rows, header.Columns, header.SamplesPerPixel, header.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    header.PixelData = bytes(range(64))
    made = io.BytesIO()
    header.save_as(made, enforce_file_format=True)
    return made.getvalue()


def fhir_patient() -> bytes:
    values = list(PLANTED.values())
    return json.dumps(
        {"resourceType": "Patient", "id": "p1", "name": [{"family": values[0]}], "birthDate": PLANTED["C date"],
         "address": [{"city": PLANTED["B place"]}], "identifier": [{"value": each} for each in values],
         "telecom": [{"system": "email", "value": PLANTED["F e-mail"]}]}
    ).encode()  # fmt: skip


def forms(text: str) -> set[bytes]:
    """A planted text in each way in which bytes of it might stand."""
    found = pieces(text)
    coded = {base64.b64encode(b"\0" * shift + text.encode())[4 if shift else 0 : -4] for shift in range(3)}
    found |= {each for each in coded if len(each) >= 8}
    hashed = sha256(text.encode())
    return found | {hashed.hexdigest().encode(), hashed.digest(), base64.b64encode(hashed.digest())}


def found_in(named: Iterator[tuple[str, bytes]]) -> list[tuple[str, str]]:
    told = {text: forms(text) for text in (*PLANTED.values(), PLANTED["C date"].replace("-", ""))}
    return [(name, text) for name, raw in named for text, each in told.items() if any(piece in raw for piece in each)]


def test_the_search_finds_what_is_there() -> None:
    for kind, text in PLANTED.items():
        for raw in (text.encode(), text.upper().encode(), base64.b64encode(b"xy" + text.encode()),
                    sha256(text.encode()).hexdigest().encode(), text.encode("utf-16-le")):  # fmt: skip
            assert (kind, text) in found_in(iter([(kind, b"before " + raw + b" after")])), (kind, raw)
    assert found_in(iter([("clean", b"altered: content.px")])) == []


class _Out:
    """All ways out of a guard at once."""

    def __init__(self, folder: Path, hospital: Hospital, stack: contextlib.ExitStack) -> None:
        pem = certificates(folder)
        self.syslog = stack.enter_context(SyslogReceiver(pem))
        self.fhir = stack.enter_context(FhirReceiver())
        send_atna = TlsSyslog("localhost", self.syslog.port, authorities=pem.authority).send
        self.queues = {
            "atna": stack.enter_context(Outbox(folder / "trail" / "atna.sqlite", send_atna, batch=64)),
            "fhir": stack.enter_context(Outbox(folder / "trail" / "fhir.sqlite", FhirServer(self.fhir.url).send)),
        }
        files = NdjsonFolder(folder / "trail" / "files")
        stack.callback(files.close)
        self.metrics = Metrics(hospital.ledger, lambda: self.queues)
        spool = Spool(folder / "trail" / "events.sqlite", [Log()])
        stack.enter_context(spool.outbox)
        self.listeners = [
            spool,
            Fhir("guard-1", files.put),
            Fhir("guard-1", self.queues["fhir"].put),
            Atna("guard-1", self.queues["atna"].put, message),
            self.metrics,
            Log(),
            self._fails,
        ]

    @staticmethod
    def _fails(event: Any) -> None:
        raise ValueError(ALL)

    def told(self) -> Iterator[tuple[str, bytes]]:
        """Everything that left."""
        assert all(each.drain(60) for each in self.queues.values())
        yield "metrics", prometheus_client.generate_latest(self.metrics.registry)
        for number, raw in enumerate(self.syslog.messages):
            yield f"syslog {number}", raw
            # Values of details are base 64.
            for part in raw.split(b'value="')[1:]:
                yield f"syslog {number} detail", base64.b64decode(part.partition(b'"')[0])
        for condition, (path, raw) in self.fhir.kept.items():
            yield f"fhir {condition} {path}", raw
        yield "fhir headers", repr(self.fhir.asked).encode()


def _broken(_: Any) -> Any:
    raise RuntimeError(ALL)


def _detector(case: Any) -> Finding | None:
    return Finding(PLANTED["A name"], 1.0)


def _pixels(raw: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(raw, np.uint8).astype(np.float32)


def _work(hospital: Hospital, out: _Out) -> list[Any]:
    """Captures and decisions of every sort, with identifiers in whatever the guard is given."""
    answers: list[Any] = []
    point = hospital.point_of(hospital.key)
    point.listeners = type(point.listeners)(out.listeners)
    guarded = {
        mode: hospital.guarded(Counting(), hospital.policy(mode), listeners=out.listeners, prepare=_pixels)
        for mode in ("observe", "flag", "block")
    }
    objects: list[tuple[bytes, str]] = [(ALL.encode(), "text"), (fhir_patient(), "fhir")]
    for raw, kind in objects:
        point.capture(raw, kind, subject=PLANTED["H medical record number"])
        for each in guarded.values():
            for subject in (PLANTED["H medical record number"], PLANTED["G social security number"]):
                more = {"subject": subject, "encounter": f"{PLANTED['J account number']}", "caller": PLANTED["A name"]}
                answers.append(each(raw, kind, **more))
            answers.append(each(raw + b" ", kind, caller=PLANTED["O network address"]))
            answers.append(each(raw[:-20] + b"\xff", kind, caller=PLANTED["F e-mail"], encounter=PLANTED["R other"]))
    images = [dicom_file(0), dicom_file(1)]
    with Receiver(capturing(point, answers.append)) as modality:
        send(images[0], modality.port, caller=PLANTED["A name"], title=PLANTED["B place"])
    with Receiver(guarding(guarded["block"], answers.append)) as front:
        for raw in images:
            send(raw, front.port, caller=PLANTED["A name"], title=PLANTED["B place"])
        send(images[0].replace(bytes(range(64)), bytes(range(1, 65))), front.port, caller=PLANTED["P biometric"][:16])
    with Receiver(lambda raw, caller: _broken(raw)) as broken:
        send(images[0], broken.port, caller=PLANTED["A name"])
    held = next(each.held for each in answers if getattr(each, "held", ""))
    answers.append(guarded["block"].override(held, PLANTED["A name"], PLANTED["Q photograph"], ALL))
    more_policies = {"detectors": (_detector, _broken)}
    suspicious = hospital.guarded(
        Counting(), hospital.policy("flag", **more_policies), listeners=out.listeners, prepare=_pixels
    )
    answers.append(suspicious(ALL.encode(), "text", subject=PLANTED["H medical record number"]))
    for more, model in (({"prepare": _broken}, Counting()), ({"prepare": _pixels}, _broken)):
        with pytest.raises(RuntimeError):
            hospital.guarded(model, listeners=out.listeners, **more)(
                ALL.encode(), "text", subject=PLANTED["H medical record number"]
            )
    return answers


def test_no_identifier_gets_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site = tmp_path / "site"
    site.mkdir()
    hospital = Hospital(site)
    stream = io.StringIO()
    lines = handler(stream)
    logging.getLogger().addHandler(lines)
    try:
        with contextlib.ExitStack() as stack, caplog.at_level(logging.DEBUG):
            out = _Out(site, hospital, stack)
            answers = _work(hospital, out)
            told = dict(out.told())
            receipts = [
                (f"receipt {n}", hospital.ledger.receipt(n))
                for n in range(hospital.ledger.signing.check(hospital.ledger.checkpoint()).size)
            ]
    finally:
        logging.getLogger().removeHandler(lines)
        hospital.close()
    verdicts = {each.verdict for each in answers if hasattr(each, "verdict")}
    assert verdicts >= {"verified", "altered", "unknown", "mismatch_subject", "error"}
    assert len(out.syslog.messages) > 30
    assert len(out.fhir.kept) > 60
    assert stream.getvalue().count("\n") > 30
    assert "withheld" not in {line["message"] for line in map(json.loads, stream.getvalue().splitlines())}
    ours = "\n".join(
        f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records if record.name.startswith("titer")
    )
    assert "RuntimeError" in ours
    assert found_in(iter(told.items())) == []
    assert found_in(iter(receipts)) == []
    assert found_in(iter([("lines of JSON", stream.getvalue().encode()), ("plain log", ours.encode())])) == []
    files = [
        (str(path.relative_to(site)), path.read_bytes())
        for path in sorted(site.rglob("*"))
        if path.is_file() and not path.relative_to(site).parts[0].startswith(PRIVATE)
    ]
    names = {Path(name).parts[0] for name, _ in files}
    assert {"log", "trail"} <= names
    assert found_in(iter(files)) == []
    # The search would have found them: they are in the quarantine.
    kept = [(path.name, path.read_bytes()) for path in (site / "quarantine").rglob("*") if path.is_file()]
    assert {text for _, text in found_in(iter(kept))} >= set(PLANTED.values())
