"""The examples of docs/data.md are true, and so are its lists."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from titer.cases.readers._common import GROUPS
from titer.registry import DATASETS, READERS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITER_DATA", raising=False)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    found = doctest.testfile(str(DOCUMENT), module_relative=False, optionflags=flags)
    assert (found.failed, found.attempted > 5) == (0, True)


def test_every_set_reader_and_group_is_named() -> None:
    text = DOCUMENT.read_text()
    for name in [*DATASETS.names(), *READERS.names(), *GROUPS]:
        assert f"`{name}`" in text, name
