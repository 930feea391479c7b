"""The table of attributes: each row changes `rd` alone, nothing else does, and spellings of one value do not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from dicom_made import element, image, minimal, nested, ramp, u16
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, dictionary_keyword, dictionary_VR

from titer.errors import FingerprintError
from titer.provenance.fingerprint._rd import ROWS, TABLE, Row, Texts, numbers, row_of
from titer.provenance.fingerprint.dicom import fingerprint

# Two values per value representation, as written.
VALUES = {
    "AE": (b"A", b"B"), "AS": (b"010Y", b"020Y"), "AT": (u16(8) + u16(8), u16(8) + u16(9)), "CS": (b"A", b"B"),
    "DA": (b"20240101", b"20250101"), "DS": (b"1.5", b"2.5"), "DT": (b"2024", b"2025"), "FD": (bytes(8), b"\1" * 8),
    "FL": (bytes(4), b"\1" * 4), "IS": (b"1", b"2"), "LO": (b"A", b"B"), "LT": (b"A", b"B"), "OB": (b"ab", b"cd"),
    "OD": (bytes(8), b"\1" * 8), "OF": (bytes(4), b"\1" * 4), "OL": (bytes(4), b"\1" * 4), "OV": (bytes(8), b"\1" * 8),
    "OW": (b"ab", b"cd"), "PN": (b"A^B", b"C^D"), "SH": (b"A", b"B"), "SL": (bytes(4), b"\1" * 4),
    "SQ": (b"", b"\xfe\xff\x00\xe0\0\0\0\0"), "SS": (bytes(2), b"\1" * 2), "ST": (b"A", b"B"),
    "SV": (bytes(8), b"\1" * 8),
    "TM": (b"10", b"11"), "UC": (b"A", b"B"), "UI": (b"1.2", b"1.3"), "UL": (bytes(4), b"\1" * 4), "UN": (b"ab", b"cd"),
    "UR": (b"a:b", b"a:c"), "US": (bytes(2), b"\1" * 2), "UT": (b"A", b"B"), "UV": (bytes(8), b"\1" * 8),
}  # fmt: skip
# What says how pixels and texts are to be read; changing it makes another image or none.
STRUCTURE = {
    0x00080005, 0x00280002, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
    0x00280103,
}  # fmt: skip
IDENTIFIERS = {
    0x00100020, 0x00080050, 0x0020000D, 0x0020000E, 0x00080018, 0x00181000, 0x00080022, 0x0008002A, 0x00080032,
    0x00080023, 0x00080033,
}  # fmt: skip


def vr_of(tag: int) -> str:
    return "OW" if tag & 0xFF01FFFF == 0x60003000 else dictionary_VR(tag).split(" or ")[0]


def outside() -> list[int]:
    """Every element of the data dictionary that may stand in an image and that no row covers."""
    return [
        tag
        for tag in DicomDictionary
        if 0x0008 <= tag >> 16 < 0x7FE0 and row_of((), tag) is None and tag not in STRUCTURE | IDENTIFIERS
    ]


@pytest.mark.parametrize("path", list(ROWS), ids=lambda path: "/".join(f"{tag:08X}" for tag in path))
def test_each_attribute_of_the_table_changed_alone_changes_rd_alone(path: tuple[int, ...]) -> None:
    values = (b"MONOCHROME2 ", b"MONOCHROME1 ") if path == (0x00280004,) else VALUES[vr_of(path[-1])]
    made = [fingerprint(minimal(dict([nested(path[:-1], path[-1], vr_of(path[-1]), value)]))) for value in values]
    without = fingerprint(minimal())
    assert made[0]["rd"] != made[1]["rd"]
    assert path == (0x00280004,) or without["rd"] not in (made[0]["rd"], made[1]["rd"])
    assert without["px"] == made[0]["px"] == made[1]["px"]
    assert [each for each in made[0].opening["rd"] if made[0].opening["rd"][each] != made[1].opening["rd"].get(each)]


def test_each_attribute_outside_the_table_changed_alone_changes_nothing() -> None:
    plain = fingerprint(minimal())
    tried = outside()
    for tag in tried:
        for value in VALUES[vr_of(tag)]:
            made = fingerprint(minimal({tag: element(tag, vr_of(tag), value)}))
            assert made.digests == plain.digests, f"{tag:08X}"
    assert len(tried) > 4000


@given(st.lists(st.sampled_from(outside()), min_size=1, max_size=6, unique=True), st.data())
def test_many_attributes_outside_the_table_change_nothing_together(tags: list[int], data: st.DataObject) -> None:
    extra = {}
    for tag in tags:
        value = data.draw(st.sampled_from(VALUES[vr_of(tag)]))
        where = data.draw(st.sampled_from([(), (0x00081140,), (0x52009229, 0x00209111), (0x00400275, 0x00082218)]))
        outer, made = nested(where, tag, vr_of(tag), value)
        extra[outer] = made
    assert fingerprint(minimal(extra)).digests == fingerprint(minimal()).digests


@given(st.integers(0x0009, 0x7FDF).map(lambda group: group | 1), st.binary(max_size=20))
def test_private_elements_change_nothing_and_are_counted(group: int, value: bytes) -> None:
    owner, tag = group << 16 | 0x10, group << 16 | 0x1001
    extra = {owner: element(owner, "LO", b"ACME"), tag: element(tag, "OB", value)}
    made = fingerprint(minimal(extra))
    assert made.digests == fingerprint(minimal()).digests
    assert made.notes["private_elements"] == 2


@pytest.mark.parametrize("tag", sorted(IDENTIFIERS))
def test_an_identifier_changes_its_own_digest_alone(tag: int) -> None:
    made = fingerprint(minimal({tag: element(tag, vr_of(tag), VALUES[vr_of(tag)][0])}))
    plain = fingerprint(minimal())
    assert {name for name in made.names if name not in plain or made[name] != plain[name]} <= {
        name for name in made.names if name.startswith("id.")
    }


def test_the_table_names_each_attribute_as_the_data_dictionary_does() -> None:
    kinds = {
        "text": {"CS", "LO", "SH"}, "number": {"DS", "IS"}, "photometric": {"CS"}, "items": {"SQ"}, "bytes": {"OB"},
        "words": {"US", "SS", "OW", "FD", "FL", "SL", "UL"}, "overlay": {"OB", "OW"},
    }  # fmt: skip

    def check(rows: tuple[Row, ...]) -> None:
        assert len({row.tag for row in rows}) == len(rows)
        for row in rows:
            assert dictionary_keyword(row.tag) == row.name
            assert set(dictionary_VR(row.tag).split(" or ")) <= kinds[row.kind], row.name
            check(row.inside)

    check(TABLE)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.50", "1.5"), ("+1.5", "1.5"), ("15e-1", "1.5"), (" 1.5 ", "1.5"), ("1500E-3", "1.5"), ("01.5", "1.5"),
     ("-0.0", "0"), (".5", "0.5"), ("5.", "5"), ("100", "1e2")],
)  # fmt: skip
def test_spellings_of_one_number_are_one_value(one: str, other: str) -> None:
    assert numbers(one.encode()) == numbers(other.encode())


@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_are_equal_exactly_when_their_values_are(one: Decimal, other: Decimal) -> None:
    texts = str(one), str(other)
    if max(map(len, texts)) <= 64:
        assert (numbers(texts[0].encode()) == numbers(texts[1].encode())) == (one == other)


def test_a_number_that_differs_in_its_17th_digit_is_another_value() -> None:
    assert numbers(b"1.0000000000000001") != numbers(b"1.0000000000000002")


def test_what_is_no_number_is_kept_apart_from_every_number() -> None:
    assert numbers(b"abc") == b"?abc"
    assert numbers(b"1\\x\\3") == b"1\\?x\\3"
    assert len({numbers(b"9" * size) for size in (64, 65, 66)}) == 3


def test_empty_attributes_count_as_absent() -> None:
    for tag, vr in ((0x00200060, "CS"), (0x00281050, "DS"), (0x00282000, "OB"), (0x00540220, "SQ")):
        assert fingerprint(minimal({tag: element(tag, vr, b"")})).digests == fingerprint(minimal()).digests


def test_padding_of_text_is_no_part_of_its_value() -> None:
    made = [
        fingerprint(minimal({0x00200060: element(0x00200060, "CS", each)})) for each in (b"L ", b" L", b"L\0", b"L")
    ]
    assert len({each["rd"] for each in made}) == 1


def test_text_that_its_character_set_does_not_explain_stays_as_it_is() -> None:
    assert Texts("ISO_IR 192").canonical(b"\xff\xfe") == b"\xff\xff\xfe"
    assert Texts("nonsense").canonical(b"\xe4 ") == b"\xff\xe4"
    assert Texts("ISO_IR 100").canonical(b"\xe4") == "ä".encode()


def test_texts_are_the_same_in_every_character_set_and_composed() -> None:
    assert Texts("ISO_IR 13").canonical("ｱ".encode("shift_jis")) == "ｱ".encode()
    assert Texts("\\ISO 2022 IR 87").canonical(b"\x1b$B;3\x1b(B") == "山".encode()
    assert Texts("ISO_IR 192").canonical("a\u0308".encode()) == "ä".encode()


def test_the_place_of_an_item_counts() -> None:
    def made(*positions: bytes) -> bytes:
        items = b""
        for each in positions:
            inner = element(0x00209113, "SQ", item(element(0x00200032, "DS", each)))
            items += item(inner)
        return fingerprint(minimal({0x52009230: element(0x52009230, "SQ", items)}))["rd"]

    def item(content: bytes) -> bytes:
        return b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content

    assert made(b"0\\0\\1", b"0\\0\\2") != made(b"0\\0\\2", b"0\\0\\1")
    assert made(b"", b"0\\0\\2") != made(b"0\\0\\2", b"")


def test_an_overlay_is_compared_by_its_own_bits_alone() -> None:
    def made(data: bytes, group: int = 0x6000) -> bytes:
        base = group << 16
        extra = {
            base | 0x10: element(base | 0x10, "US", u16(3)),
            base | 0x11: element(base | 0x11, "US", u16(3)),
            base | 0x3000: element(base | 0x3000, "OW", data),
        }
        return fingerprint(minimal(extra))["rd"]

    # Nine bits: the other seven of the second byte fill it up.
    assert made(b"\x07\x01") == made(b"\x07\xff") == made(b"\x07\x01\0\0") != made(b"\x07\x00")
    assert made(b"\x07\x01") != made(b"\x07\x01", 0x6002)


def test_an_attribute_under_a_wrong_value_representation_is_refused() -> None:
    with pytest.raises(FingerprintError) as refused:
        fingerprint(minimal({0x00281050: element(0x00281050, "FD", bytes(8))}))
    assert refused.value.code == "malformed.vr"


def test_an_attribute_whose_writer_did_not_know_it_is_read_as_what_it_is() -> None:
    known = fingerprint(image(ramp(2, 2), SliceThickness="2.5"))
    unknown = minimal({0x00180050: element(0x00180050, "UN", b"2.5 ")})
    plain = minimal({0x00180050: element(0x00180050, "DS", b"2.5 ")})
    assert fingerprint(unknown).digests == fingerprint(plain).digests
    assert known.opening["rd"]["(0018,0050)"] == fingerprint(plain).opening["rd"]["(0018,0050)"]


def test_a_sequence_whose_writer_did_not_know_it_is_entered() -> None:
    value = b"\x20\x00\x32\x00\x06\x00\x00\x000\\0\\1 "
    position = b"\xfe\xff\x00\xe0" + len(value).to_bytes(4, "little") + value
    sequence = b"\x20\x00\x13\x91" + len(position).to_bytes(4, "little") + position
    item = b"\xfe\xff\x00\xe0" + len(sequence).to_bytes(4, "little") + sequence
    unknown = fingerprint(minimal({0x52009229: element(0x52009229, "UN", item)}))
    known = fingerprint(minimal(dict([nested((0x52009229, 0x00209113), 0x00200032, "DS", b"0\\0\\1 ")])))
    assert unknown.digests == known.digests
