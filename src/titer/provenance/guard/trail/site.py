"""All ways out of a guard, opened and closed together, from the settings of a site."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from titer.errors import GuardError
from titer.provenance.guard.trail.atna import Atna
from titer.provenance.guard.trail.event import require_source
from titer.provenance.guard.trail.fhir import Fhir
from titer.provenance.guard.trail.fhir_server import FhirServer
from titer.provenance.guard.trail.listeners import Listener, Listeners
from titer.provenance.guard.trail.logs import Log
from titer.provenance.guard.trail.ndjson import NdjsonFolder
from titer.provenance.guard.trail.outbox import Outbox
from titer.provenance.guard.trail.spool import Spool
from titer.provenance.guard.trail.syslog import PORT, TlsSyslog, message
from titer.provenance.ledger.ledger import Ledger


@dataclass(frozen=True)
class Settings:
    """What a site wants told, and to whom; what it does not name is not told.

    Arguments
        source: the name of this guard for others, which names no person and no host.
        folder: for queues, and for files of FHIR resources.
        files: whether resources are written to `folder/fhir`.
        fhir: base address of a FHIR server. syslog, syslog_port: a receiver of ATNA messages.
        farewell: as for `TlsSyslog`.
        metrics_port, metrics_host: where `/metrics` is served; None for nowhere, 0 for a free port.
        authorities, certificate, key: PEM files for both connections, see `TlsSyslog`.
        fhir_token, metrics_token: files that hold a token alone; the first is read at each request.
    """

    source: str
    folder: Path
    files: bool = True
    fhir: str | None = None
    syslog: str | None = None
    syslog_port: int = PORT
    farewell: bool = True
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    fhir_token: Path | None = None
    metrics_token: Path | None = None

    @classmethod
    def of(cls, told: dict[str, Any]) -> Settings:
        """Settings as a file would hold them, with paths as text; GuardError for names that there are none of."""
        known = {each.name for each in fields(cls)}
        if not {"source", "folder"} <= set(told) <= known:
            raise GuardError(
                f"of {', '.join(sorted(known))} at least source and folder",
                ", ".join(sorted(map(str, told))) or "none",
                "mend the settings",
                code="trail.settings",
            )
        paths = ("folder", "authorities", "certificate", "key", "fhir_token", "metrics_token")
        made: dict[str, Any] = {name: Path(value) if name in paths and value else value for name, value in told.items()}
        return cls(**made)


class Trail:
    """The ways out, open; use it in a `with` statement, and give `listeners` to guards and capture points.

    Arguments
        settings: of the site. ledger: whose sizes are told as metrics.
    """

    def __init__(self, settings: Settings, ledger: Ledger | None = None) -> None:
        source = require_source(settings.source)
        self.queues: dict[str, Outbox] = {}
        self.metrics_port: int | None = None
        self._watch: Callable[[Listeners], None] | None = None
        tls: dict[str, Any] = {name: getattr(settings, name) for name in ("authorities", "certificate", "key")}
        told: list[Listener] = [Log()]
        slow: list[Listener] = []
        with ExitStack() as stack:
            if settings.files:
                files = NdjsonFolder(settings.folder / "fhir")
                stack.callback(files.close)
                slow.append(Fhir(source, files.put))
            if settings.fhir is not None:
                token = None if settings.fhir_token is None else _read(settings.fhir_token)
                server = FhirServer(settings.fhir, token=token, **tls)
                stack.callback(server.close)
                slow.append(Fhir(source, self._queue(stack, settings, "fhir", server.send, 1)))
            if settings.syslog is not None:
                receiver = TlsSyslog(settings.syslog, settings.syslog_port, farewell=settings.farewell, **tls)
                slow.append(Atna(source, self._queue(stack, settings, "atna", receiver.send, 64), message))
            if settings.metrics_port is not None:
                told.append(self._metrics(stack, settings, settings.metrics_port, ledger))
            if slow:
                spool = Spool(settings.folder / "events.sqlite", slow)
                self.queues = {"events": stack.enter_context(spool.outbox), **self.queues}
                self.watch(spool.listeners)
                told.append(spool)
            self._stack = stack.pop_all()
        self.listeners = tuple(told)

    def __enter__(self) -> Trail:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def watch(self, listeners: Listeners) -> None:
        """Tell the failures of a guard's listeners (`guarded.listeners`) as metrics."""
        if self._watch is not None:
            self._watch(listeners)

    def drain(self, timeout: float) -> bool:
        """Wait until nothing waits anywhere; False where something still does after `timeout` seconds."""
        until = time.monotonic() + timeout
        return all(each.drain(max(0.0, until - time.monotonic())) for each in self.queues.values())

    def close(self) -> None:
        """Stop telling; what waits is sent when the trail is opened again."""
        self._stack.close()

    def _queue(self, stack: ExitStack, settings: Settings, name: str, send: Any, batch: int) -> Callable[[bytes], None]:
        self.queues[name] = stack.enter_context(Outbox(settings.folder / f"{name}.sqlite", send, batch=batch))
        return self.queues[name].put

    def _metrics(self, stack: ExitStack, settings: Settings, port: int, ledger: Ledger | None) -> Listener:
        from titer.provenance.guard.trail.metrics import Metrics
        from titer.provenance.guard.trail.metrics_server import MetricsServer

        made = Metrics(ledger, lambda: self.queues)
        self._watch = made.watch
        token = None if settings.metrics_token is None else _read(settings.metrics_token)()
        server = MetricsServer(made.registry, settings.metrics_host, port, token=token)
        self.metrics_port = stack.enter_context(server).port
        return made


def _read(path: Path) -> Callable[[], str]:
    def token() -> str:
        try:
            return path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise GuardError(
                "a file that holds a token", type(error).__name__, "write it there", code="trail.token"
            ) from error

    token()
    return token
