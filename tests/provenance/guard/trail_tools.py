"""Events for tests of the trail: one of each sort, and the two receivers that a site would have."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from titer.provenance.guard.policy import VERDICTS
from titer.provenance.guard.trail.event import DONE, Event

A, B, C, D, E = (each * 32 for each in ("a1", "b2", "c3", "d4", "e5"))
SEEN = {"program": A, "tensor": B, "model": C, "output": D}


def decision(verdict: str = "verified", action: str = "pass", mode: str = "flag", **more: object) -> Event:
    told: dict[str, object] = {
        "signer": A, "time": 1_700_000_000, "leaf_hash": B, "index": 7, "refs": (C,), "data": "dicom",
        "digests": SEEN if action in ("pass", "banner") else {}, "caller": E,
        "reasons": () if verdict == "verified" else ("content.px",), "seconds": {"model": 0.02, "lookup": 0.001},
    }  # fmt: skip
    kind = "override" if mode == "override" else "decision"
    return Event(kind, action, verdict=verdict, mode=mode, **(told | more))  # type: ignore[arg-type]


def events() -> list[Event]:
    """Every verdict under every action, an override, a capture, a derivation, and what no leaf holds."""
    found = [decision(verdict, action) for verdict in VERDICTS for action in DONE if action != "recorded"]
    people = {"first": D, "second": E, "reason": A}
    found.append(decision("altered", "banner", "override", digests=SEEN | people, refs=(C, D)))
    found.append(decision("error", "pass", "observe", leaf_hash="", index=None))
    found.append(decision("unknown", "quarantine", index=None, refs=(), reasons=("record.none",), caller=""))
    for kind in ("capture", "derive"):
        found.append(Event(kind, "recorded", A, 1_700_000_000, data="text", leaf_hash=B, index=3, refs=(C,)))  # type: ignore[arg-type]
    return found


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, a server for 127.0.0.1 and localhost, a client, and a client of a stranger."""

    authority: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]
    stranger: tuple[Path, Path]


def certificates(folder: Path) -> Certificates:
    """Fresh ones, for an hour."""
    root, other = _authority("root"), _authority("other")
    (folder / "root.pem").write_bytes(root[1].public_bytes(Encoding.PEM))
    made = [_issued(folder, name, root) for name in ("server", "client")]
    return Certificates(folder / "root.pem", made[0], made[1], _issued(folder, "stranger", other))


_Signed = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def _authority(name: str) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = _certificate(subject, subject, key).add_extension(x509.BasicConstraints(True, None), critical=True)
    return key, built.sign(key, hashes.SHA256())


def _issued(folder: Path, name: str, by: _Signed) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = _certificate(subject, by[1].subject, key).add_extension(names, critical=False).sign(by[0], hashes.SHA256())
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    built = built.serial_number(x509.random_serial_number())
    return built.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))


class SyslogReceiver:
    """A syslog server over TLS that keeps what it gets, whole frames alone.

    `tears` ends that many connections after the first bytes, unread; `polite` answers a farewell with one.
    """

    def __init__(self, made: Certificates, *, mutual: bool = False, tears: int = 0, polite: bool = True) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self._tears, self._polite = tears, polite
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*made.server)
        if mutual:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(made.authority)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> SyslogReceiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        # Closing alone does not wake a thread that waits in accept.
        with socket.socket() as waker:
            waker.settimeout(1)
            waker.connect_ex(("127.0.0.1", self.port))
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            try:
                with self._context.wrap_socket(plain, server_side=True) as secure:
                    self._receive(secure)
            except OSError:
                plain.close()

    def _receive(self, secure: ssl.SSLSocket) -> None:
        if self._tears:
            self._tears -= 1
            secure.recv(1)
            # What is unread when a socket is closed makes TCP reset the connection.
            secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return
        got = b""
        while chunk := secure.recv(65536):
            got += chunk
        while got:
            length, _, got = got.partition(b" ")
            frame, got = got[: int(length)], got[int(length) :]
            assert len(frame) == int(length)
            self.messages.append(frame)
        if self._polite:
            secure.unwrap()


@dataclass
class FhirReceiver:
    """A FHIR server that knows conditional create, and answers with the statuses that it is told first."""

    statuses: list[int] = field(default_factory=list)
    kept: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)

    def __enter__(self) -> FhirReceiver:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.asked.append(dict(self.headers))
                status = receiver.statuses.pop(0) if receiver.statuses else 201
                if status < 300 or status == 599:
                    # 599: kept, and the answer is lost.
                    condition = f"{self.path} {self.headers.get('If-None-Exist', len(receiver.kept))}"
                    receiver.kept.setdefault(condition, (self.path, raw))
                if status == 599:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/fhir"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
