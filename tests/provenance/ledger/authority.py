"""A time-stamp authority for tests: OpenSSL's `openssl ts`, behind a small web server."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,{purpose}
[tsa]
default_tsa = here
[here]
dir = .
serial = ./serial
signer_cert = ./leaf.pem
signer_key = ./leaf.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1, millisecs:500
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def require_openssl() -> None:
    """Skip where OpenSSL is missing; fail in continuous integration."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("needs OpenSSL's program: install the package openssl")
        pytest.skip("needs OpenSSL's program: install the package openssl")


class Authority:
    """Keys, certificates and a serial number in a folder."""

    def __init__(
        self, folder: Path, name: str = "Test authority", purpose: str = "timeStamping", days: int = 30
    ) -> None:
        require_openssl()
        folder.mkdir()
        self.folder, self.requests = folder, 0
        (folder / "ts.cnf").write_text(_CONFIG.format(name=name, purpose=purpose))
        (folder / "serial").write_text("01\n")
        new = ["req", "-config", "ts.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.run(*new, "-x509", "-extensions", "root", "-keyout", "root.key", "-out", "root.pem", "-days", "3650", "-subj", f"/CN={name} root")  # fmt: skip # noqa: E501
        self.run(*new, "-keyout", "leaf.key", "-out", "leaf.csr")
        self.run("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "7", "-days", str(days), "-extfile", "ts.cnf", "-extensions", "leaf", "-out", "leaf.pem")  # fmt: skip # noqa: E501

    @property
    def root(self) -> bytes:
        return (self.folder / "root.pem").read_bytes()

    def run(self, *words: str) -> str:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answer(self, query: bytes) -> bytes:
        """The answer to a request, as OpenSSL makes it."""
        self.requests += 1
        (self.folder / "query.tsq").write_bytes(query)
        self.run(
            "ts", "-reply", "-config", "ts.cnf", "-section", "here", "-queryfile", "query.tsq", "-out", "answer.tsr"
        )
        return (self.folder / "answer.tsr").read_bytes()

    def stamp(self, message: bytes, *options: str) -> bytes:
        """A token over a message, requested by OpenSSL as well."""
        (self.folder / "message").write_bytes(message)
        self.run("ts", "-query", "-data", "message", "-sha256", *(options or ("-cert",)), "-out", "own.tsq")
        return self.answer((self.folder / "own.tsq").read_bytes())

    def verifies(self, token: bytes, message: bytes) -> bool:
        """Whether OpenSSL takes a token for one over a message."""
        (self.folder / "message").write_bytes(message)
        (self.folder / "token.tsr").write_bytes(token)
        command = ["openssl", "ts", "-verify", "-data", "message", "-in", "token.tsr", "-CAfile", "root.pem"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=False).returncode == 0


@contextmanager
def served(authority: Authority) -> Iterator[str]:
    """The address of an authority."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            raw = authority.answer(query)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
