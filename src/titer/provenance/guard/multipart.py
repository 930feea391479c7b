"""Several files in one body: MIME multipart as RFC 2046 writes it, read strictly.

Readers disagree about text before the first boundary, about lines without a carriage return, and about parts inside
parts, so that two of them may see other files in the same bytes. Here all of that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from titer.errors import FingerprintError
from titer.provenance.fingerprint.fingerprint import refuse, within

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"\s*({_TOKEN}/{_TOKEN})\s*((?:;.*)?)", re.DOTALL)
_PARAMETER = re.compile(rf';\s*({_TOKEN})=(?:"((?:[^"\\\r\n]|\\.)*)"|({_TOKEN}))\s*')
# RFC 2046, section 5.1.1.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
# Blanks around the value are cut off by hand: two runs of them beside a third in one pattern take time by their cube.
_HEADER = re.compile(rf"({_TOKEN}):([^\r\n\0]*)")
_HEAD_BYTES = 8192
_REMEDY = "send the parts as RFC 2046 describes them"


@dataclass(frozen=True)
class Media:
    """A media type: in small letters, with its parameters."""

    name: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """One part: its media type, its name as a file ("" without), and its content."""

    media: Media
    file: str
    content: bytes


def media_type(header: str) -> Media:
    """What a Content-Type header says.

    >>> media_type('multipart/related; type="application/dicom"; boundary=x').parameters["type"]
    'application/dicom'
    """
    found = _TYPE.fullmatch(header)
    if found is None:
        raise refuse("malformed.content_type", "a media type", "something else", "name what the body is")
    return Media(found[1].lower(), _parameters(found[2]))


def parts(body: bytes, media: Media, most: int) -> Iterator[Part]:
    """The parts of a body, in order.

    Arguments
        media: of the body, with its boundary. most: how many parts are read.

    Refuses (`FingerprintError`) bodies without an end, with anything outside the parts, and encodings of parts.
    """
    boundary = media.parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed("a boundary of 1 to 70 characters", "none")
    mark = b"--" + boundary.encode("ascii")
    if not body.startswith(mark):
        raise _malformed("a body that begins with its boundary", "another beginning")
    at, count = len(mark), 0
    while not body.startswith(b"--", at):
        if not body.startswith(b"\r\n", at):
            raise _malformed("the end of a line after a boundary", "other bytes")
        end = body.find(b"\r\n" + mark, at)
        if end < 0:
            raise _malformed("a boundary that closes the body", "its end")
        count += 1
        within("limit.parts", "parts", count, most, "parts")
        yield _part(body, at, end)
        at = end + 2 + len(mark)
    if body[at + 2 :] not in (b"", b"\r\n"):
        raise _malformed("nothing after the last boundary", "more bytes")


def _part(body: bytes, start: int, end: int) -> Part:
    """The part between the line end at `start` and the one at `end`."""
    blank = body.find(b"\r\n\r\n", start, min(end + 2, start + _HEAD_BYTES))
    if blank < 0:
        raise _malformed("headers and an empty line", "none within 8 KiB")
    headers: dict[str, str] = {}
    try:
        lines = body[start + 2 : blank].decode("utf-8").split("\r\n") if blank > start else []
    except UnicodeDecodeError as error:
        raise _malformed("headers in UTF-8", "other bytes") from error
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None or found[1].lower() in headers:
            raise _malformed("headers of parts, each once", "something else")
        headers[found[1].lower()] = found[2].strip(" \t")
    if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
        raise _malformed("parts as they are", "an encoding", "unsupported.encoding")
    disposition = _disposition(headers.get("content-disposition", ""))
    media = media_type(headers.get("content-type", "application/octet-stream"))
    return Part(media, disposition.get("filename", ""), body[blank + 4 : end])


def _disposition(header: str) -> Mapping[str, str]:
    word, semicolon, rest = header.partition(";")
    if header and not re.fullmatch(_TOKEN, word.strip()):
        raise _malformed("a Content-Disposition", "something else")
    return _parameters(semicolon + rest)


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        one = _PARAMETER.match(text, at)
        if one is None or one[1].lower() in found or one[1].endswith("*"):
            raise refuse("malformed.content_type", "parameters, each once", "something else", "write name=value")
        quoted = one[2]
        found[one[1].lower()] = one[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = one.end()
    return found


def _malformed(expected: str, got: str, code: str = "malformed.multipart") -> FingerprintError:
    return refuse(code, expected, got, _REMEDY)
