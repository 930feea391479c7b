"""FHIR resources as JSON: `fv` the values, `fl` the values as they were written, `nr` the narratives.

fv   what the resource says: keys in the order of RFC 8785, decimals exact and in one spelling
fl   the same with every number as it was written (1.50 is not 1.5): informative, since FHIR gives precision a meaning
     that many programs do not keep
nr   narratives (`text` of a resource): generated from the data, shown to people; absent where there is none

Left out of all three: `meta.versionId` and `meta.lastUpdated`, which every server sets anew, here and in resources
inside this one.
"""

from __future__ import annotations

from typing import Any

from titer.provenance.fingerprint._json import Number, ordered, read, written
from titer.provenance.fingerprint._stream import Source
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, digest, refuse

# A primitive may come with `_name` beside it, which holds its id and extensions (FHIR, JSON format).
_SET_BY_SERVERS = frozenset(("versionId", "_versionId", "lastUpdated", "_lastUpdated"))


def recognizes(head: bytes) -> bool:
    """Whether the first bytes are those of a FHIR resource in JSON.

    >>> recognizes(b'{"resourceType": "Patient"}')
    True
    """
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").startswith(b"{") and b'"resourceType"' in head


def fingerprint(source: Source, limits: Limits | None = None) -> Fingerprint:
    """The fingerprint of one FHIR resource or Bundle in JSON.

    Source: HL7 FHIR R5, JSON representation of resources; RFC 8785 for order and escapes. Where RFC 8785 rounds numbers
    to doubles, `fv` keeps their exact values and `fl` their text.

    Arguments
        source: UTF-8 JSON as bytes, path or open binary file. limits: what is read before the object is refused.

    Refuses (`FingerprintError`, with a code) what is no strict JSON (see `_json.read`) and objects without a
    `resourceType`. `opening["elements"]` has one digest per element of the resource, so that the changed one can
    be named.

    >>> one = fingerprint(b'{"resourceType": "Observation", "valueDecimal": 1.50}')
    >>> two = fingerprint(b'{"valueDecimal":1.5,"resourceType":"Observation","meta":{"versionId":"2"}}')
    >>> one["fv"] == two["fv"], one["fl"] == two["fl"]
    (True, False)
    """
    resource = read(source, limits or Limits())
    if not isinstance(resource, dict) or not _is_resource(resource):
        raise refuse("malformed.fhir", "a resource with its resourceType", "other JSON", "send one FHIR resource")
    narratives: dict[str, Any] = {}
    content = _content(resource, "", narratives)
    parts = {name: written({name: content[name]})[1:-1] for name in ordered(content)}
    values = b"{" + b",".join(parts.values()) + b"}"
    made = [Digest("fl", 1, digest("fl", 1, [written(content, str)])), Digest("fv", 1, digest("fv", 1, [values]))]
    if narratives:
        made.append(Digest("nr", 1, digest("nr", 1, [written(narratives, str)])))
    elements = {name: digest("fv.element", 1, [part]).hex() for name, part in parts.items()}
    return Fingerprint("fhir", tuple(made), {"elements": elements}, {"narratives": len(narratives)})


def normal_form(source: Source, limits: Limits | None = None) -> bytes:
    """The resource that `fv` and `nr` are over, as RFC 8785 orders it: nothing stands in it that they do not cover.

    >>> normal_form(b'{"resourceType": "Observation", "meta": {"versionId": "lies"}, "valueDecimal": 1.50}')
    b'{"resourceType":"Observation","valueDecimal":1.5}'
    """
    resource = read(source, limits or Limits())
    if not isinstance(resource, dict) or not _is_resource(resource):
        raise refuse("malformed.fhir", "a resource with its resourceType", "other JSON", "send one FHIR resource")
    return written(_content(resource, "", None))


def _is_resource(value: dict[str, Any]) -> bool:
    name = value.get("resourceType")
    return isinstance(name, str) and not isinstance(name, Number)


def _content(value: Any, place: str, narratives: dict[str, Any] | None) -> Any:
    """The value without what servers set and without narratives, which are gathered by their place (RFC 6901).

    With None as `narratives` they stay where they are, as they are.
    """
    if isinstance(value, list):
        return [_content(each, f"{place}/{number}", narratives) for number, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    resource, kept = _is_resource(value), {}
    for name, each in value.items():
        inside = f"{place}/{name.replace('~', '~0').replace('/', '~1')}"
        if resource and name == "text" and isinstance(each, dict):
            if narratives is None:
                kept[name] = each
            else:
                narratives[place] = each
        elif resource and name == "meta" and isinstance(each, dict):
            rest = {key: part for key, part in each.items() if key not in _SET_BY_SERVERS}
            if rest:
                kept[name] = _content(rest, inside, narratives)
        else:
            kept[name] = _content(each, inside, narratives) if isinstance(each, (dict, list)) else each
    return kept
