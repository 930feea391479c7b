"""The life of keys: brought in by two, revoked from an index on, always as of a checkpoint."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from evidence_tools import CAPTURE, LOG, LOG_PQ, ORIGIN, POLICY, WITNESSES, Log, key, text_of

from titer.errors import LedgerError, RecordError
from titer.provenance.ledger import merkle
from titer.provenance.ledger.about_keys import about_keys
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.keychange import approve, public_of
from titer.provenance.ledger.keyring import Keyring
from titer.provenance.ledger.keys import Keys, approval, approved, keys_at
from titer.provenance.ledger.note import Note
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.recompute import Rebuild
from titer.provenance.ledger.record import FIRST, Record, origin_of, parse
from titer.provenance.ledger.verify import verify

A, B, C, ADMIN, OTHER = (key(each) for each in (1, 31, 32, 41, 42))
NAMES = {public_of(each): name for name, each in (("a", A), ("b", B), ("c", C), ("admin", ADMIN), ("other", OTHER))}
HEX = {name: public for public, name in NAMES.items()}
ROLES = {HEX["a"]: frozenset({"capture"})}
ADMINS = frozenset({HEX["admin"]})
LINES = f"#titer capture {HEX['a']}\n#titer\tadministrator {HEX['admin']}\n".encode()


def spoken(kind: str, signer: Ed25519PrivateKey, ext: Mapping[str, object]) -> Record:
    made = Record(kind, origin_of(ORIGIN), public_of(signer), 0, FIRST, "0" * 32, 0, ext=dict(ext))  # type: ignore[arg-type]
    return parse(made.sign(signer.sign))


def joins(old: Ed25519PrivateKey, new: Ed25519PrivateKey, admin: Ed25519PrivateKey = ADMIN, **more: str) -> Record:
    return spoken("key", old, {**approve(ORIGIN, public_of(old), public_of(new), admin), **more})


def ends(signer: Ed25519PrivateKey, what: Ed25519PrivateKey, start: int | None = None) -> Record:
    ext: dict[str, object] = {"key": public_of(what)}
    return spoken("retire", signer, ext) if start is None else spoken("revoke", signer, ext | {"from": start})


def known(*told: tuple[int, Record], size: int = 100, roles: Mapping[str, frozenset[str]] = ROLES) -> Keys:
    return keys_at(size, told, roles, ADMINS)


def told(keys: Keys) -> tuple[dict[str, int], dict[str, int], tuple[int, ...]]:
    since = {NAMES[name]: start for name, (_, start) in keys.since.items()}
    return since, {NAMES[name]: start for name, (start, _) in keys.suspect.items()}, keys.void


# -- what records do --


def test_a_new_key_counts_after_two_have_signed_for_it() -> None:
    keys = known((5, joins(A, B)))
    assert told(keys) == ({"a": 0, "b": 6}, {}, ())
    assert [keys.counts(HEX["b"], "capture", index) for index in (5, 6, 99)] == [False, True, True]
    assert not keys.counts(HEX["b"], "derive", 6)
    assert not keys.counts(HEX["c"], "capture", 6)
    # The old one goes on: keys overlap until a record ends it.
    assert keys.counts(HEX["a"], "capture", 99)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: spoken("key", A, {"key": HEX["b"]}),
        lambda: spoken("key", A, {"key": HEX["b"], "administrator": HEX["admin"]}),
        lambda: joins(A, B, OTHER),
        lambda: joins(A, B, signature="ab" * 64),
        lambda: spoken("key", A, approve(ORIGIN, HEX["c"], HEX["b"], ADMIN)),
        lambda: spoken("key", A, {**approve(ORIGIN, HEX["a"], HEX["c"], ADMIN), "key": HEX["b"]}),
        lambda: spoken("key", A, approve("other.example/log", HEX["a"], HEX["b"], ADMIN)),
        lambda: joins(C, B),
        lambda: joins(ADMIN, B),
        lambda: joins(A, ADMIN),
        lambda: spoken("key", ADMIN, approve(ORIGIN, HEX["admin"], HEX["b"], ADMIN)),
    ],
)
def test_one_alone_brings_in_nobody(wrong: object) -> None:
    assert told(known((5, wrong()))) == ({"a": 0}, {}, (5,))  # type: ignore[operator]


def test_an_administrator_reaches_back_a_key_alone_does_not() -> None:
    assert told(known((9, ends(ADMIN, A, 3)))) == ({"a": 0}, {"a": 3}, ())
    assert told(known((9, ends(A, A, 3)))) == ({"a": 0}, {"a": 9}, ())
    assert told(known((9, ends(A, A, 12)))) == ({"a": 0}, {"a": 12}, ())
    assert told(known((9, ends(ADMIN, A)))) == told(known((9, ends(A, A)))) == ({"a": 0}, {"a": 9}, ())
    assert told(known((9, ends(B, A, 3)), (8, ends(OTHER, A)))) == ({"a": 0}, {}, (8, 9))
    assert told(known((9, spoken("retire", A, {})))) == ({"a": 0}, {}, ())


def test_an_administrator_may_sign_what_another_hands_in() -> None:
    ext = {"key": HEX["a"], "from": 3, "administrator": HEX["admin"]}
    signed = ADMIN.sign(approval(spoken("revoke", C, ext))).hex()
    assert told(known((9, spoken("revoke", C, {**ext, "signature": signed})))) == ({"a": 0}, {"a": 3}, ())
    assert told(known((9, spoken("revoke", C, {**ext, "from": 2, "signature": signed}))))[2] == (9,)
    assert told(known((9, spoken("revoke", B, {**ext, "signature": signed}))))[2] == (9,)
    assert not approved(spoken("revoke", C, {**ext, "signature": signed}), frozenset())


def test_the_revocation_that_reaches_back_furthest_counts_and_nothing_takes_it_back() -> None:
    keys = known((9, ends(ADMIN, A, 7)), (12, ends(ADMIN, A, 3)), (15, ends(ADMIN, A, 11)), (20, joins(B, A)))
    assert keys.suspect == {HEX["a"]: (3, 12)}
    assert [keys.revoked(HEX["a"], index) for index in (2, 3, 99)] == [False, True, True]
    again = known((3, joins(A, B)), (9, ends(ADMIN, A, 7)), (20, joins(B, A)))
    assert told(again) == ({"a": 0, "b": 4}, {"a": 7}, ())
    assert again.revoked(HEX["a"], 21)


def test_what_a_stolen_key_brought_in_is_not_trusted_either() -> None:
    told_before = ((5, joins(A, B)), (6, joins(B, C)))
    assert told(known(*told_before))[0] == {"a": 0, "b": 6, "c": 0 + 7}
    assert told(known(*told_before, (9, ends(ADMIN, A, 5)))) == ({"a": 0}, {"a": 5}, (5, 6))
    assert told(known(*told_before, (9, ends(ADMIN, A, 6))))[0] == {"a": 0, "b": 6, "c": 7}
    # A key vouches for nobody before it counts itself.
    assert told(known((5, joins(B, C)), (6, joins(A, B)))) == ({"a": 0, "b": 7}, {}, (5,))


def test_it_is_always_as_of_a_size_and_in_the_order_of_the_log() -> None:
    life = [(3, joins(A, B)), (7, ends(ADMIN, A, 2)), (5, joins(B, C))]
    as_of = {3: {"a": 0}, 4: {"a": 0, "b": 4}, 6: {"a": 0, "b": 4, "c": 6}, 7: {"a": 0, "b": 4, "c": 6}, 8: {"a": 0}}
    for size, since in as_of.items():
        for _ in range(4):
            assert told(known(*random.Random(size).sample(life, 3), size=size))[0] == since
    assert known(size=8).size == 8


def test_without_names_in_the_policy_every_key_counts_but_for_those_revoked() -> None:
    keys = known((9, ends(A, A)), roles={})
    assert keys.counts(HEX["b"], "derive", 0)
    assert keys.revoked(HEX["a"], 9)


# -- policies --


@pytest.mark.parametrize(
    "line",
    ["#titer", "#titer capture", "#titer capture x", f"#titer rule {'ab' * 32}", f"#titer capture {'ab' * 32} x",
     f"#titer capture {HEX['a']}", f"#titer derive {HEX['admin']}", f"#titer administrator {HEX['a']}",
     f"#titer administrator {HEX['admin']}", f"#titer capture {'AB' * 32}"],
)  # fmt: skip
def test_lines_about_keys_have_one_form(line: str) -> None:
    with pytest.raises(RecordError) as caught:
        Policy.parse(POLICY + LINES + line.encode() + b"\n")
    assert caught.value.code == "policy.invalid"


def test_other_readers_take_lines_about_keys_for_comments() -> None:
    rules = Policy.parse(POLICY + LINES + f"  #titer derive {HEX['a']}\n# titer capture x\n#titers\n".encode())
    assert rules.roles == {HEX["a"]: {"capture", "derive"}}
    assert rules.administrators == ADMINS
    plain = Policy.parse(POLICY)
    assert (plain.roles, plain.administrators) == ({}, frozenset())
    assert (rules.logs, rules.witnesses, rules.groups, rules.quorum) == (
        plain.logs, plain.witnesses, plain.groups, plain.quorum,
    )  # fmt: skip
    assert all(each.startswith("#") for each in LINES.decode().splitlines())


# -- verification --


def signed_by(log: Log, signer: Ed25519PrivateKey, kind: str, **more: object) -> None:
    """Add a record of another key than the log's usual one."""
    made = Record(kind, origin_of(ORIGIN), public_of(signer), 0, FIRST, "0" * 32, 0, **more)  # type: ignore[arg-type]
    log.leaves.append(made.sign(signer.sign))


def test_what_a_key_signed_before_its_revocation_is_verified_and_later_ones_are_suspect() -> None:
    log = Log()
    openings = [log.capture(text_of(each)) for each in ("fever", "cough")]
    signed_by(log, ADMIN, "revoke", ext={"key": HEX["a"], "from": 1})
    signed_by(log, OTHER, "revoke", ext={"key": HEX["a"], "from": 0})
    about = [log.receipt(2), log.receipt(3)]
    found = [
        verify(text_of(each), openings[n], log.receipt(n), POLICY + LINES, about_keys=about)
        for n, each in enumerate(("fever", "cough"))
    ]
    assert [each.exit_code for each in found] == [0, 3]
    assert "suspect" in found[1].sentence
    assert "revoked: this signer, from index 1, by record 2" in found[1].lines
    assert "keys: as of size 4" in found[0].lines
    assert "without effect: record 3, which nobody signed who may" in found[0].lines
    unaware = verify(text_of("cough"), openings[1], log.receipt(1), POLICY + LINES)
    assert unaware.exit_code == 0
    assert "keys: as the policy names them" in unaware.lines


def test_who_is_not_named_signs_nothing_and_who_was_brought_in_does() -> None:
    log = Log()
    log.leaves.append(joins(A, B).sign(A.sign))
    opening = log.capture(text_of("fever"))
    named = POLICY + f"#titer capture {HEX['b']}\n#titer administrator {HEX['admin']}\n".encode()
    unknown = verify(text_of("fever"), opening, log.receipt(1), named)
    assert (unknown.exit_code, unknown.lines[-1]) == (3, "signer: no key for records of kind capture")
    log = Log()
    log.leaves.append(joins(B, A).sign(B.sign))
    opening = log.capture(text_of("fever"))
    assert verify(text_of("fever"), opening, log.receipt(1), named).exit_code == 3
    assert verify(text_of("fever"), opening, log.receipt(1), named, about_keys=[log.receipt(0)]).exit_code == 0
    # A record that brings in a key is no capture: who signed it is not asked for an answer about objects.
    assert verify(text_of("fever"), opening, log.receipt(0), named).exit_code == 2


def test_only_records_about_keys_of_this_log_that_witnesses_saw_are_taken() -> None:
    log = Log()
    opening = log.capture(text_of("fever"))
    signed_by(log, ADMIN, "revoke", ext={"key": HEX["a"], "from": 0})
    good = log.receipt(1)
    assert verify(text_of("fever"), opening, log.receipt(0), POLICY + LINES, about_keys=[good]).exit_code == 3
    for wrong in (log.receipt(0), log.receipt(1, witnesses=1), b"x"):
        found = verify(text_of("fever"), opening, log.receipt(0), POLICY + LINES, about_keys=[wrong])
        assert found.exit_code == 4


def resigned(log: Log, index: int, signers: tuple[object, ...]) -> bytes:
    """A receipt under a checkpoint that others have signed for the log."""
    from titer.provenance.ledger.receipt import Receipt

    hashes = [merkle.leaf_hash(each) for each in log.leaves]
    text = Checkpoint(ORIGIN, len(hashes), merkle.root(hashes)).text()
    seen = [each.sign(text, 1_700_000_100) for each in WITNESSES]
    signed = [each.sign(text, 0) for each in signers]  # type: ignore[attr-defined]
    proof = tuple(merkle.inclusion(hashes, index, len(hashes)))
    return Receipt(log.leaves[index], index, proof, Note(text, (*signed, *seen)).format()).format()


def test_what_a_replaced_log_key_alone_has_signed_later_is_suspect() -> None:
    from titer.provenance.ledger.note import Signer

    old, new = LOG, Signer(ORIGIN, key(7))
    assert isinstance(old.key, Ed25519PrivateKey)
    log = Log()
    opening = log.capture(text_of("fever"))
    early = resigned(log, 0, (old,))
    signed_by(log, old.key, "retire", ext={"key": public_of(old.key)})
    log.add("retire")
    rules = POLICY + f"log {new.verifier}\nlog {LOG_PQ.verifier}\n".encode()
    about = [resigned(log, 1, (new,))]
    for signers, code in (((old,), 3), ((old, new), 0), ((new,), 0), ((old, LOG_PQ), 3)):
        late = verify(text_of("fever"), opening, resigned(log, 0, signers), rules, about_keys=about)
        assert late.exit_code == code, late.sentence
        if code:
            assert late.lines[-1] == "revoked: the log's key, from 1, by record 1"
    assert verify(text_of("fever"), opening, early, rules, about_keys=about).exit_code == 0


# -- reading them from a log --


class Files:
    """A log's files, made by the second routine."""

    def __init__(self, log: Log, **more: int) -> None:
        tree = Rebuild()
        self.files = dict(each for leaf in log.leaves for each in tree.feed(leaf))
        self.files |= dict(tree.partial())
        self.files["checkpoint"] = log.note(**more)

    def __call__(self, path: str) -> bytes | None:
        return self.files.get(path)


def long_log() -> tuple[Log, list[object]]:
    log = Log()
    openings: list[object] = [log.capture(text_of(str(n))) for n in range(300)]
    log.leaves.append(joins(A, B).sign(A.sign))
    signed_by(log, ADMIN, "revoke", ext={"key": HEX["a"], "from": 200})
    log.add("retire")
    return log, openings


def test_a_log_is_read_to_its_checkpoint_and_gives_receipts_of_all_that_it_says_of_keys() -> None:
    log, openings = long_log()
    found = about_keys(Files(log), POLICY + LINES, log.receipt(5))
    assert found.checkpoint.size == 303
    assert len(found.receipts) == 3
    for index, code in ((199, 0), (200, 3)):
        told = verify(
            text_of(str(index)), openings[index], log.receipt(index), POLICY + LINES, about_keys=found.receipts
        )  # type: ignore[arg-type]
        assert told.exit_code == code


def test_a_record_about_keys_that_is_kept_back_is_missed() -> None:
    log, _ = long_log()
    files = Files(log)
    without = Log([*log.leaves[:301], *log.leaves[302:]])
    files.files |= {path: raw for path, raw in Files(without).files.items() if path.startswith("tile/entries")}
    files.files["tile/entries/001.p/47"] = Files(without).files["tile/entries/001.p/46"]
    with pytest.raises(RecordError):
        about_keys(files, POLICY + LINES)
    changed = Log([*log.leaves[:301], log.leaves[300], *log.leaves[302:]])
    files = Files(log)
    files.files["tile/entries/001.p/47"] = Files(changed).files["tile/entries/001.p/47"]
    with pytest.raises(RecordError) as caught:
        about_keys(files, POLICY + LINES)
    assert caught.value.code == "log.entries"


def test_a_log_of_another_history_or_that_too_few_have_seen_is_refused() -> None:
    log, _ = long_log()
    fork = Log(log.leaves[:3])
    fork.add("retire")
    older = Log(log.leaves[:100])
    assert about_keys(Files(older), POLICY + LINES, log.receipt(5)).checkpoint.size == 100
    for files, receipt, code in (
        (Files(log), fork.receipt(0), "log.forked"),
        (Files(log, witnesses=1), None, "log.witnesses"),
        (lambda path: None, None, "note.invalid"),
    ):
        with pytest.raises(RecordError) as caught:
            about_keys(files, POLICY + LINES, receipt)
        assert caught.value.code == code


def test_a_keyring_grows_with_its_log_and_reads_each_leaf_once() -> None:
    log, _ = long_log()
    asked: list[tuple[int, int]] = []

    def entries(start: int, stop: int) -> list[bytes]:
        asked.append((start, stop))
        return log.leaves[start:stop]

    ring = Keyring(entries, ORIGIN, ROLES, ADMINS)
    hashes = [merkle.leaf_hash(each) for each in log.leaves]
    points = {size: Checkpoint(ORIGIN, size, merkle.root(hashes[:size])) for size in (10, 301, 303)}
    assert told(ring.at(points[10])) == ({"a": 0}, {}, ())
    assert told(ring.at(points[301]))[0] == {"a": 0, "b": 301}
    assert told(ring.at(points[303]))[1] == {"a": 200}
    assert told(ring.at(points[10])) == ({"a": 0}, {}, ())
    assert asked == [(0, 10), (10, 301), (301, 303)]
    other = Keyring(lambda start, stop: log.leaves[start : stop - 1], ORIGIN, ROLES, ADMINS)
    with pytest.raises(RecordError, match="303"):
        other.at(points[303])


def test_records_that_nobody_signed_say_nothing() -> None:
    good = ends(ADMIN, A, 0)
    unsigned = good.canonical() + b"\n" + b"A" * 86 + b"==\n"
    elsewhere = Record("revoke", origin_of("other"), HEX["admin"], 0, FIRST, "0" * 32, 0, ext=good.ext).sign(ADMIN.sign)
    leaves = [unsigned, b'"kind":"key" but no record', elsewhere]
    ring = Keyring(lambda start, stop: leaves[start:stop], ORIGIN, ROLES, ADMINS)
    assert told(ring.at(Checkpoint(ORIGIN, 3, merkle.root(map(merkle.leaf_hash, leaves))))) == ({"a": 0}, {}, ())


def test_key_files_are_their_owners_alone(tmp_path: Path) -> None:
    from titer.provenance.ledger.keyfile import make_key, read_key, read_private

    made = make_key(tmp_path / "k.pem")
    assert public_of(read_key(tmp_path / "k.pem")) == public_of(made)
    with pytest.raises(LedgerError, match="not there yet"):
        make_key(tmp_path / "k.pem")
    (tmp_path / "k.pem").chmod(0o644)
    with pytest.raises(LedgerError) as caught:
        read_private(tmp_path / "k.pem")
    assert caught.value.code == "key.open"


def test_capture_key_is_the_one_of_these_tests() -> None:
    assert public_of(CAPTURE) == HEX["a"]


def test_what_an_administrator_signs_is_laid_out_once_and_for_all() -> None:
    ext = {"key": HEX["b"], "administrator": HEX["admin"], "signature": "ab" * 64}
    told = (
        f'{{"capture_key":"{HEX["a"]}","ext":{{"administrator":"{HEX["admin"]}","key":"{HEX["b"]}"}},'
        f'"kind":"key","origin":"{origin_of(ORIGIN)}"}}'
    )
    assert approval(spoken("key", A, ext)) == b"titer/administrator/1\n" + told.encode()
    # A record `key` takes two: that an administrator signed it as its own is not enough.
    assert not approved(spoken("key", ADMIN, {"key": HEX["b"]}), ADMINS)
    assert approved(spoken("retire", ADMIN, {"key": HEX["b"]}), ADMINS)
