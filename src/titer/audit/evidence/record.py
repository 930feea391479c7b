"""The keeper of an audit's records: the plan goes into a ledger before the run, the signed report after it.

Both are records of the kinds that every verifier knows. The plan is a capture of a text, so that nobody can say later
that something else was planned; the report is derived from it, so that it cannot have been there first. What a record
commits to stays beside the report (`*.opening.json`), with the receipt of its place in the ledger (`*.tlog-proof`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import titer
from titer.atomic import made_folder, write_whole
from titer.audit.evidence.bundle import OPENING, PLAN, RECEIPT, REPORT, folder_of
from titer.audit.evidence.keys import private_key
from titer.audit.evidence.statement import sign_report
from titer.audit.report.schema import EvidenceRecord, Report
from titer.errors import LedgerError, ReportError, StoreError

if TYPE_CHECKING:
    from titer.audit.plan import Plan
    from titer.provenance.ledger.chain import Chain


def plan_text(digest: str) -> bytes:
    """What is recorded of a plan: the digest of the plan with every default filled in.

    >>> plan_text("ab")
    b'titer plan ab\\n'
    """
    return f"titer plan {digest}\n".encode()


def program_digest() -> str:
    """Digest of the program that makes reports: Titer, with its version."""
    return sha256(f"titer {titer.__version__}".encode()).hexdigest()


class Keeper:
    """Puts plans and reports into a ledger.

    Arguments
        ledger: the ledger's folder. key: an Ed25519 private key (PEM); it signs records and statement alike.
    """

    def __init__(self, ledger: Path, key: Path) -> None:
        self._ledger, self._key = ledger, key
        # A key that cannot be read, or a folder without a ledger, is found before any work starts.
        self._private = private_key(key)
        with _installed():
            from titer.provenance.ledger.settings import read

            read(ledger)

    def plan(self, plan: Plan, out: Path) -> None:
        """Record what is going to be done, before anything is.

        Refuses (`StoreError`) a folder whose results come from before their plan was recorded, or from another plan.
        """
        text = plan_text(plan.digest)
        if (out / f"{PLAN}{RECEIPT}").is_file():
            self._same(text, out)
            return
        results = out / "results"
        if results.is_dir() and any(results.iterdir()):
            raise StoreError(
                "a folder without results, to record the plan before them", f"results in {out}", "choose another --out"
            )
        made_folder(out)
        with self._chain() as chain:
            self._record(chain, out, PLAN, "capture", text)

    def evidence(self, out: Path) -> EvidenceRecord:
        """What a report says of its recorded plan; its receipt is attached."""
        from titer.provenance.ledger.receipt import Receipt

        raw = (out / f"{PLAN}{RECEIPT}").read_bytes()
        told = Receipt.parse(raw)
        origin = told.note.partition(b"\n")[0].decode("ascii", "replace")
        return EvidenceRecord(
            id=PLAN,
            item="E15",
            state="partial",
            sentence=f"The digest of the plan is record {told.index} of {origin}, from before the first result. A log "
            "of deviations is not kept: another plan needs another folder and another record.",
            file=f"{PLAN}{RECEIPT}",
            sha256=sha256(raw).hexdigest(),
        )

    def report(self, path: Path) -> Path:
        """Sign the report in a folder and record the signed statement; returns its receipt.

        Refuses (`ReportError`) a folder whose plan was not recorded before.
        """
        folder = folder_of(path)
        receipt = folder / f"{PLAN}{RECEIPT}"
        if not receipt.is_file():
            raise ReportError(
                "a plan that was recorded before the run",
                f"no {receipt.name} beside the report",
                "run the audit with --ledger and --key into a new folder; to sign alone: titer report sign",
            )
        digest = Report.load(folder / "report.json").identity.plan.digest
        self._same(plan_text(digest), folder)
        with _installed():
            from titer.provenance.ledger.merkle import leaf_hash
            from titer.provenance.ledger.receipt import Receipt
        parent = leaf_hash(Receipt.parse(receipt.read_bytes()).leaf).hex()
        signed = sign_report(folder, self._key).read_bytes()
        done = folder / f"{REPORT}{RECEIPT}"
        if done.is_file() and _opens(folder, REPORT, signed):
            return done
        about = {"program": program_digest(), "parameters": digest}
        with self._chain() as chain:
            return self._record(chain, folder, REPORT, "derive", signed, refs=(parent,), ext=about)

    @contextmanager
    def _chain(self) -> Iterator[Chain]:
        from titer.provenance.ledger.chain import Chain
        from titer.provenance.ledger.settings import opened

        with opened(self._ledger) as ledger:
            yield Chain(ledger, self._private)

    def _record(self, chain: Chain, folder: Path, name: str, kind: str, text: bytes, **more: Any) -> Path:
        """Append a record of a text and keep its opening and receipt; the opening first: without it a leaf is lost."""
        from titer.provenance.fingerprint import fingerprint_of
        from titer.provenance.ledger.record import Opening

        kept = folder / f"{name}{OPENING}"
        leaf = _standing(chain, kept, kind) if kept.is_file() and _opens(folder, name, text) else None
        if leaf is not None:
            # Stopped between the record and its receipt: a second record would look like a second report.
            done = chain.ledger.append(leaf)
        else:
            made = fingerprint_of(text, "text")
            opening = Opening.of(((each.label, each.value) for each in made.digests), made.opening)
            _, done = chain.add(
                kind,
                data=made.kind,
                fp=opening.commitments(),
                before=lambda _: write_whole(kept, opening.to_json()),
                **more,
            )
        if done.index is None or done.state != "published":
            raise LedgerError(
                "a checkpoint that covers the record",
                f"a record that is {done.state}",
                "find out why the ledger publishes nothing (titer ledger status), and run the same command again",
                code="receipt.pending",
            )
        return write_whole(folder / f"{name}{RECEIPT}", chain.ledger.receipt(done.index))

    def _same(self, text: bytes, out: Path) -> None:
        """Refuse a folder whose recorded plan is another one."""
        if not _opens(out, PLAN, text):
            raise StoreError(
                f"the plan that was recorded in {out}", "another plan, or other data", "choose another --out"
            )


def _standing(chain: Chain, kept: Path, kind: str) -> bytes | None:
    """The leaf that commits to an opening, if the ledger has one of this key."""
    from titer.provenance.ledger.record import Opening, parse

    wanted = Opening.from_json(kept.read_bytes()).commitments()
    store = chain.ledger.store
    with store.writing(lazily=True) as tx:
        last = tx.highest(chain.public)
    for counter in range(last, -1, -1):
        found = store.find(chain.public, counter)
        if found is not None and (record := parse(found.leaf)).kind == kind and dict(record.fp) == wanted:
            return found.leaf
    return None


def _opens(folder: Path, name: str, text: bytes) -> bool:
    """Whether what a record in a folder commits to is this text."""
    from titer.provenance.fingerprint import fingerprint_of
    from titer.provenance.ledger.record import Opening

    kept = folder / f"{name}{OPENING}"
    if not kept.is_file():
        raise StoreError(f"{kept.name} beside the receipt", "none", "bring it back, or choose another --out")
    now = {each.label: each.value for each in fingerprint_of(text, "text").digests}
    return dict(Opening.from_json(kept.read_bytes()).digests) == now


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise LedgerError(
            "the libraries of ledgers", f"no module {error.name!r}", "pip install 'titer[ledger]'", code="ledger.extra"
        ) from error
