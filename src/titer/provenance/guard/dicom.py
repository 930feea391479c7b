"""Images over DICOM: a storage server whose images are captured, or put through the guard.

An image counts once its last fragment has come. An association that ends before, by whatever cause, leaves nothing:
no record, no decision, and no trace in the other associations.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from titer.errors import FingerprintError, GuardError, ProvenanceError
from titer.provenance.guard.capture import Capture, Captured
from titer.provenance.guard.inprocess import Answer, Guarded
from titer.provenance.guard.quiet import quiet

_LOG = logging.getLogger(__name__)

SUCCESS, NO_RESOURCES, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC000
"""Answers to a sender (DICOM PS3.4, annex B.2.3)."""

_MESSAGE_BYTES = 1 << 20
"""The most bytes of one message of the upper layer; senders keep to the 16 KiB that they are offered."""

Accept = Callable[[bytes, str], int]
"""Takes a received file and the sender's title; gives the answer."""


class Receiver:
    """A C-STORE server, on this machine alone by default; use it in a `with` statement.

    Arguments
        accept: called with each image once it is whole.
        title: of this application. host, port: where to listen; port 0 takes a free one, see `port`.
        associations: how many at once. object_bytes: of one image, which is held in memory until it is whole.
        callers: titles of those who may send, empty for all. tls: for DICOM over TLS (PS3.15, annex B).
        patience: seconds for which a sender may be silent.
    """

    def __init__(
        self,
        accept: Accept,
        *,
        title: str = "TITER",
        host: str = "127.0.0.1",
        port: int = 0,
        associations: int = 16,
        object_bytes: int = 1 << 30,
        callers: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        patience: float = 30.0,
    ) -> None:
        from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts

        self._accept = accept
        self._address, self._tls = (host, port), tls
        self._most, self._patience = object_bytes, patience
        self._entity = AE(ae_title=title)
        self._entity.maximum_associations = associations
        self._entity.network_timeout = patience
        self._entity.require_calling_aet = list(callers)
        for context in AllStoragePresentationContexts:
            self._entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        self._server: Any = None

    def __enter__(self) -> Receiver:
        from pynetdicom import evt

        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_CONN_OPEN, self._bound)]
        try:
            self._server = self._entity.start_server(self._address, block=False, evt_handlers=handlers)
        except OSError as error:
            raise GuardError(
                "an address to listen at", str(error.strerror), "choose another", code="serve.address"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entity.shutdown()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def _store(self, event: Any) -> int:
        try:
            # The file exactly as its bytes came, with the header of PS3.10 before them.
            return self._accept(event.encoded_dataset(), str(event.assoc.requestor.ae_title))
        except FingerprintError as error:
            _LOG.warning("an image was refused: %s", error.code)
            return NOT_UNDERSTOOD
        except ProvenanceError as error:
            # The sender keeps it and tries again.
            _LOG.critical("an image could not be taken: %s", error.code)
            return NO_RESOURCES
        except Exception as error:
            _LOG.critical("an image could not be taken", exc_info=quiet(error))
            return NO_RESOURCES

    def _bound(self, event: Any) -> None:
        """Let an association go that sends more than an image may have, or stops in the middle."""
        from pynetdicom import evt

        line = event.assoc.dul.socket
        # The timeout of the socket itself: without it a sender who stops in the middle of a message is waited for.
        line.socket.settimeout(self._patience)
        if self._tls is not None:
            # Here, in the association's own thread: whoever stops in mid-handshake keeps nobody else from coming in.
            try:
                line.socket = self._tls.wrap_socket(line.socket, server_side=True)
            except OSError as error:
                _LOG.warning("an association was refused: %s", type(error).__name__)
                line.close()
                return
        receive, taken = line.recv, 0

        def recv(count: int) -> Any:
            nonlocal taken
            taken += count
            if count > _MESSAGE_BYTES or taken > self._most + _MESSAGE_BYTES:
                _LOG.warning("an association was ended: limit.object_bytes")
                raise OSError("more bytes than an image may have")
            return receive(count)

        def whole(_: Any) -> None:
            nonlocal taken
            taken = 0

        line.recv = recv
        event.assoc.bind(evt.EVT_DIMSE_RECV, whole)


def capturing(capture: Capture, told: Callable[[Captured], None]) -> Accept:
    """Images are captured; `told` gets each record. The sender hears of success once a checkpoint covers it."""

    def accept(raw: bytes, _: str) -> int:
        told(capture.capture(raw, "dicom"))
        return SUCCESS

    return accept


def guarding(
    guarded: Guarded, told: Callable[[Answer], None], keep: Callable[[bytes, Answer], None] | None = None
) -> Accept:
    """Images go through the guard; `told` gets each answer, and `keep` (such as `Results.keep`) image and answer.

    Success means that the image is in good hands, withheld or not: a refusal would only make the sender send it again.
    What was neither read nor kept, since it is too large or its sender too quick, the sender has to keep.
    """

    def accept(raw: bytes, caller: str) -> int:
        answer = guarded(raw, "dicom", caller=caller)
        told(answer)
        if keep is not None:
            keep(raw, answer)
        return NO_RESOURCES if answer.action == "quarantine" and not answer.held else SUCCESS

    return accept


def send(raw: bytes, port: int, *, host: str = "127.0.0.1", title: str = "TITER", caller: str = "SENDER") -> int:
    """Send one image; returns the receiver's answer, -1 where there was none."""
    import io

    from pydicom import dcmread
    from pynetdicom import AE

    dataset = dcmread(io.BytesIO(raw))
    entity = AE(ae_title=caller)
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate(host, port, ae_title=title)
    if not association.is_established:
        return -1
    try:
        return int(association.send_c_store(dataset).get("Status", -1))
    finally:
        association.release()
