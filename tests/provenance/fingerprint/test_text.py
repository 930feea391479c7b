"""Texts: what is one text whatever the program that sent it, and what is not."""

from __future__ import annotations

import hashlib
import io
import lzma
import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from titer.errors import FingerprintError, PlanError
from titer.provenance.fingerprint import Limits, fingerprint_of, text
from titer.provenance.fingerprint._unicode import LONGEST_RUN, Oddities, canonical, script

# Letters that join others, in several scripts, beside ordinary ones.
JOINING = (
    "ae\u0301\u0300\u0327\u0344\u0f73\u0f71\u09c7\u09be\u1100\u1161\u11a8\uac00\u212b\u00c5\u2126\ufb1d\r\n \u200b"
)
UNDER = st.text(st.sampled_from(JOINING), max_size=60)


def tx(content: str) -> bytes:
    return text.fingerprint(content.encode("utf-8"))["tx"]


def known(canonical_text: str) -> bytes:
    return hashlib.sha256(b"tx\0\1" + canonical_text.encode("utf-8")).digest()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    ("content", "canonical_text"),
    [
        ("", ""),
        ("Fever since Monday.\r\nCough.\r", "Fever since Monday.\nCough.\n"),
        ("fie\u0300vre", "fi\u00e8vre"),
        ("\r\r\n\n", "\n\n\n"),
        ("\ufb01ne \u00b5g 10\u00b2 ", "\ufb01ne \u00b5g 10\u00b2 "),
        ("\ufeff A", "\ufeff A"),
    ],
)
def test_known_answers_by_the_definition_alone(content: str, canonical_text: str) -> None:
    assert tx(content) == known(canonical_text)


@given(UNDER, st.integers(1, 7))
@example("\r\n", 1)
@example("a\u0301", 2)
def test_pieces_give_what_the_whole_text_gives(content: str, size: int) -> None:
    whole = unicodedata.normalize("NFC", content.replace("\r\n", "\n").replace("\r", "\n"))
    assert "".join(canonical(cut(content.encode("utf-8"), size))) == whole


@given(st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=80), st.integers(1, 9))
def test_any_assigned_characters_can_be_cut_anywhere(content: str, size: int) -> None:
    whole = unicodedata.normalize("NFC", content.replace("\r\n", "\n").replace("\r", "\n"))
    assert "".join(canonical(cut(content.encode("utf-8"), size))) == whole


@given(UNDER)
def test_forms_that_unicode_calls_equal_are_one_text(content: str) -> None:
    forms = [unicodedata.normalize(form, content) for form in ("NFC", "NFD")]
    assert len({tx(form) for form in forms}) == 1
    assert tx(content.replace("\r\n", "\n")) == tx(content.replace("\r\n", "\n").replace("\n", "\r\n"))


@given(st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=40), st.data())
def test_one_other_character_is_another_text(content: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(content)))
    other = content[:at] + "x" + content[at:]
    assert tx(other) != tx(content)


def test_a_thousand_lossless_round_trips_raise_no_alarm() -> None:
    draw = random.Random(1)
    for _ in range(1000):
        content = "".join(
            draw.choice("abcdefghijklmnopqrstuvwxyz \u00e4\u00f6\u00fc\u00e9\u00f1\u00e7\n") for _ in range(40)
        )
        other = unicodedata.normalize(draw.choice(("NFC", "NFD")), content).replace(
            "\n", draw.choice(("\n", "\r\n", "\r"))
        )
        assert tx(other) == tx(content)


def test_what_looks_alike_is_not_the_same() -> None:
    looks = ["pain", "p\u0430in", "pa\u200bin", "pain ", "Pain", "\uff50ain", "pain\u202e", "pa\u00adin"]
    assert len({tx(each) for each in looks}) == len(looks)


def test_notes_count_what_hides() -> None:
    hidden = "p\u0430in \u03bcg \u200b\u200d\u2066x\u2069"
    content = f"{hidden} m\u00b2 \u00b5g \u041f\u0440\u0438\u0432\u0435\u0442 caf\u00e9 \u6771\u4eac\u306f"
    assert text.fingerprint(content.encode()).notes == {"bidi": 2, "mixed_script": 2, "zero_width": 2}
    assert text.fingerprint(b"plain").notes == {"bidi": 0, "mixed_script": 0, "zero_width": 0}


@given(
    st.text(st.sampled_from("ab1 \u0430\u0431\u03b1\u00e9\u00b5\u200b\u202e\u3042\u4eac"), max_size=30),
    st.integers(1, 5),
)
def test_counts_do_not_depend_on_pieces(content: str, size: int) -> None:
    whole, parts = Oddities(), Oddities()
    whole.add(content)
    for piece in [content[at : at + size] for at in range(0, len(content), size)]:
        parts.add(piece)
    assert parts.counts() == whole.counts()


def test_words_longer_than_any_are_counted_too() -> None:
    seen = Oddities()
    seen.add("\u0430" * 100 + "a" * 100)
    assert seen.counts()["mixed_script"] == 1


def test_scripts_agree_with_unicodes_own_table() -> None:
    reference = pytest.importorskip("fontTools.unicodedata")
    # Names whose first word is no script of its own, and scripts that are written together.
    shared = {"CJK", "OLD", "TAI", "LINEAR", "MEROITIC", "INSCRIPTIONAL", ""}
    found: dict[str, set[str]] = {}
    for code in range(0x30000):
        letter = chr(code)
        if unicodedata.category(letter)[0] == "L" and unicodedata.name(letter, ""):
            found.setdefault(script(letter), set()).add(reference.script(letter))
    assert {name for name, codes in found.items() if len(codes - {"Zyyy"}) > 1} <= shared
    codes = [code for name, each in found.items() if name not in shared for code in each - {"Zyyy"}]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff", "malformed.utf8"),
        (b"caf\xc3", "malformed.utf8"),
        (b"\xed\xa0\x80", "malformed.utf8"),
        (b"\xc0\x80", "malformed.utf8"),
        ("\u0378".encode(), "unsupported.unicode"),
        (("a" + "\u0301" * (LONGEST_RUN + 1)).encode(), "limit.combining"),
        (("\u1161" * (LONGEST_RUN + 1)).encode(), "limit.combining"),
    ],
)
def test_what_has_no_exact_form_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        text.fingerprint(data)
    assert caught.value.code == code


def test_the_longest_run_and_noncharacters_are_texts() -> None:
    assert tx("a" + "\u0301" * LONGEST_RUN)
    assert tx("\ufffe\U0010ffff")


def test_a_long_text_is_read_in_pieces_and_within_limits(tmp_path: Path) -> None:
    content = ("Patient denies pain. \u00c9tat g\u00e9n\u00e9ral bon.\r\n" * 60000).encode()
    path = tmp_path / "note.txt"
    path.write_bytes(content)
    expected = known(content.decode().replace("\r\n", "\n"))
    assert text.fingerprint(path)["tx"] == text.fingerprint(io.BytesIO(content))["tx"] == expected
    assert fingerprint_of(path, "text")["tx"] == expected
    with pytest.raises(FingerprintError) as caught:
        text.fingerprint(content, Limits(object_bytes=1000))
    assert caught.value.code == "limit.object"


def test_a_string_could_be_a_path_or_a_text_and_is_refused() -> None:
    with pytest.raises(PlanError):
        text.fingerprint("note.txt")


def test_real_notes_have_one_fingerprint_in_both_forms(real_data: Path) -> None:
    folder = real_data / "notes_mtsamples"
    if not folder.is_dir():
        pytest.skip("no folder notes_mtsamples")
    data = lzma.decompress((folder / "mtsamples.csv.xz").read_bytes())
    lines = [line for line in data.decode("utf-8").split("\n") if len(line) > 100][:300]
    assert len(lines) == 300
    for line in lines:
        assert tx(line) == tx(unicodedata.normalize("NFD", line))
        assert tx(line) != tx(line[:50] + line[51:] if line[50] != line[49] else line + ".")
