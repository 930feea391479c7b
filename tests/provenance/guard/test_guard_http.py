"""Objects over HTTP: captured at one end, guarded at the other."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from guard_tools import Counting, Hospital
from test_guarded_images import _changed, _image, _one_up

from titer.errors import GuardError
from titer.provenance.guard.content import whole
from titer.provenance.guard.http import application
from titer.provenance.guard.intake import Door
from titer.provenance.guard.limits import Limits
from titer.provenance.guard.serving import Server, Tls, require_safe
from titer.provenance.guard.tokens import Tokens, issue
from titer.provenance.guard.work import guarding, plain, recording

PATIENT = json.dumps({"resourceType": "Patient", "birthDate": "1970-01-01", "multipleBirthInteger": 2}).encode()
ROW = b'{"age": 61, "creatinine": 1.10}'
WFDB = {"a.hea": b"a 1 500 2\na.dat 16 200/mV 16 0 0 0 0 II\n", "a.dat": bytes([1, 0, 2, 0])}


def sizes(raw: Any) -> np.ndarray[Any, Any]:
    """A preparation for any kind of object."""
    whole = b"".join(raw.values()) if isinstance(raw, dict) else raw
    return np.frombuffer(whole, np.uint8).astype(np.float32)


@pytest.fixture
def gateway(hospital: Hospital) -> Iterator[httpx.Client]:
    with (
        Server(application(recording(hospital.point, print), Door(None, Limits()))) as server,
        httpx.Client(base_url=server.address, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def front(hospital: Hospital, model: Counting) -> Iterator[httpx.Client]:
    guarded = hospital.guarded(model, hospital.policy("block"), prepare=sizes, content=whole)
    with (
        Server(application(guarding(guarded, print), Door(None, Limits()))) as server,
        httpx.Client(base_url=server.address, trust_env=False) as client,
    ):
        yield client


def many(files: dict[str, bytes], media: str = "form-data", **more: str) -> dict[str, Any]:
    """A body of several parts, and its headers."""
    body = b""
    for name, raw in files.items():
        kind = more.get("kind", "application/octet-stream")
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {kind}'
        body += b"--cut\r\n" + head.encode() + b"\r\n\r\n" + raw + b"\r\n"
    told = f"multipart/{media}; boundary=cut" + (f'; type="{more["kind"]}"' if "kind" in more else "")
    return {"content": body + b"--cut--\r\n", "headers": {"Content-Type": told} | json.loads(more.get("headers", "{}"))}


@pytest.mark.parametrize(
    ("path", "media", "raw", "other"),
    [
        ("/text", "text/plain; charset=utf-8", b"Kein Befund.", b"Befund."),
        ("/fhir", "application/fhir+json", PATIENT, PATIENT.replace(b"1970", b"1971")),
        ("/row", "application/json", ROW, ROW.replace(b"1.10", b"1.11")),
        ("/objects", "application/fhir+json", PATIENT, PATIENT.replace(b"1970", b"1972")),
        ("/objects", "text/plain", b"No finding.", b"A finding."),
    ],
)
def test_what_was_captured_is_answered_and_what_was_not_is_withheld(
    gateway: httpx.Client, front: httpx.Client, model: Counting, path: str, media: str, raw: bytes, other: bytes
) -> None:
    headers = {"Content-Type": media, "Titer-Subject": "4711"}
    captured = gateway.post(path, content=raw, headers=headers)
    assert (captured.status_code, captured.json()["state"]) == (201, "published")
    told = front.post(path, content=raw, headers=headers)
    assert told.status_code == 200
    assert told.json() | {"decision": ""} == {
        "action": "pass", "verdict": "verified", "reasons": [], "banner": "", "decision": "",
        "output": Counting()(sizes(raw)).tolist(),
    }  # fmt: skip
    assert len(told.json()["decision"]) == 64
    withheld = front.post(path, content=other, headers=headers)
    assert (withheld.status_code, withheld.json()["verdict"]) == (202, "unknown")
    assert "output" not in withheld.json()
    moved = front.post(path, content=raw, headers=headers | {"Titer-Subject": "4712"})
    assert (moved.status_code, moved.json()["verdict"]) == (202, "mismatch_subject")
    named = front.post(path, content=other, headers=headers | {"Titer-Record": captured.json()["record"]})
    assert named.json()["verdict"] == "altered"
    assert model.calls == 1


def test_recordings_of_several_files_and_of_one(gateway: httpx.Client, front: httpx.Client, model: Counting) -> None:
    assert gateway.post("/signal", **many(WFDB)).status_code == 201
    told = front.post("/signal", **many(WFDB)).json()
    assert (told["verdict"], told["output"]) == ("verified", Counting()(sizes(WFDB)).tolist())
    moved = WFDB | {"a.dat": bytes([1, 0, 3, 0])}
    assert front.post("/objects", **many(moved)).json()["verdict"] == "altered"
    assert model.calls == 1


def test_images_over_stow(gateway: httpx.Client, front: httpx.Client, hospital: Hospital) -> None:
    images = {name: _image(name) for name in ("MR_small.dcm", "CT_small.dcm")}
    sent = many(images, "related", kind="application/dicom")
    captured = gateway.post("/studies", **sent)
    assert (captured.status_code, captured.headers["content-type"]) == (200, "application/dicom+json")
    assert len(captured.json()["00081199"]["Value"]) == 2
    forged = images | {"CT_small.dcm": _changed(images["CT_small.dcm"], _one_up), "junk.dcm": b"junk"}
    asked = many(forged, "related", kind="application/dicom", headers='{"Accept": "application/json"}')
    told = front.post("/studies", **asked)
    assert told.status_code == 202
    assert [each.get("verdict") for each in told.json()["answers"]] == ["verified", "altered", None]
    stow = told.json()["stow"]
    assert len(stow["00081199"]["Value"]) == 2
    assert stow["0008119A"] == {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xC000]}}]}


def test_an_instance_of_another_study_is_refused_by_name(gateway: httpx.Client) -> None:
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    header = dcmread(str(get_testdata_file("CT_small.dcm", download=False)), stop_before_pixels=True)
    sent = many({"a": _image("CT_small.dcm")}, "related", kind="application/dicom")
    told = gateway.post("/studies/1.2.3", **sent)
    assert told.status_code == 409
    (failed,) = told.json()["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [str(header.SOPInstanceUID)]
    assert failed["00081197"]["Value"] == [0xA901]
    assert gateway.post(f"/studies/{header.StudyInstanceUID}", **sent).status_code == 200


def test_a_stored_image_is_read_back_by_a_foreign_client_as_the_standard_says(gateway: httpx.Client) -> None:
    from pydicom.dataset import Dataset

    sent = many({"a": _image("MR_small.dcm"), "b": b"no image"}, "related", kind="application/dicom")
    told = Dataset.from_json(gateway.post("/studies", **sent).json())
    assert len(told.ReferencedSOPSequence) == 1
    assert told.OtherFailuresSequence[0].FailureReason == 0xC000


def test_callers_need_a_token_of_the_file(hospital: Hospital, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens"
    token = issue(path, "modality-1")
    assert token not in path.read_text()
    door = Door(Tokens(path), Limits())
    with (
        Server(application(recording(hospital.point, print), door)) as server,
        httpx.Client(base_url=server.address, trust_env=False) as client,
    ):
        given = {"Content-Type": "text/plain"}
        for wrong in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {token}"}):
            told = client.post("/text", content=b"Jane Doe", headers=given | wrong)
            assert (told.status_code, told.json()) == (401, {"code": "access.denied"})
            assert told.headers["www-authenticate"] == "Bearer"
        right = given | {"Authorization": f"Bearer {token}"}
        assert client.post("/text", content=b"with a token", headers=right).status_code == 201
        path.write_text("# nobody\n")
        assert client.post("/text", content=b"with a token", headers=right).status_code == 401
        path.chmod(0o666)
        # Its content is the same, but anybody may add a line from now on.
        assert client.post("/text", content=b"with a token", headers=right).status_code == 503
        path.unlink()
        assert client.post("/text", content=b"with a token", headers=right).status_code == 503
    assert "Jane" not in caplog.text
    assert "token" not in caplog.text.replace("tokens.invalid", "")


def test_each_caller_has_a_rate(hospital: Hospital, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    one, other = (issue(path, name) for name in ("one", "other"))
    door = Door(Tokens(path), Limits(rate=1e-9, burst=2))
    with (
        Server(application(recording(hospital.point, print), door)) as server,
        httpx.Client(base_url=server.address, trust_env=False) as client,
    ):

        def ask(token: str) -> int:
            headers = {"Content-Type": "text/plain", "Authorization": f"Bearer {token}"}
            return client.post("/text", content=b"often", headers=headers).status_code

        assert [ask(one), ask(one), ask(one), ask(other)] == [201, 201, 429, 201]
        assert [ask("guess") for _ in range(3)] == [401, 401, 429]
        assert ask(other) == 201


def test_an_answer_over_tls_and_none_to_strangers(hospital: Hospital, tmp_path: Path) -> None:
    certificate, key = certified(tmp_path, "server")
    tls = Tls(certificate, key, callers=certificate)
    with Server(application(recording(hospital.point, print), Door(None, Limits())), tls=tls) as server:
        trusted = ssl.create_default_context(cafile=str(certificate))
        with (
            httpx.Client(verify=trusted, trust_env=False) as stranger,
            pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)),
        ):
            stranger.get(f"{server.address}/health")
        trusted = ssl.create_default_context(cafile=str(certificate))
        trusted.load_cert_chain(certificate, key)
        with httpx.Client(verify=trusted, trust_env=False) as client:
            assert client.get(f"{server.address}/health").json() == {"state": "running"}


def test_a_server_that_others_reach_has_tokens_and_a_certificate(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    issue(path, "a")
    tokens, tls = Tokens(path), Tls(path, path)
    require_safe("127.0.0.1", None, None, open_door=True)
    require_safe("::1", tokens, None, open_door=False)
    require_safe("0.0.0.0", tokens, tls, open_door=False)
    for host, given, secret, door in (
        ("127.0.0.1", None, None, False), ("0.0.0.0", None, tls, True), ("0.0.0.0", tokens, None, False),
    ):  # fmt: skip
        with pytest.raises(GuardError, match=r"tokens|certificate"):
            require_safe(host, given, secret, open_door=door)
    with pytest.raises(GuardError) as told:
        tls.context()
    assert told.value.code == "serve.tls"


def test_the_names_of_callers_are_those_of_systems(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    issue(path, "scanner-2")
    assert path.stat().st_mode & 0o777 == 0o600
    for name in ("Dr. Jones", "scanner-2", ""):
        with pytest.raises(GuardError):
            issue(path, name)
    path.chmod(0o666)
    with pytest.raises(GuardError, match="others may"):
        Tokens(path)


def test_outputs_are_plain_json() -> None:
    told = {"a": np.array([[1.5, np.inf]]), "b": (np.int64(3), None, True), "c": b"\1", "d": -np.inf}
    assert plain(told) == {"a": [[1.5, "Infinity"]], "b": [3, None, True], "c": "01", "d": "-Infinity"}


def certified(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for this machine that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths
