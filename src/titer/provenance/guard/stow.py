"""The words of STOW-RS: which instance a file is, and the report that a sender gets.

Source: DICOM PS3.18, 2024 edition, section 10.5 (Store Transaction) and annex I (Store Instances Response Module).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from titer.errors import FingerprintError
from titer.provenance.fingerprint._elements import Walker
from titer.provenance.fingerprint._part10 import read_meta
from titer.provenance.fingerprint._stream import Inflated, Stream, opened
from titer.provenance.fingerprint.fingerprint import Limits

NO_RESOURCES, MISMATCH, PROCESSING, NOT_UNDERSTOOD, NO_SYNTAX = 0xA700, 0xA901, 0x0110, 0xC000, 0xC122
"""Failure reasons (PS3.18, table I.2-2); MISMATCH is for an instance of another study than the address names."""

_CLASS, _INSTANCE, _STUDY = 0x00080016, 0x00080018, 0x0020000D
_UID = re.compile(rb"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True)
class Instance:
    """Which instance a file says it is: UIDs of its class, of itself and of its study."""

    sop_class: str
    sop_instance: str
    study: str


@dataclass(frozen=True)
class Outcome:
    """What became of one part: None as the reason if it was stored; no instance where it does not tell."""

    instance: Instance | None
    failure: int | None


def instance_of(raw: bytes, limits: Limits) -> Instance | None:
    """Which instance a file says it is; None where it cannot be read that far."""
    found: dict[int, str] = {}
    try:
        with opened(raw, limits) as stream:
            syntax = read_meta(stream, limits)
            data = Stream(Inflated(stream, limits), limits) if syntax.deflated else stream
            walker = Walker(data, syntax.explicit, syntax.little, limits)
            for element in walker.elements():
                if not element.path and element.tag > _STUDY:
                    break
                if not element.path and element.tag in (_CLASS, _INSTANCE, _STUDY):
                    value = walker.value(element).rstrip(b"\0 ")
                    found[element.tag] = value.decode("ascii") if len(value) <= 64 and _UID.fullmatch(value) else ""
    except FingerprintError:
        return None
    told = Instance(*(found.get(tag, "") for tag in (_CLASS, _INSTANCE, _STUDY)))
    return told if told.sop_class and told.sop_instance else None


def failure_of(code: str) -> int:
    """The failure reason for one of our reason codes.

    >>> hex(failure_of("malformed.truncated")), hex(failure_of("storage.full"))
    ('0xc000', '0xa700')
    """
    if code in ("unsupported.transfer_syntax", "unsupported.byte_order", "unsupported.decoder"):
        return NO_SYNTAX
    if code.startswith(("malformed.", "unsupported.")):
        return NOT_UNDERSTOOD
    if code.startswith(("limit.", "storage.", "append.", "quarantine.", "index.", "mark.")):
        return NO_RESOURCES
    return PROCESSING


def report(outcomes: Sequence[Outcome]) -> tuple[int, dict[str, Any]]:
    """The status of the answer (PS3.18, table 10.5.3-1), and its Store Instances Response Module in DICOM JSON.

    >>> report([Outcome(Instance("1.2", "1.3", "1.4"), None)])[0], report([Outcome(None, NOT_UNDERSTOOD)])
    (200, (409, {'0008119A': {'vr': 'SQ', 'Value': [{'00081197': {'vr': 'US', 'Value': [49152]}}]}}))
    """
    stored = [_item(each) for each in outcomes if each.failure is None]
    failed = [_item(each) for each in outcomes if each.failure is not None and each.instance is not None]
    nameless = [_item(each) for each in outcomes if each.failure is not None and each.instance is None]
    told: dict[str, Any] = {} if not stored else {"00081190": {"vr": "UR"}}
    for tag, items in (("00081198", failed), ("00081199", stored), ("0008119A", nameless)):
        if items:
            told[tag] = {"vr": "SQ", "Value": items}
    if not stored:
        return 409, told
    return 202 if failed or nameless else 200, told


def _item(outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if outcome.instance is not None:
        told["00081150"] = {"vr": "UI", "Value": [outcome.instance.sop_class]}
        told["00081155"] = {"vr": "UI", "Value": [outcome.instance.sop_instance]}
    if outcome.failure is None:
        return told | {"00081190": {"vr": "UR"}}
    return told | {"00081197": {"vr": "US", "Value": [outcome.failure]}}
