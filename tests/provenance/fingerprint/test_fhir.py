"""FHIR resources: exact values whatever the order and spelling, and nothing that a server sets."""

from __future__ import annotations

import hashlib
import json
import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from titer.errors import FingerprintError
from titer.provenance.fingerprint import Fingerprint, Limits, fhir, fingerprint_of
from titer.provenance.fingerprint._canonical import decimal_text, fraction, packed
from titer.provenance.fingerprint._json import read, written

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "potassium-1",
    "meta": {"versionId": "3", "lastUpdated": "2024-05-01T10:00:00Z", "profile": ["http://example.org/lab"]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">K 4.1</div>'},
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}], "text": "Potassium"},
    "subject": {"reference": "Patient/example"},
    "valueQuantity": {"value": 4.1, "unit": "mmol/L"},
    "contained": [{"resourceType": "Practitioner", "id": "p", "meta": {"versionId": "1"}, "active": True}],
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=8)
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def made(resource: Any) -> Fingerprint:
    return fhir.fingerprint(json.dumps(resource).encode("utf-8"))


def changed(**others: Any) -> dict[str, Any]:
    return {**OBSERVATION, **others}


def shuffled(value: Any, draw: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        draw.shuffle(keys)
        return {key: shuffled(value[key], draw) for key in keys}
    return [shuffled(each, draw) for each in value] if isinstance(value, list) else value


def test_known_answers_by_the_definition_alone() -> None:
    data = (
        b'{ "resourceType": "Observation", "valueDecimal": 1.500e1, "text": {"div": "<div/>", "status": "empty"},'
        b' "meta": {"versionId": "7"}, "note": "\\u00e9\\/" }'
    )
    found = fhir.fingerprint(data)
    lexical = '{"note":"\u00e9/","resourceType":"Observation","valueDecimal":1.500e1}'.encode()
    assert found["fl"] == hashlib.sha256(b"fl\0\1" + lexical).digest()
    assert found["fv"] == hashlib.sha256(b"fv\0\1" + lexical.replace(b"1.500e1", b"15")).digest()
    assert found["nr"] == hashlib.sha256(b'nr\0\1{"":{"div":"<div/>","status":"empty"}}').digest()
    assert found.names == ("fl", "fv", "nr")
    assert found.notes == {"narratives": 1}
    assert fingerprint_of(data)["fv"] == found["fv"]


@given(VALUES)
@example({"\ufb33": 1, "\U0001f600": 2, "\r": 3, "\u20ac": 4, "1": 5})
@example([1e21, 1e-7, 123456789012345680000.0, -0.0, 5e-324, 1.7976931348623157e308, '\x7f\x1f\b"\\'])
def test_canonical_json_is_that_of_rfc_8785_for_what_a_double_holds(value: Any) -> None:
    text = json.dumps(value)
    assert written(read(text.encode(), Limits())) == rfc8785.dumps(value)


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(0, 4), st.booleans())
def test_every_spelling_of_a_number_gives_one_text(value: Decimal, zeros: int, upper: bool) -> None:
    plain = str(value)
    longer = plain if "E" in plain else plain + ("" if "." in plain else ".0") + "0" * zeros
    assert decimal_text(longer) == decimal_text(plain) == decimal_text(f"{value:{'E' if upper else 'e'}}")
    assert Decimal(decimal_text(plain)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_two_numbers_have_one_text_only_if_they_are_equal(first: Decimal, second: Decimal) -> None:
    assert (decimal_text(str(first)) == decimal_text(str(second))) == (first == second)


def test_a_thousand_reordered_resources_raise_no_alarm() -> None:
    draw, plain = random.Random(2), made(OBSERVATION)
    for _ in range(1000):
        space = draw.choice([None, 1, 4])
        text = json.dumps(shuffled(OBSERVATION, draw), indent=space, ensure_ascii=draw.random() < 0.5)
        data = (text if draw.random() < 0.5 else text.replace("4.1", draw.choice(["4.10", "41e-1", "0.41E1"]))).encode()
        assert fhir.fingerprint(data)["fv"] == plain["fv"]
        assert fhir.fingerprint(data)["nr"] != b""


@pytest.mark.parametrize(
    "other",
    [
        changed(status="amended"),
        changed(valueQuantity={"value": 4.1000000000000005, "unit": "mmol/L"}),
        changed(valueQuantity={"value": "4.1", "unit": "mmol/L"}),
        changed(code={"coding": [{"system": "http://loinc.org", "code": "2823-4"}], "text": "Potassium"}),
        changed(meta={"profile": ["http://example.org/other"]}),
        changed(contained=[{"resourceType": "Practitioner", "id": "p", "active": False}]),
        changed(contained=[]),
        changed(extra=None),
        {key: value for key, value in OBSERVATION.items() if key != "subject"},
    ],
)
def test_one_other_value_is_another_resource(other: dict[str, Any]) -> None:
    assert made(other)["fv"] != made(OBSERVATION)["fv"]
    assert made(other)["nr"] == made(OBSERVATION)["nr"]


def test_the_seventeenth_digit_and_those_beyond_count() -> None:
    forms = [b"0.10000000000000001", b"0.10000000000000002", b"0.1", b"0.1" + b"0" * 60 + b"1"]
    found = [fhir.fingerprint(b'{"resourceType":"O","v":' + each + b"}")["fv"] for each in forms]
    assert len(set(found)) == len(forms)


def test_what_servers_set_is_left_out_everywhere() -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": OBSERVATION}]}
    stored = json.loads(json.dumps(bundle))
    inner = stored["entry"][0]["resource"]
    stored["meta"] = {"versionId": "9", "lastUpdated": "2025-01-01T00:00:00Z", "_lastUpdated": {"id": "x"}}
    inner["meta"]["versionId"] = "4"
    inner["contained"][0]["meta"] = {"versionId": "2"}
    assert made(stored)["fv"] == made(bundle)["fv"]
    assert made(stored)["fl"] == made(bundle)["fl"]


def test_narratives_have_a_digest_of_their_own() -> None:
    other = made(changed(text={"status": "generated", "div": "<div>K 9.9</div>"}))
    assert other["fv"] == made(OBSERVATION)["fv"]
    assert other["nr"] != made(OBSERVATION)["nr"]
    bare = made({key: value for key, value in OBSERVATION.items() if key != "text"})
    assert "nr" not in bare
    assert bare["fv"] == other["fv"]
    # The same narrative at another place is another one, and text that is no narrative is content.
    moved = made(changed(text="K", contained=[{"resourceType": "P/~", "text": OBSERVATION["text"]}]))
    assert moved["nr"] != made(OBSERVATION)["nr"]
    assert moved["fv"] != bare["fv"]


def test_precision_is_in_the_lexical_digest_alone() -> None:
    one = fhir.fingerprint(b'{"resourceType":"O","v":1.50}')
    two = fhir.fingerprint(b'{"resourceType":"O","v":1.5}')
    assert one["fv"] == two["fv"]
    assert one["fl"] != two["fl"]


def test_the_opening_names_the_element_that_changed() -> None:
    one, two = made(OBSERVATION).opening["elements"], made(changed(status="amended")).opening["elements"]
    assert [name for name in one if one[name] != two[name]] == ["status"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"resourceType":"O","a":1,"a":1}', "malformed.duplicate_key"),
        (b'{"resourceType":"O","x":{"a":1,"\\u0061":2}}', "malformed.duplicate_key"),
        (b'{"resourceType":"O","a":"\\ud800"}', "malformed.unicode"),
        (b'{"resourceType":"O","\\udc00":1}', "malformed.unicode"),
        (b'{"resourceType":"O","a":NaN}', "malformed.json"),
        (b'{"resourceType":"O","a":-Infinity}', "malformed.json"),
        (b'{"resourceType":"O","a":01}', "malformed.json"),
        (b'{"resourceType":"O","a":1.}', "malformed.json"),
        (b'{"resourceType":"O"} {}', "malformed.json"),
        (b'{"resourceType":"O","a":"\n"}', "malformed.json"),
        (b'{"resourceType":"O",', "malformed.json"),
        (b'{"resourceType":"O","a":"\xff"}', "malformed.utf8"),
        ('{"resourceType":"O"}'.encode("utf-16"), "malformed.utf8"),
        (b'{"resourceType":"O","a":1e' + b"9" * 30 + b"}", "limit.exponent"),
        (b'{"resourceType":7}', "malformed.fhir"),
        (b"[]", "malformed.fhir"),
        (b"", "malformed.json"),
    ],
)
def test_what_programs_read_differently_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        fhir.fingerprint(data)
    assert caught.value.code == code


def test_enormous_numbers_are_neither_rounded_nor_expanded() -> None:
    digits = b"1" * 100000
    one = fhir.fingerprint(b'{"resourceType":"O","v":' + digits + b"1e999999999999}")
    assert one["fv"] != fhir.fingerprint(b'{"resourceType":"O","v":' + digits + b"2e999999999999}")["fv"]
    assert (
        fhir.fingerprint(b'{"resourceType":"O","v":1e000000000000000000000000002}')["fv"]
        == (fhir.fingerprint(b'{"resourceType":"O","v":100}')["fv"])
    )


@pytest.mark.parametrize(
    ("data", "limits", "code"),
    [
        (b"[" * 100000 + b"]" * 100000, Limits(), "limit.depth"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, Limits(depth=10**6), "limit.depth"),
        (b"[" + b"1," * 1000 + b"1]", Limits(elements=1000), "limit.elements"),
        (b"[" + b"[]," * 1000 + b"1]", Limits(elements=1000), "limit.elements"),
        (b'"' + b"a" * 2000 + b'"', Limits(value_bytes=1000), "limit.value"),
        (b'"' + b'\\"' * 500000, Limits(), "malformed.json"),
        (b'"' * 1000001, Limits(), "malformed.json"),
    ],
)
def test_hostile_json_ends_soon(data: bytes, limits: Limits, code: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        fhir.fingerprint(data, limits)
    assert caught.value.code == code


def test_brackets_in_strings_are_no_depth_and_a_mark_of_byte_order_is_none() -> None:
    data = json.dumps({"resourceType": "O", "a": '[{"\\' * 100}).encode()
    assert fhir.fingerprint(data)["fv"] == fhir.fingerprint(b"\xef\xbb\xbf" + data)["fv"]
    assert fhir.recognizes(b"\xef\xbb\xbf \n" + data)
    assert not fhir.recognizes(b'["resourceType"]')


@pytest.mark.parametrize("text", ["", ".", "+", "1e", "e1", "0x1", "1_0", " 1", "nan", "\u0661"])
def test_what_is_no_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        decimal_text(text)
    assert caught.value.code == "malformed.number"


@given(st.decimals(-1000000, 1000000, places=6), st.integers(-300, 300))
def test_fractions_are_exact(value: Decimal, exponent: int) -> None:
    assert fraction(f"{value}e{exponent}") == Fraction(value) * Fraction(10) ** exponent
    assert fraction(decimal_text(f"{value}e{exponent}")) == fraction(f"{value}e{exponent}")


def test_fractions_of_no_instrument_are_refused() -> None:
    for text in ("1e999", "1e-999", "1" * 500):
        with pytest.raises(FingerprintError) as caught:
            fraction(text)
        assert caught.value.code == "limit.number"


@given(st.lists(st.binary(max_size=5), max_size=5), st.lists(st.binary(max_size=5), max_size=5))
def test_fields_behind_their_lengths_are_never_taken_for_others(first: list[bytes], second: list[bytes]) -> None:
    assert (packed(*first) == packed(*second)) == (first == second)
