"""How an endpoint is reached: one host, with timeouts, retries, a rate, a budget and a bound on what it may answer."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from titer.errors import EndpointError
from titer.models.adapters.http_terms import Service, checked_url, retry_after, token_headers
from titer.models.adapters.ledger import Ledger
from titer.models.adapters.probe import first_line

_AGAIN = (429, 502, 503, 504)
_HOPS = 3


@dataclass(frozen=True)
class Reply:
    """What came back: headers in lower case, and the body."""

    headers: Mapping[str, str]
    body: bytes


class Client:
    """One endpoint, asked politely and counted.

    Arguments
        url: http:// or https:// without credentials, query or fragment.
        service: the terms. ledger: where queries are counted for all processes, if not by each for itself.
        sleep, clock: for tests.

    Attributes
        queries: cases sent, repeats included. requests: requests sent. retried: those sent again.
    """

    def __init__(
        self,
        url: str,
        service: Service,
        *,
        ledger: Ledger | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = checked_url(url, service)
        self.service = service
        self.ledger = ledger
        self.queries = self.requests = self.retried = 0
        self._sleep, self._clock = sleep, clock
        self._free = float("-inf")
        self._lock = threading.Lock()
        self._token = token_headers(service)
        self._http = _httpx_client(service, self.url.startswith("https://"))

    def __repr__(self) -> str:
        return f"Client({self.url!r}, queries={self.queries})"

    def get(self, url: str) -> Reply:
        """Read an address of the same endpoint."""
        return self._asked("GET", url, None, {}, 0)

    def post(
        self, content: bytes, kind: str, cases: int, *, url: str = "", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send `cases` cases and return the answer.

        Arguments
            content, kind: body and its content type. url: where to, if not to the endpoint's own address.
        """
        return self._asked("POST", url or self.url, content, {"Content-Type": kind, **(headers or {})}, cases)

    def _asked(self, method: str, url: str, content: bytes | None, headers: dict[str, str], cases: int) -> Reply:
        import httpx

        problem, pause = "", 0.0
        for attempt in range(self.service.retries + 1):
            if attempt:
                self._sleep(min(pause or self.service.wait * 2 ** (attempt - 1), self.service.longest))
                self.retried += 1
            try:
                status, reply = self._followed(method, url, content, headers, cases)
            except (httpx.TransportError, httpx.InvalidURL, TimeoutError) as error:
                problem, pause = self._broken(error), 0.0
                continue
            if status == 200:
                return reply
            problem = f"HTTP {status}{_said(reply)}"
            if status not in _AGAIN:
                raise self._refused(status, problem)
            pause = self._retry_after(reply)
        raise EndpointError(
            f"an answer from {self.url} within {self.service.retries + 1} attempts",
            problem,
            "check that the service runs; raise 'timeout' or 'retries', or lower 'rate' or 'batch'",
        )

    def _followed(
        self, method: str, url: str, content: bytes | None, headers: dict[str, str], cases: int
    ) -> tuple[int, Reply]:
        """One attempt; redirects are followed on the same host only, and only where they keep the method."""
        for _ in range(_HOPS):
            self._charge(cases)
            self._pace()
            status, reply = self._once(method, url, content, headers)
            if status not in (301, 302, 303, 307, 308):
                return status, reply
            url = self._redirected(method, url, status, reply.headers.get("location", ""))
        raise EndpointError(f"at most {_HOPS} redirects", f"more at {self.url}", "give the final address")

    def _redirected(self, method: str, url: str, status: int, location: str) -> str:
        try:
            target = urljoin(url, location)
            same, host = _origin(target) == _origin(url), urlsplit(target).hostname
        except ValueError:
            same, host = False, None
        if not same or not location or (method == "POST" and status not in (307, 308)):
            raise EndpointError(
                f"an answer from {self.url}", f"HTTP {status} that leads to {host}", "give the final address"
            )
        return target

    def _once(self, method: str, url: str, content: bytes | None, headers: dict[str, str]) -> tuple[int, Reply]:
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", **headers, **self._token}
        most, until = self.service.max_bytes, self._clock() + self.service.timeout
        with self._http.stream(method, url, content=content, headers=sent) as answer:
            named = {key.lower(): value for key, value in answer.headers.items()}
            if named.get("content-encoding", "identity") != "identity":
                raise EndpointError("an uncompressed answer", named["content-encoding"], "turn compression off")
            if named.get("content-length", "0").isdecimal() and int(named.get("content-length", "0")) > most:
                raise self._too_large(named["content-length"])
            body = bytearray()
            for piece in answer.iter_raw():
                body += piece
                if len(body) > most:
                    raise self._too_large(f"more than {most}")
                if self._clock() > until:
                    raise TimeoutError(f"no whole answer in {self.service.timeout:g} s")
            return answer.status_code, Reply(named, bytes(body))

    def _charge(self, cases: int) -> None:
        with self._lock:
            most = self.service.max_queries
            sent = None
            if most is not None and self.ledger is not None:
                sent = self.ledger.enter(cases, most=most)
            elif most is not None and self.queries + cases > most:
                sent = self.queries
            if sent is not None:
                raise EndpointError(
                    f"at most {most} queries of {self.url}",
                    f"{sent} sent and {cases} more wanted",
                    "raise 'max_queries', or audit fewer cases with fewer steps; finished results are kept",
                )
            self.queries += cases
            self.requests += 1

    def _pace(self) -> None:
        if self.service.rate is None:
            return
        with self._lock:
            now = self._clock()
            start = max(now, self._free)
            self._free = start + 1.0 / self.service.rate
        if start > now:
            self._sleep(start - now)

    def _retry_after(self, reply: Reply) -> float:
        asked = retry_after(reply.headers.get("retry-after", ""))
        if asked > self.service.longest:
            raise EndpointError(
                f"an endpoint that answers within {self.service.longest:g} s",
                f"a request to wait {asked:.0f} s",
                "run the audit again later (finished trials are kept), or lower 'rate'",
            )
        return asked

    def _broken(self, error: BaseException) -> str:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
                raise EndpointError(
                    f"a trusted certificate of {urlsplit(self.url).hostname}",
                    first_line(cause),
                    "name the file of the right authority with 'ca'; verification cannot be turned off",
                ) from error
            cause = cause.__cause__ or cause.__context__
        return f"{type(error).__name__}: {first_line(error)}"

    def _refused(self, status: int, problem: str) -> EndpointError:
        remedy = "check the address, the name of the model and what it takes"
        if status in (401, 403):
            remedy = "name the environment variable that holds a valid token with 'token_env'"
        if status == 413:
            remedy = "lower 'batch'"
        return EndpointError(f"an answer from {self.url}", problem, remedy)

    def _too_large(self, got: str) -> EndpointError:
        return EndpointError(
            f"an answer of at most {self.service.max_bytes} bytes",
            f"{got} bytes",
            "lower 'batch', or check the service",
        )


def _httpx_client(service: Service, secure: bool) -> Any:
    try:
        import httpx
    except ImportError as error:
        raise EndpointError("the package httpx for endpoints", "none", "pip install 'titer[http]'") from error
    # Plain connections trust no certificate at all, and have none to read.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if secure or service.ca is not None:
            context = ssl.create_default_context(cafile=None if service.ca is None else str(service.ca))
    except (OSError, ssl.SSLError) as error:
        raise EndpointError("a file of certificates", f"{service.ca}: {first_line(error)}", "correct 'ca'") from error
    # Nothing from the environment: neither proxies nor stored passwords shall see the cases.
    return httpx.Client(timeout=service.timeout, verify=context, follow_redirects=False, trust_env=False)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _said(reply: Reply) -> str:
    """The server's own word for an error, cut short; only a field made for it, never the body."""
    try:
        said = json.loads(reply.body[:65536]).get("error", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    plain = "".join(sign for sign in str(said) if sign.isprintable())
    return f": {plain[:200]}" if plain else ""
