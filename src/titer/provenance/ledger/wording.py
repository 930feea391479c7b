"""What a verification rests on, in lines for people; nothing is decided here."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from titer.provenance.ledger.keys import Keys
from titer.provenance.ledger.policy import Accepted
from titer.provenance.ledger.receipt import Receipt
from titer.provenance.ledger.record import Record


def lines_of(accepted: Accepted, record: Record, told: Receipt, keys: Keys) -> tuple[str, ...]:
    """Record, signer, index, log, times, witnesses, and as of when keys were judged."""
    checkpoint = accepted.checkpoint
    signer = sha256(bytes.fromhex(record.capture_key)).hexdigest()[:16]
    times = [time for time in accepted.witnesses.values() if time]
    seen = [f"{name} ({time_of(time)})" if time else name for name, time in sorted(accepted.witnesses.items())]
    first = f"there by {time_of(min(times))}, as its first witness tells" if times else ""
    return (
        f"record: {record.kind} of {record.data}, number {record.counter} of its key",
        f"signer: key {record.capture_key} (SHA-256 begins {signer})",
        f"index: {told.index} of {checkpoint.size} in {checkpoint.origin}",
        f"log: signed by {', '.join(f'{each.name}+{each.key_id.hex()}' for each in accepted.logs)}",
        f"time: claimed {time_of(record.claimed_time)}; {first or 'no witness tells when it was there'}",
        f"witnesses: {', '.join(seen) if seen else 'none'}",
        f"keys: as of size {keys.size}" if keys.size else "keys: as the policy names them",
        *(f"without effect: record {each}, which nobody signed who may" for each in keys.void),
        *(f"refers to: {each}" for each in record.refs),
    )


def time_of(seconds: int) -> str:
    """Seconds since 1970 as a date, or as they are where no calendar goes so far.

    >>> time_of(0), time_of(1 << 52)
    ('1970-01-01T00:00:00Z', '4503599627370496 s')
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"
