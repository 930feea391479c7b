"""Notes in tables."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from titer.cases.find import find_dataset
from titer.cases.notes import encode_notes, tokenize
from titer.errors import DataError, PlanError

TEXT = """text,label,patient,split,site
"Chest pain, no fever.",urgent,A,train,1
"Routine visit; pain is mild",routine,B,val,2
"No pain",routine,A,test,1
"""


def test_words_numbers_and_padding(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text(TEXT)
    data = find_dataset(path, length=5, words=20)
    words = data.space.vocabulary
    assert words[:3] == ("<pad>", "<unknown>", "pain")
    assert [words[k] for k in data.cases.inputs[0]] == ["chest", "pain", "no", "fever", "<pad>"]
    assert [words[k] for k in data.cases.inputs[1]] == ["routine", "visit", "pain", "is", "mild"]
    assert data.cases.patients.tolist() == [0, 1, 0]
    assert data.cases.groups["site"].tolist() == ["1", "2", "1"]
    assert data.official is not None
    assert data.official.tolist() == ["train", "validation", "test"]
    assert data.space.padding == 0
    assert "100% of all words" in data.card.cautions[0]
    short = find_dataset(path, length=2, words=4)
    assert "outside the vocabulary" in short.card.cautions[1]
    assert short.cases.inputs.max() <= 3


@pytest.mark.parametrize(("suffix", "packed"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_compressed_and_tab_separated(tmp_path: Path, suffix: str, packed: object) -> None:
    path = tmp_path / f"notes.tsv{suffix}"
    text = "text\tlabel\nno pain, no fever\ta\nsevere pain\tb\n"
    path.write_bytes(packed(text.encode("utf-8-sig")))  # type: ignore[operator]
    assert find_dataset(path).classes == ("a", "b")


def test_synonyms(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text(TEXT)
    (tmp_path / "same.csv").write_text("word,synonym\npain,ache\nvisit,routine\nchest,thorax\n")
    data = find_dataset(path, synonyms="same.csv")
    named = {
        data.space.vocabulary[word]: [data.space.vocabulary[other] for other in others]
        for word, others in data.synonyms.items()
    }
    assert named == {"visit": ["routine"], "routine": ["visit"]}
    (tmp_path / "same.csv").write_text("word,synonym\npain,severe ache\n")
    with pytest.raises(DataError, match="single words"):
        find_dataset(path, synonyms="same.csv")


def test_notes_without_words(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("text,label\nhello,a\n?!,b\n")
    with pytest.raises(DataError, match="none in line 3"):
        find_dataset(path)
    with pytest.raises(PlanError, match="'length'"):
        find_dataset(path, length=0)


def test_words_of_other_languages() -> None:
    assert tokenize("L\u2019\u00c9tat d'\u00e9t\u00e9") == ["l'\u00e9tat", "d'\u00e9t\u00e9"]
    assert encode_notes(["a b", "b"], length=1, words=3).tokens.tolist() == [[1], [2]]
