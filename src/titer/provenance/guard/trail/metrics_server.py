"""`/metrics` for Prometheus, on this machine by default and on a port of its own."""

from __future__ import annotations

import hmac
import threading
from types import TracebackType

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from titer.errors import GuardError, LedgerError
from titer.provenance.guard.trail.syslog import is_loopback
from titer.provenance.ledger.serve import BoundedServer, QuietHandler

_TOKEN_BYTES = 16


class _Handler(QuietHandler):
    timeout = 10
    server: MetricsServer

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer with the numbers."""
        plain = "text/plain; charset=utf-8"
        if not self.server.admits(self.headers.get("Authorization", "")):
            self.answer(401, b"a token is needed\n", plain, more={"WWW-Authenticate": "Bearer"})
        elif self.path.partition("?")[0] != "/metrics":
            self.answer(404, b"not found\n", plain)
        else:
            self.answer(200, generate_latest(self.server.registry), CONTENT_TYPE_PLAIN_0_0_4)


class MetricsServer(BoundedServer):
    """Serves a registry; use it in a `with` statement.

    Arguments
        registry: such as `Metrics.registry`. host, port: where to listen; port 0 takes a free one.
        token: what a request must bear; needed wherever others than this machine can ask.
    """

    # Numbers are asked for again soon: nobody has to wait for them.
    most = 8
    patient = False

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
        try:
            super().__init__(_Handler, host, port)
        except LedgerError as error:
            raise GuardError(f"port {port} free", error.got, error.remedy, code="metrics.address") from error
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
