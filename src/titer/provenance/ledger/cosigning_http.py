"""The witnesses of a policy, asked over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import note
from titer.provenance.ledger.asker import Asker
from titer.provenance.ledger.cosigning import Witnesses
from titer.provenance.ledger.policy import Policy

if TYPE_CHECKING:
    import httpx

LARGEST = note.LARGEST
"""The most bytes of an answer."""


def addresses(raw: bytes) -> dict[str, str]:
    """The submission prefix of each witness of a policy that names one.

    Raises RecordError for a policy that is not valid, or an address that is not of http or https.

    >>> key = "w.example+14c3e696+BG9vb29vb29vb29vb29vb29vb29vb29vb29vb29vb29v"
    >>> addresses(f"witness w {key} https://w.example/\\nquorum w\\n".encode())
    {'w': 'https://w.example'}
    """
    Policy.parse(raw)
    found = {}
    for line in raw.decode("latin-1").split("\n"):
        match line.replace("\t", " ").split():
            case ["witness", name, _, address]:
                if not address.startswith(("http://", "https://")):
                    raise RecordError(
                        f"an address of witness {name} with http or https", address, "mend the policy's file",
                        code="policy.address",
                    )  # fmt: skip
                found[name] = address.rstrip("/")
    return found


def witnesses(
    policy: bytes,
    mine: Iterable[note.Verifier],
    satisfied: Callable[[bytes], bool],
    evidence: Path,
    *,
    timeout: float = 5.0,
) -> Witnesses | None:
    """Those of a policy that have an address; None where none has.

    Arguments
        policy: the policy's file. mine: the log's own keys. satisfied: whether a note's signatures meet the policy.
        evidence: a folder where proofs of two histories are kept. timeout: seconds for a request.
    """
    keys = Policy.parse(policy).witnesses
    found = [Asker(name, keys[name], mine, Web(at, timeout)) for name, at in addresses(policy).items()]
    return Witnesses(found, satisfied, evidence, patience=timeout) if found else None


class Web:
    """Requests to one witness, over connections that are kept open; one request at a time.

    Arguments
        prefix: the witness's address. timeout: seconds for a whole request.
    """

    def __init__(self, prefix: str, timeout: float) -> None:
        self._prefix, self._timeout = prefix, timeout
        self._client: httpx.Client | None = None

    def __call__(self, path: str, body: bytes | None) -> tuple[int, str, bytes]:
        """Status, content type and body of the answer to a POST of `body`, or to a GET."""
        import httpx

        if self._client is None:
            self._client = httpx.Client(timeout=self._timeout, follow_redirects=False)
        for last in (False, True):
            try:
                return self._answer(self._client, path, body)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                # A connection that was kept open may have been closed meanwhile: once more, over a new one.
                if last:
                    raise _unreachable(error) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise _unreachable(error) from error
        raise AssertionError

    def _answer(self, client: httpx.Client, path: str, body: bytes | None) -> tuple[int, str, bytes]:
        until = time.monotonic() + self._timeout
        headers = {"Accept-Encoding": "identity"}
        verb = "GET" if body is None else "POST"
        with client.stream(verb, f"{self._prefix}/{path}", content=body, headers=headers) as answer:
            raw = b""
            for chunk in answer.iter_raw():
                raw += chunk
                if len(raw) > LARGEST or time.monotonic() > until:
                    raise LedgerError(
                        f"an answer of at most {LARGEST} bytes in {self._timeout:g} s", f"{len(raw)} bytes and more",
                        "it is asked again", code="witness.answer",
                    )  # fmt: skip
            return answer.status_code, answer.headers.get("Content-Type", ""), raw


def _unreachable(error: Exception) -> LedgerError:
    return LedgerError("a witness that answers", type(error).__name__, "it is asked again", code="witness.unreachable")
