"""What happens to a request before anybody looks into it: who asks, how often, how much; then its body, and no more."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from titer.errors import FingerprintError
from titer.provenance.guard.limits import Limits
from titer.provenance.guard.multipart import Media, media_type
from titer.provenance.guard.tokens import Tokens

if TYPE_CHECKING:
    from fastapi import Request

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME_CHARACTERS = 256


class Turned(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is turned away: the status and reason code that its sender hears."""

    def __init__(self, status: int, code: str, *, wait: int = 0) -> None:
        super().__init__(code)
        self.status, self.code, self.wait = status, code, wait


@dataclass(frozen=True)
class Asked:
    """A request that may be looked into.

    Arguments
        caller: who asks, by the name of its token. media: what the body is. body: its bytes.
        subject, encounter, expected: as in `Decider.decide`.
    """

    caller: str
    media: Media
    body: bytes
    subject: str | None
    encounter: str | None
    expected: bytes | None


class Door:
    """Lets requests in.

    Arguments
        tokens: who may ask; None for everybody. limits: requests per caller, and bytes of one body.
        memory: bytes of all bodies at once. seconds: in which a body must have come.
    """

    def __init__(self, tokens: Tokens | None, limits: Limits, *, memory: int = 1 << 30, seconds: float = 120.0) -> None:
        self._tokens, self.limits = tokens, limits
        self._memory, self._seconds = max(memory, limits.object_bytes), seconds
        self._lock = threading.Lock()
        self._taken = 0

    async def admit(self, request: Request) -> Asked:
        """The request with its body; Turned for one that is turned away, nothing of whose body is then read."""
        caller = self._caller(request)
        headers = request.headers
        if headers.get("content-encoding", "identity").lower() != "identity":
            # What a few bytes unfold to cannot be bounded before they are unfolded.
            raise Turned(415, "unsupported.encoding")
        try:
            media = media_type(headers.get("content-type", ""))
        except FingerprintError as error:
            raise Turned(415, error.code) from error
        if media.parameters.get("charset", "utf-8").lower() != "utf-8":
            raise Turned(415, "unsupported.charset")
        subject, encounter = _named(request, "titer-subject"), _named(request, "titer-encounter")
        expected = headers.get("titer-record")
        if expected is not None and not _HASH.fullmatch(expected):
            raise Turned(400, "malformed.header")
        body = await self._body(request)
        return Asked(caller, media, body, subject, encounter, bytes.fromhex(expected) if expected else None)

    def leave(self, asked: Asked) -> None:
        """Give back the room that a body took."""
        self._give(len(asked.body))

    def _caller(self, request: Request) -> str:
        host = request.client.host if request.client else ""
        if self._tokens is None:
            name = host
        else:
            given = request.headers.getlist("authorization")
            kind, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
            found = self._tokens.caller(token) if kind.lower() == "bearer" and len(token) <= _NAME_CHARACTERS else None
            if found is None:
                # Guesses are counted by address, apart from the requests of callers.
                allowed = self.limits.allows(f"?{host}")
                raise Turned(401, "access.denied") if allowed else Turned(429, "limit.rate", wait=1)
            name = found
        if not self.limits.allows(name):
            raise Turned(429, "limit.rate", wait=1)
        return name

    async def _body(self, request: Request) -> bytes:
        from starlette.requests import ClientDisconnect

        length = request.headers.get("content-length")
        if length is not None and not (length.isascii() and length.isdecimal()):
            raise Turned(400, "malformed.length")
        if length is not None and (len(length) > 18 or int(length) > self.limits.object_bytes):
            raise Turned(413, "limit.object_bytes")
        held, taken = bytearray(), int(length or 0)
        self._take(taken)
        try:
            async with asyncio.timeout(self._seconds):
                async for piece in request.stream():
                    if len(held) + len(piece) > self.limits.object_bytes:
                        raise Turned(413, "limit.object_bytes")
                    held += piece
                    if len(held) > taken:
                        self._take(len(held) - taken)
                        taken = len(held)
            if length is not None and len(held) != taken:
                raise Turned(400, "malformed.truncated")
        except BaseException as error:
            self._give(taken)
            if isinstance(error, ClientDisconnect):
                raise Turned(400, "malformed.truncated") from error
            if isinstance(error, TimeoutError):
                raise Turned(408, "limit.seconds") from error
            raise
        return bytes(held)

    def _take(self, count: int) -> None:
        with self._lock:
            if self._taken + count > self._memory:
                raise Turned(503, "limit.memory", wait=1)
            self._taken += count

    def _give(self, count: int) -> None:
        with self._lock:
            self._taken -= count


def _named(request: Request, header: str) -> str | None:
    """The text of a header in UTF-8, which HTTP hands over as Latin-1."""
    given = request.headers.getlist(header)
    if not given:
        return None
    try:
        text = given[0].encode("latin-1").decode("utf-8")
    except UnicodeDecodeError as error:
        raise Turned(400, "malformed.header") from error
    if len(given) > 1 or not text or len(text) > _NAME_CHARACTERS or not text.isprintable():
        raise Turned(400, "malformed.header")
    return text
