"""What commands that serve have in common: how they listen, and how they end."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from titer.errors import PlanError

if TYPE_CHECKING:
    from titer.provenance.guard.serving import Tls


@contextmanager
def logged() -> Iterator[None]:
    """Meanwhile the program's log is written to standard error, as lines of JSON that hold no identifier."""
    import logging

    from titer.provenance.guard.trail.logs import OURS, handler

    log, lines = logging.getLogger(OURS), handler()
    before = log.level, log.propagate
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(lines)
        log.level, log.propagate = before


def wait(addresses: Iterable[str]) -> None:
    """Say where this process listens, then wait until it is told to end (SIGINT or SIGTERM)."""
    import signal

    stop = threading.Event()
    before = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        for each in addresses:
            click.echo(f"Listening at {each}")
        stop.wait()
        click.echo("Stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tls_of(certificate: Path | None, key: Path | None, authorities: Path | None) -> Tls | None:
    """The files for TLS; None without any of them."""
    from titer.provenance.guard.serving import Tls

    if certificate is None and key is None and authorities is None:
        return None
    if certificate is None or key is None:
        raise PlanError("a certificate and its key", "one of them", "give both")
    return Tls(certificate, key, authorities)


def dicom_tls(host: str, tls: Tls | None, *, open_door: bool) -> ssl.SSLContext | None:
    """How a DICOM server is secured: titles of senders are no credentials, so others need TLS with certificates."""
    from titer.provenance.guard.serving import is_loopback

    if not is_loopback(host) and not open_door and (tls is None or tls.callers is None):
        raise PlanError(
            "a certificate, its key and authorities of callers, for a server that other machines reach",
            "none",
            "give them, or say 'open' on a network that is closed to strangers",
        )
    return None if tls is None else tls.context()
