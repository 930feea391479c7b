"""The terms on which an endpoint is asked, and what an address and a token must be."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from titer.errors import EndpointError, PlanError
from titer.models.adapters.probe import first_line


@dataclass(frozen=True)
class Service:
    """The terms on which an endpoint is asked.

    Arguments
        timeout: seconds for one request, from connecting to the last byte.
        retries: attempts after the first, on 429, 502, 503, 504, timeouts and broken connections.
        wait: seconds before the first retry, doubled each time; the server's Retry-After comes first.
        longest: seconds that a single wait may take.
        rate: requests per second, or None.
        max_queries: cases that may be sent in all, repeats included, or None; a ledger counts for several processes.
        max_bytes: largest answer.
        token_env: environment variable that holds the access token. token_header: the header that carries it; in
            "Authorization" as a bearer token, elsewhere as it is.
        ca: file of certificates to trust instead of the system's.
        plain_http: allow http:// to other machines; never with a token.
    """

    timeout: float = 30.0
    retries: int = 4
    wait: float = 0.5
    longest: float = 60.0
    rate: float | None = None
    max_queries: int | None = None
    max_bytes: int = 64 * 2**20
    token_env: str | None = None
    token_header: str = "Authorization"
    ca: Path | None = None
    plain_http: bool = False

    def __post_init__(self) -> None:
        least: dict[str, tuple[float | None, bool]] = {
            "timeout": (self.timeout, False), "wait": (self.wait, True), "longest": (self.longest, True),
            "rate": (self.rate, False), "max_bytes": (self.max_bytes, False), "max_queries": (self.max_queries, False),
            "retries": (self.retries, True),
        }  # fmt: skip
        for label, (value, zero) in least.items():
            if value is not None and not (value > 0 or (zero and value == 0)):
                raise PlanError(f"{label} {'of at least' if zero else 'above'} 0", str(value), f"correct {label!r}")


def checked_url(url: str, service: Service) -> str:
    """The address, if it may be asked: https, or http on this machine; no credentials, query or fragment in it.

    >>> checked_url("http://127.0.0.1:8000/v2/models/chest/", Service())
    'http://127.0.0.1:8000/v2/models/chest'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PlanError("an address of an endpoint", f"{first_line(error)}", "correct 'url'") from error
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise PlanError("an address such as https://host/v2/models/name", repr(url), "correct 'url'")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise PlanError(
            "an address without user, password, query or fragment",
            f"one for {host} that has them",
            "put the secret into an environment variable and name it with 'token_env'",
        )
    if parts.scheme == "http" and not _loopback(host):
        if service.token_env:
            raise PlanError("https:// to send a token", f"http:// to {host}", "use https://")
        if not service.plain_http:
            raise PlanError(
                "https:// to another machine", f"http:// to {host}", "use https://, or say 'plain_http: true'"
            )
    return url.rstrip("/")


def parse_json(body: bytes) -> Any:
    """The value in a JSON answer; what is no JSON is refused with its beginning."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EndpointError(
            "an answer in JSON", f"{len(body)} bytes that begin with {body[:40]!r}", "check the address and 'protocol'"
        ) from error


def retry_after(text: str, now: datetime | None = None) -> float:
    """Seconds that a Retry-After header asks for; 0 if it asks for nothing readable.

    >>> retry_after("3"), retry_after("soon")
    (3.0, 0.0)
    """
    if text.strip().isdecimal():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())


def token_headers(service: Service) -> dict[str, str]:
    """The header with the access token, read from its environment variable; empty if there is none."""
    if service.token_env is None:
        return {}
    token = os.environ.get(service.token_env, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise EndpointError(
            f"an access token in the environment variable {service.token_env}", "none that can be sent", "set it"
        )
    bearer = service.token_header.lower() == "authorization"
    return {service.token_header: f"Bearer {token}" if bearer else token}


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
