"""A log changes its keys while it runs: nothing is lost, old receipts verify, the old key ends where the log says."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from provenance_tools import ORIGIN, make_signed, mark_of

from titer.cli.main import cli
from titer.errors import LedgerError, RecordError
from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.ledger import merkle, operations, rotate, settings, tiles
from titer.provenance.ledger.about_keys import about_keys
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.export import export
from titer.provenance.ledger.keychange import approve, bring_in, public_of, retire, revoke
from titer.provenance.ledger.keyfile import make_key, write_private
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.mirror import mirror, source_at
from titer.provenance.ledger.note import Note, Signer, Verifier, opened
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import Opening
from titer.provenance.ledger.verify import Verification, verify

ADMIN = Ed25519PrivateKey.from_private_bytes(b"a" * 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def titer(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert result.return_value == code, result.output
    return result.output


def policy(*logs: str, more: str = "") -> bytes:
    return ("".join(f"log {each}\n" for each in logs) + more + "quorum none\n").encode()


class Point:
    """A capture point of texts."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.chain = ledger, Chain(ledger, Ed25519PrivateKey.generate())
        self.openings: dict[int, Opening] = {}

    def capture(self, words: str) -> int:
        made = fingerprint_of(words.encode(), "text")
        opening = Opening.of([(each.label, each.value) for each in made.digests], made.opening)
        _, done = self.chain.add("capture", data="text", fp=opening.commitments())
        assert done.state == "published"
        assert done.index is not None
        self.openings[done.index] = opening
        return done.index

    def verified(self, words: str, index: int, receipt: bytes, rules: bytes, about: tuple[bytes, ...]) -> Verification:
        return verify(fingerprint_of(words.encode(), "text"), self.openings[index], receipt, rules, about_keys=about)


def test_keys_rotate_under_load(folder: Path) -> None:
    stop = threading.Event()
    acknowledged: list[int] = []
    failed: list[BaseException] = []
    with make_signed(folder) as ledger:
        point = Point(ledger)
        early = point.capture("fever")
        old_receipt = ledger.receipt(early)
        old_key = settings.signers(folder, settings.read(folder))[0]

        def write(number: int) -> None:
            chain = Chain(ledger, Ed25519PrivateKey.generate())
            try:
                while not stop.is_set():
                    _, done = chain.add("policy", ext={"digest": f"{number:064x}"})
                    assert done.state == "published"
                    assert done.index is not None
                    acknowledged.append(done.index)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        # As another process does it: with a ledger of its own, while this one holds the lease.
        begun = rotate.begin(folder, ADMIN)
        with pytest.raises(LedgerError) as caught:
            rotate.begin(folder, ADMIN)
        assert caught.value.code == "rotate.unfinished"
        between = point.capture("between")
        ended = rotate.finish(folder)
        late = point.capture("cough")
        many = len(acknowledged)
        while len(acknowledged) < many + 20 and not failed:
            stop.wait(0.01)
        stop.set()
        for thread in threads:
            thread.join()
        assert failed == []
        assert sorted({*acknowledged, early, between, late, begun.index, ended.index}) == list(
            range(ledger.store.size())
        )
        receipts = [ledger.receipt(index) for index in (early, between, late)]
        notes = [(told.size, told.note) for told in ledger.store.checkpoints()]
        about = about_keys(source_at(str(folder / "public")), policy(*ended.new)).receipts
        last = ledger.store.size()
        leaf, proof = ledger.store.find(point.chain.public, 0), tiles.inclusion(ledger.site.read, early, last)
        root = merkle.frontier(tiles.Tiles(ledger.site.read, last), last).root()
    assert operations.examine(folder).faults == []
    assert begun.old[0] == str(old_key.verifier)
    assert ended.new == begun.new
    # Which keys have signed what: the old one up to its end, the new one from its beginning.
    keys = [Verifier.parse(each) for each in (begun.old[0], begun.new[0])]
    for size, raw in notes:
        found = opened(Note.parse(raw), keys)
        assert (keys[0] in found) or size > ended.index, size
        assert (keys[1] in found) or size <= begun.index, size
        assert (keys[0] not in found) or size <= ended.index + 50
    # Old receipts verify under the old key, new ones under the new one; the old key's file is gone.
    both = policy(begun.old[0], begun.new[0])
    for rules in (policy(begun.old[0]), both):
        assert point.verified("fever", early, old_receipt, rules, about if rules == both else ()).exit_code == 0
    for index, words, receipt in zip((early, between, late), ("fever", "between", "cough"), receipts, strict=True):
        assert point.verified(words, index, receipt, policy(begun.new[0]), about).exit_code == 0
    assert sorted(path.name for path in (folder / "keys").iterdir()) == sorted(
        Path(name).name for name in settings.read(folder).keys
    )
    # What a thief signs with the old key after its end is suspect, or of a log that is not known.
    text = Checkpoint(ORIGIN, last, root).text()
    assert leaf is not None
    forged = Receipt(leaf.leaf, early, tuple(proof), Note(text, (old_key.sign(text),)).format()).format()
    told = point.verified("fever", early, forged, both, about)
    assert (told.exit_code, told.lines[-1]) == (
        3,
        f"revoked: the log's key, from {ended.index}, by record {ended.index}",
    )
    assert point.verified("fever", early, forged, policy(begun.new[0]), ()).exit_code == 4


def test_stolen_keys_are_replaced_at_once(folder: Path) -> None:
    with make_signed(folder) as ledger:
        point = Point(ledger)
        index = [point.capture(each) for each in ("one", "two", "three")]
        receipts = [ledger.receipt(each) for each in index]
        stolen = settings.signers(folder, settings.read(folder))[0]
        done = rotate.replace(folder, ADMIN, 2)
        late = point.capture("late")
        fresh = [ledger.receipt(each) for each in (*index, late)]
    assert operations.examine(folder).faults == []
    rules = policy(str(stolen.verifier), done.new[0], more=f"#titer administrator {public_of(ADMIN)}\n")
    # Every key that signs records must be named once one is; none is here.
    about = about_keys(source_at(str(folder / "public")), rules).receipts
    words = ("one", "two", "three", "late")
    then = [point.verified(w, i, r, rules, about).exit_code for w, i, r in zip(words, index, receipts, strict=False)]
    now = [
        point.verified(w, i, r, rules, about).exit_code for w, i, r in zip(words, (*index, late), fresh, strict=True)
    ]
    assert then == [0 if Receipt.parse(each).index < 2 and _size(each) <= 2 else 3 for each in receipts]
    assert then[-1] == 3
    assert now == [0, 0, 0, 0]


def _size(receipt: bytes) -> int:
    return Checkpoint.parse(Note.parse(Receipt.parse(receipt).note).text).size


def test_a_rotation_that_was_cut_off_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make_signed(folder) as ledger:
        Point(ledger).capture("fever")
    with pytest.raises(LedgerError, match="begun"):
        rotate.finish(folder)
    monkeypatch.setattr(rotate, "bring_in", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rotate.begin(folder, ADMIN)
    monkeypatch.undo()
    half = settings.read(folder)
    assert half.former[-1][1] is None
    with pytest.raises(LedgerError, match="half"):
        rotate.finish(folder)
    with settings.opened(folder) as ledger:
        # Both sets sign already, and what the old one signed alone is still taken.
        Point(ledger).capture("cough")
    done = rotate.begin(folder, ADMIN)
    assert settings.read(folder).keys == half.keys
    assert rotate.finish(folder).new == done.new
    assert operations.examine(folder).faults == []


def test_a_log_turns_its_keys_more_than_once_and_is_exported_and_mirrored_through_it(folder: Path) -> None:
    first = make_signed(folder)
    first.append(Chain(first, Ed25519PrivateKey.generate()).add("policy", ext={"digest": "a" * 64})[0])
    first.close()
    followed = folder.with_name("mirror")
    old = settings.verifier_keys(folder, settings.read(folder))
    mirror(source_at(str(folder / "public")), followed, settings.checker(old))
    for _ in range(2):
        done = rotate.begin(folder, ADMIN)
        # While they overlap, who knows either set can follow.
        for keys in (done.old, done.new):
            mirror(source_at(str(folder / "public")), followed, settings.checker(keys))
        rotate.finish(folder)
        mirror(source_at(str(folder / "public")), followed, settings.checker(done.new))
    with pytest.raises(RecordError):
        mirror(source_at(str(folder / "public")), followed, settings.checker(old))
    told = settings.read(folder)
    assert [len(keys) for keys, _ in told.former] == [2, 2]
    assert (told.leaving, len(told.keys)) == ((), 2)
    with settings.opened(folder) as ledger:
        end = export(ledger.store, ledger.site, folder.with_name("copy"), ledger.signing.check)
        assert ledger.signing.check(next(ledger.store.checkpoints()).note).size == 1
    assert end.size == 5
    assert operations.examine(folder).faults == []


def test_witnesses_and_the_policy_of_a_log_hold_through_a_rotation(folder: Path, tmp_path: Path) -> None:
    cosigner = Signer("w.example", Ed25519PrivateKey.generate(), cosigner=True)
    (tmp_path / "p").write_text(f"witness w {cosigner.verifier}\nquorum w\n")
    settings.create(folder, ORIGIN, str(mark_of(folder).path), policy=tmp_path / "p")

    def cosign(raw: bytes, prove: object) -> bytes:
        signed = Note.parse(raw)
        return signed.with_(cosigner.sign(signed.text, 1_700_000_000)).format()

    with settings.opened(folder, cosign) as ledger:
        ledger.start()
        rotate.begin(folder, ADMIN, cosign=cosign)
        done = rotate.finish(folder, cosign=cosign)
        rules = Policy.parse(policy(done.new[0]).replace(b"quorum none", (tmp_path / "p").read_bytes()))
        assert rules.judge(ledger.checkpoint()).satisfied


def test_a_change_that_witnesses_have_not_seen_is_told(folder: Path, tmp_path: Path) -> None:
    cosigner = Signer("w.example", Ed25519PrivateKey.generate(), cosigner=True)
    (tmp_path / "p").write_text(f"witness w {cosigner.verifier}\nquorum w\n")
    settings.create(folder, ORIGIN, str(mark_of(folder).path), policy=tmp_path / "p")
    with pytest.raises(LedgerError) as caught:
        rotate.begin(folder, ADMIN, timeout=0.5)
    assert caught.value.code == "rotate.pending"


# -- commands --


def test_capture_keys_are_made_brought_in_listed_and_revoked_from_the_command_line(
    folder: Path, tmp_path: Path
) -> None:
    titer("ledger", "init", folder, "--origin", ORIGIN, "--mark", mark_of(folder).path)
    names = {
        name: titer("ledger", "key", "new", tmp_path / f"{name}.pem").strip()
        for name in ("old", "new", "next", "admin")
    }
    assert (tmp_path / "old.pem").stat().st_mode & 0o777 == 0o600
    rules = tmp_path / "policy.txt"
    log = settings.verifier_keys(folder, settings.read(folder))[0]
    rules.write_bytes(policy(log, more=f"#titer capture {names['old']}\n#titer administrator {names['admin']}\n"))
    admin, old, new = (tmp_path / f"{name}.pem" for name in ("admin", "old", "new"))
    assert "after record 0 (published)" in titer(
        "ledger", "key", "add", folder, names["new"], "--old", old, "--administrator", admin
    )
    approval = titer("ledger", "key", "approve", ORIGIN, names["new"], names["next"], "--administrator", admin).strip()
    with pytest.raises(RecordError) as caught:
        titer("ledger", "key", "add", folder, names["old"], "--old", new, "--approval", approval)
    assert caught.value.code == "key.approval"
    titer("ledger", "key", "add", folder, names["next"], "--old", new, "--approval", approval)
    assert "ends with record 2" in titer("ledger", "key", "retire", folder, names["old"], "--own", old)
    assert "from index 3, by record 3" in titer(
        "ledger", "key", "revoke", folder, names["new"], "--from", 1, "--own", new
    )
    told = titer("ledger", "key", "list", folder / "public", "--policy", rules)
    assert told.splitlines() == [
        f"{ORIGIN} as of size 4, 4 records about keys",
        f"{names['old']} capture from 0",
        f"{names['new']} capture from 1",
        f"{names['next']} capture from 2",
        f"{names['old']} in doubt from 2, by record 2",
        f"{names['new']} in doubt from 3, by record 3",
    ]
    titer("ledger", "key", "revoke", folder, names["next"], "--from", 0, "--administrator", old)
    told = titer("ledger", "key", "list", folder / "public", "--policy", rules, "--receipts", tmp_path / "about")
    assert "record 4 has no effect" in told
    assert len(list((tmp_path / "about").iterdir())) == 5
    for words in (("add", folder, "ab" * 32, "--old", old), ("retire", folder, "ab" * 32)):
        with pytest.raises(Exception, match="either"):
            titer("ledger", "key", *words)


def test_verify_reads_what_a_log_says_of_keys(folder: Path, tmp_path: Path) -> None:
    with make_signed(folder) as ledger:
        point = Point(ledger)
        index = point.capture("fever")
        receipt = ledger.receipt(index)
        write_private(tmp_path / "admin.pem", ADMIN)
        log = settings.verifier_keys(folder, settings.read(folder))[0]
        lines = f"#titer capture {point.chain.public}\n#titer administrator {public_of(ADMIN)}\n"
        (tmp_path / "policy").write_bytes(policy(log, more=lines))
        (tmp_path / "receipt").write_bytes(receipt)
        (tmp_path / "opening").write_bytes(point.openings[index].to_json())
        (tmp_path / "note.txt").write_bytes(b"fever")
    words = ["verify", tmp_path / "note.txt", "--kind", "text", "--explain"]
    words += [word for name in ("receipt", "policy", "opening") for word in (f"--{name}", tmp_path / name)]
    assert "keys: as the policy names them" in titer(*words)
    assert "log: read to size 1, with 0 records about keys" in titer(*words, "--log", folder / "public")
    titer("ledger", "key", "revoke", folder, point.chain.public, "--from", 0, "--administrator", tmp_path / "admin.pem")
    titer(*words)
    told = titer(*words, "--log", folder / "public", code=3)
    assert "its key was revoked" in told
    titer("ledger", "key", "list", folder / "public", "--policy", tmp_path / "policy", "--receipts", tmp_path / "about")
    titer(*words, "--about-keys", tmp_path / "about" / "1.receipt", code=3)
    (folder / "public" / "tile" / "entries" / "000.p" / "2").write_bytes(b"\0\1x\0\1y")
    assert "log.entries" in titer(*words, "--log", folder / "public", code=4)
    assert "not valid" in titer(*words, "--log", tmp_path, code=4)


def test_a_log_rotates_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "admin.pem")
    titer("ledger", "init", folder, "--origin", ORIGIN, "--mark", mark_of(folder).path, "--no-ml-dsa")
    old = settings.verifier_keys(folder, settings.read(folder))
    told = titer("ledger", "rotate", folder, "--administrator", tmp_path / "admin.pem")
    assert old[0] in told
    assert "--finish" in told
    told = titer("ledger", "rotate", folder, "--finish")
    (new,) = settings.verifier_keys(folder, settings.read(folder))
    assert new in told
    assert old[0] not in told
    titer("ledger", "rotate", folder, "--administrator", tmp_path / "admin.pem", "--stolen-from", 1)
    assert settings.verifier_keys(folder, settings.read(folder)) != [new]
    assert "0 faults" in titer("ledger", "fsck", folder)
    for words in ((), ("--finish", "--administrator", tmp_path / "admin.pem"), ("--finish", "--stolen-from", 1)):
        with pytest.raises(Exception, match="either"):
            titer("ledger", "rotate", folder, *words)


def test_records_about_keys_are_refused_where_the_administrator_signed_something_else(folder: Path) -> None:
    with make_signed(folder) as ledger:
        chain = Chain(ledger, Ed25519PrivateKey.generate())
        other = approve("other.example/log", chain.public, "ab" * 32, ADMIN)
        with pytest.raises(RecordError):
            bring_in(chain, "ab" * 32, (str(other["administrator"]), str(other["signature"])))
        assert bring_in(chain, "ab" * 32, ADMIN).index == 0
        assert revoke(chain, chain.public, 0).index == 1
        assert retire(chain, chain.public).index == 2
