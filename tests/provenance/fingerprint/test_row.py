"""Table rows: values, not spellings; types declared; missing is not empty."""

from __future__ import annotations

import csv
import datetime
import gzip
import hashlib
import io
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.errors import FingerprintError, PlanError
from titer.provenance.fingerprint import Limits, fingerprint_of, row

ROW = {"age": 61, "sex": "f", "creatinine": Decimal("1.10"), "note": "", "smoker": False, "potassium": None}
NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
WORDS = st.text("ab1.-", max_size=3)
ROWS = st.dictionaries(WORDS, st.none() | st.booleans() | NUMBERS | WORDS, max_size=4)


def tr(source: Any, **types: str) -> bytes:
    return row.fingerprint(source, types=types or None)["tr"]


def packed(*fields: bytes) -> bytes:
    return b"".join(len(each).to_bytes(8, "big") + each for each in fields)


def test_known_answer_by_the_definition_alone() -> None:
    cells = [
        packed(b"age", packed(b"number", b"61")),
        packed(b"dose", packed(b"double", bytes.fromhex("3fb999999999999a"))),
        packed(b"k", packed(b"missing", b"")),
        packed(b"seen", packed(b"timestamp", b"2024-05-01T08:00:00.000000Z")),
        packed(b"sex", packed(b"text", b"f")),
        packed(b"smoker", packed(b"boolean", b"\0")),
    ]
    zone = datetime.timezone(datetime.timedelta(hours=2))
    seen = datetime.datetime(2024, 5, 1, 10, tzinfo=zone)
    made = {"sex": "f", "seen": seen, "smoker": False, "k": None, "dose": 0.1, "age": Decimal("61.0")}
    assert tr(made) == hashlib.sha256(b"tr\0\1" + b"".join(cells)).digest()


def test_a_thousand_round_trips_raise_no_alarm() -> None:
    draw = random.Random(3)
    types = {
        "age": "number",
        "sex": "text",
        "creatinine": "number",
        "note": "text",
        "smoker": "boolean",
        "potassium": "number",
    }
    plain = tr(ROW)
    for _ in range(1000):
        names = list(ROW)
        draw.shuffle(names)
        texts = {"age": draw.choice(["61", "61.0", "6.1e1", "+61"]), "sex": "f", "note": "", "smoker": "false"}
        texts["creatinine"] = draw.choice(["1.1", "1.10", "110E-2", "0001.1"])
        other = {name: None if name == "potassium" else texts[name] for name in names}
        assert tr(other, **types) == plain
        as_json = {**{name: ROW[name] for name in names}, "creatinine": 1.1}
        assert tr(json.dumps(as_json, indent=draw.choice([None, 2])).encode()) == plain


@pytest.mark.parametrize(
    "other",
    [
        {**ROW, "age": 62},
        {**ROW, "sex": "F"},
        {**ROW, "note": None},
        {**ROW, "potassium": ""},
        {**ROW, "potassium": 0},
        {**ROW, "note": " "},
        {**ROW, "smoker": 0},
        {**ROW, "smoker": True},
        {**ROW, "age": "61"},
        {**ROW, "age": 61.0},
        {**ROW, "age": b"61"},
        {**ROW, "creatinine": Decimal("1.10000000000000001")},
        {**ROW, "extra": None},
        {("Age" if name == "age" else name): value for name, value in ROW.items()},
        {name: value for name, value in ROW.items() if name != "potassium"},
        {**ROW, "age": ROW["creatinine"], "creatinine": ROW["age"]},
    ],
)
def test_one_other_cell_is_another_row(other: dict[str, Any]) -> None:
    assert tr(other) != tr(ROW)


@given(ROWS, ROWS)
def test_rows_are_equal_only_if_their_values_are(first: dict[str, Any], second: dict[str, Any]) -> None:
    def plain(each: dict[str, Any]) -> dict[str, Any]:
        return {name: (type(value) in (int, Decimal), isinstance(value, bool), value) for name, value in each.items()}

    assert (tr(first) == tr(second)) == (plain(first) == plain(second))


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("2024-05-01", datetime.date(2024, 5, 1), "date"),
        ("2024-05-01T10:00:00Z", "2024-05-01 12:00+02:00", "timestamp"),
        ("2024-05-01T10:00:00.5", datetime.datetime(2024, 5, 1, 10, 0, 0, 500000), "timestamp"),
        ("0.1", 0.1, "double"),
        ("1e400", float("inf"), "double"),
        ("true", True, "boolean"),
        (b"a", bytearray(b"a"), "binary"),
        ("caf\u00e9\n", "cafe\u0301\r\n", "text"),
    ],
)
def test_one_value_in_two_forms(first: Any, second: Any, kind: str) -> None:
    assert tr({"x": first}, x=kind) == tr({"x": second}, x=kind)


def test_whole_numbers_of_any_length_are_exact() -> None:
    assert tr({"x": 10**5000}) == tr({"x": "1e5000"}, x="number") != tr({"x": 10**5000 + 1})


def test_a_local_time_is_not_one_in_utc_and_zero_has_a_sign_in_doubles() -> None:
    assert tr({"x": "2024-05-01T10:00"}, x="timestamp") != tr({"x": "2024-05-01T10:00Z"}, x="timestamp")
    assert tr({"x": 0.0}) != tr({"x": -0.0})
    assert tr({"x": Decimal("-0")}) == tr({"x": 0})


@pytest.mark.parametrize(
    ("value", "kind", "code"),
    [
        ("abc", "number", "malformed.number"),
        (Decimal("NaN"), "number", "malformed.number"),
        (True, "number", "malformed.cell"),
        (0.5, "number", "malformed.cell"),
        (float("nan"), "double", "malformed.cell"),
        ("1_0", "double", "malformed.number"),
        ("nan", "double", "malformed.number"),
        (1, "double", "malformed.cell"),
        (5, "text", "malformed.cell"),
        ("1", "boolean", "malformed.cell"),
        (1, "boolean", "malformed.cell"),
        ("2024-02-30", "date", "malformed.cell"),
        (datetime.datetime(2024, 5, 1), "date", "malformed.cell"),
        ("2024-05-01T10:00:00.1234567", "timestamp", "malformed.cell"),
        ("2024-05-01T25:00", "timestamp", "malformed.cell"),
        ("0001-01-01T00:00+05:00", "timestamp", "malformed.cell"),
        (datetime.date(2024, 5, 1), "timestamp", "malformed.cell"),
        ("a", "binary", "malformed.cell"),
        ("\ud800", "text", "malformed.unicode"),
    ],
)
def test_values_that_do_not_fit_their_type_are_refused(value: Any, kind: str, code: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        tr({"x": value}, x=kind)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ({"x": np.float32(1)}, "unsupported.type"),
        ({"x": [1]}, "unsupported.type"),
        ({"caf\u00e9": 1, "cafe\u0301": 1}, "malformed.duplicate_key"),
        ({1: 1}, "malformed.cell"),
        (b'{"x": [1]}', "malformed.row"),
        (b"[1]", "malformed.row"),
        (b'{"x": 1, "x": 1}', "malformed.duplicate_key"),
    ],
)
def test_what_is_no_plain_row_is_refused(source: Any, code: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        tr(source)
    assert caught.value.code == code


def test_refusals_never_quote_a_cell() -> None:
    for kind in ("number", "double", "date", "timestamp", "boolean", "binary"):
        with pytest.raises(FingerprintError) as caught:
            tr({"x": "DOE^JANE"}, x=kind)
        assert "DOE" not in str(caught.value)


def test_types_have_to_be_known_and_cover_the_row() -> None:
    with pytest.raises(PlanError, match="did you mean 'number'"):
        tr({"x": 1}, x="numbr")
    with pytest.raises(PlanError, match="every column"):
        tr({"x": 1, "y": 1}, x="number")
    with pytest.raises(PlanError, match="mapping"):
        tr([("x", 1)])


def test_limits_and_notes() -> None:
    with pytest.raises(FingerprintError) as caught:
        row.fingerprint({"x": 1, "y": 1}, Limits(elements=1))
    assert caught.value.code == "limit.elements"
    with pytest.raises(FingerprintError) as caught:
        row.fingerprint({"x": "a" * 10}, Limits(value_bytes=9))
    assert caught.value.code == "limit.value"
    assert row.fingerprint(ROW).notes == {"columns": 6, "missing": 1}
    assert fingerprint_of(io.BytesIO(b'{"x": 1.0}'), "row")["tr"] == tr({"x": 1})


def test_the_opening_names_the_column_that_changed() -> None:
    one, two = row.fingerprint(ROW).opening["columns"], row.fingerprint({**ROW, "age": 62}).opening["columns"]
    assert [name for name in one if one[name] != two[name]] == ["age"]


def test_rows_of_real_claims_are_all_told_apart(real_data: Path) -> None:
    path = real_data / "claims_synthea" / "claims.csv.gz"
    if not path.is_file():
        pytest.skip("no folder claims_synthea")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [{name: value or None for name, value in each.items()} for each in list(csv.DictReader(file))[:2000]]
    types = {name: "timestamp" if name == "SERVICEDATE" else "text" for name in rows[0]}
    found = [tr(each, **types) for each in rows]
    assert len(set(found)) == len(rows)
    again = [
        tr(dict(reversed({**each, "SERVICEDATE": each["SERVICEDATE"].replace("Z", "+00:00")}.items())), **types)
        for each in rows
    ]
    assert again == found
