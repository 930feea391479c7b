"""A web server in a thread: for this machine alone by default, with bounds on connections and on who dawdles."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from titer.errors import GuardError
from titer.provenance.guard.tokens import Tokens

_HEAD_SECONDS = 10.0
_HEAD_BYTES = 32 * 1024
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Tls:
    """Files for HTTPS: certificate chain and private key; `callers`: authorities that must vouch for callers."""

    certificate: Path
    key: Path
    callers: Path | None = None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later, with these files."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.load_cert_chain(self.certificate, self.key)
            if self.callers is not None:
                made.load_verify_locations(self.callers)
                made.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise _refused(
                "a certificate, its key and authorities in PEM", type(error).__name__, "correct the files", "serve.tls"
            ) from error
        return made


def require_safe(host: str, tokens: Tokens | None, tls: Tls | None, *, open_door: bool) -> None:
    """Refuse to serve without tokens, unless on this machine alone and told to; and tokens in the clear to others."""
    alone = is_loopback(host)
    if tokens is None and not (alone and open_door):
        expected, remedy = "tokens of callers", "make a file of them with `titer guard token`"
        if alone:
            remedy += ", or say 'open' where nobody else uses this machine"
        else:
            expected += ", for a server that other machines reach"
        raise _refused(expected, "none", remedy, "serve.tokens")
    if not alone and tls is None:
        raise _refused(
            "a certificate, for a server that other machines reach", "none", "give certificate and key", "serve.tls"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("hospital.example")
    (True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Prompt(H11Protocol):
    """Closes a connection on which a request has begun, or none has come, and is not whole in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._hurry()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before or (self.cycle is not None and not self.cycle.response_complete):
            self._calm()
        elif self._late is None:
            self._hurry()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _hurry(self) -> None:
        self._late = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def _calm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server:
    """A running web server; use it in a `with` statement.

    Arguments
        application: what answers. host, port: where to listen; port 0 takes a free one, see `port`.
        tls: for HTTPS. connections: how many at once; more are told that the server is busy.
    """

    def __init__(
        self,
        application: FastAPI,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: Tls | None = None,
        connections: int = 64,
    ) -> None:
        self._config = uvicorn.Config(
            application,
            http=_Prompt,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=connections,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=30,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        self._config.load()
        self._config.ssl = None if tls is None else tls.context()
        self._secure = tls is not None
        self._host, self.port = host, port
        self._server = uvicorn.Server(self._config)
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Server:
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((self._host, self.port))
            self.port = int(self._socket.getsockname()[1])
        except OSError as error:
            raise _refused("an address to listen at", str(error.strerror), "choose another", "serve.address") from error
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()
        until = time.monotonic() + _START_SECONDS
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.005)
        if not self._server.started:
            raise _refused("a web server that starts", "one that does not", "see the messages above", "serve.start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    @property
    def address(self) -> str:
        """Where it is served."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._secure else 'http'}://{host}:{self.port}"

    def _run(self) -> None:
        assert self._socket is not None
        asyncio.run(self._server.serve(sockets=[self._socket]))


def _refused(expected: str, got: str, remedy: str, code: str) -> GuardError:
    return GuardError(expected, got, remedy, code=code)
