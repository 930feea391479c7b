"""A receiver that others wrote: rsyslog takes messages over TLS, with certificates on both sides, and parses them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from trail_tools import certificates, decision, events

from titer.errors import GuardError
from titer.provenance.guard.trail.atna import Atna, audit_message
from titer.provenance.guard.trail.outbox import Outbox
from titer.provenance.guard.trail.syslog import TlsSyslog, message

DRIVER = os.environ.get("RSYSLOG_DRIVER", "ossl")
FAREWELL = DRIVER == "ossl"
"""Its OpenSSL driver answers the end of a connection, its GnuTLS driver (`gtls`) breaks off."""


class _Rsyslog:
    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self._program = folder, program
        self.pem = certificates(folder)
        self.got = folder / "got"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "rsyslog.conf").write_text(
            f'''
            global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="{DRIVER}"
                   defaultNetstreamDriverCAFile="{self.pem.authority}"
                   defaultNetstreamDriverCertFile="{self.pem.server[0]}"
                   defaultNetstreamDriverKeyFile="{self.pem.server[1]}" parser.escapeControlCharactersOnReceive="off")
            module(load="imtcp" streamDriver.name="{DRIVER}" streamDriver.mode="1"
                   streamDriver.authMode="x509/certvalid")
            template(name="told" type="list" option.jsonf="on") {{
                property(outname="facility" name="syslogfacility" format="jsonf")
                property(outname="severity" name="syslogseverity" format="jsonf")
                property(outname="version" name="protocol-version" format="jsonf")
                property(outname="program" name="app-name" format="jsonf")
                property(outname="id" name="msgid" format="jsonf")
                property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
                property(outname="text" name="msg" format="jsonf")
            }}
            input(type="imtcp" port="{self.port}" address="127.0.0.1" ruleset="keep")
            ruleset(name="keep") {{
                action(type="omfile" file="{self.got}" template="told")
            }}
            '''
        )

    def start(self) -> None:
        command = [self._program, "-n", "-f", str(self.folder / "rsyslog.conf"), "-i", str(self.folder / "pid")]
        with (self.folder / "log").open("ab") as log:
            self.server = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(200):
            if self.server.poll() is not None:
                pytest.fail((self.folder / "log").read_text())
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        pytest.fail("rsyslog does not listen")

    def stop(self) -> None:
        self.server.terminate()
        self.server.wait(30)

    def told(self, many: int) -> list[dict[str, str]]:
        """What it has written, once it is that many lines."""
        for _ in range(200):
            lines = self.got.read_bytes().splitlines() if self.got.exists() else []
            if len(lines) >= many:
                break
            time.sleep(0.05)
        return [json.loads(line) for line in lines]


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[_Rsyslog]:
    program = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        reason = "needs rsyslog with TLS: install the packages rsyslog and rsyslog-openssl"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    made = _Rsyslog(tmp_path, program)
    made.start()
    yield made
    made.stop()


def test_rsyslog_takes_and_parses_every_message(rsyslog: _Rsyslog, tmp_path: Path) -> None:
    pem, wanted = rsyslog.pem, events()
    certificate, key = pem.client
    receiver = TlsSyslog(
        "localhost", rsyslog.port, authorities=pem.authority, certificate=certificate, key=key, farewell=FAREWELL
    )
    with Outbox(tmp_path / "atna", receiver.send, batch=16, first=0.05) as outbox:
        listener = Atna("guard-1", outbox.put, message)
        for each in wanted:
            listener(each)
        assert outbox.drain(60)
        again = outbox.counts.failures
    told = rsyslog.told(len(wanted))
    heads = {(each["facility"], each["severity"], each["version"], each["program"], each["id"]) for each in told}
    assert heads == {("10", "5", "1", "titer", "IHE+RFC-3881")}
    assert {each["time"] for each in told} == {"2023-11-14T22:13:20Z"}
    texts = [each["text"].lstrip("\ufeff").encode() for each in told]
    # A receiver that breaks off before it has said that it took everything is told the same again.
    assert len(texts) == len(wanted) or again
    assert list(dict.fromkeys(texts)) == [audit_message(each, "guard-1") for each in wanted]
    assert all(ElementTree.fromstring(each).tag == "AuditMessage" for each in texts)


def test_rsyslog_that_was_down_gets_the_rest_when_it_is_back(rsyslog: _Rsyslog, tmp_path: Path) -> None:
    pem = rsyslog.pem
    mine = {"authorities": pem.authority, "certificate": pem.client[0], "key": pem.client[1]}
    receiver = TlsSyslog("localhost", rsyslog.port, timeout=5, farewell=FAREWELL, **mine)
    raws = [message(audit_message(decision(index=number), "guard-1"), number) for number in range(20)]
    with Outbox(tmp_path / "atna", receiver.send, batch=4, first=0.05, longest=0.2) as outbox:
        for raw in raws[:8]:
            outbox.put(raw)
        assert outbox.drain(60)
        rsyslog.stop()
        for raw in raws[8:]:
            outbox.put(raw)
        assert not outbox.drain(0.3)
        rsyslog.start()
        assert outbox.drain(60)
        assert outbox.counts.failures > 0
    texts = {each["text"].lstrip("\ufeff").encode() for each in rsyslog.told(20)}
    assert texts == {audit_message(decision(index=number), "guard-1") for number in range(20)}


def test_rsyslog_takes_nothing_from_a_stranger(rsyslog: _Rsyslog) -> None:
    pem = rsyslog.pem
    certificate, key = pem.stranger
    stranger = TlsSyslog("localhost", rsyslog.port, authorities=pem.authority, certificate=certificate, key=key)
    with pytest.raises(GuardError):
        stranger.send([message(audit_message(decision(), "guard-1"), 0)])
    assert rsyslog.told(0) == []
