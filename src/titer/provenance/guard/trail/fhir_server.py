"""Resources to a FHIR server, by HTTP POST; give `send` to an `Outbox`.

Each is created under the condition that none with its tag is there, so that a resource that comes twice, because an
answer was lost, is kept once (FHIR R4, conditional create; servers that know no such condition keep both).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from titer.errors import GuardError
from titer.provenance.guard.trail.outbox import REFUSED
from titer.provenance.guard.trail.syslog import client_context, is_loopback

_DONE = (200, 201, 412)
"""412: more than one is there already."""
_LATER = (401, 403, 408, 425, 429)
"""What a new token, or patience, mends."""
_LITTLE = 1 << 16


class FhirServer:
    """One FHIR server.

    Arguments
        url: its base, https unless it is on this machine.
        token: gives the bearer token at each request; None without.
        authorities, certificate, key: as for `TlsSyslog`. timeout: seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str] | None = None,
        authorities: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        timeout: float = 10.0,
    ) -> None:
        import httpx

        parts = urlsplit(url)
        local = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if not parts.hostname or not (parts.scheme == "https" or local) or parts.username or parts.query:
            raise GuardError(
                "the base address of a FHIR server, beginning with https://",
                f"one that begins with {parts.scheme or 'nothing'}://",
                "give it as https://fhir.hospital.example/r4, and credentials as a token or certificate",
                code="trail.address",
            )
        self._url, self._token = url.rstrip("/"), token
        context = client_context(authorities, certificate, key) if parts.scheme == "https" else False
        self._client = httpx.Client(verify=context, timeout=timeout, follow_redirects=False, trust_env=False)

    def send(self, messages: Sequence[bytes]) -> None:
        """Create each resource; GuardError where the server does not answer, or refuses (`REFUSED`)."""
        for each in messages:
            self._post(each, json.loads(each))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _post(self, raw: bytes, resource: dict[str, Any]) -> None:
        import httpx

        headers = {"Content-Type": "application/fhir+json", "Prefer": "return=minimal"}
        for tag in resource.get("meta", {}).get("tag", [])[:1]:
            headers["If-None-Exist"] = f"_tag={quote(tag['system'] + '|' + tag['code'], safe='')}"
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        try:
            # The status is all that counts; what the server says beside it is not read, however long it goes on.
            with self._client.stream(
                "POST", f"{self._url}/{resource['resourceType']}", content=raw, headers=headers
            ) as answer:
                status = answer.status_code
                if int(answer.headers.get("Content-Length", _LITTLE + 1)) <= _LITTLE:
                    # Read to its end, a short answer leaves the connection open for the next.
                    answer.read()
        except ValueError as error:
            raise _failed("an answer of no length", "trail.unreachable") from error
        except httpx.HTTPError as error:
            raise _failed(type(error).__name__, "trail.unreachable") from error
        if status in _DONE:
            return
        refused = 400 <= status < 500 and status not in _LATER
        raise _failed(f"status {status}", REFUSED if refused else "trail.unreachable")


def _failed(got: str, code: str) -> GuardError:
    return GuardError(
        "a FHIR server that takes AuditEvent and Provenance",
        got,
        "see that it runs, takes both types, and knows this guard's credentials",
        code=code,
    )
