"""Records, notes, policies, receipts and their verification."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from evidence_tools import CAPTURE, LOG, LOG_PQ, ORIGIN, POLICY, WITNESSES, Log, key, record_of, text_of

from titer.errors import RecordError
from titer.provenance.fingerprint.fingerprint import KINDS, Digest, Fingerprint
from titer.provenance.ledger import record as records
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.merkle import EMPTY, leaf_hash
from titer.provenance.ledger.note import COSIGNATURE, ED25519, Note, Signature, Signer, Verifier, message, opened
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import CLASSES, FIRST, Opening, follows, lookup_tag, origin_of, parse
from titer.provenance.ledger.verify import compare, verify

# The example of the document signed-note.
EXAMPLE = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3Ze"
    "kRwNtIc=\n"
).encode()
# The example of golang.org/x/mod/sumdb/note.
SUMDB = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SUMDB_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def bits(raw: bytes) -> list[bytes]:
    """All that differ from these bytes in one bit."""
    flipped = []
    for bit in range(len(raw) * 8):
        made = bytearray(raw)
        made[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(made))
    return flipped


# -- notes --


def test_the_published_example_of_a_note_is_read_and_written_byte_for_byte() -> None:
    note = Note.parse(EXAMPLE)
    assert note.format() == EXAMPLE
    assert note.text.count("\n") == 4
    assert note.signatures[0].name == "quasimodo.example/salvatore"


def test_a_note_that_go_has_signed_is_verified_and_no_bit_of_it_may_change() -> None:
    verifier = Verifier.parse(SUMDB)
    assert str(verifier) == SUMDB
    note = Note.parse(SUMDB_NOTE)
    assert opened(note, [verifier]) == {verifier: 0}
    for other in bits(note.text.encode()):
        with pytest.raises((RecordError, UnicodeDecodeError)):
            opened(Note(other.decode(), note.signatures), [verifier])
    (signature,) = note.signatures
    for value in bits(signature.value):
        with pytest.raises(RecordError):
            opened(Note(note.text, (replace(signature, value=value),)), [verifier])


def test_signatures_are_those_of_rfc_8032() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    signer = Signer("k", Ed25519PrivateKey.from_private_bytes(seed))
    assert signer.verifier.key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    # Section 7.1, test 1: the empty message.
    wanted = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert signer.sign("").value.hex() == wanted
    assert signer.verifier.verify("", bytes.fromhex(wanted)) == 0


def test_cosignatures_tell_their_time_and_bind_it() -> None:
    text = Checkpoint(ORIGIN, 0, EMPTY).text()
    for signer in (WITNESSES[0], LOG_PQ):
        signature = signer.sign(text, 77)
        assert opened(Note(text, (signature,)), [signer.verifier]) == {signer.verifier: 77}
        for value in bits(signature.value[:8]):
            with pytest.raises(RecordError):
                signer.verifier.verify(text, value + signature.value[8:])
        with pytest.raises(RecordError):
            signer.verifier.verify(text, signature.value[:-1])
    with pytest.raises(RecordError, match="calendars"):
        WITNESSES[0].verifier.verify(text, b"\xff" * 72)


def test_the_message_of_an_ml_dsa_cosignature_is_laid_out_as_its_document_says() -> None:
    told = message("w", 6, Checkpoint("log", 9, bytes(32)).text(), 5)
    assert told == b"subtree/v1\n\0" + b"\1w" + (5).to_bytes(8, "big") + b"\3log" + bytes(8) + (9).to_bytes(
        8, "big"
    ) + bytes(32)
    with pytest.raises(RecordError, match="255"):
        message("w" * 256, 6, Checkpoint("log", 9, bytes(32)).text(), 5)


def test_signatures_of_strangers_are_passed_over_and_more_can_be_added() -> None:
    note = Note("a\n", (LOG.sign("a\n"),)).with_(Signature("x", bytes(4), b"y"))
    assert opened(note, [LOG.verifier]) == {LOG.verifier: 0}
    assert opened(note, [WITNESSES[0].verifier]) == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"a\n",
        b"a\n\n",
        b"a\n\nb\n",
        b"a\n\n\xe2\x80\x94 k AAAA",
        b"\xff\n\n",
        "a\n\n— k AAAA\n".encode(),
        "a\tb\n\n— k AAAAAAA=\n".encode(),
        "a\n\n— k AAAAAAB=\n".encode(),
        b"x" * (1 << 17) + b"\n\n",
    ],
)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    with pytest.raises(RecordError):
        Note.parse(raw)


@pytest.mark.parametrize(
    "text", ["", "k", "k+00000000+AQ==", SUMDB.replace("c74f20a3", "c74f20a4"), SUMDB.replace("P", "+", 1)]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        Verifier.parse(text)


def test_a_key_has_a_name_and_the_length_of_its_kind() -> None:
    for name, kind, raw in (("a b", ED25519, bytes(32)), ("a", COSIGNATURE, bytes(31)), ("a", 2, bytes(32))):
        with pytest.raises(RecordError):
            Verifier(name, kind, raw)


# -- policies --


def policy_of(*lines: str) -> Policy:
    return Policy.parse(
        "\n".join(
            [f"log {LOG.verifier}", *(f"witness w{n} {w.verifier}" for n, w in enumerate(WITNESSES)), *lines]
        ).encode()
    )


@pytest.mark.parametrize(
    ("lines", "needed"),
    [
        (["quorum none"], 0),
        (["quorum w1"], 2),
        (["group g any w0 w1", "quorum g"], 1),
        (["group g all w0 w1 w2", "quorum g"], 3),
        (["group g 2 w0 w1 w2", "quorum g"], 2),
        (["group a any w0 w1", "group b all a\tw2", "quorum b"], 3),
    ],
)
def test_a_quorum_is_met_by_as_many_witnesses_as_it_says(lines: list[str], needed: int) -> None:
    log = Log()
    log.add(data="text", fp={"tx.v1": FIRST})
    for count in range(4):
        assert policy_of(*lines).judge(log.note(witnesses=count)).satisfied == (count >= needed)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["quorum nobody"],
        ["quorum none", "quorum none"],
        ["group none any w0", "quorum w0"],
        ["group w0 any w1", "quorum w0"],
        ["group g 3 w0 w1", "quorum g"],
        ["group g 0 w0", "quorum g"],
        ["group g some w0", "quorum g"],
        ["group g any", "quorum w0"],
        ["group g any w0 w0", "quorum g"],
        ["group g any w0", "group h any w0", "quorum g"],
        ["group g any later", "quorum g"],
        [f"log {LOG.verifier}", "quorum none"],
        [f"witness x {LOG.verifier}", "quorum none"],
        ["log key", "quorum none"],
        ["log \x7fx", "quorum none"],
        ["log é", "quorum none"],
        ["quota none"],
        [f"witness x {WITNESSES[0].verifier}", "quorum none"],
    ],
)
def test_lines_that_the_policy_document_does_not_allow_are_refused(lines: list[str]) -> None:
    with pytest.raises(RecordError) as caught:
        policy_of(*lines)
    assert caught.value.code == "policy.invalid"


def test_a_note_of_another_log_is_refused() -> None:
    text = Checkpoint("other.example", 0, EMPTY).text()
    for signer in (Signer("other.example", key(2)), LOG):
        with pytest.raises(RecordError, match=ORIGIN):
            policy_of("quorum none").judge(Note(text, (signer.sign(text),)).format())


# -- records --

HEX = "ab" * 32


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "rumor"},
        {"data": "film"},
        {"data": "none"},
        {"fp": {}},
        {"fp": {"px": HEX}},
        {"fp": {"px.v1": "AB" * 32}},
        {"fp": {f"px.v{n}": HEX for n in range(1, 66)}},
        {"nonce": "smith"},
        {"counter": -1},
        {"counter": 1},
        {"counter": True},
        {"claimed_time": 1.5},
        {"claimed_time": 1 << 53},
        {"refs": ("x",)},
        {"ext": {"name": HEX}},
        {"ext": {"program": 1}},
        {"kind": "derive"},
        {"kind": "derive", "refs": (HEX,)},
        {"kind": "derive", "ext": {"program": HEX, "parameters": HEX}},
        {"kind": "revoke", "data": "none", "fp": {}, "ext": {"key": HEX, "from": "1"}},
        {"capture_key": "k"},
    ],
)
def test_a_record_has_no_room_for_anything_else(more: dict[str, object]) -> None:
    good = {"kind": "capture", "data": "text", "fp": {"tx.v1": HEX}}
    record_of(**good)  # type: ignore[arg-type]
    with pytest.raises(RecordError):
        record_of(**{**good, **more})  # type: ignore[arg-type]


def test_every_kind_of_record_is_signed_and_read_back() -> None:
    told = {
        "capture": {"program": HEX},
        "derive": {"program": HEX, "parameters": HEX},
        "key": {"key": HEX},
        "revoke": {"key": HEX, "from": 3},
        "policy": {"digest": HEX},
        "decision": {"verdict": "altered", "mode": "block"},
        "anchor": {"size": 3},
        "retire": {},
    }
    assert set(told) == set(records.EXT)
    for kind, ext in told.items():
        data = {"data": "text", "fp": {"tx.v1": HEX}} if kind in ("capture", "derive") else {}
        made = record_of(kind, refs=(HEX,), ext=ext, **data)
        leaf = made.sign(CAPTURE.sign)
        assert parse(leaf) == records.verify(leaf) == made
        assert len(leaf) < 1200


def test_classes_are_the_kinds_of_fingerprints() -> None:
    assert set(CLASSES) == {*KINDS, "none"}


def test_no_bit_of_a_leaf_may_change() -> None:
    leaf = record_of(data="text", fp={"tx.v1": HEX}).sign(CAPTURE.sign)
    for other in bits(leaf):
        with pytest.raises(RecordError):
            records.verify(other)


def test_a_leaf_has_one_spelling() -> None:
    leaf = record_of(data="text", fp={"tx.v1": HEX}).sign(CAPTURE.sign)
    told, line = leaf.split(b"\n", 1)
    raw = json.loads(told)
    wrong = [
        told.replace(b'"v":1', b'"v":1,"v":1'),
        told.replace(b":0,", b": 0,"),
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"{\xff",
        json.dumps({**raw, "note": "x"}).encode(),
        json.dumps({**raw, "refs": {}}).encode(),
        json.dumps({**raw, "fp": 1}).encode(),
        json.dumps({name: value for name, value in raw.items() if name != "kind"}).encode(),
        told.replace(b'"v":1', b'"v":2'),
        json.dumps({name: value for name, value in raw.items() if name != "class"}).encode(),
        told.replace(b'"v":1', b'"v":true'),
    ]
    leaves = [each + b"\n" + line for each in wrong]
    leaves += [told + b"\n" + line[:-1], told, told + b"\n\xff\n", told + b"\nAAAA\n", leaf + b"\n", leaf + b" " * 8192]
    for each in leaves:
        with pytest.raises(RecordError):
            parse(each)


def test_a_token_that_signs_with_another_key_is_found_at_once() -> None:
    with pytest.raises(RecordError, match="capture key"):
        record_of("retire").sign(key(9).sign)


def test_a_missing_or_replayed_record_shows_in_its_chain() -> None:
    log = Log()
    for _ in range(3):
        log.add("retire")
    a, b, c = log.leaves
    follows(parse(a), None)
    follows(parse(b), a)
    follows(parse(c), b)
    for record, previous in ((a, a), (b, None), (c, a), (b, b)):
        with pytest.raises(RecordError) as caught:
            follows(parse(record), previous)
        assert caught.value.code == "record.chain"


def test_an_opening_comes_back_from_its_file_and_commits_under_fresh_salts() -> None:
    one, two = (Opening.of([("tx.v1", bytes(32))], {"ü": 1}) for _ in range(2))
    assert Opening.from_json(one.to_json()) == one
    assert one.commitments() != two.commitments()
    assert lookup_tag(b"s", "tx", bytes(32)) != lookup_tag(b"s", "px", bytes(32))
    assert origin_of("a") != origin_of("b")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"7",
        b'{"v":2,"salts":{},"digests":{},"material":{}}',
        b'{"v":1,"salts":{},"digests":{},"material":[]}',
        b'{"v":1,"salts":{"tx.v1":""},"digests":{"tx.v1":""},"material":{}}',
        b'{"v":1,"salts":{"tx.v1":""},"digests":{},"material":{}}',
        b'{"v":1,"salts":[],"digests":{},"material":{}}',
        b'{"v":1,"salts":{"tx.v1":1},"digests":{},"material":{}}',
    ],
)
def test_what_is_no_opening_is_refused(raw: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        Opening.from_json(raw)
    assert caught.value.code == "opening.invalid"


# -- receipts and verification --


def logged(*texts: str) -> tuple[Log, list[Opening]]:
    log = Log()
    return log, [log.capture(text_of(each)) for each in texts]


def test_what_is_unchanged_is_verified_and_says_why() -> None:
    log, openings = logged("no fever", "fever", "cough")
    found = verify(text_of("fever"), openings[1], log.receipt(1), POLICY)
    assert (found.outcome, found.exit_code, found.layers) == ("verified", 0, {"tx.v1": "same"})
    told = "\n".join(found.lines)
    for part in (
        "index: 1 of 3",
        "w0 (2023-11-14T22:15:00Z)",
        "there by 2023-11-14T22:15:00Z",
        "signer: key 8a88e3dd7409f195",
    ):
        assert part in told


def test_one_character_makes_it_altered() -> None:
    log, openings = logged("fever")
    found = verify(text_of("fevers"), openings[0], log.receipt(0), POLICY)
    assert (found.outcome, found.exit_code) == ("altered", 1)


def test_differences_are_named_where_the_kind_can() -> None:
    class Told:
        layer, sentence = "tx", "a word more"

    log, openings = logged("fever")
    found = verify(text_of("fevers"), openings[0], log.receipt(0), POLICY, explain=lambda *_: [Told()])
    assert found.lines[0] == "changed in tx: a word more"


def test_it_is_unknown_what_the_record_does_not_speak_of() -> None:
    log, _ = logged("fever")
    log.add("retire")
    for index, kind in ((0, "row"), (1, "text")):
        found = verify(Fingerprint(kind, (Digest("tr", 1, bytes(32)),)), None, log.receipt(index), POLICY)
        assert (found.outcome, found.exit_code) == ("unknown", 2)


def test_it_cannot_be_decided_without_an_opening_with_another_or_with_too_few_witnesses() -> None:
    log, openings = logged("fever", "cough")
    for opening, witnesses in ((None, 2), (openings[1], 2), (openings[0], 1)):
        found = verify(text_of("fever"), opening, log.receipt(0, witnesses=witnesses), POLICY)
        assert (found.outcome, found.exit_code) == ("undecided", 3)


def test_what_a_revoked_key_signed_later_is_suspect() -> None:
    log, openings = logged("fever", "cough")
    # A key that revokes itself does so from there on; see test_keys.py for all else.
    log.add("revoke", ext={"key": CAPTURE.public_key().public_bytes_raw().hex(), "from": 1})
    log.add("revoke", ext={"key": HEX, "from": 0})
    openings += [log.capture(text_of("cold"))] * 3
    revocations = [log.receipt(3), log.receipt(2)]
    outcomes = [
        verify(text_of(words), openings[n], log.receipt(n), POLICY, about_keys=revocations).outcome
        for n, words in ((0, "fever"), (1, "cough"), (4, "cold"))
    ]
    assert outcomes == ["verified", "verified", "undecided"]
    wrong = verify(text_of("fever"), openings[0], log.receipt(0), POLICY, about_keys=[log.receipt(1)])
    assert wrong.exit_code == 4


def test_no_bit_of_a_receipt_may_change() -> None:
    log, openings = logged("no fever", "fever", "cough")
    receipt, now = log.receipt(1), text_of("fever")
    # Signatures with ML-DSA-44 are not of this policy's log line; strangers' signatures may be anything.
    start = receipt.index(b"\n\xe2\x80\x94 ", receipt.index(b"\n\xe2\x80\x94 ") + 1)
    stop = receipt.index(b"\n\xe2\x80\x94 ", start + 1)
    lean = receipt[:start] + receipt[stop:]
    assert verify(now, openings[1], lean, POLICY).exit_code == 0
    for other in bits(lean):
        # A witness whose name is changed is a stranger: then too few are left.
        assert verify(now, openings[1], other, POLICY).exit_code in (3, 4)


def test_a_receipt_of_another_index_size_or_leaf_is_invalid() -> None:
    log, openings = logged("no fever", "fever", "cough")
    good = Receipt.parse(log.receipt(1))
    for wrong in (
        replace(good, index=0),
        replace(good, index=3),
        replace(good, leaf=log.leaves[0]),
        replace(good, proof=()),
        replace(good, proof=good.proof[::-1]),
        replace(good, proof=(*good.proof, bytes(32))),
    ):
        assert verify(text_of("fever"), openings[1], wrong.format(), POLICY).exit_code == 4


def test_a_record_that_was_signed_for_another_log_is_invalid() -> None:
    log = Log()
    opening = log.capture(text_of("fever"), log="other.example/log")
    found = verify(text_of("fever"), opening, log.receipt(0), POLICY)
    assert (found.exit_code, found.lines) == (4, ("reason: record.origin",))


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"",
        lambda raw: raw.replace(b"extra", b"extro"),
        lambda raw: raw.replace(b"index", b"indes"),
        lambda raw: b"\xff" + raw,
        lambda raw: raw.replace(b"@v1", b"@v2"),
        lambda raw: raw.replace(b"index 0", b"index 00"),
        lambda raw: raw + b" " * (1 << 18),
    ],
)
def test_what_is_no_receipt_is_refused(change: Callable[[bytes], bytes]) -> None:
    log, _ = logged("fever")
    with pytest.raises(RecordError):
        Receipt.parse(change(log.receipt(0)))
    good = log.receipt(0)
    assert Receipt.parse(good).format() == good


def image(high_bits: int = 0, **layers: bytes) -> Fingerprint:
    digests = tuple(Digest(name.replace("_", "."), 1, value * 32) for name, value in sorted(layers.items()))
    return Fingerprint("dicom", digests, {}, {"high_bits": high_bits})


@pytest.mark.parametrize(
    ("then", "now", "exit_code"),
    [
        (image(px=b"a", cs=b"b"), image(px=b"a", cs=b"c"), 0),
        (image(px=b"a", cs=b"b"), image(px=b"a"), 0),
        (image(px=b"a"), image(px=b"a", cs=b"c"), 0),
        (image(px=b"a", cs=b"b"), image(px=b"c", cs=b"b"), 3),
        (image(px=b"a", cs=b"b"), image(px=b"c", cs=b"c"), 1),
        (image(px=b"a", hb=b"b"), image(px=b"a", hb=b"c"), 0),
        (image(px=b"a", hb=b"b"), image(1, px=b"a", hb=b"c"), 1),
        (image(px=b"a", id_patient=b"b"), image(px=b"a"), 1),
        (image(px=b"a"), image(px=b"a", id_patient=b"b"), 1),
        (image(px=b"a", rd=b"b"), image(px=b"a", rd=b"c"), 1),
    ],
)
def test_only_the_carriage_of_the_same_content_may_differ(then: Fingerprint, now: Fingerprint, exit_code: int) -> None:
    log = Log()
    opening = log.capture(then)
    assert verify(now, opening, log.receipt(0), POLICY).exit_code == exit_code


def test_the_lexical_form_of_numbers_informs_and_identifiers_may_stay_closed() -> None:
    then = Fingerprint("fhir", (Digest("fl", 1, b"a" * 32), Digest("fv", 1, b"b" * 32)))
    opening = Opening.of([(each.label, each.value) for each in then.digests], {})
    record = record_of(data="fhir", fp={**opening.commitments(), "id.patient.v1": HEX})
    now = Fingerprint("fhir", (Digest("fl", 1, b"c" * 32), Digest("fv", 1, b"b" * 32)))
    assert compare(now, opening, record) == {"fl.v1": "carriage", "fv.v1": "same", "id.patient.v1": "closed"}


def test_layers_of_another_version_or_without_a_salt_cannot_be_decided() -> None:
    log = Log()
    opening = log.capture(image(px=b"a", rd=b"b"))
    newer = Fingerprint("dicom", (Digest("px", 2, b"a" * 32), Digest("rd", 1, b"b" * 32)))
    assert verify(newer, opening, log.receipt(0), POLICY).exit_code == 3
    partly = Opening({"px.v1": opening.salts["px.v1"]}, {"px.v1": opening.digests["px.v1"]})
    assert verify(image(px=b"a", rd=b"b"), partly, log.receipt(0), POLICY).exit_code == 3


def test_derived_data_say_so_and_times_beyond_the_calendar_are_told_in_seconds() -> None:
    log = Log()
    ext = {"program": HEX, "parameters": HEX}
    opening = log.capture(text_of("fever"), kind="derive", refs=(HEX,), ext=ext, claimed_time=(1 << 53) - 1)
    found = verify(
        text_of("fever"), opening, log.receipt(0, time=0), POLICY.replace(b"quorum all-three", b"quorum none")
    )
    assert "when derived" in found.sentence
    assert f"refers to: {HEX}" in found.lines
    assert any("claimed 9007199254740991 s" in line for line in found.lines)


# -- command --


def test_the_command_says_it_in_one_sentence_and_in_its_exit_code(tmp_path: Path) -> None:
    from titer.cli.verify import verify as command

    log, (opening,) = logged("fever")
    files = {"n.txt": b"fever", "r": log.receipt(0), "p": POLICY, "o": opening.to_json(), "bad": b"x"}
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)

    def run(*more: str, receipt: str = "r") -> tuple[int, str]:
        words = [
            f"{tmp_path}/n.txt",
            "--receipt",
            f"{tmp_path}/{receipt}",
            "--policy",
            f"{tmp_path}/p",
            "--kind",
            "text",
            *more,
        ]
        done = CliRunner().invoke(command, words, standalone_mode=False)
        assert done.exception is None
        return done.return_value, done.output

    held = ("--opening", f"{tmp_path}/o")
    code, told = run(*held)
    assert code == 0
    assert told == f"Verified: the object is as it was when captured, by record 0 of {ORIGIN}.\n"
    assert "index: 0 of 1" in run(*held, "--explain")[1]
    assert json.loads(run(*held, "--json")[1])["layers"] == {"tx.v1": "same"}
    assert run()[0] == 3
    assert run("--opening", f"{tmp_path}/bad")[0] == 3
    assert run(*held, receipt="bad")[0] == 4
    (tmp_path / "n.txt").write_bytes(b"Fever")
    assert run(*held)[0] == 1
    (tmp_path / "n.txt").write_bytes(b"\xff")
    code, told = run(*held, "--explain")
    assert code == 3
    assert "reason: " in told


def test_a_leaf_hash_stands_in_base_64_on_a_line_of_the_receipt() -> None:
    log, _ = logged("fever", "cough")
    lines = log.receipt(1).split(b"\n")
    assert lines[0] == b"c2sp.org/tlog-proof@v1"
    assert lines[3] == base64.b64encode(leaf_hash(log.leaves[0]))
