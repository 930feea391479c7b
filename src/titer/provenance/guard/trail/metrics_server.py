"""`/metrics` for Prometheus, on this machine by default and on a port of its own."""

from __future__ import annotations

import hmac
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from titer.errors import GuardError
from titer.provenance.guard.trail.syslog import is_loopback

_BUSY = 8
_TOKEN_BYTES = 16


class _Handler(BaseHTTPRequestHandler):
    server_version = "titer"
    sys_version = ""
    timeout = 10
    server: MetricsServer

    def do_GET(self) -> None:
        """Answer with the numbers."""
        if not self.server.admits(self.headers.get("Authorization", "")):
            self._answer(401, b"a token is needed\n", {"WWW-Authenticate": "Bearer"})
        elif self.path.partition("?")[0] != "/metrics":
            self._answer(404, b"not found\n", {})
        else:
            self._answer(200, generate_latest(self.server.registry), {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    def _answer(self, status: int, raw: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/plain; charset=utf-8"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's signature
        """Requests are not logged: their addresses are nobody's business."""


class MetricsServer(ThreadingHTTPServer):
    """Serves a registry; use it in a `with` statement.

    Arguments
        registry: such as `Metrics.registry`. host, port: where to listen; port 0 takes a free one.
        token: what a request must bear; needed wherever others than this machine can ask.
    """

    daemon_threads = True

    def __init__(
        self, registry: CollectorRegistry, host: str = "127.0.0.1", port: int = 0, *, token: str | None = None
    ) -> None:
        if (token is None and not is_loopback(host)) or (token is not None and len(token) < _TOKEN_BYTES):
            raise GuardError(
                f"a token of at least {_TOKEN_BYTES} characters, or an address of this machine alone",
                "neither" if token is None else f"a token of {len(token)} characters",
                "make one with `secrets.token_urlsafe()`, and give it to Prometheus as `authorization`",
                code="metrics.token",
            )
        self.registry = registry
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._slots = threading.BoundedSemaphore(_BUSY)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise GuardError(
                f"port {port} of this machine, free", str(error.strerror), "choose another", code="metrics.address"
            ) from error
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)

    def __enter__(self) -> MetricsServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def admits(self, authorization: str) -> bool:
        """Whether a request bears the token."""
        if self._expected is None:
            return True
        return hmac.compare_digest(self._expected, authorization.encode("utf-8", "surrogateescape"))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, of which there are a few at most."""
        if not self._slots.acquire(blocking=False):
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
