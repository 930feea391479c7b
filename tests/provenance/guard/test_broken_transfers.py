"""Associations that end in mid-object, or send what no image may have, over raw sockets: nothing is left of them."""

from __future__ import annotations

import io
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from guard_tools import Counting, Hospital
from pydicom import dcmread
from test_guard_http import certified
from test_guarded_images import _image, _pixels

from titer.provenance.guard.dicom import NO_RESOURCES, NOT_UNDERSTOOD, SUCCESS, Receiver, capturing, guarding, send
from titer.provenance.guard.limits import Limits
from titer.provenance.guard.serving import Tls

_EXPLICIT = b"1.2.840.10008.1.2.1"


class Line:
    """A sender that speaks the upper layer of DICOM (PS3.8) byte by byte, and no more of it than it wants."""

    def __init__(self, port: int, sop_class: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        syntax = _item(0x30, sop_class) + _item(0x40, _EXPLICIT)
        user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3.4")
        content = struct.pack(">HH", 1, 0) + b"TITER".ljust(16) + b"RAW".ljust(16) + bytes(32)
        content += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, b"\1\0\0\0" + syntax) + _item(0x50, user)
        self.pdu(1, content)
        kind, _ = self.read()
        assert kind == 2

    def pdu(self, kind: int, content: bytes, length: int | None = None) -> None:
        self.socket.sendall(struct.pack(">BBI", kind, 0, len(content) if length is None else length) + content)

    def fragment(self, data: bytes, *, command: bool = False, last: bool = False) -> None:
        self.pdu(4, struct.pack(">IBB", len(data) + 2, 1, command | last << 1) + data)

    def store(self, sop_class: bytes, instance: bytes) -> None:
        """The command of C-STORE, in Implicit VR Little Endian."""
        elements = [
            (0x0002, sop_class + bytes(len(sop_class) % 2)), (0x0100, struct.pack("<H", 1)),
            (0x0110, struct.pack("<H", 1)), (0x0700, struct.pack("<H", 0)), (0x0800, struct.pack("<H", 0)),
            (0x1000, instance + bytes(len(instance) % 2)),
        ]  # fmt: skip
        body = b"".join(struct.pack("<HHI", 0, tag, len(value)) + value for tag, value in elements)
        self.fragment(struct.pack("<HHII", 0, 0, 4, len(body)) + body, command=True, last=True)

    def read(self) -> tuple[int, bytes]:
        """The next message; (0, b"") where the other side has hung up."""
        try:
            head = self._exactly(6)
            kind, _, length = struct.unpack(">BBI", head)
            return kind, self._exactly(length)
        except (ConnectionError, EOFError):
            return 0, b""

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


class Site:
    """Both ends with their answers, and what the ledger holds."""

    def __init__(self, hospital: Hospital, role: str, **more: Any) -> None:
        self.told: list[Any] = []
        self.hospital, self.model = hospital, Counting()
        guarded = hospital.guarded(self.model, hospital.policy("flag"), prepare=_pixels)
        accept = (
            capturing(hospital.point, self.told.append) if role == "capture" else guarding(guarded, self.told.append)
        )
        self.receiver = Receiver(accept, **more)

    def size(self) -> int:
        return self.hospital.ledger.store.size() + self.hospital.ledger.store.waiting()


@pytest.fixture(params=["capture", "guard"])
def site(request: pytest.FixtureRequest, hospital: Hospital) -> Iterator[Site]:
    made = Site(hospital, request.param, object_bytes=1 << 20, patience=1.0)
    with made.receiver:
        yield made


RAW = _image("CT_small.dcm")
HEADER = dcmread(io.BytesIO(RAW))
CLASS, INSTANCE = str(HEADER.SOPClassUID).encode(), str(HEADER.SOPInstanceUID).encode()
assert str(HEADER.file_meta.TransferSyntaxUID).encode() == _EXPLICIT
DATA = RAW[144 + struct.unpack("<I", RAW[140:144])[0] :]


def begun(site: Site) -> Line:
    """An association in the middle of an image."""
    line = Line(site.receiver.port, CLASS)
    line.store(CLASS, INSTANCE)
    line.fragment(DATA[:10_000])
    return line


def close(line: Line) -> None:
    line.socket.close()


def reset(line: Line) -> None:
    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.socket.close()


def abort(line: Line) -> None:
    line.pdu(7, bytes(4))
    line.socket.close()


def release(line: Line) -> None:
    line.pdu(5, bytes(4))
    line.read()
    line.socket.close()


def inside_a_message(line: Line) -> None:
    line.pdu(4, struct.pack(">IBB", 5002, 1, 0) + DATA[10_000:12_000], length=5006)
    line.socket.close()


def silence_inside_a_message(line: Line) -> None:
    line.pdu(4, struct.pack(">IBB", 5002, 1, 0) + DATA[10_000:12_000], length=5006)
    assert line.read() in ((0, b""), (7, bytes(4)), (7, b"\0\0\2\0"))


def garbage(line: Line) -> None:
    line.socket.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
    line.socket.close()


def another_command(line: Line) -> None:
    line.store(CLASS, INSTANCE)
    line.socket.close()


@pytest.mark.parametrize(
    "end",
    [close, reset, abort, release, inside_a_message, silence_inside_a_message, garbage, another_command],
    ids=lambda end: end.__name__,
)
def test_an_association_dropped_in_mid_object_leaves_nothing(site: Site, end: Callable[[Line], None]) -> None:
    other = Line(site.receiver.port, CLASS)
    other.store(CLASS, INSTANCE)
    sent, stop = 0, threading.Event()

    def go_on() -> None:
        nonlocal sent
        while not stop.is_set():
            other.fragment(DATA[sent : sent + 100])
            sent += 100
            stop.wait(0.05)

    thread = threading.Thread(target=go_on)
    thread.start()
    before = site.size()
    try:
        end(begun(site))
        # Its association is gone before we look.
        until = time.monotonic() + 20
        while len(site.receiver._entity.active_associations) > 1 and time.monotonic() < until:
            time.sleep(0.01)
        assert (site.size(), site.told, site.model.calls) == (before, [], 0)
    finally:
        stop.set()
        thread.join()
    other.fragment(DATA[sent:], last=True)
    kind, content = other.read()
    assert kind == 4
    # (0000,0900) Status, the last word of the answer's command.
    assert b"\0\0\0\x09\2\0\0\0\0\0" in content
    assert (site.size(), len(site.told)) == (before + 1, 1)
    other.socket.close()


def test_a_hundred_broken_transfers_beside_whole_ones(site: Site) -> None:
    stop = threading.Event()

    def breaking() -> None:
        while not stop.is_set():
            close(begun(site))

    thread = threading.Thread(target=breaking)
    before = site.size()
    thread.start()
    try:
        sent = [send(RAW, site.receiver.port) for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert sent == [SUCCESS] * 5
    assert (site.size(), len(site.told)) == (before + 5, 5)


def test_an_image_that_ends_early_but_says_it_is_whole_is_not_captured(hospital: Hospital) -> None:
    site = Site(hospital, "capture")
    with site.receiver:
        before = site.size()
        line = Line(site.receiver.port, CLASS)
        line.store(CLASS, INSTANCE)
        line.fragment(DATA[: len(DATA) // 2], last=True)
        _, content = line.read()
        line.socket.close()
    assert struct.pack("<HHIH", 0, 0x0900, 2, NOT_UNDERSTOOD) in content
    assert (site.size(), site.told) == (before, [])


def test_more_bytes_than_an_image_may_have_end_the_association(site: Site) -> None:
    before = site.size()
    line = begun(site)
    for _ in range(1000):
        try:
            line.fragment(bytes(16_000))
        except ConnectionError:
            break
    else:
        pytest.fail("16 MB were taken where 1 MiB is allowed")
    claims = Line(site.receiver.port, CLASS)
    claims.pdu(4, bytes(100), length=2**31)
    assert claims.read()[0] in (0, 7)
    assert send(RAW, site.receiver.port) == SUCCESS
    assert site.size() == before + 1


def test_a_sender_hears_that_its_image_was_not_kept(hospital: Hospital) -> None:
    guarded = hospital.guarded(Counting(), hospital.policy("block"), prepare=_pixels, limits=Limits(rate=1e-9, burst=1))
    told: list[Any] = []
    with Receiver(guarding(guarded, told.append)) as front:
        assert [send(RAW, front.port) for _ in range(2)] == [SUCCESS, NO_RESOURCES]
    assert told[1].reasons == ("limit.rate",)


def test_only_named_callers_may_send(hospital: Hospital) -> None:
    told: list[Any] = []
    with Receiver(capturing(hospital.point, told.append), callers=["SCANNER"]) as modality:
        assert send(RAW, modality.port, caller="OTHER") == -1
        assert send(RAW, modality.port, caller="SCANNER") == SUCCESS
    assert len(told) == 1


def test_over_tls_strangers_are_refused_and_a_stopped_handshake_stops_nobody(
    hospital: Hospital, tmp_path: Path
) -> None:
    from pynetdicom import AE

    certificate, key = certified(tmp_path, "site")
    context = Tls(certificate, key, callers=certificate).context()
    told: list[Any] = []

    def sent(port: int, *, known: bool) -> int:
        trusting = ssl.create_default_context(cafile=str(certificate))
        if known:
            trusting.load_cert_chain(certificate, key)
        entity = AE(ae_title="RAW")
        entity.add_requested_context(CLASS.decode(), _EXPLICIT.decode())
        line = entity.associate("127.0.0.1", port, tls_args=(trusting, "127.0.0.1"))
        if not line.is_established:
            return -1
        status = int(line.send_c_store(dcmread(io.BytesIO(RAW))).get("Status", -1))
        line.release()
        return status

    with (
        Receiver(capturing(hospital.point, told.append), tls=context, patience=3.0) as modality,
        socket.create_connection(("127.0.0.1", modality.port)) as stopped,
    ):
        stopped.sendall(b"\x16\x03\x01")
        assert sent(modality.port, known=True) == SUCCESS
        assert sent(modality.port, known=False) == -1
        assert send(RAW, modality.port) == -1
        assert sent(modality.port, known=True) == SUCCESS
    assert len(told) == 2
