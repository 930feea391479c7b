"""Time tokens: made and checked against OpenSSL both ways, kept beside the site, and what they prove of a record."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from authority import Authority, served
from click.testing import CliRunner
from evidence_tools import CAPTURE, record_of, text_of
from provenance_tools import ORIGIN, mark_of, signed_leaf

from titer.cli.main import cli
from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import operations, settings, stamping, tokens
from titer.provenance.ledger._der import with_sorted_certificates
from titer.provenance.ledger.record import Opening
from titer.provenance.ledger.serve import Server
from titer.provenance.ledger.stamping import Stamper, name_authority, parse_list, stamped
from titer.provenance.ledger.times import bounds, files_of, make_times
from titer.provenance.ledger.tokens import certificates, check_token

NOTE = b"a checkpoint\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "tsa")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger") / "tsa", "Stranger")


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    with served(authority) as address:
        yield address


def near_now(time: datetime) -> bool:
    return abs(time - datetime.now(UTC)) < timedelta(minutes=5)


# -- with OpenSSL, both ways ------------------------------------------------------------------------------------------


def test_what_openssl_asked_for_and_made_is_checked_by_us(authority: Authority) -> None:
    token = check_token(authority.stamp(NOTE), NOTE, certificates(authority.root))
    assert near_now(token.time)
    assert (token.authority, token.accuracy) == ("CN=Test authority", timedelta(seconds=1.5))


def test_what_we_asked_for_is_checked_by_openssl(authority: Authority, url: str) -> None:
    raw, token = tokens.ask(url, NOTE, certificates(authority.root))
    assert near_now(token.time)
    assert authority.verifies(raw, NOTE)
    assert not authority.verifies(raw, NOTE + b"x")


def test_both_refuse_another_message_another_root_and_another_nonce(authority: Authority, stranger: Authority) -> None:
    raw = authority.stamp(NOTE)
    roots = certificates(authority.root)
    check_token(raw, NOTE, [*certificates(stranger.root), *roots])
    for message, trusted, nonce in ((NOTE + b"x", roots, None), (NOTE, certificates(stranger.root), None), (NOTE, roots, 7)):  # fmt: skip # noqa: E501
        with pytest.raises(RecordError) as caught:
            check_token(raw, message, trusted, nonce=nonce)
        assert caught.value.code == "token.signature"
    with pytest.raises(RecordError) as caught:
        check_token(raw, NOTE, [])
    assert caught.value.code == "token.signature"


def test_certificates_may_come_in_any_order(tmp_path: Path) -> None:
    for n in range(4):
        chain = Authority(tmp_path / f"chain{n}", f"Authority {n}")
        settings_file = chain.folder / "ts.cnf"
        settings_file.write_text(settings_file.read_text() + "certs = ./root.pem\n")
        raw = chain.stamp(NOTE)
        assert check_token(raw, NOTE, certificates(chain.root)).authority == f"CN=Authority {n}"
        right = with_sorted_certificates(raw)
        assert chain.verifies(right, NOTE)
        assert (with_sorted_certificates(right), sorted(right)) == (right, sorted(raw))
        for cut in range(len(raw)):
            assert len(with_sorted_certificates(raw[:cut])) == cut


def test_a_certificate_that_comes_along_lends_its_name_to_no_token(tmp_path: Path) -> None:
    """Whoever holds a token can add a certificate of the same issuer and number, in another name."""
    real, forger = (Authority(tmp_path / name, "Authority") for name in ("real", "forger"))
    forger.run("req", "-config", "ts.cnf", "-new", "-key", "leaf.key", "-subj", "/CN=National time", "-out", "leaf.csr")
    forger.run("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "7", "-out", "leaf.pem")  # fmt: skip # noqa: E501
    (real.folder / "more.pem").write_bytes((forger.folder / "leaf.pem").read_bytes())
    settings_file = real.folder / "ts.cnf"
    settings_file.write_text(settings_file.read_text() + "certs = ./more.pem\n")
    with pytest.raises(RecordError) as caught:
        check_token(real.stamp(NOTE), NOTE, certificates(real.root))
    assert caught.value.code == "token.signature"


@pytest.mark.parametrize("row", ["5 ../../x 1 1", "5 a/b 1 1", "-5 a 1 1", "5_0 a 1 1", "5 a 1"])
def test_a_list_that_leads_elsewhere_is_refused(row: str) -> None:
    assert parse_list(b"5 a 1 1\n")[0].size == 5
    for raw in (f"{row}\n", "".join(f"5 a{n} 1 1\n" for n in range(65))):
        with pytest.raises(LedgerError) as caught:
            parse_list(raw.encode())
        assert caught.value.code == "token.list"


def test_a_certificate_that_had_run_out_by_then_does_not_count(tmp_path: Path) -> None:
    late = Authority(tmp_path / "late", days=-1)
    with pytest.raises(RecordError) as caught:
        check_token(late.stamp(NOTE), NOTE, certificates(late.root))
    assert caught.value.code == "token.signature"


def test_an_answer_without_its_certificate_or_a_refusal_is_no_token(authority: Authority) -> None:
    roots = certificates(authority.root)
    with pytest.raises(RecordError) as caught:
        check_token(authority.stamp(NOTE, "-no_nonce"), NOTE, roots)
    assert caught.value.code == "token.signature"
    (authority.folder / "message").write_bytes(NOTE)
    authority.run("ts", "-query", "-data", "message", "-sha1", "-cert", "-out", "own.tsq")
    with pytest.raises(RecordError) as caught:
        check_token(authority.answer((authority.folder / "own.tsq").read_bytes()), NOTE, roots)
    assert (caught.value.code, caught.value.got) == ("token.invalid", "status 2")


def test_no_changed_bit_changes_what_a_token_says(authority: Authority) -> None:
    raw, roots, rng = authority.stamp(NOTE), certificates(authority.root), random.Random(1)
    whole, accepted = check_token(raw, NOTE, roots), 0
    for _ in range(1500):
        flipped = bytearray(raw)
        flipped[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        with contextlib.suppress(RecordError):
            # Some bits say in which words algorithms are named; nothing signed stands in them.
            assert check_token(bytes(flipped), NOTE, roots) == whole
            accepted += 1
    assert accepted < 100
    for cut in range(0, len(raw), 7):
        with pytest.raises(RecordError):
            check_token(raw[:cut], NOTE, roots)
    with pytest.raises(RecordError):
        check_token(bytes(tokens.LARGEST + 1), NOTE, roots)


@pytest.mark.parametrize("at", ["http://127.0.0.1:1/", "http://[bad", "ftp://x.example/"])
def test_an_authority_that_cannot_be_asked_is_told_of(authority: Authority, at: str) -> None:
    with pytest.raises(LedgerError) as caught:
        tokens.ask(at, NOTE, certificates(authority.root), timeout=5.0)
    assert caught.value.code == "token.unreachable"


def test_certificates_are_asked_for_where_there_are_none() -> None:
    with pytest.raises(RecordError) as caught:
        certificates(b"no certificate")
    assert caught.value.code == "token.roots"


# -- a ledger whose checkpoints are stamped ---------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    settings.create(folder, ORIGIN, str(mark_of(folder).path), ml_dsa=False)
    return folder


def filled(log: Path, start: int, stop: int) -> None:
    with settings.opened(log) as ledger:
        ledger.append_many([signed_leaf("a", n) for n in range(start, stop)])


def titer(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert result.return_value == code, result.output
    return result.output


def test_each_authority_stamps_once_per_interval_and_none_can_hold_the_ledger_up(
    log: Path, authority: Authority, stranger: Authority, url: str
) -> None:
    now = [0.0]
    with settings.opened(log) as ledger:
        stamper = Stamper(log, ledger.site.checkpoint, lambda: now[0])
        # Nobody is named, and nothing is published.
        assert stamper.turn() == 3600.0
        name_authority(log, "here", url, authority.root, interval=1000)
        name_authority(log, "gone", "http://127.0.0.1:1/", authority.root)
        name_authority(log, "false", url, stranger.root)
        assert stamper.turn() == 60.0
        assert stamped(log) == []
        assert ledger.append(signed_leaf("a", 0)).state == "published"
        before = authority.requests
        now[0] = 60.0
        assert stamper.turn() == 60.0
        assert stamper.failures == {"gone": "token.unreachable", "false": "token.signature"}
        assert [(each.size, each.authority) for each in stamped(log)] == [(1, "here")]
        now[0] = 1059.0
        stamper.turn()
        assert ledger.append(signed_leaf("a", 1)).state == "published"
        name_authority(log, "gone", url, authority.root)
        now[0] = 1119.0
        stamper.turn()
        assert [(each.size, each.authority) for each in stamped(log)] == [(1, "here"), (2, "gone"), (2, "here")]
        assert "gone" not in stamper.failures
        # One for `here` each interval, and `false` is asked whenever it is due.
        assert authority.requests - before == 2 + 1 + 3
    assert operations.examine(log).faults == []


def test_the_thread_stops_and_outlives_settings_that_are_broken(log: Path) -> None:
    (log / "authorities.json").write_text("{")
    stop = threading.Event()
    thread = threading.Thread(target=Stamper(log, lambda: None).run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_the_first_and_the_last_token_of_a_size_are_kept(log: Path, authority: Authority, url: str) -> None:
    filled(log, 0, 3)
    (one,) = name_authority(log, "here", url, authority.root)
    note = (log / "public" / "checkpoint").read_bytes()
    stamping.stamp(log, one, note)
    first = (log / "tokens" / "3" / "here.first.tsr").read_bytes()
    stamping.stamp(log, one, note)
    place = log / "tokens" / "3"
    assert (place / "here.first.tsr").read_bytes() == first != (place / "here.last.tsr").read_bytes()
    assert (place / "checkpoint").read_bytes() == note
    (row,) = parse_list((log / "tokens" / "list").read_bytes())
    assert row.first <= row.last
    assert authority.verifies(first, note)


@pytest.mark.parametrize(
    ("name", "url", "interval", "code"),
    [
        ("Upper", "http://x.example/", None, "token.name"),
        ("../keys", "http://x.example/", None, "token.name"),
        ("a", "file:///etc/passwd", None, "token.address"),
        ("a", "http://x.example/", 0.0, "token.interval"),
    ],
)
def test_an_authority_is_named_as_it_can_be_used(
    log: Path, authority: Authority, name: str, url: str, interval: float | None, code: str
) -> None:
    with pytest.raises(LedgerError) as caught:
        name_authority(log, name, url, authority.root, interval=interval)
    assert caught.value.code == code
    with pytest.raises(LedgerError) as caught:
        parse_list(b"1 here 2\n")
    assert caught.value.code == "token.list"


# -- what they prove of a record --------------------------------------------------------------------------------------


class Story:
    """A log of 400 records, stamped at sizes 3, 300 and 400, whose record 150 speaks of a text."""

    def __init__(self, folder: Path, authority: Authority, url: str) -> None:
        self.log = folder / "log"
        made = settings.create(self.log, ORIGIN, str(mark_of(self.log).path), ml_dsa=False)
        (one,) = name_authority(self.log, "here", url, authority.root)
        fingerprint = text_of("fever")
        opening = Opening.of([(each.label, each.value) for each in fingerprint.digests], fingerprint.opening)
        self.leaf = record_of(data="text", fp=opening.commitments()).sign(CAPTURE.sign)
        for start, stop in ((0, 3), (3, 300), (300, 400)):
            with settings.opened(self.log) as ledger:
                leaves = [signed_leaf("a", n) for n in range(start, stop)]
                if start == 3:
                    leaves[147] = self.leaf
                ledger.append_many(leaves)
                note = ledger.checkpoint()
                self.receipt = ledger.receipt(150) if start else b""
                if start == 3:
                    self.early = self.receipt
            stamping.stamp(self.log, one, note)
        self.policy = f"log {settings.verifier_keys(self.log, made)[0]}\nquorum none\n".encode()
        self.roots = certificates(authority.root)
        self.files = {
            name: folder / name for name in ("text.txt", "receipt", "policy", "opening", "times", "roots.pem")
        }
        for name, raw in (("text.txt", b"fever"), ("receipt", self.receipt), ("policy", self.policy),
                          ("opening", opening.to_json()), ("roots.pem", authority.root)):  # fmt: skip
            self.files[name].write_bytes(raw)

    def words(self, *more: object) -> list[object]:
        files = self.files
        return ["verify", files["text.txt"], "--receipt", files["receipt"], "--policy", files["policy"], "--opening",
                files["opening"], "--times", files["times"], "--explain", "--kind", "text", *more]  # fmt: skip


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Story:
    with served(authority) as url:
        return Story(tmp_path_factory.mktemp("story"), authority, url)


def test_bounds_come_from_the_last_token_before_and_the_first_after(story: Story) -> None:
    rows = {each.size: each for each in stamped(story.log)}
    assert sorted(rows) == [3, 300, 400]
    for receipt in (story.receipt, story.early):
        raw = make_times(files_of(str(story.log)), receipt)
        told = bounds(raw, receipt, story.policy, story.roots)
        off = timedelta(seconds=1.5)
        assert told.earliest == datetime.fromtimestamp(rows[3].last, UTC) - off
        assert told.latest == datetime.fromtimestamp(rows[300].first, UTC) + off


def test_verify_explains_them_and_flags_the_claimed_time(story: Story) -> None:
    titer("ledger", "times", story.log, story.files["receipt"], story.files["times"])
    said = titer(*story.words("--authority", story.files["roots.pem"]))
    assert said.startswith("Verified: ")
    assert "  not before: 20" in said
    assert "whose checkpoint of size 3 does not cover it (as far as" in said
    assert "by CN=Test authority, whose checkpoint of size 300 covers it" in said
    # The record claims the year 2023.
    assert "  claimed time: " in said
    assert "before it can have entered" in said
    said = titer(*story.words())
    assert said.startswith("Verified: ")
    assert said.count("time token not counted") == 2
    assert "not before: no trusted token tells" in said
    assert "not after: no trusted token tells" in said


def test_the_same_comes_from_a_served_log_an_export_and_a_grown_mirror(story: Story, tmp_path: Path) -> None:
    here = make_times(files_of(str(story.log)), story.receipt)
    titer("ledger", "export", story.log, tmp_path / "out")
    assert make_times(files_of(str(tmp_path / "out")), story.receipt) == here
    with Server(story.log) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        assert make_times(files_of(server.address), story.receipt) == here
        keys = settings.verifier_keys(story.log, settings.read(story.log))
        titer("ledger", "mirror", server.address, tmp_path / "mirror", "--key", keys[0])
        server.shutdown()
    # A mirror has the tiles of today alone: those of then are their beginning.
    (tmp_path / "mirror" / "tokens").symlink_to(story.log / "tokens")
    assert make_times(files_of(str(tmp_path / "mirror")), story.receipt) == here


def changed(raw: bytes, side: str, **more: object) -> bytes:
    told = json.loads(raw)
    told[side][0] |= more
    return json.dumps(told).encode()


def test_times_that_were_tampered_with_are_refused(story: Story, stranger: Authority) -> None:
    raw = make_times(files_of(str(story.log)), story.receipt)
    told = json.loads(raw)
    before, after = told["before"][0], told["after"][0]
    flipped = base64.b64encode(bytes([base64.b64decode(after["proof"][0])[0] ^ 1, *base64.b64decode(after["proof"][0])[1:]]))  # fmt: skip # noqa: E501
    other = base64.b64decode(after["note"]).replace(b"\n300\n", b"\n301\n")
    cases = {
        changed(raw, "after", proof=[flipped.decode(), *after["proof"][1:]]): "proof.root",
        changed(raw, "after", proof=after["proof"][:-1]): "proof.length",
        changed(raw, "before", proof=before["proof"][1:]): "proof.",
        changed(raw, "after", note=base64.b64encode(other).decode()): "note.signature",
        json.dumps({**told, "before": told["after"], "after": told["before"]}).encode(): "times.invalid",
        json.dumps({**told, "v": 2}).encode(): "times.invalid",
        json.dumps({**told, "more": []}).encode(): "times.invalid",
        changed(raw, "after", token=7): "times.invalid",
        b"[" * 100_000: "times.invalid",
        b"{}": "times.invalid",
        b" " * (5 << 20): "times.invalid",
    }
    for wrong, code in cases.items():
        with pytest.raises(RecordError) as caught:
            bounds(wrong, story.receipt, story.policy, story.roots)
        assert caught.value.code.startswith(code), (code, caught.value)
    # A token over another checkpoint, or by another authority, is told of and not counted.
    false = base64.b64encode(stranger.stamp(base64.b64decode(after["note"]))).decode()
    for wrong in (changed(raw, "after", token=before["token"]), changed(raw, "after", token=false)):
        found = bounds(wrong, story.receipt, story.policy, story.roots)
        assert found.latest is None
        assert found.earliest is not None
        assert sum("not counted" in line for line in found.lines) == 1
    story.files["times"].write_bytes(b"{}")
    said = titer(*story.words("--authority", story.files["roots.pem"]), code=4)
    assert said.startswith("The time tokens are not valid")


def test_claims_beyond_the_bounds_are_called_wrong(story: Story) -> None:
    from titer.provenance.ledger.times import _claim

    low, high = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    year = 31_536_000
    inside = int(low.timestamp()) + 60
    assert _claim(inside, low, high) == ["claimed time: within these bounds"]
    assert _claim(inside + year, low, high)[0].startswith("claimed time: wrong")
    assert _claim(inside - year, low, high)[0].startswith("claimed time: 364 days")
    assert _claim(inside + year, low, None) == ["claimed time: within this bound"]
    assert _claim(inside, None, None) == ["claimed time: nothing to hold it against"]
    assert _claim(1 << 53, low, high)[0].endswith("is no date")


def test_files_that_are_missing_are_named(story: Story) -> None:
    whole = files_of(str(story.log))
    for missing, code in (("checkpoint", "log.unpublished"), ("tokens/3/here.last.tsr", "token.missing")):
        with pytest.raises(LedgerError) as caught:
            make_times(lambda path, gone=missing: None if path == gone else whole(path), story.receipt)  # type: ignore[misc]
        assert caught.value.code == code
    told = bounds(make_times(lambda path: None if path == "tokens/list" else whole(path), story.receipt), story.receipt, story.policy, story.roots)  # fmt: skip # noqa: E501
    assert (told.earliest, told.latest) == (None, None)


def test_the_commands_name_stamp_and_tell(log: Path, authority: Authority, url: str, tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_bytes(authority.root)
    titer("ledger", "stamp", log, code=1)
    said = titer("ledger", "authority", log, "here", url, "--roots", tmp_path / "roots.pem")
    assert said == "Asked for time tokens: here\n"
    titer("ledger", "stamp", log, code=1)
    assert "last time token of here: none yet" in titer("ledger", "status", log)
    filled(log, 0, 2)
    assert titer("ledger", "stamp", log) == "here: size 2\n"
    assert ", on size 2" in titer("ledger", "status", log)
    titer("ledger", "authority", log, "gone", "http://127.0.0.1:1/", "--roots", tmp_path / "roots.pem")
    titer("ledger", "stamp", log, code=1)
    assert [(each.size, each.authority) for each in stamped(log)] == [(2, "here")]
