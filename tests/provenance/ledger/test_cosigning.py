"""A ledger and its witnesses: quorum, outage and catching up, forks and rollbacks, with the commands' exit codes."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from provenance_tools import ORIGIN, check, examined, leaf, make, mark_of, signed_leaf

from titer.cli.main import main
from titer.errors import LedgerError, LedgerRolledBack, RecordError
from titer.provenance.ledger import operations, settings, witness_folder
from titer.provenance.ledger.asker import Asker, Conflict, Round
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.cosigning import Witnesses
from titer.provenance.ledger.cosigning_http import LARGEST, Web, addresses
from titer.provenance.ledger.note import Note, Signer, Verifier, opened
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.witness import Answer, Witness, parse_request
from titer.provenance.ledger.witness_server import WitnessServer

Send = Callable[[str, bytes | None], tuple[int, str, bytes]]


class Party:
    """Three witnesses that are served, and can be stopped and started again where they were."""

    def __init__(self, folder: Path) -> None:
        self.folders = [folder / f"w{n}" for n in range(3)]
        for n, each in enumerate(self.folders):
            witness_folder.create(each, f"w{n}.example/w", ml_dsa=False)
        self.ports = [0, 0, 0]
        self.statuses: list[list[int]] = [[], [], []]
        self._running: dict[int, tuple[WitnessServer, threading.Thread, list[socket.socket]]] = {}

    def start(self, *which: int) -> None:
        for n in which or range(3):
            witness = witness_folder.opened(self.folders[n])
            server = WitnessServer(witness, port=self.ports[n])
            self._record(n, witness)
            self.ports[n] = int(server.server_address[1])
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            self._running[n] = (server, thread, [])
            self._connections(*self._running[n][::2])

    def stop(self, *which: int) -> None:
        for n in which or list(self._running):
            server, thread, sockets = self._running.pop(n)
            server.shutdown()
            server.server_close()
            thread.join()
            for each in sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _connections(server: WitnessServer, sockets: list[socket.socket]) -> None:
        """Remember open connections: they are cut with the server, as those of a process that ends are."""
        plain = server.get_request

        def get_request() -> tuple[socket.socket, object]:
            request, address = plain()
            sockets.append(request)
            return request, address

        server.get_request = get_request  # type: ignore[method-assign]

    def _record(self, n: int, witness: Witness) -> None:
        plain = witness.add_checkpoint

        def add_checkpoint(body: bytes) -> Answer:
            answer = plain(body)
            self.statuses[n].append(answer.status)
            return answer

        witness.add_checkpoint = add_checkpoint  # type: ignore[method-assign]

    def policy(self, path: Path) -> Path:
        keys = [witness_folder.verifier_keys(each)[0] for each in self.folders]
        lines = [
            f"witness w{n} {key} http://127.0.0.1:{port}/"
            for n, (key, port) in enumerate(zip(keys, self.ports, strict=True))
        ]
        path.write_text("\n".join([*lines, "group parties 2 w0 w1 w2", "quorum parties", ""]))
        return path


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    made = Party(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def log(party: Party, tmp_path: Path) -> Path:
    """A ledger that the three watch, 2 of whom must have signed."""
    folder = tmp_path / "log"
    made = settings.create(folder, ORIGIN, str(mark_of(folder).path), policy=party.policy(tmp_path / "policy"))
    party.stop()
    for each in party.folders:
        witness_folder.trust(each, settings.verifier_keys(folder, made))
    party.start()
    return folder


def titer(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, output and errors of a command, as a shell sees them."""
    capsys.readouterr()
    before, sys.argv = sys.argv, ["titer", *map(str, words)]
    try:
        with pytest.raises(SystemExit) as caught:
            main()
    finally:
        sys.argv = before
    told = capsys.readouterr()
    return int(caught.value.code or 0), told.out, told.err


def written(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


# -- a ledger with witnesses ------------------------------------------------------------------------------------------


def test_what_is_published_carries_a_quorum_and_receipts_meet_the_policy(log: Path, tmp_path: Path) -> None:
    keys = settings.verifier_keys(log, settings.read(log))
    policy = Policy.parse(f"log {keys[0]}\n".encode() + (tmp_path / "policy").read_bytes())
    with settings.opened(log) as ledger:
        for n in range(20):
            assert ledger.append(signed_leaf("a", n)).state == "published"
            receipt = Receipt.parse(ledger.receipt(n))
            accepted = policy.judge(receipt.note)
            receipt.check(accepted.checkpoint)
            assert accepted.satisfied
            assert len(accepted.witnesses) >= 2
    assert operations.examine(log).faults == []


def test_one_witness_may_be_down_and_two_may_not(log: Path, party: Party) -> None:
    with settings.opened(log) as ledger:
        party.stop(0)
        assert ledger.append(signed_leaf("a", 0)).state == "published"
        party.stop(1)
        before = ledger.checkpoint()
        assert ledger.append(signed_leaf("a", 1), wait="durable").state == "durable"
        told = ledger.append(signed_leaf("a", 2), timeout=0.5)
        assert (told.index, told.state) == (2, "pending")
        with pytest.raises(LedgerError) as caught:
            ledger.receipt(2)
        assert caught.value.code == "receipt.pending"
        assert ledger.checkpoint() == before
        assert isinstance(ledger.signing.cosign, Witnesses)
        assert dict(ledger.signing.cosign.failures) == {"w0": "witness.unreachable", "w1": "witness.unreachable"}
        party.start(1)
        assert ledger.append(signed_leaf("a", 3)).state == "published"
        assert ledger.receipt(2)
    assert operations.examine(log).faults == []


def test_after_an_outage_it_catches_up_by_itself(log: Path, party: Party) -> None:
    party.stop()
    with settings.opened(log) as ledger:
        for n in range(0, 600, 100):
            told = ledger.append_many([signed_leaf("a", n + k) for k in range(100)], wait="durable")
            assert {each.state for each in told} == {"durable"}
        assert ledger.append(signed_leaf("a", 600), timeout=0.1).state == "pending"
        assert not list((log / "public").rglob("*"))
        party.start()
        until = time.monotonic() + 60
        while ledger.site.checkpoint() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert ledger.signing.check(ledger.checkpoint()).size == 601
    assert operations.examine(log).faults == []


def test_an_hour_of_attempts_changes_nothing(log: Path, party: Party) -> None:
    """At one attempt in five seconds, the longest pause, an hour is 720 of them; pauses are left out."""
    party.stop()
    ledger = settings.opened(log)
    from titer.provenance.ledger.merkle import leaf_hash
    from titer.provenance.ledger.store import Item

    sequencer = ledger.sequencer
    assert sequencer.lead()
    for n in range(720):
        if n % 60 == 0:
            raw = signed_leaf("a", n // 60)
            told = settings.admit(ORIGIN, raw)
            sequencer.commit([Item(raw, leaf_hash(raw), told.capture_key, told.counter)])
        assert not sequencer.publish()
    assert threading.active_count() < 20
    party.start()
    until = time.monotonic() + 60
    while not sequencer.publish() and time.monotonic() < until:
        pass
    assert ledger.signing.check(ledger.checkpoint()).size == 12
    sequencer.resign()
    ledger.close()
    assert operations.examine(log).faults == []


def test_a_ledger_gets_its_witnesses_later(party: Party, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    made = settings.create(log, ORIGIN, str(mark_of(log).path))
    with settings.opened(log) as ledger:
        ledger.append_many([signed_leaf("a", n) for n in range(300)])
    party.stop()
    for each in party.folders:
        witness_folder.trust(each, settings.verifier_keys(log, made))
    party.start()
    path = party.policy(tmp_path / "policy")
    assert titer(capsys, "ledger", "policy", log, path)[:2] == (0, "3 witnesses are asked from the next start on\n")
    with settings.opened(log) as ledger:
        assert ledger.append(signed_leaf("a", 300)).state == "published"
        assert len(Note.parse(ledger.checkpoint()).signatures) >= 4
    path.write_text("quorum w9\n")
    assert titer(capsys, "ledger", "policy", log, path)[0] == 2
    assert settings.opened(log).signing.cosign is not None


def test_pending_tells_which_witnesses_fail(
    log: Path, party: Party, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    party.stop(0, 2)
    record = written(tmp_path / "record", signed_leaf("a", 0))
    code, out, err = titer(capsys, "ledger", "append", log, record, "--timeout", 1)
    assert (code, out[:9]) == (1, "0 pending")
    assert err.splitlines() == [f"waiting for witness {name}: witness.unreachable" for name in ("w0", "w2")]
    party.start(0, 2)
    assert titer(capsys, "ledger", "append", log, record)[0] == 0


# -- forks and rollbacks ----------------------------------------------------------------------------------------------


def copied(log: Path, target: Path) -> Path:
    """A copy with the same keys and, against the rule, a copy of the mark too, so that only witnesses can tell."""
    shutil.copytree(log, target)
    shutil.copytree(mark_of(log).path.parent, mark_of(target).path.parent)
    told = json.loads((target / "ledger.json").read_text())
    (target / "ledger.json").write_text(json.dumps(told | {"mark": str(mark_of(target).path)}))
    return target


def notes_in(text: str, log: Path) -> list[Checkpoint]:
    """The checkpoints with the log's own signature that stand in a text."""
    key = Verifier.parse(settings.verifier_keys(log, settings.read(log))[0])
    found = []
    for part in text.split(f"{ORIGIN}\n")[1:]:
        body, _, rest = part.partition("\n\n")
        lines = "".join(f"{line}\n" for line in rest.split("\n") if line.startswith("—"))
        note = Note.parse(f"{ORIGIN}\n{body}\n\n{lines}".encode())
        assert key in opened(note, [key])
        found.append(Checkpoint.parse(note.text))
    return found


def test_of_two_copies_the_second_gets_no_quorum_and_both_checkpoints_are_evidence(
    log: Path, party: Party, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with settings.opened(log) as ledger:
        ledger.append_many([signed_leaf("a", n) for n in range(3)])
    copy = copied(log, tmp_path / "copy")
    records = [written(tmp_path / f"record{n}", signed_leaf(name, n)) for name, n in (("a", 3), ("b", 4), ("a", 5))]
    assert titer(capsys, "ledger", "append", log, records[0])[0] == 0
    before = (copy / "public" / "checkpoint").read_bytes()
    code, out, err = titer(capsys, "ledger", "append", copy, records[1])
    assert (code, out) == (2, "")
    theirs, ours = notes_in(err, log)
    assert (theirs.size, ours.size, theirs.root == ours.root) == (4, 4, False)
    (kept,) = (copy / "evidence").iterdir()
    assert kept.name.startswith("forked-4-")
    assert notes_in(kept.read_text(), log) == [theirs, ours]
    assert (copy / "public" / "checkpoint").read_bytes() == before
    assert all(409 in statuses for statuses in party.statuses[:1])
    # It stays so: with more records, and with each start.
    assert titer(capsys, "ledger", "append", copy, records[2])[0] == 2
    assert (copy / "public" / "checkpoint").read_bytes() == before
    code, out, _ = titer(capsys, "ledger", "status", copy)
    assert (code, "evidence of two histories" in out) == (1, True)
    # Witnesses have kept it as well, and the first copy goes on.
    told = [titer(capsys, "ledger", "witness", "status", folder) for folder in party.folders]
    assert sum(code for code, _, _ in told) >= 1
    assert any("evidence:" in out for _, out, _ in told)
    assert titer(capsys, "ledger", "append", log, records[2])[0] == 0
    assert titer(capsys, "ledger", "status", log)[0] == 0


def test_a_copy_that_lags_behind_is_refused_by_its_mark_and_without_one_by_witnesses(
    log: Path, party: Party, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with settings.opened(log) as ledger:
        ledger.append_many([signed_leaf("a", n) for n in range(3)])
    copy = copied(log, tmp_path / "copy")
    shutil.copytree(log, tmp_path / "marked")
    with settings.opened(log) as ledger:
        ledger.append_many([signed_leaf("a", n) for n in range(3, 9)])
    record = written(tmp_path / "record", signed_leaf("b", 0))
    asked = [len(each) for each in party.statuses]
    code, _, err = titer(capsys, "ledger", "append", tmp_path / "marked", record)
    assert (code, "an older copy" in err) == (2, True)
    # The mark stood in the way before anything was signed, so no witness was asked.
    assert [len(each) for each in party.statuses] == asked
    code, _, err = titer(capsys, "ledger", "append", copy, record)
    assert code == 2
    theirs, ours = notes_in(err, log)
    assert (theirs.size, ours.size) == (9, 4)
    assert {status for n, each in enumerate(party.statuses) for status in each[asked[n] :]} == {409}
    assert [path.name[:14] for path in (copy / "evidence").iterdir()] == ["rolled_back-9-"]
    assert settings.opened(copy).signing.check((copy / "public" / "checkpoint").read_bytes()).size == 3
    assert titer(capsys, "ledger", "append", log, record)[0] == 0


def test_a_fork_that_one_witness_saw_first_is_kept_and_the_quorum_goes_on(
    log: Path, party: Party, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with settings.opened(log) as ledger:
        ledger.append(signed_leaf("a", 0))
    copy = copied(log, tmp_path / "copy")
    party.stop(0, 1)
    record = written(tmp_path / "record", signed_leaf("b", 0))
    assert titer(capsys, "ledger", "append", copy, record, "--timeout", 1)[0] == 1
    party.start(0, 1)
    with settings.opened(log) as ledger:
        until = time.monotonic() + 30
        for n in range(1, 1000):
            # A round does not wait for the third once the quorum is met; what it shows is kept when it comes.
            assert ledger.append(signed_leaf("a", n)).state == "published"
            if (log / "evidence").exists() or time.monotonic() > until:
                break
    (kept,) = (log / "evidence").iterdir()
    assert {told.size for told in notes_in(kept.read_text(), log)} >= {2}
    assert titer(capsys, "ledger", "status", log)[0] == 1
    assert titer(capsys, "ledger", "append", copy, record)[0] == 2


def test_a_paused_sequencer_that_meets_a_larger_tree_has_only_lost_its_lease(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    calls = []

    def cosign(note: bytes, prove: object) -> bytes:
        calls.append(check(note).size)
        if len(calls) == 2:
            with ledger.store.writing() as tx:
                tx.take("another")
            raise LedgerRolledBack("a tree", "a larger one", "look", code="ledger.rolled_back")
        return note

    ledger = make(folder, cosign=cosign, patience=0.2)
    with ledger:
        ledger.append(leaf("k", 0))
        told = ledger.append(leaf("k", 1))
        assert (told.index, told.state) == (1, "published")
    assert examined(folder).faults == []


# -- the client alone -------------------------------------------------------------------------------------------------

LOG = Signer(ORIGIN, settings.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
WITNESSES = [
    Signer(f"w{n}.example/w", settings.Ed25519PrivateKey.from_private_bytes(bytes([60 + n]) * 32), cosigner=True)
    for n in range(3)
]


def signed(size: int, root: bytes = bytes(32), signer: Signer = LOG) -> bytes:
    text = Checkpoint(ORIGIN, size, root).text()
    return Note(text, (signer.sign(text),)).format()


def cosigned(n: int, body: bytes | None, more: str = "") -> tuple[int, str, bytes]:
    text = Note.parse(parse_request(body or b"")[2]).text
    return 200, "text/plain", (more + str(WITNESSES[n].sign(text, 99))).encode()


def askers(*sends: Send) -> list[Asker]:
    return [Asker(f"w{n}", WITNESSES[n].verifier, [LOG.verifier], send) for n, send in enumerate(sends)]


def two_of(raw: bytes) -> bool:
    return len(opened(Note.parse(raw), [each.verifier for each in WITNESSES])) >= 2


def no_proof(old: int) -> list[bytes]:
    return []


def test_witnesses_are_asked_at_once_and_nobody_waits_beyond_the_quorum(tmp_path: Path) -> None:
    together, never = threading.Barrier(3, timeout=20), threading.Event()

    def first(path: str, body: bytes | None) -> tuple[int, str, bytes]:
        together.wait()
        return cosigned(0, body)

    def second(path: str, body: bytes | None) -> tuple[int, str, bytes]:
        together.wait()
        return cosigned(1, body)

    def hangs(path: str, body: bytes | None) -> tuple[int, str, bytes]:
        together.wait()
        never.wait()
        return cosigned(2, body)

    asking = Witnesses(askers(first, second, hangs), two_of, tmp_path, patience=60.0)
    made = Note.parse(asking(signed(3), no_proof))
    assert {each.name for each in made.signatures} == {ORIGIN, "w0.example/w", "w1.example/w"}
    never.set()
    asking.close()


def test_those_that_failed_are_hardly_waited_for_and_counted_again_when_they_answer(tmp_path: Path) -> None:
    up = [False]

    def lame(path: str, body: bytes | None) -> tuple[int, str, bytes]:
        if not up[0]:
            raise LedgerError("a witness", "none", "wait", code="witness.unreachable")
        return cosigned(1, body)

    asking = Witnesses(askers(lambda path, body: cosigned(0, body), lame), two_of, tmp_path, patience=60.0)
    for _ in range(3):
        assert len(Note.parse(asking(signed(3), no_proof)).signatures) == 2
    assert dict(asking.failures) == {"w1": "witness.unreachable"}
    up[0] = True
    assert two_of(asking(signed(3), no_proof))
    assert dict(asking.failures) == {}
    asking.close()


def test_a_signature_on_the_same_tree_is_not_asked_for_twice(tmp_path: Path) -> None:
    asked = []

    def counts(path: str, body: bytes | None) -> tuple[int, str, bytes]:
        asked.append(parse_request(body or b"")[0])
        return cosigned(0, body)

    asking = Witnesses(askers(counts), lambda raw: True, tmp_path)
    for size in (3, 3, 5, 5):
        asking(signed(size), no_proof)
    assert asked == [0, 3]
    asking.close()


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([(500, "text/plain", b"")], "witness.status.500"),
        ([(404, "text/plain", b"")], "witness.status.404"),
        ([(200, "text/plain", b"no note")], "note.invalid"),
        ([(200, "text/plain", str(WITNESSES[1].sign("x\n", 9)).encode())], "witness.signature"),
        ([(200, "text/plain", str(WITNESSES[0].sign("x\n", 9)).encode())], "note.signature"),
        ([(409, "text/x.tlog.size", b"many\n")], "witness.answer"),
        ([(409, "text/x.tlog.size", b"\xff\n")], "witness.answer"),
        ([(409, "text/x.tlog.size", b"%d\n" % n) for n in (1, 2, 3, 2)], "witness.sizes"),
        ([(409, "text/x.tlog.size", b"9\n"), (404, "", b"")], "witness.ahead"),
        ([(409, "text/x.tlog.size", b"9\n"), (200, "", signed(9, signer=WITNESSES[0]))], "witness.ahead"),
        ([(409, "text/x.tlog.size", b"9\n"), (200, "", signed(8))], "witness.ahead"),
        ([(409, "text/x.tlog.size", b"9\n"), (200, "", b"no note")], "note.invalid"),
        ([(409, "text/x.tlog.size", b"9\n"), (200, "", signed(9))], "ledger.rolled_back"),
        ([(409, "text/x.tlog.size", b"5\n"), (422, "", b""), (200, "", signed(5))], "witness.disagrees"),
        ([(409, "text/x.tlog.size", b"5\n"), (409, "", b""), (200, "", signed(5, b"1" * 32))], "ledger.forked"),
        ([(409, "text/x.tlog.size", b"5\n"), (422, "", b""), (200, "", signed(5, b"1" * 32))], "ledger.forked"),
        ([(409, "text/x.tlog.size", b"5\n"), (409, "text/x.tlog.size", b"5\n"), (404, "", b"")], "witness.disagrees"),
    ],
)
def test_what_a_witness_may_say(answers: list[tuple[int, str, bytes]], code: str, tmp_path: Path) -> None:
    told = iter(answers)
    (asker,) = askers(lambda path, body: next(told))
    with pytest.raises((LedgerError, RecordError)) as caught:
        asker.cosignature(Round(signed(5), no_proof))
    assert caught.value.code == code
    assert isinstance(caught.value, Conflict) == code.startswith("ledger.")
    assert next(told, None) is None


def test_lines_of_other_keys_are_ignored(tmp_path: Path) -> None:
    more = str(WITNESSES[1].sign("x\n", 9))
    (asker,) = askers(lambda path, body: cosigned(0, body, more))
    assert asker.cosignature(Round(signed(5), no_proof)).name == WITNESSES[0].name


def test_trouble_with_its_own_files_is_the_logs_and_bugs_do_not_end_a_thread(tmp_path: Path) -> None:
    def broken(old: int) -> list[bytes]:
        raise LedgerError("a tile", "none", "run fsck", code="tile.missing")

    asking = Witnesses(askers(lambda path, body: cosigned(0, body)), lambda raw: True, tmp_path)
    with pytest.raises(LedgerError) as caught:
        asking(signed(5), broken)
    assert caught.value.code == "tile.missing"
    asking.close()
    first = iter([ZeroDivisionError()])

    def bug(path: str, body: bytes | None) -> tuple[int, str, bytes]:
        for each in first:
            raise each
        return cosigned(0, body)

    asking = Witnesses(askers(bug), two_of, tmp_path, patience=20.0)
    assert len(Note.parse(asking(signed(5), no_proof)).signatures) == 1
    assert dict(asking.failures) == {"w0": "witness.bug"}
    assert len(Note.parse(asking(signed(5), no_proof)).signatures) == 2
    asking.close()


def test_a_proof_is_not_made_after_the_round(tmp_path: Path) -> None:
    now = Round(signed(5), no_proof)
    told = iter([(409, "text/x.tlog.size", b"9\n"), (200, "", signed(9))])

    def ends(path: str, body: bytes | None) -> tuple[int, str, bytes]:
        now.close()
        return next(told)

    # A later round may have had the larger tree cosigned meanwhile: that is no proof of a second history.
    with pytest.raises(LedgerError) as caught:
        askers(ends)[0].cosignature(now)
    assert caught.value.code == "witness.late"
    with pytest.raises(LedgerError) as caught:
        now.proof(3)
    assert caught.value.code == "witness.late"


def test_proof_of_two_histories_travels_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(Conflict("ledger.forked", signed(5), signed(5, b"1" * 32))))
    assert (error.code, error.theirs) == ("ledger.forked", signed(5))


# -- over HTTP --------------------------------------------------------------------------------------------------------


class _Odd(http.server.BaseHTTPRequestHandler):
    """Answers as its path says, and closes each connection without a word."""

    def do_GET(self) -> None:
        if self.path == "/drop":
            return
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/big")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        if self.path == "/slow":
            for _ in range(200):
                self.wfile.write(b"x")
                self.wfile.flush()
                if self.server.stopped.wait(0.05):  # type: ignore[attr-defined]
                    return
        if self.path == "/big":
            self.wfile.write(bytes(LARGEST + 1))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def odd() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.stopped.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "code"), [("drop", "witness.unreachable"), ("big", "witness.answer"), ("slow", "witness.answer")]
)
def test_answers_are_bounded_in_size_and_time(odd: str, path: str, code: str) -> None:
    with pytest.raises(LedgerError) as caught:
        Web(odd, 0.4)(path, None)
    assert caught.value.code == code


def test_redirects_are_not_followed_and_addresses_not_told(odd: str) -> None:
    assert Web(odd, 5.0)("elsewhere", None)[0] == 302
    with pytest.raises(LedgerError) as caught:
        Web("http://127.0.0.1:1", 5.0)("x", None)
    assert "127.0.0.1" not in str(caught.value)


def test_addresses_are_those_of_the_policy() -> None:
    key = WITNESSES[0].verifier
    assert addresses(f"witness a {key}\nquorum a\n".encode()) == {}
    assert addresses(f"\twitness  a {key}\thttps://w.example/x/ \nquorum a\n".encode()) == {"a": "https://w.example/x"}
    with pytest.raises(RecordError) as caught:
        addresses(f"witness a {key} file:///etc/passwd\nquorum a\n".encode())
    assert caught.value.code == "policy.address"
