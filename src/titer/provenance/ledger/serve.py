"""Serving a log's static files: to this machine by default.

Any web server can serve the folder `public` as it is; this one needs no set-up. It answers GET and HEAD for the paths
of the layout, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from titer.errors import LedgerError
from titer.provenance.ledger._layout import is_token_place, parse_place

_IMMUTABLE = "public, max-age=31536000, immutable"


class QuietHandler(BaseHTTPRequestHandler):
    """Answers over HTTP/1.1, keeps connections open, and tells nothing of itself or of who asks."""

    protocol_version = "HTTP/1.1"
    server_version = "titer"
    sys_version = ""
    timeout = 30

    def answer(
        self,
        status: int,
        raw: bytes,
        kind: str,
        *,
        caching: str = "no-store",
        body: bool = True,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Send an answer; `more` are further headers."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Cache-Control", caching)
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (more or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if body:
            self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's signature
        """Requests are not logged: their addresses are nobody's business."""


class _Handler(QuietHandler):
    server: Server

    def do_GET(self) -> None:
        """Answer with a file."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer with a file's headers."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0].removeprefix("/")
        raw = self.server.content(path)
        status, kind, caching = 200, "application/octet-stream", _IMMUTABLE
        if path == "checkpoint" or is_token_place(path):
            kind, caching = "text/plain; charset=utf-8", "no-cache"
        if raw is None:
            status, kind, caching, raw = 404, "text/plain; charset=utf-8", "no-cache", b"not found\n"
        self.answer(status, raw, kind, caching=caching, body=body)


class BoundedServer(ThreadingHTTPServer):
    """A web server that answers in threads, never more than `most` at once; others wait, or are sent away.

    Arguments
        handler: what answers. host, port: where to listen; port 0 takes a free one.
    """

    most: ClassVar[int] = 64
    patient: ClassVar[bool] = True
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str, port: int) -> None:
        self._slots = threading.BoundedSemaphore(self.most)
        try:
            super().__init__((host, port), handler)
        except OSError as error:
            raise LedgerError(
                f"an address to listen at, {host}:{port}", str(error.strerror), "choose another", code="serve.address"
            ) from error

    @property
    def address(self) -> str:
        """Where it is served."""
        host, port = self.server_address[:2]
        return f"http://{host if isinstance(host, str) else host.decode()}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, of which there are never too many."""
        # Whoever opens connections without end waits here, and the ledger itself goes on.
        if not self._slots.acquire(blocking=self.patient):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Server(BoundedServer):
    """A web server over a log's `public` folder, and over the time tokens beside it.

    Arguments
        folder: the ledger's folder.
        host, port: where to listen; port 0 takes a free one.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self._folder = folder
        super().__init__(_Handler, host, port)

    def content(self, path: str) -> bytes | None:
        """The bytes at a path of the layout; None for everything else."""
        if is_token_place(path):
            return _content(self._folder / path)
        if path != "checkpoint" and parse_place(path) is None:
            return None
        return _content(self._folder / "public" / path)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
