"""`titer verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from titer.provenance.ledger.verify import Verification

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--receipt", type=_FILE, required=True, help="The receipt that the ledger gave.")
@click.option("--policy", type=_FILE, required=True, help="Which logs and witnesses count (tlog-policy).")
@click.option("--opening", type=_FILE, help="The opening that was stored at capture.")
@click.option("--revocation", "revocations", type=_FILE, multiple=True, help="Receipt of a record that revokes a key.")
@click.option("--kind", help="Kind of data, where the first bytes do not tell it, such as text.")
@click.option("--explain", is_flag=True, help="Say what it rests on: layers, signer, index, times, witnesses.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    file: Path,
    *,
    receipt: Path,
    policy: Path,
    opening: Path | None,
    revocations: tuple[Path, ...],
    kind: str | None,
    explain: bool,
    as_json: bool,
) -> int:
    """Check, offline, that FILE is as it was when its receipt was made.

    The exit code is 0 verified, 1 altered, 2 unknown, 3 cannot decide, 4 receipt or policy invalid.
    """
    found = _found(file, receipt, policy, opening, revocations, kind)
    if as_json:
        told = {"outcome": found.outcome, "sentence": found.sentence, "layers": dict(found.layers)}
        click.echo(json.dumps({**told, "explain": list(found.lines)}, indent=2))
    else:
        click.echo(found.sentence)
        for line in found.lines if explain else ():
            click.echo(f"  {line}")
    return found.exit_code


def _found(
    file: Path, receipt: Path, policy: Path, opening: Path | None, revocations: tuple[Path, ...], kind: str | None
) -> Verification:
    from titer.errors import FingerprintError, RecordError
    from titer.provenance.fingerprint import explain_difference, fingerprint_of
    from titer.provenance.ledger.record import Opening
    from titer.provenance.ledger.verify import Verification
    from titer.provenance.ledger.verify import verify as check

    try:
        opened = None if opening is None else Opening.from_json(opening.read_bytes())
        return check(
            fingerprint_of(file, kind),
            opened,
            receipt.read_bytes(),
            policy.read_bytes(),
            revocations=[each.read_bytes() for each in revocations],
            explain=explain_difference,
        )
    except (FingerprintError, RecordError) as error:
        return Verification("undecided", f"Cannot decide: {error}.", (f"reason: {error.code}",))
