"""Syslog over TLS, as IHE ATNA asks: messages of RFC 5424, framed and sent as RFC 5425 says.

The protocol has no answer to a message. So that none is lost unseen, each batch has a connection of its own, and counts
as delivered only once the receiver has closed it in turn: TCP resets a connection whose bytes were not read.

Sources: RFC 5424; RFC 5425 (4.3 framing, 4.4 closing); IHE ITI TF-2, ITI-20; DICOM PS3.15, A.6.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from titer.errors import GuardError
from titer.provenance.guard.trail.event import require_source
from titer.provenance.guard.trail.fhir import when

PORT = 6514
"""The port of syslog over TLS."""

_PRIORITY = 10 * 8 + 5  # facility 10, security and authorization; severity 5, notice
_MARK = b"\xef\xbb\xbf"


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
    ) -> None:
        self._address, self._timeout = (host, port), timeout
        self._context = client_context(authorities, certificate, key)

    def send(self, messages: Sequence[bytes]) -> None:
        """Deliver messages in one connection; GuardError unless the receiver has taken all of them."""
        try:
            with socket.create_connection(self._address, self._timeout) as plain:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._context.wrap_socket(plain, server_hostname=self._address[0]) as secure:
                    secure.settimeout(self._timeout)
                    secure.sendall(b"".join(map(framed, messages)))
                    _close(secure)
        except (OSError, ssl.CertificateError) as error:
            raise GuardError(
                "a syslog receiver that takes messages over TLS",
                f"{type(error).__name__}",
                "see that it runs, and that each side knows the other's certificate",
                code="trail.unreachable",
            ) from error


def _close(secure: ssl.SSLSocket) -> None:
    """Say that this was all, and wait until the receiver has read it and closes too."""
    # A receiver may end TCP without TLS's own farewell; an end is an end, while unread bytes would be a reset.
    with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
        secure.unwrap()


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
