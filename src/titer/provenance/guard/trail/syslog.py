"""Syslog over TLS, as IHE ATNA asks: messages of RFC 5424, framed and sent as RFC 5425 says.

The protocol has no answer to a message. So that none is lost unseen, each batch has a connection of its own, and counts
as delivered once the receiver has answered the end of it, as RFC 5425 obliges it to: TLS gives that answer only after
everything before it.

Sources: RFC 5424; RFC 5425 (4.3 framing, 4.4 closing); IHE ITI TF-2, ITI-20; DICOM PS3.15, A.6.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from titer.errors import GuardError
from titer.provenance.guard.trail.event import require_source
from titer.provenance.guard.trail.fhir import when

PORT = 6514
"""The port of syslog over TLS."""

_PRIORITY = 10 * 8 + 5  # facility 10, security and authorization; severity 5, notice
_MARK = b"\xef\xbb\xbf"
_CHUNK = 65536


def message(xml: bytes, time: int, *, host: str = "-", program: str = "titer") -> bytes:
    """A syslog message that holds an audit message.

    Arguments
        xml: of `audit_message`. time: seconds since 1970. host, program: names that it comes from; `-` names no host.

    >>> message(b"<AuditMessage/>", 0)
    b'<85>1 1970-01-01T00:00:00Z - titer - IHE+RFC-3881 - \\xef\\xbb\\xbf<AuditMessage/>'
    """
    for each in (host, program):
        if each != "-":
            require_source(each)
    head = f"<{_PRIORITY}>1 {when(time)} {host} {program} - IHE+RFC-3881 - "
    return head.encode("ascii") + _MARK + xml


def framed(raw: bytes) -> bytes:
    """A message with its length before it.

    >>> framed(b"<85>1")
    b'5 <85>1'
    """
    return b"%d %s" % (len(raw), raw)


class TlsSyslog:
    """Sends to one receiver; give `send` to an `Outbox`.

    Arguments
        host, port: of the receiver, whose certificate must be for this name.
        authorities: PEM file of those whose certificates count; None for those of the system.
        certificate, key: PEM files of this guard's own certificate, for receivers that ask for one.
        timeout: seconds for each step.
        farewell: whether the receiver's own close_notify is waited for. False for receivers that break off instead:
            then what was under way while one of them went down can be lost.
    """

    def __init__(
        self,
        host: str,
        port: int = PORT,
        *,
        authorities: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        timeout: float = 10.0,
        farewell: bool = True,
    ) -> None:
        self._address, self._timeout, self._farewell = (host, port), timeout, farewell
        self._context = client_context(authorities, certificate, key)

    def send(self, messages: Sequence[bytes]) -> None:
        """Deliver messages in one connection; GuardError unless the receiver has taken all of them."""
        try:
            with socket.create_connection(self._address, self._timeout) as plain:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                talk = _Talk(plain, self._context, self._address[0])
                talk.say(b"".join(map(framed, messages)))
                talk.end(farewell=self._farewell)
        except (OSError, ssl.CertificateError) as error:
            raise GuardError(
                "a syslog receiver that takes messages over TLS",
                f"{type(error).__name__}",
                "see that it runs, and that each side knows the other's certificate",
                code="trail.unreachable",
            ) from error


class _Talk:
    """One TLS connection over buffers of its own.

    Python's `unwrap` takes a fatal alert for a farewell, so that a receiver which refuses our certificate would seem to
    have taken everything; here the end is read like any other bytes, and an alert stays an error.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain, self._incoming, self._outgoing = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secure = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._do(self._secure.do_handshake)

    def say(self, raw: bytes) -> None:
        self._do(lambda: self._secure.write(raw))

    def end(self, *, farewell: bool) -> None:
        """Say that this was all, and wait until the receiver says so too."""
        with suppress(ssl.SSLWantReadError):
            while self._incoming.pending:
                self._secure.read(_CHUNK)
        with suppress(ssl.SSLWantReadError):
            self._secure.unwrap()
        try:
            # A receiver has nothing to say; one that talks without end has not understood.
            for _ in range(_CHUNK):
                if not self._do(lambda: self._secure.read(_CHUNK)):
                    return
            raise OSError("a receiver that does not stop")
        except ssl.SSLZeroReturnError:
            return
        except ssl.SSLEOFError:
            if farewell:
                raise

    def _do(self, work: Callable[[], Any]) -> Any:
        while True:
            try:
                done = work()
            except ssl.SSLWantReadError:
                self._plain.sendall(self._outgoing.read())
                chunk = self._plain.recv(_CHUNK)
                if chunk:
                    self._incoming.write(chunk)
                else:
                    self._incoming.write_eof()
            else:
                self._plain.sendall(self._outgoing.read())
                return done


def client_context(authorities: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later, the other side's certificate and name checked; GuardError for files that cannot be used."""
    if (certificate is None) != (key is None):
        raise GuardError(
            "a certificate and its key, or neither", "one of them", "name both files", code="trail.certificate"
        )
    try:
        context = ssl.create_default_context(cafile=None if authorities is None else str(authorities))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None and key is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise GuardError(
            "certificates and a key in PEM files",
            type(error).__name__,
            "look at the files that are named",
            code="trail.certificate",
        ) from error
    return context


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("fhir.example")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
