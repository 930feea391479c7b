"""The reason codes that may leave the guard: a closed list, so that no data can stand in one.

A code is chosen by whoever wrote the program, never made from data. As packages of others may bring detectors, what is
not in this list leaves as `other`, or as `family.other` where its first word is known.
"""

from __future__ import annotations

from collections.abc import Iterable

_FAMILIES = {
    "access": "denied",
    "append": "conflict late quota timeout",
    "chain": "gap",
    "checkpoint": "invalid origin",
    "content": "bp cl cs fl fv hb nr px rd sg tr tx vx",
    "derive": "depth parent",
    "detector": "failed feature_squeezing text_oddities",
    "fingerprint": "failed",
    "guard": "failed not_kept",
    "identity": "accession device instance patient record recording series start study subject time",
    "index": "damaged unavailable",
    "journal": "unavailable",
    "key": "early in_use invalid missing revoked unknown",
    "leaf": "too_large",
    "lease": "lost",
    "ledger": "bug closed damaged forked rolled_back",
    "limit": (
        "combining depth elements exponent frame frames inflate memory number object object_bytes parts pixels rate "
        "seconds segments value"
    ),
    "log": "frozen halted inconsistent missing old other_record rolled_back unpublished witnesses",
    "malformed": (
        "cell content_type deflate duplicate_key fhir file_name gzip header json length missing multipart number "
        "recording row study trailing truncated unicode utf8"
    ),
    "mark": "damaged missing other unavailable",
    "note": "invalid signature unsigned",
    "opening": "invalid",
    "prepare": "content failed kind",
    "proof": "hash length range root",
    "receipt": "invalid pending",
    "record": "chain invalid kind none origin signature used",
    "signature": "missing",
    "storage": "busy damaged failed full io readonly",
    "store": "append_only not_next",
    "quarantine": "damaged missing unavailable",
    "tensor": "mismatch unsupported",
    "tile": "damaged missing",
    "time": "future",
    "stow": "study",
    "trail": "event full locked refused unavailable unreachable",
    "unknown": "kind",
    "watch": "changed folder lease state",
    "unsupported": (
        "bits byte_order charset components datatype decoder encoding floats format high_bit interrupted jp2 kind "
        "many_claims media_type no_pixels no_samples pair range samples segments sign skew transaction transfer_syntax "
        "type un unicode version"
    ),
}

CODES = frozenset(f"{family}.{word}" for family, words in _FAMILIES.items() for word in [*words.split(), "other"])
"""All that may be told, without `other`."""


def known(reasons: Iterable[str]) -> tuple[str, ...]:
    """Reason codes as they may leave.

    >>> known(["content.px", "limit.of_mine", "MRN 4471920"])
    ('content.px', 'limit.other', 'other')
    """
    return tuple(dict.fromkeys(_known(each) for each in reasons))


def _known(code: str) -> str:
    if code in CODES:
        return code
    family = code.partition(".")[0]
    return f"{family}.other" if family in _FAMILIES else "other"
