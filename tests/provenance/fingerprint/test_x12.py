"""X12 claims: one fingerprint per claim, alone or in a batch, in any separators."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path
from typing import Any

import pytest
from claims_made import (
    KINDS,
    claim,
    family,
    file_of,
    interchange,
    lines,
    one,
    patient,
    provider,
    subscriber,
    transaction,
)

from titer.errors import FingerprintError
from titer.provenance.fingerprint import Fingerprint, Limits, fingerprint_of, x12


def packed(*fields: bytes) -> bytes:
    return b"".join(len(each).to_bytes(8, "big") + each for each in fields)


def sha(name: str, *pieces: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0\1" + b"".join(pieces)).digest()


def canonical(segments: list[str]) -> bytes:
    turned = str.maketrans("*:^", "\x1d\x1f\x1e")
    return b"".join(each.rstrip("*").translate(turned).encode() + b"\x1c" for each in segments)


def by_definition(owner: list[str], person: list[str], made: list[str]) -> bytes:
    first = next(at for at, each in enumerate(made) if each.startswith("LX*"))
    groups: list[list[str]] = []
    for each in made[first:]:
        if each.startswith("LX*"):
            groups.append([])
        groups[-1].append(each)
    return sha(
        "cl",
        packed(sha("cl.subscriber", canonical(owner[1:]))),
        packed(sha("cl.patient", canonical(person[1:])) if person else b""),
        packed(sha("cl.claim", canonical(made[:first]))),
        packed(*(sha("cl.line", canonical(each)) for each in groups)),
    )


def cl(data: bytes) -> list[bytes]:
    return [each["cl"] for each in x12.claims(data)]


def test_known_answers_by_the_definition_alone() -> None:
    found = list(x12.claims(family()))
    owner, person = subscriber(3, 1, child=1), patient(4, 3)
    expected = [
        by_definition(subscriber(2, 1, "JONES"), [], claim("A1")),
        by_definition(owner, person, claim("A2")),
        by_definition(owner, person, claim("A3", "K219")),
        by_definition(subscriber(6, 5), [], claim("A4")),
    ]
    assert [each["cl"] for each in found] == expected
    first, second = (sha("bp", canonical(each[1:])) for each in (provider(1), provider(5, "1112223336")))
    assert [each["bp"] for each in found] == [first, first, first, second]
    assert found[0].notes == {"lines": 2}
    assert found[0].names == ("bp", "cl")


# The validator has no map of dental claims in this version.
@pytest.mark.parametrize("kind", ["institutional", "professional"])
def test_files_are_what_an_independent_validator_calls_claims(kind: str, tmp_path: Path) -> None:
    import logging

    import pyx12.error_handler
    import pyx12.params
    import pyx12.x12n_document

    logging.getLogger("pyx12").setLevel(logging.CRITICAL)
    path = tmp_path / "claims.txt"
    path.write_bytes(one(kind))
    answer = io.StringIO()
    pyx12.x12n_document.x12n_document(pyx12.params.params(), str(path), answer, None)
    assert "AK5*A~" in answer.getvalue().replace("\n", "") or "IK5*A~" in answer.getvalue().replace("\n", ""), (
        answer.getvalue()
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("separators", ["*:~^", "|>\x1e~", "\x1d\x1f\x1c\x1e", "+:'*"])
def test_digests_follow_from_what_an_independent_parser_reads(kind: str, separators: str, tmp_path: Path) -> None:
    import pyx12.x12file

    data = file_of(
        [*provider(), *subscriber(2, 1, child=1), *patient(3, 2), *claim(kind=kind)], kind, separators=separators
    )
    path = tmp_path / "claims.txt"
    path.write_bytes(data)
    reader = pyx12.x12file.X12Reader(str(path))
    segments: list[list[str]] = []
    for segment in reader:
        values = [segment.get_value(f"{at + 1:02}") or "" for at in range(len(segment.elements))]
        segments.append([segment.get_seg_id(), *values])
    reader.close()
    text = ["*".join(each).replace(separators[1], ":") for each in segments]
    at = {
        name: next(n for n, each in enumerate(text) if each.startswith(name)) for name in ("HL*2", "HL*3", "CLM", "SE")
    }
    expected = by_definition(text[at["HL*2"] : at["HL*3"]], text[at["HL*3"] : at["CLM"]], text[at["CLM"] : at["SE"]])
    assert x12.fingerprint(data)["cl"] == expected


def test_a_thousand_repackings_raise_no_alarm() -> None:
    draw = random.Random(4)
    plain = x12.fingerprint(one())
    for number in range(1000):
        separators = draw.choice(["*:~^", "|>~^", "*:'!", "\x1d\x1f\n\x1e"])
        before = [*subscriber(2, 1, "OTHER"), *claim(f"X{number}")] if draw.random() < 0.5 else []
        start = 3 if before else 2
        body = [*provider(), *before, *subscriber(start, 1), *claim()]
        made = transaction(body, control=f"{draw.randrange(10000):04}", time=f"{draw.randrange(2400):04}")
        end = draw.choice(["", "\n", "\r\n"])
        data = interchange([made], control=f"{draw.randrange(10**9):09}", separators=separators, end=end)
        assert cl(data)[-1] == plain["cl"]
        assert list(x12.claims(data))[-1]["bp"] == plain["bp"]


def test_separators_with_nothing_behind_them_say_nothing() -> None:
    body = [*provider(), *subscriber(2, 1), *claim()]
    wider = [each + "**" if each.startswith(("CLM", "NM1", "LX")) else each for each in body]
    wider = [each.replace("11:B:1", "11:B:1::^") for each in wider]
    assert cl(file_of(wider)) == cl(file_of(body))


OTHERS: dict[str, tuple[list[str], list[str]]] = {
    "a diagnosis": (subscriber(2, 1), claim(diagnosis="J021")),
    "an amount": (subscriber(2, 1), claim(codes=(("99213", "40"), ("87070", "15.50")))),
    "a service": (subscriber(2, 1), claim(codes=(("99214", "40"), ("87070", "15.5")))),
    "the order of services": (
        subscriber(2, 1),
        [*claim()[:2], *lines("professional", (("87070", "15.5"), ("99213", "40")))],
    ),
    "a service less": (subscriber(2, 1), claim()[:-3]),
    "the subscriber": (subscriber(2, 1, "SMYTH"), claim()),
    "a patient between": ([*subscriber(2, 1), *patient(3, 2)], claim()),
    "a component moved": (subscriber(2, 1), [each.replace("11:B:1", "11:B::1") for each in claim()]),
    "a component as an element": (subscriber(2, 1), [each.replace("11:B:1", "11*B:1") for each in claim()]),
    "a repetition": (subscriber(2, 1), [each.replace("J020", "J020^J020") for each in claim()]),
    "a space": (subscriber(2, 1), [each.replace("99213", "99213 ") for each in claim()]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_one_other_value_is_another_claim(name: str) -> None:
    owner, made = OTHERS[name]
    found = x12.fingerprint(file_of([*provider(), *owner, *made]))
    assert found["cl"] != x12.fingerprint(one())["cl"]
    assert found["bp"] == x12.fingerprint(one())["bp"]


def test_every_character_of_a_claim_counts() -> None:
    data, plain = one(), x12.fingerprint(one())["cl"]
    start, end = data.index(b"SBR"), data.index(b"SE*")
    draw = random.Random(5)
    for at in draw.sample(range(start, end), 200):
        if data[at : at + 1].isalnum():
            other = data[:at] + (b"8" if data[at : at + 1] != b"8" else b"9") + data[at + 1 :]
            try:
                assert x12.fingerprint(other)["cl"] != plain
            except FingerprintError as error:
                assert error.code.startswith(("malformed", "unsupported"))  # noqa: PT017


def test_the_billing_provider_has_a_digest_of_its_own() -> None:
    other = x12.fingerprint(file_of([*provider(1, "1112223336"), *subscriber(2, 1), *claim()]))
    assert other["cl"] == x12.fingerprint(one())["cl"]
    assert other["bp"] != x12.fingerprint(one())["bp"]


def test_the_opening_names_the_part_and_the_line_that_changed() -> None:
    first = x12.fingerprint(one()).opening
    made = claim(codes=(("99213", "40"), ("87071", "15.5")))
    second = x12.fingerprint(file_of([*provider(), *subscriber(2, 1), *made])).opening
    assert {name for name in first if first[name] != second[name]} == {"lines"}
    assert [a == b for a, b in zip(first["lines"], second["lines"], strict=True)] == [True, False]


def test_several_interchanges_and_groups_in_one_file() -> None:
    assert cl(one() + b"\r\n" + family() + b"\n\n") == cl(one()) + cl(family())
    acknowledged = one().replace(b"GS*", b"TA1*000000905*240501*1253*A*000~\nGS*", 1)
    assert cl(acknowledged) == cl(one())


def test_older_files_have_no_separator_of_repetitions() -> None:
    older = one().replace(b"*^*00501*", b"*U*00401*").replace(b"JANE", b"JANE^")
    newer = one().replace(b"JANE", b"JANE^")
    assert cl(older) != cl(newer)
    assert cl(newer) == cl(one())


def test_reading_does_not_depend_on_how_much_comes_at_once() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 7, 7))

    assert [each["cl"] for each in x12.claims(Slow(family()))] == cl(family())


def test_a_file_with_one_claim_is_one_object() -> None:
    assert isinstance(fingerprint_of(one()), Fingerprint)
    with pytest.raises(FingerprintError) as caught:
        x12.fingerprint(family())
    assert caught.value.code == "unsupported.many_claims"
    with pytest.raises(FingerprintError) as caught:
        x12.fingerprint(file_of(provider()))
    assert caught.value.code == "malformed.no_claim"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "malformed.interchange"),
        (b"\n\r\n", "malformed.interchange"),
        (one()[:50], "malformed.truncated"),
        (one()[:-20], "malformed.truncated"),
        (one() + b"rest", "malformed.truncated"),
        (one() + one()[:120], "malformed.truncated"),
        (b"IST" + one()[3:], "malformed.interchange"),
        (one().replace(b"*00501*", b"*0050*1", 1), "malformed.interchange"),
        (file_of(provider(), separators="**~^"), "malformed.separators"),
        (file_of(provider(), separators="*:~~"), "malformed.separators"),
        (file_of(provider(), separators="A:~^"), "malformed.separators"),
        (file_of(provider(), separators="*.~^"), "malformed.separators"),
        (one().replace(b"JANE", b"JA\x1dNE"), "malformed.character"),
        (one().replace(b"SBR*", b"~SBR*"), "malformed.segment"),
        (one().replace(b"SBR*", b"sbr*"), "malformed.segment"),
        (one().replace(b"ST*837", b"ST*835"), "unsupported.transaction"),
        (one().replace(b"GS*", b"GX*", 1), "malformed.envelope"),
        (one().replace(b"ST*837", b"SX*837"), "malformed.envelope"),
        (one().replace(b"SBR*", b"GS*"), "malformed.envelope"),
        (one().replace(b"SBR*", b"GE*"), "malformed.envelope"),
        (one().replace(b"SE*", b"SE*1"), "malformed.count"),
        (one().replace(b"GE*1*", b"GE*2*"), "malformed.count"),
        (one().replace(b"GE*1*", b"GE**"), "malformed.count"),
        (one().replace(b"IEA*1*000000905", b"IEA*1*000000906"), "malformed.control"),
        (one().replace(b"HL*2*1*22", b"HL*2*9*22"), "malformed.hierarchy"),
        (one().replace(b"HL*2*1*22", b"HL*2*1*23"), "malformed.hierarchy"),
        (one().replace(b"HL*2*1*22", b"HL*2*1*99"), "malformed.hierarchy"),
        (file_of([*provider(), *claim()]), "malformed.hierarchy"),
        (file_of([*provider(), *subscriber(2, 1), *provider(3), *patient(4, 2), *claim()]), "malformed.hierarchy"),
    ],
)
def test_files_that_break_the_format_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        list(x12.claims(data))
    assert caught.value.code == code


def test_hostile_files_end_soon_and_within_limits() -> None:
    many = [*provider(), *subscriber(2, 1), *claim()[:2], *["NTE*ADD*A"] * 50000]
    assert len(cl(file_of(many))) == 1
    cases: list[tuple[bytes, Limits, str]] = [
        (file_of(many), Limits(segments=10000), "limit.segments"),
        (one()[:-200] + b"A" * 5000000, Limits(value_bytes=1 << 21), "limit.value"),
        (one().replace(b"SBR*", b"SBR" + b"*" * 5000), Limits(elements=1000), "limit.elements"),
    ]
    for data, limits, code in cases:
        with pytest.raises(FingerprintError) as caught:
            list(x12.claims(data, limits))
        assert caught.value.code == code


def test_many_claims_under_a_long_loop_cost_no_more_than_themselves() -> None:
    body: list[Any] = [*provider(), *subscriber(2, 1), *["REF*SY*" + "1" * 500] * 5000]
    for number in range(5000):
        body += [f"CLM*{number}*1", "HI*ABK:J020"]
    found = cl(file_of(body))
    assert len(set(found)) == 5000


def test_claims_of_simulated_patients_are_all_told_apart(real_data: Path) -> None:
    import csv
    import gzip

    path = real_data / "claims_synthea" / "claims.csv.gz"
    if not path.is_file():
        pytest.skip("no folder claims_synthea")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:1000]
    body = provider()
    for number, each in enumerate(rows):
        body += subscriber(number + 2, 1, each["PATIENTID"])
        body += claim(each["Id"], each["DIAGNOSIS1"] or "Z000", ((each["APPOINTMENTID"], "10"),))
    found = cl(file_of(body))
    assert len(set(found)) == len(rows) == 1000
    alone = [
        cl(file_of([*provider(), *subscriber(2, 1, rows[at]["PATIENTID"]), *body_of(rows[at])]))[0]
        for at in (0, 500, 999)
    ]
    assert alone == [found[0], found[500], found[999]]


def body_of(each: dict[str, str]) -> list[str]:
    return claim(each["Id"], each["DIAGNOSIS1"] or "Z000", ((each["APPOINTMENTID"], "10"),))
