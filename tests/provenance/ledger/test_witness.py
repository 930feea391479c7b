"""A witness: each answer that the protocol knows, and that it cosigns one history only, whatever happens."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from evidence_tools import LOG, LOG_PQ, ORIGIN, key

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import merkle, witness_folder
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.note import COSIGNATURE, ML_DSA_44, Note, Signer, Verifier, opened
from titer.provenance.ledger.witness import LARGEST, SIZE_TYPE, Answer, Witness, parse_request, request
from titer.provenance.ledger.witness_server import WitnessServer

LEAVES = [merkle.leaf_hash(b"%d" % n) for n in range(300)]
OTHERS = [*LEAVES[:5], *(merkle.leaf_hash(b"other %d" % n) for n in range(5, 300))]
"""Another history, that parts from the first after five leaves."""

# The request that the document prints.
EXAMPLE = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()  # noqa: E501 - as printed


def checkpoint(size: int, leaves: list[bytes] = LEAVES, signers: tuple[Signer, ...] = (LOG,)) -> bytes:
    text = Checkpoint(ORIGIN, size, merkle.root(leaves[:size])).text()
    return Note(text, tuple(each.sign(text, 7) for each in signers)).format()


def asked(old: int, size: int, leaves: list[bytes] = LEAVES, **more: tuple[Signer, ...]) -> bytes:
    return request(old, merkle.consistency(leaves[:size], old, size), checkpoint(size, leaves, **more))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "witness"
    witness_folder.create(made, "witness.example/w")
    witness_folder.trust(made, [str(LOG.verifier), str(LOG_PQ.verifier)])
    return made


@pytest.fixture
def keys(folder: Path) -> list[Verifier]:
    return [Verifier.parse(each) for each in witness_folder.verifier_keys(folder)]


def cosigners(size: int, answer: Answer, keys: list[Verifier], leaves: list[bytes] = LEAVES) -> dict[Verifier, int]:
    """Keys and times of the cosignatures in an answer, once they are found to be of this checkpoint."""
    assert (answer.status, answer.kind) == (200, "text/plain; charset=utf-8"), answer
    text = Note.parse(checkpoint(size, leaves)).text
    return opened(Note.parse(text.encode() + b"\n" + answer.body), keys)


def test_the_request_that_the_document_prints_is_read_and_written_alike() -> None:
    old, proof, raw = parse_request(EXAMPLE)
    assert (old, len(proof)) == (20852014, 4)
    assert Checkpoint.parse(Note.parse(raw).text).size == 20852163
    assert request(old, proof, raw) == EXAMPLE


def test_growth_is_cosigned_under_each_of_its_keys_from_any_size_to_any(folder: Path, keys: list[Verifier]) -> None:
    assert [each.kind for each in keys] == [COSIGNATURE, ML_DSA_44]
    rng, size = random.Random(1), 0
    while size < 300:
        new = min(300, size + rng.choice([0, 0, 1, 2, 7, 60]))
        # Opened anew each time: what counts stands on the disk.
        answer = witness_folder.opened(folder).add_checkpoint(asked(size, new))
        assert set(cosigners(new, answer, keys)) == set(keys)
        size = new
        assert Checkpoint.parse(Note.parse(witness_folder.opened(folder).latest(ORIGIN) or b"").text).size == size


def test_a_witness_without_ml_dsa_signs_once(tmp_path: Path) -> None:
    witness_folder.create(tmp_path, "witness.example/w", ml_dsa=False)
    witness_folder.trust(tmp_path, [str(LOG.verifier)])
    assert witness_folder.opened(tmp_path).add_checkpoint(asked(0, 3)).body.count(b"\n") == 1


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"", 400, b""),
        (EXAMPLE[4:], 400, b""),
        (EXAMPLE.replace(b"old 2", b"old 02"), 400, b""),
        (EXAMPLE.replace(b"old 2", b"old -2"), 400, b""),
        (EXAMPLE.replace(b"awr=", b"aw="), 404, b""),
        (EXAMPLE.replace(b"DDpkaw=", b"DDpkax="), 400, b""),
        (request(5, [bytes(31)], checkpoint(9)), 400, b""),
        (request(5, [bytes(32)] * 64, checkpoint(9)), 400, b""),
        (request(5, [bytes(32)] * 63, checkpoint(9)), 422, b""),
        (request(5, [], b"no note"), 400, b""),
        (request(5, [], LOG.sign("a\n") and Note("a\n", (LOG.sign("a\n"),)).format()), 400, b""),
        (bytes(LARGEST + 1), 400, b""),
        (b"old 5\n\xff\n\n" + checkpoint(9), 400, b""),
        (EXAMPLE, 404, b""),
        (asked(5, 9, signers=(Signer(ORIGIN, key(77)),)), 403, b""),
        (asked(9, 9).replace(b"old 9", b"old 10"), 400, b""),
        (asked(0, 9), 409, b"5\n"),
        (asked(4, 9), 409, b"5\n"),
        (asked(6, 9), 409, b"5\n"),
        (asked(4, 4), 409, b"5\n"),
        (request(5, merkle.consistency(LEAVES[:9], 4, 9), checkpoint(9)), 422, b""),
        (request(5, [], checkpoint(9)), 422, b""),
        (request(5, [bytes(32)], checkpoint(5)), 422, b""),
        (asked(5, 9, OTHERS), 200, b""),
        (request(5, merkle.consistency(LEAVES[:9], 5, 9), checkpoint(9, OTHERS)), 422, b""),
    ],
)
def test_each_answer_that_the_document_asks_for(
    folder: Path, keys: list[Verifier], body: bytes, status: int, told: bytes
) -> None:
    witness = witness_folder.opened(folder)
    cosigners(5, witness.add_checkpoint(asked(0, 5)), keys)
    before = witness.latest(ORIGIN)
    answer = witness.add_checkpoint(body)
    assert answer.status == status, answer
    if told:
        assert (answer.body, answer.kind) == (told, SIZE_TYPE)
    if status != 200:
        assert witness.latest(ORIGIN) == before
        assert "—".encode() not in answer.body


def test_a_proof_for_a_first_checkpoint_and_a_wrong_empty_tree_are_refused(folder: Path) -> None:
    witness = witness_folder.opened(folder)
    assert witness.add_checkpoint(request(0, [bytes(32)], checkpoint(5))).status == 422
    text = Checkpoint(ORIGIN, 0, bytes(32)).text()
    assert witness.add_checkpoint(request(0, [], Note(text, (LOG.sign(text),)).format())).status == 409
    assert witness.latest(ORIGIN) is None
    assert witness.add_checkpoint(asked(0, 0)).status == 200


def test_a_wrong_signature_under_a_known_key_is_refused_and_those_of_strangers_ignored(
    folder: Path, keys: list[Verifier]
) -> None:
    witness = witness_folder.opened(folder)
    told = Note.parse(checkpoint(5, signers=(LOG, LOG_PQ)))
    _, quantum = told.signatures
    stranger = Signer("stranger.example", key(78)).sign(told.text)
    wrong = LOG.sign(Note.parse(checkpoint(6)).text)
    for signatures in ((wrong,), (quantum, wrong), (stranger,), ()):
        note = Note(told.text, signatures).format() if signatures else told.text.encode() + b"\n"
        assert witness.add_checkpoint(request(0, [], note)).status in (403, 400)
    answer = witness.add_checkpoint(request(0, [], Note(told.text, (stranger, quantum)).format()))
    assert set(cosigners(5, answer, keys)) == set(keys)
    kept = Note.parse(witness.latest(ORIGIN) or b"")
    assert [each.name for each in kept.signatures] == [ORIGIN, "witness.example/w", "witness.example/w"]


def test_another_history_gets_no_signature_and_both_sides_are_kept(folder: Path, keys: list[Verifier]) -> None:
    witness = witness_folder.opened(folder)
    cosigners(5, witness.add_checkpoint(asked(0, 5)), keys)
    cosigners(9, witness.add_checkpoint(asked(5, 9)), keys)
    for body, status in ((asked(9, 9, OTHERS), 409), (asked(9, 12, OTHERS), 422), (asked(9, 9, OTHERS), 409)):
        assert witness.add_checkpoint(body).status == status
    (seen,) = witness_folder.watched(folder)
    assert seen.latest is not None
    assert (seen.origin, seen.latest.size, seen.latest.root) == (ORIGIN, 9, merkle.root(LEAVES[:9]))
    assert len(seen.evidence) == 2
    kept = b"".join(path.read_bytes() for path in seen.evidence)
    for raw in (checkpoint(9, OTHERS), checkpoint(12, OTHERS), witness.latest(ORIGIN) or b""):
        assert raw in kept
    cosigners(12, witness.add_checkpoint(asked(9, 12)), keys)


def test_a_thief_of_the_key_cannot_fill_the_disk(folder: Path) -> None:
    witness = witness_folder.opened(folder)
    witness.add_checkpoint(asked(0, 5))
    for n in range(80):
        witness.add_checkpoint(request(5, [], checkpoint(6 + n, OTHERS)))
    assert len(witness_folder.watched(folder)[0].evidence) == 64


def test_two_requests_at_once_never_take_it_back(folder: Path, keys: list[Verifier]) -> None:
    witness = witness_folder.opened(folder)
    signed: list[tuple[int, Answer]] = []

    def ask(start: int) -> None:
        for size in range(start, 60, 4):
            for _ in range(200):
                latest = witness.latest(ORIGIN)
                old = 0 if latest is None else Checkpoint.parse(Note.parse(latest).text).size
                if old > size:
                    break
                answer = witness.add_checkpoint(asked(old, size))
                signed.append((size, answer))
                if answer.status == 200:
                    break

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for _, answer in signed} <= {200, 409}
    times = [max(cosigners(size, answer, keys).values()) for size, answer in signed if answer.status == 200]
    assert len(times) >= 1
    assert Checkpoint.parse(Note.parse(witness.latest(ORIGIN) or b"").text).size == 59


class _Memory:
    """A disk that fails in the middle."""

    def __init__(self, inner: witness_folder.FolderMemory, fails: str) -> None:
        self._inner, self._fails = inner, fails

    def __getattr__(self, name: str) -> object:
        if name == self._fails:
            raise LedgerError("room", "none", "free some", code="storage.full")
        return getattr(self._inner, name)


@pytest.mark.parametrize("fails", ["latest", "keep"])
def test_no_signature_leaves_before_the_disk_has_it(folder: Path, fails: str) -> None:
    place = folder / "state" / sha256(ORIGIN.encode()).hexdigest()

    @contextmanager
    def hold(origin: str) -> Iterator[_Memory]:
        with witness_folder.FolderMemory(place).held() as memory:
            yield _Memory(memory, fails)

    signer = Signer("witness.example/w", key(30), cosigner=True)
    answer = Witness([signer], [LOG.verifier], hold).add_checkpoint(asked(0, 5))  # type: ignore[arg-type]
    assert (answer.status, "—".encode() in answer.body) == (500, False)
    assert witness_folder.opened(folder).latest(ORIGIN) is None


def test_a_lost_memory_signs_nothing_and_a_new_log_is_not_one(folder: Path) -> None:
    witness = witness_folder.opened(folder)
    witness.add_checkpoint(asked(0, 5))
    state = folder / "state" / sha256(ORIGIN.encode()).hexdigest() / "checkpoint"
    kept = state.read_bytes()
    state.unlink()
    assert witness.add_checkpoint(asked(0, 9)).status == 500
    # Naming a second key of the log does not begin it anew.
    witness_folder.trust(folder, [str(LOG.verifier)])
    assert witness.add_checkpoint(asked(0, 9)).status == 500
    state.write_bytes(kept)
    assert witness.add_checkpoint(asked(5, 9)).status == 200


def test_a_log_that_was_left_out_for_a_while_has_the_past_that_it_had(folder: Path) -> None:
    witness_folder.opened(folder).add_checkpoint(asked(0, 9))
    settings = json.loads((folder / "witness.json").read_bytes())
    (folder / "witness.json").write_text(json.dumps(settings | {"logs": []}))
    witness_folder.trust(folder, settings["logs"])
    # To sign from the beginning again would be to sign a second history.
    answer = witness_folder.opened(folder).add_checkpoint(asked(0, 5))
    assert (answer.status, answer.body) == (409, b"9\n")


def test_times_never_go_back(folder: Path, keys: list[Verifier]) -> None:
    signer = Signer("witness.example/w", key(30), cosigner=True)
    now = [1_700_000_000.0]

    @contextmanager
    def hold(origin: str) -> Iterator[witness_folder.FolderMemory]:
        with witness_folder.FolderMemory(folder / "state" / sha256(origin.encode()).hexdigest()).held() as memory:
            yield memory

    witness = Witness([signer], [LOG.verifier], hold, lambda: now[0])
    assert cosigners(5, witness.add_checkpoint(asked(0, 5)), [signer.verifier]) == {signer.verifier: 1_700_000_000}
    now[0] -= 30
    assert cosigners(6, witness.add_checkpoint(asked(5, 6)), [signer.verifier]) == {signer.verifier: 1_700_000_000}
    now[0] -= 31_536_000
    answer = witness.add_checkpoint(asked(6, 7))
    assert (answer.status, answer.body.split(b":")[0]) == (500, b"witness.clock")
    now[0] = 1_700_000_009
    assert cosigners(7, witness.add_checkpoint(asked(6, 7)), [signer.verifier]) == {signer.verifier: 1_700_000_009}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda folder: (folder / "witness.json").unlink(), "witness.missing"),
        (lambda folder: (folder / "witness.json").write_text("{"), "witness.settings"),
        (lambda folder: (folder / "witness.json").write_text('{"name":"a","keys":[],"format":2}'), "witness.settings"),
        (lambda folder: changed(folder, format=2), "witness.settings"),
        (lambda folder: (folder / "keys" / "ed25519.pem").chmod(0o644), "key.open"),
        (lambda folder: (folder / "keys" / "ed25519.pem").unlink(), "key.missing"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_used_is_refused(folder: Path, change: object, code: str) -> None:
    change(folder)  # type: ignore[operator]
    with pytest.raises(LedgerError) as caught:
        witness_folder.opened(folder)
    assert caught.value.code == code


def changed(folder: Path, **more: object) -> None:
    told = json.loads((folder / "witness.json").read_text())
    (folder / "witness.json").write_text(json.dumps(told | more))


def test_a_witness_is_not_made_twice_and_watches_keys_only(folder: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        witness_folder.create(folder, "witness.example/w")
    assert caught.value.code == "witness.exists"
    with pytest.raises(RecordError):
        witness_folder.trust(folder, ["no key"])


@pytest.fixture
def server(folder: Path) -> Iterator[WitnessServer]:
    made = WitnessServer(witness_folder.opened(folder))
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_it_is_served_over_one_connection_with_bounded_requests(server: WitnessServer, folder: Path) -> None:
    host, port = server.server_address[:2]
    line = http.client.HTTPConnection(str(host), int(port), timeout=10)

    def ask(verb: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str | None, bytes]:
        line.request(verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = line.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()

    place = f"/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert ask("GET", place)[0] == 404
    status, _, body = ask("POST", "/add-checkpoint", asked(0, 5))
    assert (status, body.count(b"\n")) == (200, 2)
    assert ask("POST", "/add-checkpoint", asked(0, 9)) == (409, SIZE_TYPE, b"5\n")
    assert ask("GET", place)[2] == server.witness.latest(ORIGIN)
    for path in ("/", "/checkpoint", place[:-1], f"/{ORIGIN}/checkpoint", "/../witness.json", "/add-checkpoint"):
        assert ask("GET", path)[0] == 404
    assert ask("POST", "/other", b"x")[0] == 404
    assert ask("POST", "/add-checkpoint", b"", Content_Length="x")[0] == 411
    assert ask("POST", "/add-checkpoint", b"", Content_Length=str(LARGEST + 1))[0] == 413
    assert ask("POST", "/add-checkpoint", b"", Content_Length="9" * 40)[0] == 413
    line.request("POST", "/add-checkpoint", iter([asked(5, 9)]), {"Transfer-Encoding": "chunked"})
    assert line.getresponse().status == 411
    line.close()
    (folder / "state" / place.split("/")[1] / "checkpoint").unlink()
    assert ask("GET", place)[0] == 500
    assert {each.name for each in folder.iterdir()} == {"state", "keys", "witness.json"}


def test_a_witness_that_is_killed_has_forgotten_nothing_that_it_signed(folder: Path, keys: list[Verifier]) -> None:
    rng, signed, port = random.Random(3), 0, 0
    for _ in range(6):
        words = ["-c", "from titer.cli.main import main; main()", "ledger", "witness", "serve", folder, "--port", port]
        with subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            line.request("POST", "/add-checkpoint", asked(0, 0))
            answer = line.getresponse()
            known = 0 if answer.status == 200 else int(answer.read())
            answer.read()
            # It may have kept what it could no longer answer, and never the other way about.
            assert known >= signed
            killer = threading.Timer(rng.uniform(0.0, 0.15), process.kill)
            killer.start()
            with contextlib.suppress(OSError, http.client.HTTPException):
                for size in range(known, 300):
                    line.request("POST", "/add-checkpoint", asked(known, size))
                    answer = line.getresponse()
                    cosigners(size, Answer(answer.status, answer.read()), keys)
                    known = signed = size
            killer.join()
            process.wait()
    assert signed > 0
