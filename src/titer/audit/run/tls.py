"""How a scheduler is reached: who may be asked in the clear, and what proves who asks."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from titer.errors import PlanError

_REMEDY = (
    "give ca, cert and key (--tls-ca, --tls-cert, --tls-key), or set distributed.comm.tls.ca-file, client.cert and "
    "client.key in Dask's configuration"
)


@dataclass(frozen=True)
class Credentials:
    """Files (PEM) of the mutual proof: the authority that both sides trust, our certificate and its key."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def check_address(address: str) -> str:
    """The scheme of an address that may be used, or PlanError.

    Unencrypted only on this machine: whoever can speak to a scheduler can run code on its workers.

    >>> check_address("tcp://127.0.0.1:8786"), check_address("tls://cluster.example:8786")
    ('tcp', 'tls')
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.scheme not in ("tcp", "tls"):
        raise PlanError(
            'a scheduler: "inline", "processes", tcp://127.0.0.1:PORT or tls://HOST:PORT', repr(address), "correct it"
        )
    if parts.scheme == "tcp" and not _is_loopback(host):
        raise PlanError(
            f"mutual TLS to a scheduler on another machine ({host})",
            address,
            f"start the scheduler with TLS and write tls://{host}:{port}",
        )
    return parts.scheme


def checked(given: Credentials) -> Credentials:
    """The given files, filled up from Dask's configuration, if all three are there and fit; else PlanError."""
    config = import_module("dask.config")
    named = {
        "ca": given.ca or config.get("distributed.comm.tls.ca-file", None),
        "cert": given.cert or config.get("distributed.comm.tls.client.cert", None),
        "key": given.key or config.get("distributed.comm.tls.client.key", None),
    }
    lacking = [name for name, path in named.items() if not path]
    if lacking:
        raise PlanError("ca, cert and key for mutual TLS", f"no {' and no '.join(lacking)}", _REMEDY)
    files = {name: Path(str(path)) for name, path in named.items()}
    for name, path in files.items():
        if not path.is_file():
            raise PlanError(f"a file for {name}", str(path), _REMEDY)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(files["ca"])
        context.load_cert_chain(files["cert"], files["key"])
    except (ssl.SSLError, OSError) as error:
        raise PlanError("PEM files of an authority, a certificate and its own key", str(error), _REMEDY) from error
    return Credentials(**files)


def security(credentials: Credentials) -> Any:
    """Dask's form of it; connections in the clear are refused in both directions."""
    files = checked(credentials)
    return import_module("distributed.security").Security(
        tls_ca_file=str(files.ca),
        tls_client_cert=str(files.cert),
        tls_client_key=str(files.key),
        require_encryption=True,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
