"""What the ledger gives away: `python tests/provenance/prove_privacy.py [CANDIDATES]` plants, guesses and erases.

1. All eighteen kinds of identifiers of 45 CFR 164.514(b)(2) are planted in images, texts, resources and claims, and in
   names of files. They are captured, guarded and verified, and every byte of ledger, tiles, receipts, logs and printed
   answers is searched for them: as text, in both cases, hexadecimal, base 64, UTF-16, and as hashes without a key.
2. Texts and pairs of codes that were captured are sought in the ledger by trying a million candidates: with nothing but
   the ledger, and with one opening.
3. An opening is erased: its leaf must match nothing that is stored, and all else must stand.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from acceptance import tell
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from provenance_tools import ORIGIN, mark_of
from pydicom.data import get_testdata_file

from titer.provenance.fingerprint import digest, fingerprint_of
from titer.provenance.guard.capture import Capture
from titer.provenance.guard.decide import Decider
from titer.provenance.guard.index import Index
from titer.provenance.guard.inprocess import guard
from titer.provenance.guard.policy import Policy
from titer.provenance.guard.quarantine import Quarantine
from titer.provenance.guard.view import LedgerView
from titer.provenance.ledger import operations, settings
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.record import Opening, parse
from titer.provenance.ledger.verify import verify

PLANTED = {
    "names": "Quenilda Zworkin",
    "places smaller than a state": "17 Thornwick Lane",
    "dates": "1931-07-29",
    "telephone numbers": "+1-617-555-0143",
    "fax numbers": "+1-617-555-0199",
    "addresses of mail": "quenilda@zworkin.example",
    "social security numbers": "078-05-1120",
    "medical record numbers": "MRN-48151623",
    "health plan numbers": "HPB-9942-0017",
    "account numbers": "ACCT-3141592653",
    "certificate and license numbers": "LIC-MA-771002",
    "vehicle identifiers": "1HGCM82633A004352",
    "device identifiers": "SN-GE-55-900817",
    "web addresses": "https://zworkin.example/me",
    "network addresses": "203.0.113.77",
    "biometric identifiers": "FPR-MINUTIAE-8851f0",
    "photographs": "FACE-JPEG-c0ffee99",
    "other unique codes": "TRIAL-ARM-0xQZ81",
}
SALT_FREE = ("sha256", "sha1", "md5")


def forms(word: str) -> Iterator[bytes]:
    """How a word could stand in a file without being recognized at a glance."""
    for text in {word, word.upper(), word.lower(), word.replace("-", ""), word.replace(" ", "^")}:
        raw = text.encode()
        yield from (raw, raw.hex().encode(), raw.hex().upper().encode(), text.encode("utf-16-le"))
        # Base 64 depends on where in a group of three a word begins.
        yield from (base64.b64encode(bytes(shift) + raw)[(shift * 4 + 2) // 3 + 1 : -4] for shift in range(3))
        for name in SALT_FREE:
            made = hashlib.new(name, raw).digest()
            yield from (made, made.hex().encode(), base64.b64encode(made)[:-2])


def documents(folder: Path) -> dict[str, tuple[Any, str]]:
    """Objects of each kind that hold all eighteen, and one whose file's name does."""
    values = list(PLANTED.values())
    data = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    data.PatientName, data.PatientID, data.PatientBirthDate = values[0].replace(" ", "^"), values[7], "19310729"
    data.PatientAddress, data.PatientTelephoneNumbers = values[1], values[3]
    data.DeviceSerialNumber, data.AccessionNumber = values[12], values[9]
    data.PatientComments = "\n".join(values)
    image = io.BytesIO()
    data.save_as(image, enforce_file_format=True)
    text = "\n".join(f"{kind}: {value}" for kind, value in PLANTED.items())
    patient = {"resourceType": "Patient", "identifier": [{"value": value} for value in values]}
    import json

    claim = (
        "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260101*1200*^*00501*000000001*0*P*:~"
        "GS*HC*S*R*20260101*1200*1*X*005010X222A1~ST*837*0001*005010X222A1~BHT*0019*00*1*20260101*1200*CH~"
        f"HL*1**20*1~NM1*85*2*CLINIC*****XX*1234567893~HL*2*1*22*0~SBR*P*18*******CI~NM1*IL*1*{values[0]}****MI*{values[8]}~"
        f"CLM*{values[9].replace(':', '')}*100***11:B:1*Y*A*Y*Y~HI*ABK:J069~LX*1~SV1*HC:99213*100*UN*1***1~"
        "SE*12*0001~GE*1*1~IEA*1*000000001~"
    )
    named = folder / f"{values[0]} {values[7]}.txt"
    named.write_text(text)
    return {
        "image": (image.getvalue(), "dicom"),
        "text": (text.encode(), "text"),
        "resource": (json.dumps(patient).encode(), "fhir"),
        "claim": (claim.encode(), "x12"),
        "named file": (named, "text"),
    }


def site(folder: Path) -> tuple[Ledger, Index, Capture]:
    settings.create(folder / "log", ORIGIN, str(mark_of(folder / "log").path))
    ledger = settings.opened(folder / "log")
    index = Index(f"sqlite:///{folder}/private/index.sqlite", bytes(range(32)))
    return ledger, index, Capture(Chain(ledger, Ed25519PrivateKey.generate()), index)


def search(folder: Path) -> bool:
    """Plant, capture, guard, verify, search."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    made = documents(folder)
    (folder / "private").mkdir()
    ledger, index, point = site(folder)
    public = folder / "told"
    public.mkdir()
    guarded = guard(
        lambda _: np.zeros(1), ledger, Policy(captures=frozenset({point.chain.public}), mode="block"), index=index,
        key=Ed25519PrivateKey.generate(), model_digest="ab" * 32, prepare=lambda _: np.zeros(1), preparation="cd" * 32,
        quarantine=Quarantine(folder / "private" / "quarantine"),
    )  # fmt: skip
    policy = f"log {settings.verifier_keys(folder / 'log', settings.read(folder / 'log'))[0]}\nquorum none\n".encode()
    for number, (name, (source, kind)) in enumerate(made.items()):
        subject = None if kind == "dicom" else PLANTED["medical record numbers"]
        done = point.capture(source, kind, subject=subject)
        assert done.appended.index is not None
        receipt = ledger.receipt(done.appended.index)
        (public / f"{number}.receipt").write_bytes(receipt)
        answer = guarded(source, kind, subject=subject, encounter=PLANTED["account numbers"])
        other = guarded(b"%PDF" if kind == "dicom" else b"\xff", kind, encounter=PLANTED["account numbers"])
        told = verify(done.fingerprint, done.opening, receipt, policy)
        (public / f"{number}.json").write_text(repr((told, answer.reasons, answer.banner, other.reasons, other.banner)))
        print(f"  {name}: {answer.verdict}, {len(done.fingerprint.digests)} digests")
    index.close()
    ledger.close()
    logging.getLogger().removeHandler(handler)
    (public / "log").write_text(heard.getvalue())
    places = [*(folder / "log").rglob("*"), *public.rglob("*"), *mark_of(folder / "log").path.parent.rglob("*")]
    files = [path for path in places if path.is_file()]
    everything = {path: path.read_bytes() for path in files}
    found = {
        kind: sorted({path.name for path, raw in everything.items() for form in forms(word) if form in raw})
        for kind, word in PLANTED.items()
    }
    leaked = {kind: names for kind, names in found.items() if names}
    # That the search can find anything at all: the originals hold each word.
    whole = made["text"][0] + made["image"][0]
    blind = [kind for kind, word in PLANTED.items() if not any(form in whole for form in forms(word))]
    size = sum(map(len, everything.values()))
    print(
        f"searched {len(files)} files, {size:,} bytes, {sum(len(set(forms(word))) for word in PLANTED.values())} forms"
    )
    for kind, names in leaked.items():
        print(f"  FOUND {kind}: {', '.join(names)}")
    words = f"{len(PLANTED) - len(leaked)} of {len(PLANTED)} kinds absent from {len(files)} files, {size:,} bytes"
    tell(10, "identifiers searched for", words, held=not leaked and not blind)
    return not leaked and not blind


def candidates(many: int) -> Iterator[bytes]:
    """Half sentences as they stand in notes, half pairs of a diagnosis and a procedure."""
    findings = ("fever", "cough", "chest pain", "no acute distress", "dyspnea", "rash", "syncope", "edema")
    for n in range(many // 2):
        finding, days = findings[n % 8], n // 8 % 1000
        yield f"{finding} for {days} days, dose {n // 8000} mg".encode()
    for n in range(many - many // 2):
        yield f"J{n % 100:02d}.{n // 100 % 10} {10000 + n // 1000}".encode()


def guess(folder: Path, many: int) -> bool:
    """The dictionary against leaves alone, then with one opening."""
    (folder / "private").mkdir()
    ledger, index, point = site(folder)
    true = {n: raw for n, raw in enumerate(candidates(many)) if n % (many // 20) == 7}
    taken = [point.capture(raw, "text") for raw in true.values()]
    assert ledger.store.size() == len(true)
    records = [parse(entry.leaf) for entry in ledger.store.entries(0, ledger.store.size())]
    commitments = {value for told in records for value in told.fp.values()}
    raws = {bytes.fromhex(value) for value in commitments}
    # Keys that a reader of the ledger has: what stands in leaves, and what a careless program would take.
    keys = {b"", bytes(32), *(each.origin.encode() for each in records[:1]), ledger.origin.encode()}
    keys |= {bytes.fromhex(value) for told in records[:1] for value in (told.origin, told.capture_key, told.nonce)}
    opening = taken[3].opening
    salt, label = opening.salts["tx.v1"], "tx.v1"
    mine = bytes.fromhex(parse(taken[3].leaf).fp[label])
    alone, opened = 0, []
    for candidate in candidates(many):
        made = digest("tx", 1, [candidate])
        alone += made in raws
        alone += any(hmac.digest(key, made, "sha256") in raws for key in keys)
        if hmac.digest(salt, made, "sha256") == mine:
            opened.append(candidate)
    right = (
        opened == [list(true.values())[3]] and digest("tx", 1, [opened[0]]) == fingerprint_of(opened[0], "text")["tx"]
    )
    print(
        f"{many:,} candidates, {len(true)} of them captured: "
        f"{alone} found by the ledger alone and {len(keys)} public keys"
    )
    print(f"with one opening: {len(opened)} found{', the right one' if right else ''}")
    tell(
        10,
        "dictionary against the ledger alone",
        f"{alone} found of {many:,} candidates",
        held=alone == 0 and many >= 10**6,
    )
    tell(10, "with one opening", f"{len(opened)} found", held=right)
    index.close()
    ledger.close()
    return alone == 0 and right


def erase(folder: Path) -> bool:
    """One opening destroyed; nothing that is stored fits its leaf any more, and all else stands."""
    (folder / "private").mkdir()
    ledger, index, point = site(folder)
    texts = [f"note {n}: no fever".encode() for n in range(40)]
    taken = [point.capture(raw, "text", subject="p1") for raw in texts]
    gone = taken[11]
    secrets_gone = list(gone.opening.salts.values())
    index.erase(gone.leaf_hash)
    left = [known for each in taken if (known := index.get(each.leaf_hash)) is not None and known.opening is not None]
    salts = {salt for known in left if known.opening is not None for salt in known.opening.salts.values()}
    stored = {bytes(range(32)), b"", bytes(32), *salts}
    record = parse(gone.leaf)
    content = [each.value for each in gone.fingerprint.digests] + list(gone.opening.digests.values())
    matched = sum(
        hmac.new(key, each, hashlib.sha256).hexdigest() in record.fp.values() for key in stored for each in content
    )
    matched += len(index.find("tx.v1", fingerprint_of(texts[11], "text")["tx"]))
    rest = b"".join(path.read_bytes() for path in (folder / "private").rglob("*") if path.is_file())
    remains = sum(salt in rest or salt.hex().encode() in rest for salt in secrets_gone)
    policy = f"log {settings.verifier_keys(folder / 'log', settings.read(folder / 'log'))[0]}\nquorum none\n".encode()
    outcomes = []
    for number, each in enumerate(taken):
        known = index.get(each.leaf_hash)
        assert each.appended.index is not None
        opening: Opening | None = None if known is None else known.opening
        found = verify(fingerprint_of(texts[number], "text"), opening, ledger.receipt(each.appended.index), policy)
        outcomes.append(found.outcome)
    # Whom a text is about stays closed to who has only the text: what is committed to must not have changed.
    decider = Decider(LedgerView(ledger), ORIGIN, index, Policy(captures=frozenset({point.chain.public})))
    verdicts = [decider.decide(raw, "text", subject="p1").verdict for raw in texts]
    index.close()
    ledger.close()
    faults = operations.examine(folder / "log").faults
    others = verdicts.count("verified")
    placed = outcomes.count("undecided") + outcomes.count("altered") + outcomes.count("verified")
    print(f"{len(stored)} stored secrets against {len(content)} digests of the erased content: {matched} match")
    print(f"salts of the erased opening left in the private database: {remains}; faults that fsck finds: {len(faults)}")
    print(f"of {len(texts)} objects {others} are still verified, {verdicts.count('unknown')} unknown")
    tell(11, "erased leaf against all stored secrets", f"{matched} of {len(stored)} match, {remains} salts left",
         held=matched == remains == 0)  # fmt: skip
    words = f"{others} of {len(texts) - 1} verified, fsck {len(faults)} faults, {placed} of {len(texts)} receipts stand"
    tell(11, "all others", words, held=others == len(texts) - 1 and not faults and placed == len(texts))
    return not matched and not remains and not faults and others == len(texts) - 1


def main(many: int = 1_000_000) -> int:
    """Run all three; 1 if something was found, or was not that should have been."""
    warnings.simplefilter("ignore")
    held = []
    for what in (search, lambda folder: guess(folder, many), erase):
        with tempfile.TemporaryDirectory(prefix="titer-privacy-") as name:
            held.append(what(Path(name)))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
