"""Whether a ledger says of a report what its folder says: the plan before the run, the statement after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from titer.audit.evidence.bundle import OPENING, PLAN, RECEIPT, REPORT, STATEMENT
from titer.audit.evidence.record import plan_text
from titer.audit.report.schema import Report
from titer.errors import RecordError

if TYPE_CHECKING:
    from titer.provenance.ledger.record import Record


@dataclass(frozen=True)
class Checked:
    """One item of a report and whether it is what was signed; None where it could not be checked."""

    name: str
    holds: bool | None
    sentence: str
    lines: tuple[str, ...] = ()


def check_records(files: Mapping[str, bytes], policy: bytes, signer: str) -> list[Checked]:
    """Check the records of a report against their receipts, offline.

    Arguments
        files: name -> bytes, those beside the report or in its document. policy: which logs and witnesses count.
        signer: the public key (hexadecimal) that must have signed both records.

    The plan's record must commit to the digest that the report gives, the report's record to the signed statement; and
    the second must name the first as what it is derived from, so that the plan was there before the report.
    """
    digest = Report.model_validate_json(files["report.json"]).identity.plan.digest
    subjects = {PLAN: plan_text(digest), REPORT: files.get(STATEMENT, b"")}
    found = [_checked(name, files, text, policy, signer) for name, text in subjects.items()]
    if all(each.holds for each in found):
        found.append(_order(files, digest))
    return found


def _checked(name: str, files: Mapping[str, bytes], text: bytes, policy: bytes, signer: str) -> Checked:
    from titer.provenance.fingerprint import explain_difference, fingerprint_of
    from titer.provenance.ledger.record import Opening
    from titer.provenance.ledger.verify import verify

    receipt, opening = f"{name}{RECEIPT}", f"{name}{OPENING}"
    if receipt not in files:
        return Checked(receipt, False, f"There is no receipt of the {name}.")
    try:
        opened = Opening.from_json(files[opening]) if opening in files else None
    except RecordError as error:
        return Checked(opening, False, f"{error}.")
    told = verify(fingerprint_of(text, "text"), opened, files[receipt], policy, explain=explain_difference)
    if told.outcome != "verified":
        return Checked(receipt, None if told.outcome == "undecided" else False, told.sentence, told.lines)
    if _record(files[receipt]).capture_key != signer:
        return Checked(
            receipt, False, f"The record of the {name} is signed by another key than the report.", told.lines
        )
    return Checked(receipt, True, told.sentence, told.lines)


def _order(files: Mapping[str, bytes], digest: str) -> Checked:
    from titer.provenance.ledger.merkle import leaf_hash
    from titer.provenance.ledger.receipt import Receipt

    name = f"{REPORT}{RECEIPT}"
    plan, report = Receipt.parse(files[f"{PLAN}{RECEIPT}"]), Receipt.parse(files[name])
    made = _record(files[name])
    if leaf_hash(plan.leaf).hex() not in made.refs or made.ext.get("parameters") != digest:
        return Checked(name, False, "The record of the report does not name that of its plan.")
    # A hash of the plan's record in that of the report says that it was written before, not that it was in a log.
    if _record(files[f"{PLAN}{RECEIPT}"]).origin != made.origin:
        return Checked(name, False, "Plan and report stand in two logs, of which none tells which came first.")
    if plan.index >= report.index:
        return Checked(name, False, "The plan stands after the report.")
    return Checked(name, True, "The plan was recorded before the report, which names it.")


def _record(receipt: bytes) -> Record:
    from titer.provenance.ledger.receipt import Receipt
    from titer.provenance.ledger.record import parse

    return parse(Receipt.parse(receipt).leaf)
