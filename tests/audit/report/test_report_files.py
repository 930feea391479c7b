"""Reports on disk: the same bytes for the same report, whole or not at all, and refused when foreign or damaged."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_example import example_report

from titer.audit.report.files import DIGITS, canonical_json
from titer.audit.report.schema import Limit, Report
from titer.errors import ReportError, StoreError


def test_saving_and_loading_returns_the_same_bytes(tmp_path: Path) -> None:
    first = example_report().save(tmp_path / "a.json")
    second = Report.load(first).save(tmp_path / "b.json")
    assert first.read_bytes() == second.read_bytes()


def test_two_runs_differ_in_the_timestamp_alone() -> None:
    report = example_report()
    later = report.model_copy(
        update={"identity": report.identity.model_copy(update={"created": "2031-01-01T00:00:00Z"})}
    )
    one, two = canonical_json(report).splitlines(), canonical_json(later).splitlines()
    assert [a.strip().split(":")[0] for a, b in zip(one, two, strict=True) if a != b] == ['"created"']


def test_the_text_is_canonical() -> None:
    text = canonical_json(example_report())
    assert text.endswith("}\n")
    again = json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    assert again == text


@given(st.floats(min_value=0, max_value=1e12, allow_nan=False))
def test_numbers_keep_ten_digits_and_settle_at_once(value: float) -> None:
    once = canonical_json(Limit(value=value, unit="mV", label="x"))
    kept = json.loads(once)["value"]
    assert kept == pytest.approx(value, rel=10.0 ** (1 - DIGITS))
    assert canonical_json(Limit(value=kept, unit="mV", label="x")) == once


def test_zero_has_no_sign() -> None:
    assert '"value": 0.0' in canonical_json(Limit(value=-0.0, unit="mV", label="none"))


def test_a_folder_stands_for_its_report(tmp_path: Path) -> None:
    example_report().save(tmp_path)
    assert Report.load(tmp_path) == Report.load(tmp_path / "report.json")


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = example_report().save(tmp_path / "report.json")
    before = target.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="free some space"):
        example_report().save(target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "JSON text"),
        (b'{"schema_version": "1.1", "cells": [', "JSON text"),
        (b"\xff\xfe", "JSON text"),
        (b"[" * 200_000, "JSON text"),
        (b"[]", "without schema_version"),
        (b'{"title": "something else"}', "without schema_version"),
        (b'{"schema_version": "9.0"}', "got '9.0'"),
        (b'{"schema_version": 1}', "got 1"),
        (b'{"schema_version": "1.1"}', "fault"),
    ],
)
def test_foreign_and_damaged_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(content)
    with pytest.raises(ReportError, match=words):
        Report.load(file)


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"nowhere\.json"):
        Report.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("percent", range(0, 100, 9))
def test_no_truncated_report_loads(tmp_path: Path, percent: int) -> None:
    content = canonical_json(example_report()).encode()
    file = tmp_path / "report.json"
    file.write_bytes(content[: len(content) * percent // 100])
    with pytest.raises(ReportError):
        Report.load(file)
