"""A site's private folder: who may read it, who may sign, and what is explained out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guard_tools import Counting, Hospital, letters

from titer.errors import GuardError, ProvenanceError
from titer.provenance.guard.explain import explain
from titer.provenance.guard.folder import KEYS, Folder, create
from titer.provenance.guard.quarantine import Quarantine


def code(path: Path, work: str) -> str:
    """The reason code with which work on a folder is refused."""

    def done() -> None:
        folder = Folder(path)
        if work == "index":
            folder.index()
        elif work == "key":
            folder.public("capture")

    with pytest.raises(ProvenanceError) as told:
        done()
    return told.value.code


def test_a_folder_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "site"
    made = create(path)
    assert len({made.public(name) for name in KEYS}) == 3
    assert [each.name for each in path.rglob("*") if each.stat().st_mode & 0o077] == []
    with pytest.raises(GuardError) as told:
        create(path)
    assert told.value.code == "site.exists"
    first, again = made.index(), Folder(path).index()
    assert first.blinded("a", "b") == again.blinded("a", "b")
    first.close()
    again.close()


@pytest.mark.parametrize(
    ("name", "raw", "work", "wanted"),
    [
        ("site.json", None, "open", "site.missing"),
        ("site.json", b"{}", "open", "site.settings"),
        ("site.json", json.dumps({"format": 2, "index": None}).encode(), "open", "site.settings"),
        ("site.json", b'{"format": 1, "index": "sqlite:////home/a/mail.sqlite"}', "open", "site.settings"),
        ("secret", None, "index", "key.missing"),
        ("secret", b"zz", "index", "index.secret"),
        ("secret", b"ab", "index", "index.secret"),
        ("keys/capture.pem", None, "key", "key.missing"),
        ("keys/capture.pem", b"-----BEGIN PRIVATE KEY-----\n", "key", "key.invalid"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, name: str, raw: bytes | None, work: str, wanted: str) -> None:
    create(tmp_path / "site")
    path = tmp_path / "site" / name
    if raw is None:
        path.unlink()
    else:
        path.write_bytes(raw)
    assert code(tmp_path / "site", work) == wanted


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "site")
    (tmp_path / "site" / "keys" / "capture.pem").chmod(0o640)
    assert code(tmp_path / "site", "key") == "key.open"


def test_a_key_signs_for_one_at_a_time(tmp_path: Path) -> None:
    folder = create(tmp_path / "site")
    with folder.key("guard"):
        with pytest.raises(GuardError) as told, folder.key("guard", patience=0.1):
            pass
        assert told.value.code == "key.in_use"
        with folder.key("override"):
            pass
    with folder.key("guard"):
        pass


def test_a_site_has_further_capture_points_each_with_a_key_of_its_own(tmp_path: Path) -> None:
    folder = create(tmp_path / "site")
    public = folder.add_point("gateway-2")
    assert folder.names() == (*KEYS, "gateway-2")
    assert public == folder.public("gateway-2") not in {folder.public(name) for name in KEYS}
    assert (folder.path / "keys" / "gateway-2.pem").stat().st_mode & 0o077 == 0
    with folder.key("capture"), folder.key("gateway-2"):
        pass
    with pytest.raises(GuardError) as told, folder.key("../site/keys/nobody"):
        pass
    assert told.value.code == "key.missing"
    assert not list(folder.path.rglob("nobody*"))
    for name, wanted in (("gateway-2", "key.exists"), ("guard", "key.exists"), ("../x", "key.name"), ("", "key.name")):
        with pytest.raises(GuardError) as told:
            folder.add_point(name)
        assert told.value.code == wanted


def test_a_decision_is_explained_with_and_without_the_journal(hospital: Hospital, tmp_path: Path) -> None:
    folder = create(tmp_path / "site")
    journal = folder.journal()
    guarded = hospital.guarded(Counting(), hospital.policy("block"), prepare=letters, quarantine=folder.quarantine())

    def lines(name: str) -> list[str]:
        return list(explain(name, folder, hospital.index, hospital.ledger))

    captured = hospital.point.capture(b'{"resourceType": "Patient", "birthDate": "1970-01-01"}', "fhir")
    passed = guarded(b'{"birthDate": "1970-01-01", "resourceType": "Patient"}', "fhir")
    forged = b'{"resourceType": "Patient", "birthDate": "1971-01-01"}'
    stopped = guarded(forged, "fhir", expected=captured.leaf_hash)
    assert (passed.verdict, stopped.verdict) == ("verified", "altered")
    assert passed.decision is not None
    assert stopped.decision is not None
    before = lines(passed.decision.leaf_hash.hex()), lines(stopped.decision.leaf_hash.hex()), lines(stopped.held)
    journal.keep(passed)
    journal.keep(stopped)
    after = lines(passed.decision.leaf_hash.hex()), lines(stopped.decision.leaf_hash.hex()), lines(stopped.held)
    assert "reasons: none" in before[0]
    assert "reasons: not kept here; the leaf holds their digest" in before[1]
    assert "reasons: content.fl, content.fv" in after[1]
    for told in (*before, *after):
        assert f"record: {captured.leaf_hash.hex()}" in told
        assert any(line.startswith("receipt: leaf ") for line in told)
        assert not any("1970" in line for line in told)
    kept = [line for line in after[1] if line.startswith("difference: ")]
    # Without the journal the withheld object itself shows the same.
    assert [line for line in before[2] if line.startswith("difference: ")] == kept


def test_what_nobody_knows_is_not_explained(hospital: Hospital, tmp_path: Path) -> None:
    folder = create(tmp_path / "site")
    for name, wanted in (
        ("../../x", "explain.name"),
        ("ab" * 32, "explain.unknown"),
        ("ab" * 16, "quarantine.missing"),
    ):
        with pytest.raises(GuardError) as told:
            list(explain(name, folder, hospital.index, hospital.ledger))
        assert told.value.code == wanted
    kept = Quarantine(folder.path / "quarantine").keep(b"a", "unknown", ("record.none",), decision=b"", kind="text")
    told = list(explain(kept.name, folder, hospital.index, hospital.ledger))
    assert told == ["verdict: unknown", "reasons: record.none", f"withheld as: {kept.name}", "record: none"]
