"""The page that verifies receipts: in a real browser without a network it reaches what `titer verify` reaches."""

from __future__ import annotations

import base64
import random
from collections import Counter
from pathlib import Path
from typing import Any

import browser_looking as looking
import dicom_made as made
import numpy as np
import pydicom
import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from evidence_tools import LOG, LOG_PQ, ORIGIN, POLICY, Log, key, record_of
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from titer.errors import RecordError
from titer.provenance.fingerprint import Fingerprint, fingerprint_of
from titer.provenance.ledger import merkle
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.keychange import approve, public_of
from titer.provenance.ledger.note import Signer
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import Opening, Record, origin_of
from titer.provenance.ledger.verifier import verifier_page, write_verifier
from titer.provenance.ledger.verify import Verification, verify

pytestmark = pytest.mark.browser
TEXT = "ECG: fièvre, 38 °C\r\nno ischaemia\n".encode()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "verify.html"
    write_verifier(path, POLICY)
    return path


@pytest.fixture
def driver(browser: Any, page: Path) -> Any:
    """The page, opened with the network switched off."""
    browser.execute_cdp_cmd("Network.enable", {})
    conditions = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
    looking.open_page(browser, page, looking.Look(1440, "light"))
    yield browser
    asked, complaints = looking.requests(browser), looking.console(browser)
    conditions |= {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
    assert (asked, complaints) == ([], [])


def asked(driver: Any, cases: list[tuple[bytes, bytes, bytes, bytes | None, list[bytes]]]) -> list[dict[str, Any]]:
    """What the page's own code finds for object, receipt, policy, opening and revocations."""
    told = [
        [None if each is None else base64.b64encode(each).decode() for each in case[:4]]
        + [[base64.b64encode(each).decode() for each in case[4]]]
        for case in cases
    ]
    script = """
        const [told, done] = arguments;
        const raw = (text) => text === null ? null : fromBase64(text);
        (async () => {
          const found = [];
          for (const [object, receipt, policy, opening, revocations] of told) {
            found.push(await titerVerify(raw(object), raw(receipt), raw(policy), raw(opening), revocations.map(raw)));
          }
          return found;
        })().then(done, (error) => done(String(error)));
    """
    found: list[dict[str, Any]] = driver.execute_async_script(script, told)
    return found


def same(told: dict[str, Any], expected: Verification) -> bool:
    return (told["outcome"], told["sentence"], tuple(told["lines"]), told["layers"]) == (
        expected.outcome, expected.sentence, expected.lines, dict(expected.layers),
    )  # fmt: skip


def choose(driver: Any, tmp_path: Path, **files: bytes) -> None:
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
        driver.find_element(By.ID, name).send_keys(str(tmp_path / name))


def answered(driver: Any) -> tuple[str, str]:
    driver.find_element(By.TAG_NAME, "button").click()
    shown = driver.find_element(By.ID, "answer")
    WebDriverWait(driver, 30).until(lambda _: shown.get_attribute("data-outcome"))
    return str(shown.get_attribute("data-outcome")), str(driver.find_element(By.ID, "sentence").text)


def test_the_form_says_verified_and_after_one_bit_altered(driver: Any, tmp_path: Path) -> None:
    log = Log()
    opening = log.capture(fingerprint_of(TEXT, "text"))
    log.add("policy", ext={"digest": "0" * 64})
    choose(driver, tmp_path, object=TEXT, receipt=log.receipt(0), opening=opening.to_json())
    assert answered(driver) == (
        "verified",
        f"Verified: the object is as it was when captured, by record 0 of {ORIGIN}.",
    )
    choose(driver, tmp_path, object=TEXT[:-2] + bytes([TEXT[-2] ^ 1]) + TEXT[-1:])
    outcome, sentence = answered(driver)
    assert outcome == "altered"
    assert "(tx.v1)" in sentence
    lines = driver.find_element(By.ID, "lines").text
    assert "layer tx.v1: differs" in lines
    assert "witnesses: w0 (2023-" in lines


def test_whom_an_object_is_about_is_left_to_the_command(driver: Any) -> None:
    log, now = Log(), fingerprint_of(TEXT, "text")
    opening = Opening.of(
        [*((each.label, each.value) for each in now.digests), ("id.patient.v1", bytes(32))], now.opening
    )
    log.add("capture", data="text", fp=opening.commitments())
    [found] = asked(driver, [(TEXT, log.receipt(0), POLICY, opening.to_json(), [])])
    assert (found["outcome"], found["layers"]["id.patient.v1"]) == ("verified", "closed")


def test_the_page_is_accessible_and_fits_small_screens(browser: Any, page: Path, axe_source: str) -> None:
    for look in (looking.Look(390, "dark"), looking.Look(1440, "light")):
        looking.open_page(browser, page, look)
        assert looking.width(browser) <= look.width
        browser.execute_script(axe_source)
        found = browser.execute_async_script("axe.run().then(arguments[0])")
        assert [each["id"] for each in found["violations"]] == []


def images() -> dict[str, bytes]:
    """Images in all forms that the page reads."""
    rng = np.random.default_rng(1)
    words = rng.integers(0, 1 << 12, (70, 130)).astype("<u2")
    signed = made.dataset(rng.integers(-2048, 2048, (65, 64)).astype("<i2"), 12)
    dirty = made.dataset(words | np.uint16(0x4000), 12)
    high = made.dataset((words << 4).astype("<u2"), 12)
    high.HighBit = 15
    color = rng.integers(0, 256, (3, 9, 7)).astype("u1")
    planar = made.dataset(color.transpose(1, 2, 0).copy(), PlanarConfiguration=1)
    planar[0x7FE00010].value = color.tobytes() + b"\0"
    masked = made.dataset(rng.integers(-2048, 2048, (8, 8)).astype("<i2"), 12)
    masked[0x7FE00010].value = (np.frombuffer(masked.PixelData, "<u2") & 0x0FFF).astype("<u2").tobytes()
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-D3000", "SRT", "Chest"
    rich = made.dataset(
        words, 12, AnatomicRegionSequence=[item], WindowCenter="40.0", WindowWidth=["+4.0e2", "-0.0"],
        PixelSpacing=["0.50", ".5"],
        RescaleSlope="1.000", RescaleIntercept="-1024", Laterality="L ", PatientID="Müller-7", IssuerOfPatientID="KH",
        SpecificCharacterSet="ISO_IR 100", AccessionNumber="A1", StudyInstanceUID="1.2", SeriesInstanceUID="1.3",
        DeviceSerialNumber="77", ContentDate="20240101", ContentTime="101112", BodyPartExamined="",
    )  # fmt: skip
    rich.add_new(0x60000010, "US", 3)
    rich.add_new(0x60000011, "US", 5)
    rich.add_new(0x60003000, "OW", b"\xff\xff")
    utf8 = made.dataset(words, 12, SpecificCharacterSet="ISO_IR 192", PatientID="Zoe\u0301", Modality="CT")
    return {
        "plain": made.written(made.dataset(words, 12)),
        "signed": made.written(signed),
        "masked": made.written(masked),
        "dirty": made.written(dirty),
        "high": made.written(high),
        "planar": made.written(planar),
        "frames": made.image(rng.integers(0, 256, (3, 5, 7)).astype("u1"), frames=True),
        "rich": made.written(rich),
        "utf8": made.written(utf8),
    }


def test_images_have_the_fingerprints_that_the_library_makes(driver: Any) -> None:
    log, cases, expected = Log(), [], []
    files = images()
    openings = {name: log.capture(fingerprint_of(raw, "dicom")) for name, raw in files.items()}
    rng = random.Random(2)
    for index, (name, raw) in enumerate(files.items()):
        broken = bytearray(raw)
        broken[-1 - rng.randrange(30)] ^= 1 << rng.randrange(8)
        for each in (raw, bytes(broken)):
            cases.append((each, log.receipt(index), POLICY, openings[name].to_json(), []))
            expected.append(verify(fingerprint_of(each, "dicom"), openings[name], log.receipt(index), POLICY))
    assert {each.outcome for each in expected[::2]} == {"verified"}
    assert {each.outcome for each in expected[1::2]} == {"altered"}
    found = asked(driver, cases)
    assert [case for case, told in enumerate(found) if not same(told, expected[case])] == []


def test_every_attribute_of_the_table_counts_as_it_does_in_the_library(driver: Any) -> None:
    """An attribute of the table, of each kind and inside sequences, is added to a captured image."""
    base = made.dataset(made.ramp(4, 4), Modality="CT")
    log = Log()
    opening = log.capture(fingerprint_of(made.written(base), "dicom"))
    changes: list[dict[str, Any]] = [
        {"Laterality": "R"}, {"WindowCenter": "7"}, {"PixelPaddingValue": 3}, {"ICCProfile": b"ab"},
        {"PresentationLUTShape": "INVERSE"}, {"StudyDescription": "nothing of the table"}, {"PatientName": "A^B"},
    ]  # fmt: skip
    cases, expected = [], []
    for change in changes:
        other = made.dataset(made.ramp(4, 4), Modality="CT", **change)
        raw = made.written(other)
        cases.append((raw, log.receipt(0), POLICY, opening.to_json(), []))
        expected.append(verify(fingerprint_of(raw, "dicom"), opening, log.receipt(0), POLICY))
    assert [each.outcome for each in expected] == ["altered"] * 5 + ["verified"] * 2
    assert [told["layers"] for told in asked(driver, cases)] == [dict(each.layers) for each in expected]


def test_what_the_page_cannot_read_it_does_not_decide(driver: Any) -> None:
    log = Log()
    raws = [
        made.image(made.ramp(2, 2, "<u4")),
        made.image(made.ramp(2, 2), SpecificCharacterSet="ISO_IR 144", PatientID="\u0416"),
    ]
    openings = [log.capture(fingerprint_of(each, "dicom")) for each in raws]
    openings.append(log.capture(fingerprint_of(b'{"resourceType": "Patient"}', "fhir")))
    found = asked(
        driver,
        [(raw, log.receipt(n), POLICY, openings[n].to_json(), []) for n, raw in enumerate([*raws, b"{}"])]
        + [(b"\xff\xfe", log.receipt(0), POLICY, openings[0].to_json(), [])],
    )
    assert [each["outcome"] for each in found] == ["undecided", "undecided", "undecided", "unknown"]


def test_texts_have_one_form(driver: Any) -> None:
    log = Log()
    opening = log.capture(fingerprint_of("fi\u00e8vre\nx".encode(), "text"))
    objects = ["fie\u0300vre\r\nx", "fie\u0300vre\rx", "\ufefffi\u00e8vre\nx", "fi\u00e8vre\n x"]
    found = asked(driver, [(each.encode(), log.receipt(0), POLICY, opening.to_json(), []) for each in objects])
    assert [each["outcome"] for each in found] == ["verified", "verified", "altered", "altered"]
    wrong = asked(driver, [(b"\xff", log.receipt(0), POLICY, opening.to_json(), [])])
    assert wrong[0]["outcome"] == "undecided"


def test_trust_is_judged_as_the_library_judges_it(driver: Any) -> None:
    log = Log()
    now = fingerprint_of(TEXT, "text")
    opening = log.capture(now)
    other = log.capture(fingerprint_of(b"other", "text"))
    public = record_of(ext={}, data="text", fp={"tx.v1": "0" * 64}).capture_key
    log.add("revoke", ext={"key": public, "from": 1})
    log.add("revoke", ext={"key": "ab" * 32, "from": 0})
    late = log.capture(fingerprint_of(b"late", "text"))
    pq = f"log {LOG_PQ.verifier}\nquorum none\n".encode()
    stranger = Signer(ORIGIN, MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
    cases: list[tuple[bytes, bytes, bytes, bytes | None, list[bytes]]] = [
        (TEXT, log.receipt(0, witnesses=1), POLICY, opening.to_json(), []),
        (TEXT, log.receipt(0, witnesses=3), POLICY, opening.to_json(), []),
        (TEXT, log.receipt(0), POLICY, None, []),
        (TEXT, log.receipt(0), POLICY, other.to_json(), []),
        (TEXT, log.receipt(0), POLICY, b"{}", []),
        (TEXT, log.receipt(0), POLICY, opening.to_json(), [log.receipt(2), log.receipt(3)]),
        (b"other", log.receipt(1), POLICY, other.to_json(), [log.receipt(3), log.receipt(2)]),
        (TEXT, log.receipt(0), POLICY, opening.to_json(), [log.receipt(1)]),
        (b"late", log.receipt(4), POLICY, late.to_json(), [log.receipt(3), log.receipt(2)]),
        (b"late", log.receipt(4), POLICY, late.to_json(), []),
        (TEXT, log.receipt(2), POLICY, opening.to_json(), []),
        (TEXT, log.receipt(0), pq, opening.to_json(), []),
        (TEXT, log.receipt(0), f"log {stranger.verifier}\nquorum none\n".encode(), opening.to_json(), []),
        (TEXT, log.receipt(0), POLICY + b"quorum none\n", opening.to_json(), []),
        (TEXT, log.receipt(0), POLICY.replace(b" 2 w0", b" 4 w0"), opening.to_json(), []),
        (TEXT, log.receipt(0), b"", opening.to_json(), []),
    ]
    for told, case in zip(asked(driver, cases), cases, strict=True):
        expected = _expected(now if case[0] == TEXT else fingerprint_of(case[0], "text"), case)
        assert told["outcome"] == expected.outcome, expected.sentence
        if expected.outcome in ("verified", "undecided") and case[3] != b"{}":
            assert same(told, expected)


def _expected(now: Fingerprint, case: tuple[bytes, bytes, bytes, bytes | None, list[bytes]]) -> Verification:
    _, receipt, policy, raw, revocations = case
    try:
        opening = None if raw is None else Opening.from_json(raw)
    except RecordError as error:
        return Verification("undecided", str(error))
    return verify(now, opening, receipt, policy, about_keys=revocations)


def test_no_changed_bit_of_a_receipt_is_believed(driver: Any) -> None:
    """Every third bit of a receipt whose policy names all of its keys."""
    log = Log()
    now = fingerprint_of(TEXT, "text")
    opening = log.capture(now)
    log.add("policy", ext={"digest": "0" * 64})
    text = Checkpoint(ORIGIN, 2, merkle.root(map(merkle.leaf_hash, log.leaves))).text()
    note = f"{text}\n{LOG.sign(text)}".encode()
    proof = tuple(merkle.inclusion([merkle.leaf_hash(each) for each in log.leaves], 0, 2))
    receipt = Receipt(log.leaves[0], 0, proof, note).format()
    policy = f"log {LOG.verifier}\nquorum none\n".encode()
    bits = range(0, len(receipt) * 8, 3)
    cases = []
    for bit in bits:
        wrong = bytearray(receipt)
        wrong[bit // 8] ^= 1 << bit % 8
        cases.append((TEXT, bytes(wrong), policy, opening.to_json(), []))
    assert asked(driver, [(TEXT, receipt, policy, opening.to_json(), [])])[0]["outcome"] == "verified"
    assert {each["outcome"] for each in asked(driver, cases)} == {"invalid"}


def test_an_invalid_policy_never_gets_into_a_page() -> None:
    with pytest.raises(RecordError, match="a witness or a group"):
        verifier_page(b"quorum nobody\n")
    assert "const POLICY = null;" in verifier_page()


def test_the_life_of_keys_is_judged_as_the_library_judges_it(driver: Any) -> None:
    """Logs in which keys are brought in, revoked and retired at random, by those who may and by those who may not."""
    draw = random.Random(5)
    keys = {name: key(50 + n) for n, name in enumerate(("a", "b", "c", "admin", "other"))}
    names = list(keys)
    lines = f"#titer capture {public_of(keys['a'])}\n#titer administrator {public_of(keys['admin'])}\n"
    now = fingerprint_of(TEXT, "text")
    cases: list[tuple[bytes, bytes, bytes, bytes | None, list[bytes]]] = []
    for _ in range(30):
        log, openings, about = Log(), {}, []
        for index in range(10):
            signer = keys[draw.choice(names)]
            kind = draw.choice(("capture", "capture", "key", "key", "revoke", "retire"))
            more: dict[str, Any] = {}
            if kind == "capture":
                openings[index] = Opening.of([(each.label, each.value) for each in now.digests], now.opening)
                more = {"data": "text", "fp": openings[index].commitments()}
            elif kind == "key":
                approver = keys[draw.choice(("admin", "admin", "admin", "other"))]
                more = {"ext": approve(ORIGIN, public_of(signer), public_of(keys[draw.choice(names)]), approver)}
            else:
                more = {"ext": {"key": public_of(keys[draw.choice(names)])}}
                more["ext"] |= {"from": draw.randrange(12)} if kind == "revoke" else {}
            if kind != "capture":
                about.append(index)
            made = Record(kind, origin_of(ORIGIN), public_of(signer), 0, "0" * 64, "0" * 32, 0, **more)
            log.leaves.append(made.sign(signer.sign))
        told = [log.receipt(index) for index in draw.sample(about, len(about))]
        policy = POLICY + (lines if draw.random() < 0.8 else "").encode()
        cases += [(TEXT, log.receipt(index), policy, each.to_json(), told) for index, each in openings.items()]
    cases += [
        (TEXT, cases[0][1], POLICY + f"#titer {wrong}\n".encode(), None, []) for wrong in ("", "capture x", "rule")
    ]
    outcomes = Counter[str]()
    for told, case in zip(asked(driver, cases), cases, strict=True):
        expected = _expected(now, case)
        assert told["outcome"] == expected.outcome, expected.sentence
        if expected.outcome != "invalid":
            assert same(told, expected)
        outcomes[expected.outcome] += 1
    assert min(outcomes[name] for name in ("verified", "undecided", "invalid")) >= 3
