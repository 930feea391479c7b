"""Small logs for tests: captures of texts, their receipts and openings, under a policy with three witnesses."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from titer.provenance.fingerprint import Fingerprint, fingerprint_of
from titer.provenance.ledger import merkle
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.note import Note, Signer
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import FIRST, Opening, Record, origin_of

ORIGIN = "hospital.example/log"


def key(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


CAPTURE = key(1)
LOG = Signer(ORIGIN, key(2))
LOG_PQ = Signer(ORIGIN, MLDSA44PrivateKey.from_seed_bytes(bytes([3]) * 32))
WITNESSES = tuple(Signer(f"witness{n}.example/w", key(10 + n), cosigner=True) for n in range(3))
POLICY = (
    f"# whom we believe\nlog {LOG.verifier} https://hospital.example/\n"
    + "".join(f"witness w{n} {each.verifier}\n" for n, each in enumerate(WITNESSES))
    + "group all-three 2 w0 w1 w2\nquorum all-three\n"
).encode()


def record_of(kind: str = "capture", counter: int = 0, prev: str = FIRST, **more: object) -> Record:
    public = CAPTURE.public_key().public_bytes_raw().hex()
    told = {"nonce": f"{counter:032x}", "claimed_time": 1_700_000_000, "capture_key": public, **more}
    return Record(kind=kind, origin=origin_of(str(told.pop("log", ORIGIN))), counter=counter, prev=prev, **told)  # type: ignore[arg-type]


@dataclass
class Log:
    """Leaves, and what a log makes of them."""

    leaves: list[bytes] = field(default_factory=list)

    def capture(self, fingerprint: Fingerprint, **more: object) -> Opening:
        opening = Opening.of([(each.label, each.value) for each in fingerprint.digests], fingerprint.opening)
        self.add(data=fingerprint.kind, fp=opening.commitments(), **more)
        return opening

    def add(self, kind: str = "capture", **more: object) -> None:
        prev = merkle.leaf_hash(self.leaves[-1]).hex() if self.leaves else FIRST
        self.leaves.append(record_of(kind, len(self.leaves), prev, **more).sign(CAPTURE.sign))

    def note(self, witnesses: int = 2, time: int = 1_700_000_100) -> bytes:
        text = Checkpoint(ORIGIN, len(self.leaves), merkle.root(map(merkle.leaf_hash, self.leaves))).text()
        signed = [each.sign(text, time + n) for n, each in enumerate(WITNESSES[:witnesses])]
        return Note(text, (LOG.sign(text), LOG_PQ.sign(text, time), *signed)).format()

    def receipt(self, index: int, **more: int) -> bytes:
        hashes = list(map(merkle.leaf_hash, self.leaves))
        proof = tuple(merkle.inclusion(hashes, index, len(hashes)))
        return Receipt(self.leaves[index], index, proof, self.note(**more)).format()


def text_of(words: str) -> Fingerprint:
    return fingerprint_of(words.encode(), "text")
