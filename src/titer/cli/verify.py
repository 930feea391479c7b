"""`titer verify`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from titer.provenance.ledger.verify import Verification

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--receipt", type=_FILE, help="The receipt that the ledger gave.")
@click.option("--policy", type=_FILE, envvar="TITER_POLICY", help="Which logs and witnesses count (tlog-policy).")
@click.option("--opening", type=_FILE, help="The opening that was stored at capture.")
@click.option("--about-keys", type=_FILE, multiple=True, help="Receipt of a record that brings in or revokes a key.")
@click.option(
    "--log", help="The log's files (its folder `public`, a mirror, or an address): all it says of keys counts."
)
@click.option("--times", type=_FILE, help="Time tokens around the record, as `titer ledger times` wrote them.")
@click.option("--authority", "authorities", type=_FILE, multiple=True, help="Root certificates (PEM) for --times.")
@click.option("--kind", help="Kind of data, where the first bytes do not tell it, such as text.")
@click.option("--subject", help="Whom the object is about, where that was told at capture and the opening holds it.")
@click.option("--key", type=_FILE, envvar="TITER_KEY", help="For a report of Titer: the public key of its signer.")
@click.option("--explain", is_flag=True, help="Say what it rests on: layers, signer, index, times, witnesses.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    file: Path,
    *,
    receipt: Path | None,
    policy: Path | None,
    opening: Path | None,
    about_keys: tuple[Path, ...],
    log: str | None,
    times: Path | None,
    authorities: tuple[Path, ...],
    kind: str | None,
    subject: str | None,
    key: Path | None,
    explain: bool,
    as_json: bool,
) -> int:
    """Check, offline, that FILE is as it was when its receipt was made, or a report of Titer as it was signed.

    Of a report, --policy also checks that its plan and the report itself stand in a ledger, and tells since when.
    --policy and --key may be given by the variables TITER_POLICY and TITER_KEY.

    The exit code is 0 verified, 1 altered, 2 unknown, 3 cannot decide, 4 receipt or policy invalid.
    """
    if receipt is not None and policy is not None:
        about_keys_ = [each.read_bytes() for each in about_keys]
        found = _found(file, receipt, policy, opening, about_keys_, log, kind, subject)
        if times is not None and found.outcome != "invalid":
            found = _timed(found, times, receipt, policy, authorities)
    elif not _is_report(file):
        raise click.UsageError("FILE needs --receipt and --policy")
    elif key is None:
        raise click.UsageError("FILE is a report of Titer: it needs --key (or TITER_KEY), the public key of its signer")
    else:
        found = _report(file, key, policy)
    if as_json:
        told = {"outcome": found.outcome, "sentence": found.sentence, "layers": dict(found.layers)}
        click.echo(json.dumps({**told, "explain": list(found.lines)}, indent=2))
    else:
        click.echo(found.sentence)
        for line in found.lines if explain else ():
            click.echo(f"  {line}")
    return found.exit_code


def _found(
    file: Path,
    receipt: Path,
    policy: Path,
    opening: Path | None,
    about_keys: list[bytes],
    log: str | None,
    kind: str | None,
    subject: str | None,
) -> Verification:
    from titer.errors import FingerprintError, LedgerError, RecordError
    from titer.provenance.fingerprint import explain_difference, fingerprint_of
    from titer.provenance.guard.subject import LABEL, about, without_subject
    from titer.provenance.ledger.record import Opening
    from titer.provenance.ledger.verify import Verification
    from titer.provenance.ledger.verify import verify as check

    lines: tuple[str, ...] = ()
    if log is not None:
        from titer.provenance.ledger.about_keys import about_keys as read
        from titer.provenance.ledger.mirror import source_at

        try:
            told = read(source_at(log), policy.read_bytes(), receipt.read_bytes())
        except LedgerError as error:
            return Verification("undecided", f"Cannot decide: {error}.", (f"reason: {error.code}",))
        except RecordError as error:
            words = f"The log, the receipt or the policy is not valid: {error}."
            return Verification("invalid", words, (f"reason: {error.code}",))
        about_keys = [*about_keys, *told.receipts]
        lines = (f"log: read to size {told.checkpoint.size}, with {len(told.receipts)} records about keys",)
    try:
        opened = None if opening is None else Opening.from_json(opening.read_bytes())
        made = fingerprint_of(file, kind)
        if opened is not None:
            if subject is None:
                # Nobody said whom the object is about, so nothing can be said of that layer.
                opened = without_subject(opened)
            elif LABEL not in opened.digests:
                words = "Cannot decide: the opening does not hold whom the object is about."
                return Verification("undecided", words, ("reason: opening.subject",))
            made = about(made, subject)
        found = check(
            made,
            opened,
            receipt.read_bytes(),
            policy.read_bytes(),
            about_keys=about_keys,
            explain=explain_difference,
        )
    except (FingerprintError, RecordError) as error:
        return Verification("undecided", f"Cannot decide: {error}.", (f"reason: {error.code}",))
    return replace(found, lines=(*found.lines, *lines))


def _timed(
    found: Verification, times: Path, receipt: Path, policy: Path, authorities: tuple[Path, ...]
) -> Verification:
    from titer.errors import RecordError
    from titer.provenance.ledger.times import bounds
    from titer.provenance.ledger.tokens import certificates
    from titer.provenance.ledger.verify import Verification

    try:
        roots = [each for path in authorities for each in certificates(path.read_bytes())]
        told = bounds(times.read_bytes(), receipt.read_bytes(), policy.read_bytes(), roots)
    except RecordError as error:
        return Verification("invalid", f"The time tokens are not valid: {error}.", (f"reason: {error.code}",))
    return replace(found, lines=(*found.lines, *told.lines))


def _is_report(file: Path) -> bool:
    """Whether a file is a report of Titer, by its content."""
    with file.open("rb") as stream:
        head = stream.read(5)
    if head == b"%PDF-":
        return True
    if head[:1] != b"{":
        return False
    try:
        return {"identity", "cells", "index", "summary"} <= set(json.loads(file.read_bytes()))
    except (ValueError, RecursionError):
        return False


def _report(file: Path, key: Path, policy: Path | None) -> Verification:
    from titer.audit.evidence.bundle import RECEIPT, REPORT
    from titer.audit.evidence.verify import verify_report
    from titer.errors import ReportError
    from titer.provenance.ledger.verify import Verification

    try:
        found = verify_report(file, key, policy)
    except ReportError as error:
        return Verification("undecided", f"Cannot decide: {error}.")
    word = {True: "unchanged", False: "changed", None: "not checked"}
    lines = tuple(
        line
        for item in found.items
        for line in (f"{word[item.holds]}: {item.name}. {item.sentence}", *(f"  {more}" for more in item.lines))
    )
    if found.failed:
        return Verification("altered", f"Altered: not what was signed ({', '.join(found.failed)}).", lines)
    if found.unseen:
        words = "Cannot decide: the files inside are as they were signed, but the pages may show something else."
        return Verification("undecided", f"{words} {' '.join(found.unseen)}", lines)
    if policy is None:
        return Verification("verified", "Verified: the report is as it was signed by this key.", lines)
    if found.open:
        return Verification("undecided", f"Cannot decide: {' '.join(found.open)}", lines)
    told = "Verified: the report is as it was signed by this key, and stands in the ledger, its plan before it."
    record = (line for item in found.items if item.name == f"{REPORT}{RECEIPT}" for line in item.lines)
    when = [f"T{line[1:]}." for line in record if line.startswith("time: ")]
    return Verification("verified", " ".join([told, *when]), lines)
