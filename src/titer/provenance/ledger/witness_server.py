"""Serving a witness: to this machine by default.

POST add-checkpoint             a request for cosignatures
GET HASH/checkpoint             the latest cosigned checkpoint of a log; HASH is the SHA-256 of its origin

The protocol knows no other credentials than the log's signature on what it asks for. TLS, and who may connect, are
matters of a proxy before it.
"""

from __future__ import annotations

from hashlib import sha256

from titer.errors import LedgerError
from titer.provenance.ledger.serve import BoundedServer, QuietHandler
from titer.provenance.ledger.witness import LARGEST, TEXT_TYPE, Witness


class _Handler(QuietHandler):
    server: WitnessServer

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer a request for cosignatures."""
        if self.path != "/add-checkpoint":
            self._refuse(404, b"not found\n")
            return
        told = self.headers.get("Content-Length", "")
        if not told.isascii() or not told.isdigit() or self.headers.get("Transfer-Encoding"):
            self._refuse(411, b"the length of the request must be told\n")
            return
        if len(told) > 9 or int(told) > LARGEST:
            self._refuse(413, b"at most %d bytes\n" % LARGEST)
            return
        body = self.rfile.read(int(told))
        if len(body) < int(told):
            self._refuse(400, b"the request ends too early\n")
            return
        made = self.server.witness.add_checkpoint(body)
        self.answer(made.status, made.body, made.kind)

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer with what was cosigned last."""
        origin = self.server.named.get(self.path.removeprefix("/").removesuffix("/checkpoint"))
        try:
            raw = None if origin is None or not self.path.endswith("/checkpoint") else self._latest(origin)
        except LedgerError as error:
            self.answer(500, f"{error.code}\n".encode(), TEXT_TYPE)
            return
        self.answer(404 if raw is None else 200, b"not found\n" if raw is None else raw, TEXT_TYPE)

    def _latest(self, origin: str) -> bytes | None:
        return self.server.witness.latest(origin)

    def _refuse(self, status: int, why: bytes) -> None:
        # What follows was not read, so the connection cannot go on.
        self.close_connection = True
        self.answer(status, why, TEXT_TYPE)


class WitnessServer(BoundedServer):
    """A web server over a witness.

    Arguments
        witness: what answers. host, port: where to listen; port 0 takes a free one.
    """

    def __init__(self, witness: Witness, host: str = "127.0.0.1", port: int = 0) -> None:
        self.witness = witness
        self.named = {sha256(origin.encode()).hexdigest(): origin for origin in witness.origins}
        super().__init__(_Handler, host, port)
