"""Objects over HTTP: a capture point's gateway, or the guard in front of a model.

POST /text, /fhir, /row, /x12, /signal, /volume, /dicom   one object of that kind, as the body
POST /signal                                              a recording of several files, as multipart/form-data
POST /objects                                             one object whose media type says what it is
POST /studies, /studies/{study}                           DICOM STOW-RS (PS3.18): multipart/related
GET  /health                                              whether the server runs

Whom an object is about, what it is used for, and the record that it is said to be come in the headers
`Titer-Subject`, `Titer-Encounter` and `Titer-Record`: addresses end up in the logs of proxies.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from titer.errors import FingerprintError, ProvenanceError
from titer.provenance.fingerprint import Limits as Parsing
from titer.provenance.fingerprint.fingerprint import refuse
from titer.provenance.guard.intake import Asked, Door, Turned
from titer.provenance.guard.multipart import parts
from titer.provenance.guard.stow import MISMATCH, NOT_UNDERSTOOD, Outcome, failure_of, instance_of, report
from titer.provenance.guard.work import Source, Told, Work, refusal

_LOG = logging.getLogger(__name__)

_ANY = "application/octet-stream"
KINDS: dict[str, tuple[str, ...]] = {
    "text": ("text/plain",),
    "fhir": ("application/fhir+json", "application/json"),
    "row": ("application/json",),
    "x12": ("application/edi-x12", "text/plain"),
    "signal": ("application/edf", "application/dicom", _ANY, "multipart/form-data"),
    "volume": ("application/nifti", "application/gzip", _ANY),
    "dicom": ("application/dicom",),
}
"""The media types in which each kind of object may come."""

_FILE = re.compile(r"[\w~][-\w.~]{0,127}", re.ASCII)
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_DICOM_JSON = "application/dicom+json"

Chosen = Callable[[Request], Callable[[Asked], Response]]
"""What is done with a request, by its address and headers, once it is in."""


def application(
    work: Work, door: Door, *, parsing: Parsing | None = None, files: int = 64, instances: int = 1000
) -> FastAPI:
    """The web application.

    Arguments
        work: what is done with each object. door: who may come in, how often and how much.
        parsing: how much of an object is read. files: of one recording. instances: of one STOW-RS request.
    """
    server = FastAPI(title="Titer", openapi_url=None, docs_url=None, redoc_url=None)
    reading = parsing or Parsing()

    def one(kind: str | None) -> Chosen:
        def answer(asked: Asked) -> Response:
            found = _kind(kind, asked)
            if found is None:
                return _json(refusal(415, "unsupported.media_type"))
            source = _files(asked, files) if asked.media.name == "multipart/form-data" else asked.body
            return _json(_done(work, source, None if found == _ANY else found, asked))

        return lambda _: answer

    def studies(request: Request) -> Callable[[Asked], Response]:
        study = request.path_params.get("study", "")
        bare = "application/json" in request.headers.get("accept", "") and _DICOM_JSON not in request.headers["accept"]

        def answer(asked: Asked) -> Response:
            if asked.media.name != "multipart/related" or asked.media.parameters.get("type") != "application/dicom":
                return _json(refusal(415, "unsupported.media_type"))
            if study and not (_UID.fullmatch(study) and len(study) <= 64):
                return _json(refusal(400, "malformed.study"))
            # All are read before one is stored: a request without its end stores nothing.
            given = list(parts(asked.body, asked.media, instances))
            if not given:
                return _json(refusal(400, "malformed.multipart"))
            done = [_stored(work, each.media.name, each.content, study, asked, reading) for each in given]
            status, told = report([outcome for _, outcome in done])
            if bare:
                return JSONResponse({"stow": told, "answers": [dict(said.body) for said, _ in done]}, status)
            return JSONResponse(told, status, media_type=_DICOM_JSON)

        return answer

    async def health() -> Response:
        return JSONResponse({"state": "running"})

    server.add_api_route("/health", health, methods=["GET"])
    for name in KINDS:
        server.add_api_route(f"/{name}", _guarded(door, one(name)), methods=["POST"])
    server.add_api_route("/objects", _guarded(door, one(None)), methods=["POST"])
    for path in ("/studies", "/studies/{study}"):
        server.add_api_route(path, _guarded(door, studies), methods=["POST"])
    return server


def _guarded(door: Door, chosen: Chosen) -> Callable[[Request], Any]:
    """An endpoint that lets a request in, works on it in a thread of its own, and turns errors into answers."""

    async def endpoint(request: Request) -> Response:
        try:
            asked = await door.admit(request)
        except Turned as turned:
            return _turned(turned)
        except ProvenanceError as error:
            _LOG.critical("a request could not be let in: %s", error.code)
            return _turned(Turned(503, error.code))
        try:
            return await run_in_threadpool(chosen(request), asked)
        except FingerprintError as error:
            return _json(refusal(413 if error.code.startswith("limit.") else 400, error.code))
        except Exception as error:
            # The web server would log its words, which may quote the object.
            _LOG.critical("a request could not be answered: %s", type(error).__name__)
            return _json(refusal(500, "guard.failed"))
        finally:
            door.leave(asked)

    return endpoint


def _turned(turned: Turned) -> Response:
    # The body has not been read: this connection cannot go on.
    headers = {"Connection": "close"}
    if turned.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if turned.wait:
        headers["Retry-After"] = str(turned.wait)
    return JSONResponse({"code": turned.code}, turned.status, headers)


def _json(told: Told) -> Response:
    return JSONResponse(dict(told.body), told.status)


def _kind(kind: str | None, asked: Asked) -> str | None:
    """The kind of what came; None where its media type does not fit, `_ANY` where its first bytes have to tell."""
    media = asked.media.name
    if kind is not None:
        return kind if media in KINDS[kind] else None
    if media in (_ANY, "application/dicom"):
        return _ANY
    fits = [name for name, types in KINDS.items() if types[0] == media or (name == "signal" and media in types)]
    if media == "application/json":
        fits = ["row"]
    return fits[0] if len(fits) == 1 else None


def _files(asked: Asked, most: int) -> Source:
    """The files of one recording: several with one header among them, or a single one of another format."""
    found: dict[str, bytes] = {}
    for part in parts(asked.body, asked.media, most):
        if not _FILE.fullmatch(part.file) or part.file in found:
            remedy = "send each file of the recording under its own name"
            raise refuse("malformed.file_name", "names of letters, digits and .-_~, each once", "another", remedy)
        found[part.file] = part.content
    headers = sum(name.endswith(".hea") for name in found)
    if len(found) == 1 and not headers:
        return next(iter(found.values()))
    if headers != 1:
        remedy = "send the files of one recording"
        raise refuse("malformed.recording", "one header (.hea) among the files", f"{headers}", remedy)
    return found


def _done(work: Work, source: Source, kind: str | None, asked: Asked) -> Told:
    return work(
        source,
        kind,
        caller=asked.caller,
        subject=asked.subject,
        encounter=asked.encounter,
        expected=asked.expected,
    )


def _stored(work: Work, media: str, raw: bytes, study: str, asked: Asked, reading: Parsing) -> tuple[Told, Outcome]:
    instance = instance_of(raw, reading)
    if media != "application/dicom" or raw[128:132] != b"DICM":
        return refusal(415, "unsupported.media_type"), Outcome(None, NOT_UNDERSTOOD)
    if study and instance is not None and instance.study != study:
        return refusal(409, "stow.study"), Outcome(instance, MISMATCH)
    told = _done(work, raw, None, asked)
    # What does not say which instance it is cannot be named as stored, even where the guard has kept it.
    if told.refused:
        return told, Outcome(instance, failure_of(told.refused))
    return told, Outcome(instance, NOT_UNDERSTOOD if instance is None else None)
