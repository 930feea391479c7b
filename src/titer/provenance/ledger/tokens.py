"""Time tokens (RFC 3161): an authority outside says that it has seen a checkpoint by a time.

A token is over the whole published checkpoint, with its signatures. It proves that whatever the checkpoint covers was
there by then. Tokens are checked offline, under certificates of the authorities that the reader trusts; certificates
need to have been valid when the token was made, not today.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger._der import with_sorted_certificates

LARGEST = 1 << 16
"""The most bytes of an authority's answer."""


@dataclass(frozen=True)
class Token:
    """What a checked token says.

    Arguments
        time: when the authority made it, by its own clock. accuracy: how far that clock may be off.
        authority: the name in the certificate that signed. serial: the token's number.
    """

    time: datetime
    accuracy: timedelta
    authority: str
    serial: int


def certificates(raw: bytes) -> list[x509.Certificate]:
    """Certificates in PEM form; RecordError where there are none."""
    try:
        return x509.load_pem_x509_certificates(raw)
    except ValueError as error:
        raise RecordError(
            "certificates in PEM form", str(error), "ask the authority for its root certificate", code="token.roots"
        ) from error


def check_token(raw: bytes, message: bytes, roots: Sequence[x509.Certificate], *, nonce: int | None = None) -> Token:
    """Check an authority's answer (TimeStampResp in DER).

    Arguments
        raw: the answer. message: what it must be over. roots: certificates that its own must lead to.
        nonce: what the request held, where the request is at hand.

    Raises RecordError: `token.invalid` for bytes that are no granted token, `token.signature` for another message,
    nonce, signer or chain.
    """
    if len(raw) > LARGEST:
        raise _refused(f"at most {LARGEST} bytes", f"{len(raw)}", "token.invalid")
    try:
        answer = decode_timestamp_response(with_sorted_certificates(raw))
        if answer.status != 0:
            raise _refused("one that was granted", f"status {answer.status}", "token.invalid")
        told = answer.tst_info
    except ValueError as error:
        raise _refused("a time-stamp answer in DER", str(error), "token.invalid") from error
    try:
        VerifierBuilder(roots=list(roots), nonce=nonce).build().verify_message(answer, message)
        signer = next(iter(answer.signed_data.signer_infos))
        known = [x509.load_der_x509_certificate(each) for each in answer.signed_data.certificates]
        own = (signer.issuer, signer.serial_number)
        # No signature covers which certificates come along: one more of the same number must not lend its name.
        (name,) = {each.subject for each in known if (each.issuer, each.serial_number) == own}
    except (VerificationError, ValueError, StopIteration) as error:
        raise _refused("one over this checkpoint, by a trusted authority", str(error), "token.signature") from error
    made = told.gen_time if told.gen_time.tzinfo else told.gen_time.replace(tzinfo=UTC)
    return Token(made, _accuracy(told.accuracy), name.rfc4514_string(), told.serial_number)


def ask(url: str, message: bytes, roots: Sequence[x509.Certificate], *, timeout: float = 30.0) -> tuple[bytes, Token]:
    """Ask an authority for a token, and check it.

    Raises LedgerError (`token.unreachable`) where none comes, RecordError where it is not what was asked for.
    """
    import httpx

    wanted = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True)
    request = wanted.cert_request(cert_request=True).build()
    headers = {"Content-Type": "application/timestamp-query", "Accept-Encoding": "identity"}
    until, raw = time.monotonic() + timeout, b""
    try:
        with httpx.stream("POST", url, content=request.as_bytes(), headers=headers, timeout=timeout) as answer:
            for chunk in answer.iter_raw():
                raw += chunk
                if len(raw) > LARGEST or time.monotonic() > until:
                    raise _unreachable(f"{len(raw)} bytes and more")
            if answer.status_code != 200:
                raise _unreachable(f"status {answer.status_code}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unreachable(type(error).__name__) from error
    return raw, check_token(raw, message, roots, nonce=request.nonce)


def _accuracy(told: object) -> timedelta:
    """How far the clock may be off; nothing where the authority does not say."""
    parts = {"seconds": "seconds", "milliseconds": "millis", "microseconds": "micros"}
    return timedelta(**{unit: getattr(told, name, None) or 0 for unit, name in parts.items()})


def _unreachable(got: str) -> LedgerError:
    return LedgerError("a token from the authority", got, "it is asked again", code="token.unreachable")


def _refused(expected: str, got: str, code: str) -> RecordError:
    return RecordError(f"a time token: {expected}", got, "do not count it; ask the authority for another", code=code)
