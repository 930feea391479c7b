"""Corners of the trust core: exact limits and exact reasons, each of which some changed line would move unseen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from evidence_tools import CAPTURE, LOG, LOG_PQ, ORIGIN, POLICY, WITNESSES, Log, record_of, text_of

from titer.errors import FingerprintError, LedgerError, RecordError
from titer.provenance.fingerprint import _canonical, _tree
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint
from titer.provenance.ledger import checkpoint, merkle, note, policy, receipt, record, tiles
from titer.provenance.ledger.checkpoint import Checkpoint, decoded, encoded, number
from titer.provenance.ledger.note import COSIGNATURE, ED25519, ML_DSA_44, Note, Signature, Signer, Verifier
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import Opening, Record
from titer.provenance.ledger.verify import Verification, verify

HEX = "ab" * 32
ROOT = bytes(range(32))


def refused(code: str, act: Callable[..., Any], *words: Any, **more: Any) -> RecordError:
    with pytest.raises((RecordError, LedgerError, FingerprintError)) as caught:
        act(*words, **more)
    assert caught.value.code == code, str(caught.value)
    assert all((caught.value.expected, caught.value.got, caught.value.remedy))
    return caught.value  # type: ignore[return-value]


# -- limits, each from both sides --


def test_limits_are_what_the_documents_say() -> None:
    assert checkpoint.LARGEST == 2**63 - 1
    assert (note.LARGEST, policy.LARGEST, receipt.LARGEST, record.LARGEST) == (131_072, 262_144, 262_144, 8192)
    assert (merkle.HASH, tiles.WIDTH) == (32, 256)
    assert (ED25519, COSIGNATURE, ML_DSA_44) == (1, 4, 6)
    assert record.FIRST == "0" * 64
    assert record.CONTEXT == b"titer/record/1\n"
    assert receipt.HEADER == "c2sp.org/tlog-proof@v1"


def test_a_file_may_be_as_long_as_its_limit() -> None:
    line = str(Signature("k", bytes(4), b"x"))
    whole = Note("a" * (note.LARGEST - 2 - len(line.encode())) + "\n", (Signature("k", bytes(4), b"x"),)).format()
    assert len(whole) == note.LARGEST
    assert Note.parse(whole).format() == whole
    refused("note.invalid", Note.parse, b"a" + whole)
    rules = POLICY + b"#" * (policy.LARGEST - len(POLICY) - 1) + b"\n"
    assert len(rules) == policy.LARGEST
    assert Policy.parse(rules).quorum == "all-three"
    refused("policy.invalid", Policy.parse, rules + b"\n")
    made = Receipt(b"x", 0, (), b"")
    long = replace(made, note=b"n" * (receipt.LARGEST - len(made.format())))
    assert len(long.format()) == receipt.LARGEST
    assert Receipt.parse(long.format()) == long
    refused("receipt.invalid", Receipt.parse, replace(long, note=long.note + b"n").format())


def test_a_leaf_may_be_as_long_as_its_limit() -> None:
    # References are 67 bytes each in the leaf; the time of capture takes up the rest.
    refs = tuple(f"{n:064x}" for n in range(64))
    leaf = record_of("retire", refs=refs).sign(CAPTURE.sign)
    assert len(leaf) < record.LARGEST
    refused("leaf.too_large", record.parse, leaf + b" " * (record.LARGEST - len(leaf) + 1))
    refused("record.invalid", record.parse, leaf + b" " * (record.LARGEST - len(leaf)))
    refused("record.invalid", record_of, "retire", refs=(*refs, refs[0]))
    fp = {f"px.v{n}": HEX for n in range(1, 65)}
    record_of("capture", data="dicom", fp=fp)
    refused("record.invalid", record_of, "capture", data="dicom", fp={**fp, "px.v65": HEX})


def test_numbers_reach_from_zero_to_their_largest() -> None:
    for value in (0, 1, (1 << 53) - 1):
        assert record_of("retire", claimed_time=value).claimed_time == value
    for wrong in (-1, 1 << 53, True, 1.0, "1", None):
        refused("record.invalid", record_of, "retire", claimed_time=wrong)
    assert record_of("retire", counter=(1 << 53) - 1, prev=HEX).counter == (1 << 53) - 1
    refused("record.invalid", record_of, "retire", counter=1 << 53, prev=HEX)
    assert Checkpoint(ORIGIN, checkpoint.LARGEST, ROOT).size == checkpoint.LARGEST
    assert Checkpoint(ORIGIN, 0, ROOT).size == 0
    for wrong in (-1, checkpoint.LARGEST + 1):
        refused("checkpoint.invalid", Checkpoint, ORIGIN, wrong, ROOT)
    assert [number(text) for text in ("0", "9", "10", "9223372036854775807")] == [0, 9, 10, checkpoint.LARGEST]
    for text in ("", "00", "01", "-1", "+1", " 1", "1 ", "1_0", "\u0661", "12345678901234567890", "1\n"):
        refused("checkpoint.invalid", number, text)


# -- reasons --


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a\n1\n",
        "a\n1\n" + "A" * 43 + "=",
        "\n1\n" + encoded(ROOT) + "\n",
        f"a\n1\n{encoded(ROOT[:31])}\n",
        f"a\n1\n{encoded(ROOT)}\n\n",
        f"a\t\n1\n{encoded(ROOT)}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused_for_that_reason(text: str) -> None:
    refused("checkpoint.invalid", Checkpoint.parse, text)


def test_a_checkpoint_keeps_its_further_lines() -> None:
    made = Checkpoint(ORIGIN, 7, ROOT, ("one", "two"))
    assert made.text() == f"{ORIGIN}\n7\n{encoded(ROOT)}\none\ntwo\n"
    assert Checkpoint.parse(made.text()) == made
    refused("checkpoint.invalid", Checkpoint, ORIGIN, 7, ROOT, ("one", "t\x1fwo"))
    refused("checkpoint.invalid", Checkpoint, ORIGIN, 7, ROOT, ("", "two"))
    assert Checkpoint("a b\x7f", 1, ROOT).text().startswith("a b\x7f\n")


@pytest.mark.parametrize("text", ["A", "AAA", "AA==A", "AQI", "AQJ=", "A Q==", "AQ==\n", "-_8=", "\u00e9AAA", "===="])
def test_base_64_has_one_spelling(text: str) -> None:
    refused("checkpoint.invalid", decoded, text)


def test_errors_of_notes_name_their_reason() -> None:
    good = LOG.sign("a\n")
    for wrong in ("a", "", "a\x00\n", "a\x1f\n", "a\t\n"):
        refused("note.invalid", Note, wrong, ())
    assert Note("\n", ()).text == "\n"
    assert Note("a\x7f\u2028\n", (good,)).text == "a\x7f\u2028\n"
    for raw in (
        b"",
        b"a\n",
        b"a\n\n",
        b"\xff\n\nx\n",
        b"a\n\nx\n",
        f"a\n\n{good}".encode()[:-1],
        f"a\n\n{good}\n".encode(),
    ):
        refused("note.invalid", Note.parse, raw)
    for line in (
        "\u2014 k AAAAAAA",
        "\u2014 k",
        "- k AAAAAAA=",
        "\u2014  AAAAAAA=",
        "\u2014 k+x AAAAAAA=",
        "\u2014 k AAAAAA==",
    ):
        with pytest.raises(RecordError) as caught:
            Note.parse(f"a\n\n{line}\n".encode())
        assert caught.value.code in ("note.invalid", "checkpoint.invalid")
    # Four bytes name the key; there must be at least one more.
    assert Note.parse(f"a\n\n\u2014 k {encoded(b'abcde')}\n".encode()).signatures == (Signature("k", b"abcd", b"e"),)
    refused("note.invalid", Note.parse, f"a\n\n\u2014 k {encoded(b'abcd')}\n".encode())
    two = Note("a\n", (good,)).with_(good, good)
    assert two.signatures == (good, good, good)
    for text in ("", "k", "k+0+AA==", f"{LOG.verifier}x", str(LOG.verifier)[1:]):
        with pytest.raises(RecordError) as caught:
            Verifier.parse(text)
        assert caught.value.code in ("key.invalid", "checkpoint.invalid")
    for name in ("", "a b", "a+b", "a\x00", "a\x85", "a\n"):
        refused("key.invalid", Verifier, name, ED25519, bytes(32))
    for kind, length in ((ED25519, 31), (ED25519, 33), (COSIGNATURE, 31), (ML_DSA_44, 1311), (2, 32), (5, 32), (0, 32)):
        refused("key.invalid", Verifier, "k", kind, bytes(length))


def test_signatures_have_the_length_and_time_of_their_kind() -> None:
    text = Checkpoint(ORIGIN, 1, ROOT).text()
    for signer in (LOG, WITNESSES[0], LOG_PQ):
        value = signer.sign(text, 5).value
        assert signer.verifier.verify(text, value) == (0 if signer is LOG else 5)
        for wrong in (value[:-1], value + b"x", b"", bytes(len(value))):
            refused("note.signature", signer.verifier.verify, text, wrong)
    witness = WITNESSES[0]
    for time in (0, 1, checkpoint.LARGEST):
        assert witness.verifier.verify(text, witness.sign(text, time).value) == time
    refused("note.signature", witness.verifier.verify, text, witness.sign(text, checkpoint.LARGEST + 1).value)


def test_the_latest_of_several_times_of_one_witness_counts() -> None:
    text, witness = Checkpoint(ORIGIN, 1, ROOT).text(), WITNESSES[0]
    for times in ((5, 9), (9, 5)):
        signed = Note(text, tuple(witness.sign(text, time) for time in times))
        assert note.opened(signed, [witness.verifier]) == {witness.verifier: 9}
    wrong = Note(text, (witness.sign(text, 5), replace(witness.sign(text, 9), value=bytes(72))))
    refused("note.signature", note.opened, wrong, [witness.verifier])
    # Another key under the same name, or another name with the same identifier, is a stranger.
    stranger = Note(text, (replace(witness.sign(text, 5), name="x"), replace(witness.sign(text, 5), key_id=bytes(4))))
    assert note.opened(stranger, [witness.verifier]) == {}


def test_names_in_cosignatures_after_the_quantum_computer_have_255_bytes() -> None:
    for name, origin, good in (("k" * 255, "o" * 255, True), ("k" * 256, "o", False), ("k", "o" * 256, False)):
        signer = Signer(name, LOG_PQ.key)
        text = Checkpoint(origin, 3, ROOT).text()
        if good:
            assert signer.verifier.verify(text, signer.sign(text, 1).value) == 1
        else:
            refused("note.invalid", signer.sign, text, 1)
    message = note.message("kk", ML_DSA_44, Checkpoint("ooo", 3, ROOT).text(), 9)
    parts = (b"subtree/v1\n\0", b"\2kk", (9).to_bytes(8, "big"), b"\3ooo", bytes(8), (3).to_bytes(8, "big"), ROOT)
    assert message == b"".join(parts)


def test_errors_of_receipts_and_policies_name_their_reason() -> None:
    good = Receipt(b"leaf", 3, (ROOT, ROOT[::-1]), b"note").format()
    lines = ("c2sp.org/tlog-proof@v1", f"extra {encoded(b'leaf')}", "index 3", encoded(ROOT), encoded(ROOT[::-1]), "")
    assert good == "".join(f"{line}\n" for line in lines).encode() + b"note"
    assert Receipt.parse(good) == Receipt(b"leaf", 3, (ROOT, ROOT[::-1]), b"note")
    # A gap inside the note is the note's own.
    assert Receipt.parse(good + b"\n\nmore").note == b"note\n\nmore"
    for wrong in (
        good.replace(b"@v1", b"@v2"),
        good.replace(b"extra ", b"xextra "),
        good.replace(b"index ", b"xindex "),
        good.replace(b"extra ", b"extra"),
        good.replace(b"index ", b"index"),
        b"c2sp.org/tlog-proof@v1\nextra AA==\n\n",
        good.replace(b"extra", b"extr\xe9"),
    ):
        refused("receipt.invalid", Receipt.parse, wrong)
    for wrong in (good.replace(b"index 3", b"index 03"), good.replace(b"index 3", b"index index 3")):
        refused("checkpoint.invalid", Receipt.parse, wrong)
    for line in (
        "log",
        f"log {LOG.verifier} a b",
        "witness w9",
        f"witness w9 {WITNESSES[0].verifier} a b",
        "group g any",
        "quorum",
        "quorum w0 w1",
        "Log x",
        "witness none x",
        "group none any w0",
        "group g 1000000 w0",
    ):
        error = refused(
            "policy.invalid", Policy.parse, POLICY.replace(b"quorum all-three\n", f"{line}\nquorum w0\n".encode())
        )
        assert "in line 7" in error.got, error.got
    assert "in line" not in refused("policy.invalid", Policy.parse, b"").got
    addressed = Policy.parse(POLICY.replace(b"/w+", b"/w+").replace(b"\nquorum", b"\n \t \n\t# note\nquorum"))
    assert addressed == Policy.parse(POLICY)
    whole = Policy.parse(
        f"log {LOG.verifier} https://a\nwitness n {WITNESSES[0].verifier} https://b\nquorum n\n".encode()
    )
    assert (whole.logs, whole.witnesses) == ((LOG.verifier,), {"n": WITNESSES[0].verifier})
    assert Policy.parse(POLICY).groups == {"all-three": (2, ("w0", "w1", "w2"))}
    refused("policy.invalid", Policy.parse, POLICY.replace(b"# whom", b"\x80 whom"))
    assert Policy.parse(POLICY.replace(b"# whom", b"# \x80\xff\t whom")).quorum == "all-three"
    for byte in (b"\x00", b"\x08", b"\x0b", b"\x1f", b"\x7f", b"\r"):
        refused("policy.invalid", Policy.parse, POLICY.replace(b"# whom", b"# " + byte))


def test_a_policy_says_which_log_was_wanted() -> None:
    log = Log()
    log.add("retire")
    other = Policy.parse(f"log {WITNESSES[0].verifier}\nquorum none\n".encode())
    error = refused("policy.log", other.judge, log.note())
    assert WITNESSES[0].name in error.expected
    assert ORIGIN in error.got
    accepted = Policy.parse(f"log {LOG.verifier}\nlog {LOG_PQ.verifier}\nquorum none\n".encode()).judge(log.note())
    assert accepted.logs == (LOG.verifier, LOG_PQ.verifier)
    assert (accepted.witnesses, accepted.satisfied) == ({}, True)
    told = Policy.parse(POLICY).judge(log.note(witnesses=3, time=50)).witnesses
    assert told == {"w0": 50, "w1": 51, "w2": 52}


def test_errors_of_proofs_name_their_reason() -> None:
    hashes = [merkle.leaf_hash(bytes([n])) for n in range(9)]
    roots = {size: merkle.root(hashes[:size]) for size in range(10)}
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        refused("proof.range", merkle.inclusion, hashes, index, size)
        refused("proof.range", merkle.verify_inclusion, hashes[0], index, size, [], roots[3])
    for old, new in ((-1, 3), (4, 3)):
        refused("proof.range", merkle.consistency, hashes, old, new)
        refused("proof.range", merkle.verify_consistency, old, new, roots[3], roots[3], [])
    for size in range(1, 10):
        for index in range(size):
            proof = merkle.inclusion(hashes, index, size)
            merkle.verify_inclusion(hashes[index], index, size, proof, roots[size])
            refused("proof.length", merkle.verify_inclusion, hashes[index], index, size, [*proof, ROOT], roots[size])
            refused("proof.root", merkle.verify_inclusion, ROOT, index, size, proof, roots[size])
            if proof:
                refused("proof.length", merkle.verify_inclusion, hashes[index], index, size, proof[:-1], roots[size])
        for old in range(1, size):
            proof = merkle.consistency(hashes, old, size)
            merkle.verify_consistency(old, size, roots[old], roots[size], proof)
            refused("proof.length", merkle.verify_consistency, old, size, roots[old], roots[size], [*proof, ROOT])
            refused("proof.length", merkle.verify_consistency, old, size, roots[old], roots[size], proof[:-1])
            refused("proof.root", merkle.verify_consistency, old, size, ROOT, roots[size], proof)
            refused("proof.root", merkle.verify_consistency, old, size, roots[old], ROOT, proof)
        refused("proof.length", merkle.verify_consistency, size, size, roots[size], roots[size], [ROOT])
        refused("proof.length", merkle.verify_consistency, 0, size, merkle.EMPTY, roots[size], [ROOT])
        refused("proof.root", merkle.verify_consistency, size, size, ROOT, roots[size], [])
        refused("proof.root", merkle.verify_consistency, 0, size, ROOT, roots[size], [])
        merkle.verify_consistency(0, size, merkle.EMPTY, roots[size], [])
        merkle.verify_consistency(size, size, roots[size], roots[size], [])
    for short in (ROOT[:31], ROOT + b"x", b""):
        refused("proof.hash", merkle.verify_inclusion, short, 0, 1, [], roots[1])
        refused("proof.hash", merkle.verify_inclusion, hashes[0], 0, 1, [], short)
        refused("proof.hash", merkle.verify_inclusion, hashes[0], 0, 2, [short], roots[2])
        refused("proof.hash", merkle.verify_consistency, 1, 2, short, roots[2], [ROOT])
        refused("proof.hash", merkle.verify_consistency, 1, 2, roots[1], short, [ROOT])
        refused("proof.hash", merkle.verify_consistency, 1, 2, roots[1], roots[2], [short])
    for size, many in ((-1, 0), (1, 0), (2, 2), (3, 1), (0, 1)):
        refused("frontier.invalid", merkle.Frontier, size, [ROOT] * many)
    assert merkle.Frontier(3, [ROOT, ROOT]).size == 3


def test_errors_of_tiles_name_their_reason() -> None:
    assert tiles.unbundle(tiles.bundle([b"x" * 0xFFFF]), 1) == [b"x" * 0xFFFF]
    refused("leaf.too_large", tiles.bundle, [b"x" * 0x10000])
    full = tiles.bundle([b"a"] * 256)
    assert len(tiles.unbundle(full)) == 256
    assert tiles.unbundle(full, 3) == [b"a"] * 3
    for raw, width in ((b"", 1), (full[:-1], 3), (b"\0", 1), (b"\0\2a", 1), (full + b"\0\0", 256), (full[:-3], 256)):
        refused("tile.damaged", tiles.unbundle, raw, width)
    assert [tiles.path(0, n) for n in (0, 999, 1000, 1_000_000)] == [
        "tile/0/000",
        "tile/0/999",
        "tile/0/x001/000",
        "tile/0/x001/x000/000",
    ]
    assert tiles.path(1, 5, 255) == "tile/1/005.p/255"
    hashes = [merkle.leaf_hash(bytes([n % 256, n // 256])) for n in range(300)]
    files = {"tile/0/000": b"".join(hashes[:256]), "tile/0/001.p/44": b"".join(hashes[256:])}
    asked: list[str] = []

    def read(path: str) -> bytes | None:
        asked.append(path)
        return files.get(path)

    seen = tiles.Tiles(read, 300)
    assert (seen(0, 0), seen(0, 299), seen(1, 0)) == (hashes[0], hashes[299], merkle.node_hash(*hashes[:2]))
    assert asked == ["tile/0/000", "tile/0/001.p/44"]
    for wrong in (b"", files["tile/0/001.p/44"][:-1], files["tile/0/001.p/44"] + b"x"):
        refused("tile.damaged", tiles.Tiles({**files, "tile/0/001.p/44": wrong}.get, 300), 0, 299)
    refused("tile.missing", tiles.Tiles({}.get, 300), 0, 299)
    whole = {"tile/0/001": b"".join([*hashes[256:], *[ROOT] * 212])}
    assert tiles.Tiles(whole.get, 300)(0, 299) == hashes[299]


def test_errors_of_records_name_their_reason() -> None:
    leaf = record_of("retire").sign(CAPTURE.sign)
    raw, line = leaf.split(b"\n", 1)
    for wrong in (
        b"",
        raw,
        raw + b"\n",
        raw + b"\n" + line[:-1],
        b"\n" + line,
        leaf + b"x",
        raw + b"\n\n" + line,
        raw.replace(b'"v":1', b'"v":2') + b"\n" + line,
        raw + b" \n" + line,
        b"7\n" + line,
        b"null\n" + line,
        raw + b"\n" + encoded(bytes(63)).encode() + b"\n",
        raw + b"\n" + encoded(bytes(65)).encode() + b"\n",
    ):
        refused("record.invalid", record.parse, wrong)
    for gone in (b'"ext":{}', b'"fp":{}'):
        refused("record.invalid", record.parse, raw.replace(gone, gone[:-2] + b"7") + b"\n" + line)
    assert "label of a digest" in refused("record.invalid", record_of, "capture", data="text", fp={"x": HEX}).expected
    refused("record.signature", record.verify, raw + b"\n" + encoded(bytes(64)).encode() + b"\n")
    assert record.parse(raw + b"\n" + encoded(bytes(64)).encode() + b"\n") == record_of("retire")
    for name in ("origin", "capture_key", "prev", "nonce"):
        told = {
            "kind": "retire",
            "origin": HEX,
            "capture_key": HEX,
            "counter": 1,
            "prev": HEX,
            "nonce": "a" * 32,
            "claimed_time": 0,
        }
        Record(**told)  # type: ignore[arg-type]
        for value in ("", "AB" * 32, "a" * 31, "a" * 63, "a" * 65, 7, None, "g" * 64):
            refused("record.invalid", Record, **{**told, name: value})
    for more in (
        {"kind": "decision", "ext": {}},
        {"kind": "decision", "ext": {"verdict": "fine"}},
        {"kind": "policy", "ext": {}},
        {"kind": "revoke", "ext": {"key": HEX}},
        {"kind": "revoke", "ext": {"from": 1}},
        {"kind": "key", "ext": {}},
        {"kind": "derive", "data": "text", "fp": {"tx.v1": HEX}, "refs": (HEX,), "ext": {"program": HEX}},
        {"kind": "derive", "data": "text", "fp": {"tx.v1": HEX}, "ext": {"program": HEX, "parameters": HEX}},
        {"kind": "retire", "fp": {"tx.v1": HEX}},
        {"kind": "retire", "data": "text"},
        {"kind": "retire", "ext": {"x": HEX}},
        {"kind": "retire", "data": "text", "fp": {"tx.v1": HEX}},
        {"kind": "anchor", "ext": {"size": "1"}},
        {"kind": "capture", "data": "text"},
        {"kind": "capture"},
        {"kind": "decision", "ext": {"verdict": "error", "mode": "x"}},
    ):
        refused("record.invalid", record_of, **more)
    for label in ("px", "px.v0", "px.v1000", "p.v1", "pxx.v1", "px.a.v1", "px.abcdefghijklmnopq.v1", "PX.v1", "px.v01"):
        refused("record.invalid", record_of, "capture", data="text", fp={label: HEX})
    for label in ("px.v1", "px.v999", "id.ab.v1", "id.abcdefghijklmnop.v1"):
        record_of("capture", data="text", fp={label: HEX})
    told = record_of("retire").canonical()
    assert told.startswith(b'{"capture_key":"')
    assert told.endswith(b'"refs":[],"v":1}')
    second = record_of("retire", 1, merkle.leaf_hash(leaf).hex())
    record.follows(second, leaf)
    error = refused("record.chain", record.follows, second, None)
    assert "record 0 of its key" in error.expected
    assert "record 1 after" in error.got


# What `ext` may hold: by form a right value and wrong ones, by kind the form of each field.
VERDICTS = (
    *("verified", "derived", "altered", "unknown", "mismatch_subject", "replayed"),
    *("suspect_key", "stale_log", "forked_log", "unsupported", "error"),
)
MODES = ("observe", "flag", "block", "override")
FORMS: dict[str, tuple[object, tuple[object, ...]]] = {
    "hash": (HEX, ("", HEX[1:], HEX + "a", HEX.upper(), "g" * 64, HEX + "\n", 7, None)),
    "signature": (HEX * 2, ("", HEX, HEX * 2 + "a", HEX.upper() * 2, 7, None)),
    "number": (7, (-1, 1 << 53, True, 7.0, "7", None)),
    "verdict": ("verified", ("", "fine", "Verified", "error ", HEX, 7, None)),
    "mode": ("flag", ("", "verified", "Block", "flag\n", 7, None)),
}
SIGNED = {"administrator": "hash", "signature": "signature"}
CHAIN = ("program", "tensor", "model", "output", "first", "second", "reason")
FIELDS = {
    "capture": {"program": "hash"},
    "derive": {"program": "hash", "parameters": "hash"},
    "key": {"key": "hash", **SIGNED},
    "revoke": {"key": "hash", "from": "number", **SIGNED},
    "policy": {"digest": "hash"},
    "decision": {"verdict": "verdict", "mode": "mode", **dict.fromkeys(CHAIN, "hash")},
    "anchor": {"size": "number", "root": "hash", "log": "hash", "token": "hash"},
    "retire": {"key": "hash", **SIGNED},
}
NEEDED = {
    *(("derive", "program"), ("derive", "parameters"), ("key", "key"), ("revoke", "key"), ("revoke", "from")),
    *(("policy", "digest"), ("decision", "verdict")),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_each_kind_of_record_has_its_own_fields_and_no_others(kind: str) -> None:
    more: dict[str, Any] = {"kind": kind, "refs": (HEX,)}
    if kind in ("capture", "derive"):
        more |= {"data": "text", "fp": {"tx.v1": HEX}}
    whole = {name: FORMS[form][0] for name, form in FIELDS[kind].items()}
    assert record_of(**more, ext=whole).ext == whole
    for name, form in FIELDS[kind].items():
        less = {other: value for other, value in whole.items() if other != name}
        if (kind, name) in NEEDED:
            refused("record.invalid", record_of, **more, ext=less)
        else:
            assert record_of(**more, ext=less).ext == less
        for wrong in FORMS[form][1]:
            error = refused("record.invalid", record_of, **more, ext={**whole, name: wrong})
            assert error.expected.startswith(f"{name} ")
    for name in {"host", "", *(each for fields in FIELDS.values() for each in fields)} - set(whole):
        refused("record.invalid", record_of, **more, ext={**whole, name: HEX})


def test_verdicts_and_modes_are_words_of_closed_lists() -> None:
    for name, words in (("verdict", VERDICTS), ("mode", MODES)):
        for word in words:
            assert record_of("decision", ext={"verdict": "error", name: word}).ext[name] == word
            for wrong in (word + "x", "x" + word, word[1:], word.upper()):
                refused("record.invalid", record_of, "decision", ext={"verdict": "error", name: wrong})


@pytest.mark.parametrize(
    ("what", "more"),
    [
        *((name, {name: HEX[1:]}) for name in ("origin", "capture_key", "prev", "nonce")),
        *((name, {name: -1}) for name in ("counter", "claimed_time")),
        ("label of a digest", {"kind": "capture", "data": "text", "fp": {"tx": HEX}}),
        ("tx.v1", {"kind": "capture", "data": "text", "fp": {"tx.v1": HEX[1:]}}),
        ("refs", {"refs": (HEX, HEX[1:])}),
    ],
)
def test_a_refusal_names_the_field(what: str, more: dict[str, Any]) -> None:
    told = {"kind": "retire", "origin": HEX, "capture_key": HEX, "counter": 1, "prev": HEX, "nonce": "a" * 32}
    Record(**told, claimed_time=0)  # type: ignore[arg-type]
    error = refused("record.invalid", Record, **{**told, "claimed_time": 0, **more})
    assert error.expected.startswith(f"{what} ")


def test_a_leaf_has_maps_and_lists_where_they_belong() -> None:
    raw, line = record_of("retire").sign(CAPTURE.sign).split(b"\n", 1)
    for right, wrong in ((b'"fp":{}', b'"fp":[]'), (b'"ext":{}', b'"ext":[]'), (b'"refs":[]', b'"refs":{}')):
        assert right in raw
        refused("record.invalid", record.parse, raw.replace(right, wrong) + b"\n" + line)


def test_openings_say_all_that_they_hold() -> None:
    made = Opening({"tx.v1": b"s" * 32}, {"tx.v1": b"d" * 32}, {"b": 1, "a": "\u00fc"})
    assert made.to_json().decode() == (
        f'{{"digests": {{"tx.v1": "{b"d".hex() * 32}"}}, "material": {{"a": "\u00fc", "b": 1}}, '
        f'"salts": {{"tx.v1": "{b"s".hex() * 32}"}}, "v": 1}}'
    )
    assert Opening.from_json(made.to_json()) == made
    assert Opening({}, {}).material == {}
    assert Opening.of([], {"a": 1}).material == {"a": 1}
    refused("opening.invalid", Opening, {"tx.v1": b"s" * 32}, {})
    for label, salt, digest in (("tx.v1", 31, 32), ("tx.v1", 32, 33), ("tx", 32, 32)):
        refused("opening.invalid", Opening, {label: bytes(salt)}, {label: bytes(digest)})
    with pytest.raises(ValueError, match="JSON compliant"):
        Opening({}, {}, {"x": float("nan")}).to_json()
    two = Opening.of([("tx.v1", b"d" * 32), ("rd.v1", b"e" * 32)], {})
    assert [len(salt) for salt in two.salts.values()] == [32, 32]
    assert len(set(two.salts.values())) == 2
    assert list(two.commitments()) == ["rd.v1", "tx.v1"]
    assert two.commitments()["tx.v1"] == record.commitment(two.salts["tx.v1"], b"d" * 32)
    assert record.commitment(b"", b"").startswith("b613679a0814d9ec")
    assert record.lookup_tag(b"", "tx", b"").hex() == record.commitment(b"", b"tx")
    for raw in (
        b"{",
        b"null",
        b'{"v":1,"salts":{},"digests":{}}',
        b'{"v":1,"salts":{},"digests":{},"material":{},"x":1}',
    ):
        refused("opening.invalid", Opening.from_json, raw)


def test_a_verification_says_what_it_rests_on_line_by_line() -> None:
    log = Log()
    opening = log.capture(text_of("fever"))
    found = verify(text_of("fever"), opening, log.receipt(0, time=0), POLICY)
    public = CAPTURE.public_key().public_bytes_raw().hex()
    assert found.lines == (
        "layer tx.v1: same",
        "record: capture of text, number 0 of its key",
        f"signer: key {public} (SHA-256 begins 34750f98bd59fcfc)",
        f"index: 0 of 1 in {ORIGIN}",
        f"log: signed by {ORIGIN}+{LOG.verifier.key_id.hex()}",
        "time: claimed 2023-11-14T22:13:20Z; there by 1970-01-01T00:00:01Z, as its first witness tells",
        "witnesses: w0, w1 (1970-01-01T00:00:01Z)",
        "keys: as the policy names them",
    )
    few = verify(text_of("fever"), opening, log.receipt(0, witnesses=0), POLICY)
    assert "witnesses: none" in few.lines
    assert any(line.endswith("no witness tells when it was there") for line in few.lines)
    bad = verify(text_of("fever"), opening, b"", POLICY)
    assert (bad.outcome, bad.lines) == ("invalid", ("reason: receipt.invalid",))
    assert bad.sentence.startswith("The receipt or the policy is not valid: expected ")


# -- canonical forms --


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("1", "1"),
        ("+1.0", "1"),
        ("-1.50", "-1.5"),
        ("0e5", "0"),
        ("-0", "0"),
        (".5", "0.5"),
        ("5.", "5"),
        ("100", "100"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("123e20", "1.23e+22"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("123456789012345678901", "123456789012345678901"),
        ("12e-8", "1.2e-7"),
        ("1E+2", "100"),
        ("1234567890123456789012", "1.234567890123456789012e+21"),
        ("1e-000000000000000000001", "0.1"),
        ("10.01", "10.01"),
        ("1e999999999999999999", "1e+999999999999999999"),
    ],
)
def test_decimal_numbers_have_one_spelling(text: str, one: str) -> None:
    assert _canonical.decimal_text(text) == one


def test_numbers_that_no_instrument_has_are_refused_without_being_quoted() -> None:
    for text in ("", ".", "e1", "1e", "--1", "1,5", "0x1", "nan", "Smith", "+", "1 "):
        assert "Smith" not in str(refused("malformed.number", _canonical.decimal_text, text))
    refused("limit.exponent", _canonical.decimal_text, "1e1000000000000000000")
    for text in ("1e400", "1e-400", "1" * 400, "1" * 399 + "0"):
        assert _canonical.fraction(text)
    for text in ("1e401", "1e-401", "1" * 401):
        refused("limit.number", _canonical.fraction, text)
    assert _canonical.fraction("-12.50") == _canonical.fraction("-125e-1")
    assert _canonical.fraction_bytes(_canonical.fraction("-0.5")) == b"-1/2"
    assert _canonical.fraction("0") == 0
    assert _canonical.fraction("0.5") == Fraction(1, 2)
    assert _canonical.fraction("1e-400") == Fraction(1, 10**400)
    assert _canonical.fraction("1" * 400) == int("1" * 400)
    for text in ("1e401", "1e-401", "1" * 401):
        refused("limit.number", _canonical.fraction, text)
    assert _canonical.decimal_text(f"1e{'9' * 18}") == f"1e+{'9' * 18}"
    assert _canonical.decimal_text("1e000000000000000000000007") == _canonical.decimal_text("1e7") == "10000000"
    assert _canonical.decimal_text("12e-00") == "12"
    assert _canonical.decimal_text("123456789012345678901.5") == "123456789012345678901.5"
    assert _canonical.packed() == b""
    assert _canonical.packed(b"a", b"") == b"\0\0\0\0\0\0\0\1a" + bytes(8)


def test_the_two_trees_give_one_root() -> None:
    leaves = [bytes([n]) for n in range(70)]
    for size in range(70):
        ours = [_tree.leaf_hash(each) for each in leaves[:size]]
        assert ours == [merkle.leaf_hash(each) for each in leaves[:size]]
        assert _tree.root(ours) == merkle.root(ours)
        assert _tree.root(tuple(ours)) == merkle.root(ours)


def test_each_outcome_has_its_sentence_its_lines_and_its_layers() -> None:
    log = Log()
    openings = [log.capture(text_of(each)) for each in ("fever", "cough")]
    where = f"record 0 of {ORIGIN}"
    base = verify(text_of("fever"), openings[0], log.receipt(0), POLICY).lines[1:]
    few = verify(text_of("fever"), openings[0], log.receipt(0, witnesses=1), POLICY)
    assert few.sentence == f"Cannot decide: too few witnesses of the policy have seen {where}."
    assert few.lines[0] == base[0]
    row = replace(text_of("fever"), kind="row")
    told = [
        verify(text_of("fever"), openings[0], log.receipt(0), POLICY),
        verify(text_of("fevers"), openings[0], log.receipt(0), POLICY),
        verify(row, openings[0], log.receipt(0), POLICY),
        verify(text_of("fever"), None, log.receipt(0), POLICY),
        verify(text_of("fever"), openings[1], log.receipt(0), POLICY),
    ]
    expected = [
        ("verified", f"Verified: the object is as it was when captured, by {where}.", ("layer tx.v1: same", *base)),
        ("altered", f"Altered: the object is not what {where} says (tx.v1).", ("layer tx.v1: differs", *base)),
        ("unknown", f"Unknown: {where} speaks of text, and the object is of kind row.", base),
        ("undecided", f"Cannot decide: {where} commits to an object, and no opening is given.", base),
        ("undecided", f"Cannot decide: the opening does not belong to {where} (tx.v1).", base),
    ]
    assert [(each.outcome, each.sentence, each.lines) for each in told] == expected
    assert [dict(each.layers) for each in told] == [{"tx.v1": "same"}, {"tx.v1": "differs"}, {}, {}, {}]
    assert [each.exit_code for each in told] == [0, 1, 2, 3, 3]


def test_layers_are_named_together_and_in_order() -> None:
    def made(kind: str, *digests: tuple[str, int, bytes]) -> Fingerprint:
        return Fingerprint(kind, tuple(Digest(name, version, value * 32) for name, version, value in sorted(digests)))

    log = Log()
    opening = log.capture(made("dicom", ("px", 1, b"a"), ("rd", 1, b"b"), ("id.patient", 1, b"c")))
    log.add("retire")
    two = made("dicom", ("px", 1, b"x"), ("rd", 1, b"y"), ("id.patient", 1, b"c"))
    found = verify(two, opening, log.receipt(0), POLICY)
    assert found.sentence == f"Altered: the object is not what record 0 of {ORIGIN} says (px.v1, rd.v1)."
    assert found.lines[:3] == ("layer id.patient.v1: same", "layer px.v1: differs", "layer rd.v1: differs")
    newer = made("dicom", ("px", 2, b"a"), ("rd", 2, b"b"), ("id.patient", 1, b"c"))
    unsure = verify(newer, opening, log.receipt(0), POLICY)
    names = "px.v1, px.v2, rd.v1, rd.v2"
    assert unsure.sentence == f"Cannot decide: layers that cannot be compared with record 0 of {ORIGIN} ({names})."
    assert unsure.outcome == "undecided"
    assert set(unsure.layers.values()) == {"version", "same"}
    assert unsure.lines[0] == "layer id.patient.v1: same"
    other = verify(two, opening, log.receipt(1), POLICY)
    assert other.sentence == f"Unknown: record 1 of {ORIGIN} speaks of a retire, and the object is of kind dicom."
    stranger = Opening({"px.v1": bytes(32), "rd.v1": bytes(32)}, {"px.v1": bytes(32), "rd.v1": bytes(32)})
    assert "(px.v1, rd.v1)" in verify(two, stranger, log.receipt(0), POLICY).sentence
    assert dict(Verification("invalid", "x").layers) == {}
    assert Verification("invalid", "x").lines == ()
