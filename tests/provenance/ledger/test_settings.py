"""A ledger's folder and the commands: made, used, checked, moved, ended."""

from __future__ import annotations

import json
import shutil
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import rfc8785
from click.testing import CliRunner, Result
from provenance_tools import ORIGIN, capture_key, make_signed, mark_of, signed_batch, signed_leaf

from titer.cli.main import cli
from titer.errors import LedgerError, LedgerRolledBack, RecordError
from titer.provenance.ledger import batch, operations, record, settings
from titer.provenance.ledger.ledger import Admitted
from titer.provenance.ledger.note import COSIGNATURE, Note, Signer
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.serve import Server
from titer.provenance.ledger.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def mark(folder: Path) -> str:
    return str(mark_of(folder).path)


def titer(*words: object, code: int = 0) -> str:
    result: Result = CliRunner().invoke(cli, [str(word) for word in ("ledger", *words)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert result.return_value == code, result.output
    return result.output


def written(folder: Path, *leaves: bytes) -> list[Path]:
    paths = []
    for number, leaf in enumerate(leaves):
        paths.append(folder / f"record{number}")
        paths[-1].write_bytes(leaf)
    return paths


def test_keys_are_their_owners_alone(folder: Path, mark: str) -> None:
    made = settings.create(folder, ORIGIN, mark)
    assert made.keys == ("keys/ed25519.pem", "keys/ml-dsa-44.pem")
    assert {(folder / name).stat().st_mode & 0o777 for name in made.keys} == {0o600}
    assert (folder / "keys").stat().st_mode & 0o777 == 0o700
    (folder / made.keys[0]).chmod(0o640)
    with pytest.raises(LedgerError) as caught:
        settings.opened(folder)
    assert caught.value.code == "key.open"


def test_both_signatures_are_on_every_checkpoint_and_both_are_asked_for(folder: Path) -> None:
    with make_signed(folder) as ledger:
        ledger.append(signed_leaf("a", 0))
        raw = ledger.checkpoint()
    made = settings.read(folder)
    keys = settings.verifier_keys(folder, made)
    assert [each.name for each in Note.parse(raw).signatures] == [ORIGIN, ORIGIN]
    assert settings.checker(keys)(raw).size == 1
    for missing in (0, 1):
        one = Note.parse(raw)
        fewer = Note(one.text, (one.signatures[1 - missing],)).format()
        with pytest.raises(RecordError):
            settings.checker(keys)(fewer)
        assert settings.checker([keys[1 - missing]])(fewer).size == 1


def test_a_log_may_sign_with_ed25519_alone(folder: Path, mark: str) -> None:
    made = settings.create(folder, ORIGIN, mark, ml_dsa=False)
    with settings.opened(folder) as ledger:
        ledger.append(signed_leaf("a", 0))
    assert len(settings.verifier_keys(folder, made)) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda folder: (folder / "ledger.json").unlink(), "ledger.missing"),
        (lambda folder: (folder / "ledger.json").write_text("{"), "ledger.settings"),
        (lambda folder: (folder / "ledger.json").write_text('{"origin": "a"}'), "ledger.settings"),
        (lambda folder: changed(folder, format=9), "ledger.settings"),
        (lambda folder: changed(folder, origin="other.example/log"), "ledger.settings"),
        (lambda folder: changed(folder, keys=["keys/ml-dsa-44.pem"]), "key.missing"),
        (lambda folder: changed(folder, keys=["keys/none.pem"]), "key.missing"),
        (lambda folder: (folder / "keys" / "ed25519.pem").write_text("not a key"), "key.invalid"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(folder: Path, mark: str, change: object, code: str) -> None:
    settings.create(folder, ORIGIN, mark)
    change(folder)  # type: ignore[operator]
    with pytest.raises(LedgerError) as caught:
        settings.opened(folder)
    assert caught.value.code == code


def changed(folder: Path, **more: object) -> None:
    told = json.loads((folder / "ledger.json").read_text())
    (folder / "ledger.json").write_text(json.dumps(told | more))


def test_a_ledger_is_not_made_where_one_is_or_with_its_mark_inside(folder: Path, mark: str) -> None:
    with pytest.raises(LedgerError) as caught:
        settings.create(folder, ORIGIN, str(folder / "mark"))
    assert caught.value.code == "mark.inside"
    settings.create(folder, ORIGIN, mark)
    with pytest.raises(LedgerError) as caught:
        settings.create(folder, ORIGIN, mark)
    assert caught.value.code == "ledger.exists"
    with pytest.raises(LedgerError) as caught:
        settings.create(folder.with_name("other"), ORIGIN, mark)
    assert caught.value.code == "mark.exists"


def test_only_signed_records_for_this_log_enter(folder: Path) -> None:
    with make_signed(folder) as ledger:
        leaf = signed_leaf("a", 0)
        for wrong in (leaf[:-10] + b"A" + leaf[-9:], signed_leaf("a", 1, sign=False), b"{}"):
            with pytest.raises(RecordError):
                ledger.append(wrong)
        key = capture_key("a")
        told = record.parse(leaf)
        elsewhere = record.Record(**{**told.__dict__, "origin": record.origin_of("other.example/log")})
        with pytest.raises(RecordError) as caught:
            ledger.append(elsewhere.sign(key.sign))
        assert caught.value.code == "record.origin"
        assert ledger.append(leaf).index == 0


def test_a_receipt_proves_its_record_offline(folder: Path) -> None:
    with make_signed(folder) as ledger:
        leaves = [signed_leaf("a", n) for n in range(300)]
        ledger.append_many(leaves)
        for index in (0, 255, 256, 299):
            receipt = Receipt.parse(ledger.receipt(index))
            assert (receipt.leaf, receipt.index) == (leaves[index], index)
            receipt.check(ledger.signing.check(receipt.note))
        with pytest.raises(LedgerError) as caught:
            ledger.receipt(300)
        assert caught.value.code == "receipt.pending"
        log = settings.verifier_keys(folder, settings.read(folder))[0]
        policy = Policy.parse(f"log {log}\nquorum none\n".encode())
        assert policy.judge(receipt.note).satisfied


def test_a_policy_keeps_checkpoints_back_until_its_witnesses_have_signed(
    folder: Path, mark: str, tmp_path: Path
) -> None:
    witness = Signer("witness.example/w", capture_key("w"), cosigner=True)
    assert witness.verifier.kind == COSIGNATURE
    (tmp_path / "policy").write_text(f"witness w {witness.verifier}\nquorum w\n")
    settings.create(folder, ORIGIN, mark, policy=tmp_path / "policy")
    with settings.opened(folder) as ledger:
        told = ledger.append(signed_leaf("a", 0), timeout=0.5)
        assert (told.state, told.index) == ("pending", 0)
        assert ledger.site.checkpoint() is None

    def cosign(raw: bytes, prove: object) -> bytes:
        note = Note.parse(raw)
        return note.with_(witness.sign(note.text, int(time.time()))).format()

    with settings.opened(folder, cosign) as ledger:
        assert ledger.append(signed_leaf("a", 1)).state == "published"
        assert len(Note.parse(ledger.checkpoint()).signatures) == 3
    assert operations.examine(folder).faults == []


def test_a_batch_enters_under_one_signature(folder: Path) -> None:
    leaves, signature = signed_batch("archive", 256)
    formed = partial(settings.formed, ORIGIN)
    with make_signed(folder) as ledger:
        told = ledger.append_batch(leaves, partial(batch.admit, signature=signature, formed=formed))
        assert [each.index for each in told] == list(range(256))
    for wrong, code in (
        ((leaves[:-1], signature), "batch.signature"),
        ((leaves[::-1], signature), "batch.signature"),
        ((leaves, bytes(64)), "batch.signature"),
        (([], signature), "batch.size"),
        ((leaves * 17, signature), "batch.size"),
        (([*leaves, signed_leaf("other", 0)], signature), "batch.keys"),
    ):
        with pytest.raises(RecordError) as caught:
            batch.admit(*wrong, formed)
        assert caught.value.code == code
    # The signature holds in every log, the records in their own alone.
    with pytest.raises(RecordError) as caught:
        batch.admit(leaves, signature, partial(settings.formed, "other.example/log"))
    assert caught.value.code == "record.origin"


def test_records_are_written_as_rfc_8785_says() -> None:
    for name, counter in (("a", 0), ("b", 7), ("c", (1 << 53) - 1_700_000_001)):
        raw = record.parse(signed_leaf(name, counter)).canonical()
        assert rfc8785.dumps(json.loads(raw)) == raw


def test_the_commands_make_fill_check_and_end_a_log(folder: Path, mark: str, tmp_path: Path) -> None:
    titer("init", folder, "--origin", ORIGIN, "--mark", mark)
    keys = titer("vkeys", folder).splitlines()
    assert len(keys) == 2
    leaves = [signed_leaf("a", n) for n in range(3)]
    said = titer("append", folder, *written(tmp_path, *leaves), "--receipts", tmp_path / "receipts")
    assert [line.split(" ")[:2] for line in said.splitlines()] == [
        ["0", "published"],
        ["1", "published"],
        ["2", "published"],
    ]
    receipt = Receipt.parse((tmp_path / "receipts" / "record1.receipt").read_bytes())
    receipt.check(settings.checker(keys)(receipt.note))
    assert "3 entries, 3 published" in titer("fsck", folder)
    said = titer("status", folder)
    assert "entries: 3" in said
    assert "sequencer: none" in said
    titer("export", folder, tmp_path / "out")
    said = titer("drill", folder, tmp_path / "out" / "public")
    assert "holds 3 entries" in said
    assert "with 0 faults" in said
    assert "Loss window: none" in said
    titer("append", folder, *written(tmp_path, *(signed_leaf("b", n) for n in range(2))))
    said = titer("drill", folder, tmp_path / "out" / "public")
    assert "2 entries, 3 to 4, claimed to be from 2023-11-14 22:13:20 UTC to 2023-11-14 22:13:21 UTC." in said
    titer("mirror", folder / "public", tmp_path / "mirror", "--key", keys[0], "--key", keys[1])
    assert (tmp_path / "mirror" / "public" / "checkpoint").read_bytes() == (
        folder / "public" / "checkpoint"
    ).read_bytes()
    said = titer("shard", folder, tmp_path / "next", "--origin", "next.example/log", "--mark", tmp_path / "next-mark")
    assert "is frozen" in said
    assert f"predecessor: {ORIGIN} 5" in titer("status", tmp_path / "next")
    assert "state: frozen" in titer("status", folder)
    assert titer("freeze", folder).startswith(f"{ORIGIN}\n5\n")
    with pytest.raises(LedgerError) as caught:
        titer("append", folder, *written(tmp_path, signed_leaf("a", 3)))
    assert caught.value.code == "log.frozen"


def test_keys_are_printed_short_when_made_and_whole_when_asked_for(folder: Path, mark: str, tmp_path: Path) -> None:
    made = titer("init", folder, "--origin", ORIGIN, "--mark", mark)
    ed25519, ml_dsa = titer("vkeys", folder).splitlines()
    assert [ed25519, ml_dsa] == settings.verifier_keys(folder, settings.read(folder))
    assert ed25519 in made
    assert ml_dsa not in made
    assert f"  {ORIGIN}+{ml_dsa.split('+')[1]}+... (ML-DSA-44, {len(ml_dsa)} characters)\n" in made
    assert max(map(len, made.splitlines())) < 200
    witness = titer("witness", "init", tmp_path / "w", "--name", "witness.example/w1")
    short, long = titer("witness", "vkeys", tmp_path / "w").splitlines()
    assert (short in witness, long in witness) == (True, False)
    assert titer("witness", "watch", tmp_path / "w", ed25519, ml_dsa) == f"witness.example/w1 watches {ORIGIN}\n"


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a\u2003b"])
def test_a_name_that_no_key_can_have_is_refused_before_anything_is_made(folder: Path, mark: str, origin: str) -> None:
    with pytest.raises(LedgerError) as told:
        settings.create(folder, origin, mark)
    assert told.value.code == "ledger.origin"
    assert not folder.exists()


def test_the_page_for_browsers_is_written_with_the_policy(folder: Path, mark: str, tmp_path: Path) -> None:
    titer("init", folder, "--origin", ORIGIN, "--mark", mark)
    policy, page = tmp_path / "policy.txt", tmp_path / "verify.html"
    policy.write_text(titer("policy", folder))
    assert titer("page", page, "--policy", policy) == f"Page: {page}\n"
    assert "default-src 'none'" in page.read_text()
    policy.write_text("nonsense")
    with pytest.raises(RecordError):
        titer("page", page, "--policy", policy)
    with pytest.raises(Exception, match="No such file"):
        titer("page", tmp_path / "nowhere" / "verify.html")


def test_fsck_names_mends_and_resumes(folder: Path, mark: str, tmp_path: Path) -> None:
    titer("init", folder, "--origin", ORIGIN, "--mark", mark)
    titer("append", folder, *written(tmp_path, *(signed_leaf("a", n) for n in range(3))))
    tile = folder / "public" / "tile" / "0" / "000.p" / "3"
    raw = tile.read_bytes()
    tile.write_bytes(raw[:40] + b"!" + raw[41:])
    with pytest.raises(LedgerError):
        titer("append", folder, *written(tmp_path, signed_leaf("a", 3)))
    assert "halted: damage was found" in titer("status", folder, code=1)
    assert "damaged public/tile/0/000.p/3, offset 40" in titer("fsck", folder, "--resume", code=1)
    assert "mended  public/tile/0/000.p/3, offset 40" in titer("fsck", folder, "--repair", "--resume")
    assert tile.read_bytes() == raw
    assert titer("append", folder, *written(tmp_path, signed_leaf("a", 3))).startswith("3 published")


def test_a_lost_database_is_restored_from_an_export_and_an_old_one_refused(
    folder: Path, mark: str, tmp_path: Path
) -> None:
    titer("init", folder, "--origin", ORIGIN, "--mark", mark)
    titer("append", folder, *written(tmp_path, *(signed_leaf("a", n) for n in range(3))))
    titer("export", folder, tmp_path / "out")
    for name in ("entries.sqlite", "entries.sqlite-wal", "entries.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "public")
    assert "Restored 3 entries" in titer("restore", tmp_path / "out" / "public", folder)
    assert "3 entries, 3 published" in titer("fsck", folder)
    assert titer("append", folder, *written(tmp_path, signed_leaf("a", 3))).startswith("3 published")
    for name in ("entries.sqlite", "entries.sqlite-wal", "entries.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(LedgerRolledBack):
        titer("restore", tmp_path / "out" / "public", folder)


def test_serve_publishes_what_is_queued_and_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make_signed(folder) as ledger:
        ledger.append(signed_leaf("a", 0))
    seen: list[str] = []

    def once(self: Server) -> None:
        thread = threading.Thread(target=super(Server, self).serve_forever, daemon=True)
        thread.start()
        from urllib.request import urlopen

        with urlopen(f"{self.address}/checkpoint") as answer:
            seen.append(answer.read().decode())
        self.shutdown()
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", once)
    said = titer("serve", folder, "--port", 0, "--scrub")
    assert f"Serving {ORIGIN} at http://127.0.0.1:" in said
    assert seen[0].startswith(f"{ORIGIN}\n1\n")


def test_a_ledger_over_postgresql_is_named_in_its_settings(folder: Path, mark: str, postgres: str) -> None:
    from databases import fresh_database

    url = fresh_database(postgres)
    titer("init", folder, "--origin", ORIGIN, "--mark", mark, "--database", url)
    with settings.opened(folder) as ledger:
        assert ledger.append(signed_leaf("a", 0)).index == 0
        assert ledger.store.dialect == "postgresql"
    assert not (folder / "entries.sqlite").exists()
    assert "1 entries" in titer("fsck", folder)
    store = Store.open(url)
    assert store.size() == 1
    store.close()


def test_forms_are_checked_in_other_processes_where_there_are_many(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from titer.provenance.ledger import fsck

    monkeypatch.setattr(fsck, "_MANY", 1)
    monkeypatch.setattr(fsck, "_SLICE", 7)
    with make_signed(folder) as ledger:
        ledger.append_many([signed_leaf("a", n) for n in range(20)])
        ledger.append_admitted([b"no record at all"], [Admitted("b", 0)])
    found = operations.examine(folder)
    assert [fault.what[:28] for fault in found.faults] == ["entry 20 is no valid record:"]
    assert operations.examine(folder, formats=False).faults == []


def test_processes_check_as_threads_do(folder: Path) -> None:
    formed = partial(settings.formed, ORIGIN)
    with make_signed(folder, checkers=2) as ledger:
        told: list[int | None] = []

        def write(name: str) -> None:
            told.extend(ledger.append(signed_leaf(name, n)).index for n in range(10))

        threads = [threading.Thread(target=write, args=(f"w{name}",)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told, key=str) == sorted(range(80), key=str)
        with pytest.raises(RecordError):
            ledger.append(signed_leaf("a", 1, sign=False))
        with pytest.raises(RecordError):
            ledger.append_many([signed_leaf("a", 0), b"{}"])
        leaves, signature = signed_batch("archive", 256)
        entered = ledger.append_batch(leaves, partial(batch.admit, signature=signature, formed=formed))
        assert len(entered) == 256
        with pytest.raises(RecordError):
            ledger.append_batch(leaves, partial(batch.admit, signature=bytes(64), formed=formed))
        assert ledger.store.size() == 80 + 256
    with pytest.raises(LedgerError) as caught:
        ledger.append(signed_leaf("a", 0))
    assert caught.value.code == "ledger.closed"
    assert operations.examine(folder, formats=False).faults == []


def test_a_checker_that_dies_is_replaced_and_nothing_lost(folder: Path) -> None:
    import multiprocessing

    with make_signed(folder, checkers=1) as ledger:
        for n in range(3):
            assert ledger.append(signed_leaf("a", n)).index == n
            for process in multiprocessing.active_children():
                process.kill()
                process.join()
        assert ledger.append(signed_leaf("a", 3)).index == 3
