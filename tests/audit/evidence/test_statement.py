"""Signed statements: what is unchanged holds, one digit elsewhere fails and is named."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from report_example import example_draft

from titer.audit.driver import write
from titer.audit.evidence.bundle import STATEMENT, write_pdf
from titer.audit.evidence.keys import new_key
from titer.audit.evidence.statement import PREDICATE, TYPE, sign_report
from titer.audit.evidence.verify import verify_report
from titer.audit.report import schema as s
from titer.audit.report.summary import complete
from titer.cli.report import report as command
from titer.errors import ReportError

pytest.importorskip("securesystemslib", reason="needs the extra titer[sign]")
pytest.importorskip("cryptography", reason="needs the extra titer[sign]")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed report that has a record with a file, a receipt, and the document with all of it."""
    from hashlib import sha256

    folder = tmp_path_factory.mktemp("signed")
    data = b'{"dose": 0.05, "success": 0.31}\n'
    record = s.EvidenceRecord(
        id="poisoning", item="E06", state="evidence", sentence="Success by dose.", file="poisoning.json",
        sha256=sha256(data).hexdigest(),
    )  # fmt: skip
    (folder / "poisoning.json").write_bytes(data)
    write(complete(example_draft().model_copy(update={"records": (record,)})), folder)
    new_key(folder.parent / "signer.pem")
    sign_report(folder, folder.parent / "signer.pem")
    (folder / "report.tlog-proof").write_text("c2sp.org/tlog-proof@v1\nindex 7\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def public(signed: Path) -> Path:
    return signed.parent / "signer.pem.pub"


@pytest.fixture
def copied(signed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed, tmp_path / "copy"))


def test_what_was_signed_holds(signed: Path, public: Path) -> None:
    found = verify_report(signed, public)
    assert found.holds
    assert {item.name: item.holds for item in found.items} == {
        STATEMENT: True, "report.json": True, "bom.json": True, "poisoning.json": True, "report.tlog-proof": None,
    }  # fmt: skip


def test_the_statement_names_plan_data_model_and_time(signed: Path) -> None:
    envelope = json.loads((signed / STATEMENT).read_bytes())
    payload = json.loads(base64.b64decode(envelope["payload"]))
    assert (payload["_type"], payload["predicateType"]) == (TYPE, PREDICATE)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    report = s.Report.load(signed)
    predicate = payload["predicate"]
    assert predicate["created"] == report.identity.created
    assert predicate["plan"]["digest"] == report.identity.plan.digest
    assert [each["digest"] for each in predicate["models"]] == [card.digest for card in report.models]
    assert [each["digest"] for each in predicate["datasets"]] == [card.digest for card in report.datasets]


def test_signing_again_gives_the_same_bytes(copied: Path, signed: Path) -> None:
    before = (copied / STATEMENT).read_bytes()
    sign_report(copied, signed.parent / "signer.pem")
    assert (copied / STATEMENT).read_bytes() == before


@pytest.mark.parametrize("name", ["report.json", "bom.json", "poisoning.json", STATEMENT])
def test_one_digit_elsewhere_fails_and_names_the_item(copied: Path, public: Path, name: str) -> None:
    text = (copied / name).read_text(encoding="utf-8")
    place = next(match.start() for match in re.finditer(r"\d", text) if match.start() > len(text) // 2)
    changed = "5" if text[place] != "5" else "6"
    (copied / name).write_text(text[:place] + changed + text[place + 1 :], encoding="utf-8")
    found = verify_report(copied, public)
    assert not found.holds
    assert name in found.failed


def test_every_digit_of_the_statement_counts(copied: Path, public: Path) -> None:
    text = (copied / STATEMENT).read_text(encoding="utf-8")
    for match in list(re.finditer(r"\d", text))[::97]:
        place = match.start()
        changed = text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]
        (copied / STATEMENT).write_text(changed, encoding="utf-8")
        assert STATEMENT in verify_report(copied, public).failed


def test_what_is_missing_is_named(copied: Path, public: Path) -> None:
    (copied / "bom.json").unlink()
    assert verify_report(copied, public).failed == ("bom.json",)


def test_another_key_does_not_hold(signed: Path, tmp_path: Path) -> None:
    _, other = new_key(tmp_path / "other.pem")
    assert verify_report(signed, other).failed == (STATEMENT,)


def test_receipts_are_named_as_not_checked_without_a_policy(signed: Path, public: Path) -> None:
    (receipt,) = (item for item in verify_report(signed, public).items if item.name == "report.tlog-proof")
    assert receipt.holds is None
    assert "not checked" in receipt.sentence


def test_a_report_without_a_statement_is_refused(copied: Path, public: Path) -> None:
    (copied / STATEMENT).unlink()
    with pytest.raises(ReportError, match="titer report sign"):
        verify_report(copied, public)


def test_a_record_whose_file_is_another_is_not_signed(copied: Path, signed: Path) -> None:
    (copied / "poisoning.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ReportError, match=r"poisoning\.json"):
        sign_report(copied, signed.parent / "signer.pem")


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused(signed: Path, tmp_path: Path, text: str) -> None:
    key = tmp_path / "key.pem"
    key.write_text(text, encoding="utf-8")
    with pytest.raises(ReportError, match="a key in"):
        verify_report(signed, key)
    with pytest.raises(ReportError, match="a key in"):
        sign_report(signed, key)


def test_keys_belong_to_their_owner_and_are_never_replaced(tmp_path: Path) -> None:
    private, public = new_key(tmp_path / "a.pem")
    assert private.stat().st_mode & 0o077 == 0
    with pytest.raises(ReportError, match="never replaced"):
        new_key(tmp_path / "a.pem")
    with pytest.raises(ReportError, match=r"a key in a\.pem\.pub"):
        sign_report_with(public, tmp_path)


def sign_report_with(key: Path, folder: Path) -> None:
    write(complete(example_draft()), folder)
    sign_report(folder, key)


def test_the_document_carries_everything_and_is_checked_to_its_pages(copied: Path, public: Path) -> None:
    pikepdf = pytest.importorskip("pikepdf", reason="needs the extra titer[pdf]")
    pytest.importorskip("typst", reason="needs the extra titer[pdf]")
    file = write_pdf(copied)
    with pikepdf.open(file) as document:
        inside = set(document.attachments)
    assert inside == {"report.json", "bom.json", "poisoning.json", STATEMENT, "report.tlog-proof"}
    found = {item.name: item.holds for item in verify_report(file, public).items}
    assert found["report.json"] is found["bom.json"] is found["poisoning.json"] is found[STATEMENT] is True
    assert "pages" in found

    for name in sorted(inside - {"report.tlog-proof"}):
        with pikepdf.open(file) as document:
            data = document.attachments[name].get_file().read_bytes().decode()
            place = [match.start() for match in re.finditer(r"\d", data)][-3]
            digit = "5" if data[place] != "5" else "6"
            edited = (data[:place] + digit + data[place + 1 :]).encode()
            document.attachments[name] = pikepdf.AttachedFileSpec(document, edited, filename=name)
            document.save(copied / "edited.pdf")
        assert name in verify_report(copied / "edited.pdf", public).failed, name
    with pikepdf.open(file) as document:
        document.attachments["more.json"] = pikepdf.AttachedFileSpec(document, b"{}", filename="more.json")
        document.save(copied / "edited.pdf")
    assert "more.json" in verify_report(copied / "edited.pdf", public).failed


def test_pages_that_the_report_does_not_make_are_named(
    copied: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pikepdf = pytest.importorskip("pikepdf", reason="needs the extra titer[pdf]")
    pytest.importorskip("typst", reason="needs the extra titer[pdf]")
    import titer

    monkeypatch.setattr(titer, "__version__", s.Report.load(copied).identity.titer_version)
    file = write_pdf(copied)
    assert [item.holds for item in verify_report(file, public).items if item.name == "pages"] == [True]
    with pikepdf.open(file) as document:
        del document.pages[-1]
        document.save(copied / "shorter.pdf")
    assert verify_report(copied / "shorter.pdf", public).failed == ("pages",)


def test_pages_that_were_not_compared_are_no_proof(copied: Path, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever changes the pages can also say that another program set them."""
    pikepdf = pytest.importorskip("pikepdf", reason="needs the extra titer[pdf]")
    pytest.importorskip("typst", reason="needs the extra titer[pdf]")
    import titer
    from titer.cli.verify import verify

    monkeypatch.setattr(titer, "__version__", s.Report.load(copied).identity.titer_version)
    file = write_pdf(copied)
    with pikepdf.open(file) as document:
        del document.pages[-1]
        document.docinfo["/Creator"] = "Typst 99"
        document.save(copied / "forged.pdf")
    key = ("--key", str(public))

    def code(name: str) -> int:
        done = CliRunner().invoke(verify, [str(copied / name), *key], standalone_mode=False)
        return int(done.return_value)

    assert (code("report.pdf"), code("forged.pdf")) == (0, 3)
    shutil.copy(copied / "forged.pdf", copied / "forged")
    assert code("forged") == 3
    words = ["verify", str(copied / "forged.pdf"), *key]
    assert CliRunner().invoke(command, words, standalone_mode=False).return_value == 2


def test_the_file_that_is_named_is_the_one_that_is_checked(copied: Path, public: Path) -> None:
    """Beside a report that holds, a forged one of another name."""
    from titer.cli.verify import verify

    text = (copied / "report.json").read_text(encoding="utf-8")
    place = [match.start() for match in re.finditer(r"\d", text)][-3]
    (copied / "final.json").write_text(f"{text[:place]}{'5' if text[place] != '5' else '6'}{text[place + 1 :]}")
    assert "report.json" in verify_report(copied / "final.json", public).failed
    (copied / "report.PDF").write_bytes(b"%PDF-1.7\nforged")
    with pytest.raises(ReportError):
        verify_report(copied / "report.PDF", public)
    done = CliRunner().invoke(verify, [str(copied / "report.PDF"), "--key", str(public)], standalone_mode=False)
    assert done.return_value == 3


def test_a_file_in_a_document_unpacks_to_a_bounded_size(
    copied: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pikepdf = pytest.importorskip("pikepdf", reason="needs the extra titer[pdf]")
    pytest.importorskip("typst", reason="needs the extra titer[pdf]")
    from titer.audit.evidence import verify as checked

    file = write_pdf(copied)
    monkeypatch.setattr(checked, "_LARGEST", 1 << 20)
    with pikepdf.open(file) as document:
        bomb = pikepdf.AttachedFileSpec(document, bytes(8 << 20), filename="bomb.json")
        document.attachments["bomb.json"] = bomb
        document.save(copied / "bomb.pdf", compress_streams=True)
    with pytest.raises(ReportError, match="of at most"):
        verify_report(copied / "bomb.pdf", public)


def test_the_commands_sign_and_verify(tmp_path: Path) -> None:
    write(complete(example_draft()), tmp_path / "run")
    key, run = str(tmp_path / "k.pem"), str(tmp_path / "run")

    def ask(*words: str) -> int:
        return int(CliRunner().invoke(command, list(words), standalone_mode=False).return_value)

    assert ask("key", key) == 0
    assert ask("sign", run, "--key", key) == 0
    assert ask("verify", run, "--key", f"{key}.pub") == 0
    (tmp_path / "run" / "bom.json").write_text("{}", encoding="utf-8")
    assert ask("verify", run, "--key", f"{key}.pub") == 1
    assert ask(run) == 0  # without a subcommand the page is drawn again


def test_titer_verify_finds_a_report_by_its_content(copied: Path, public: Path) -> None:
    from click.testing import CliRunner

    from titer.cli.verify import verify

    def run(*words: str) -> tuple[int | str, str]:
        done = CliRunner().invoke(verify, [*words, "--explain"], standalone_mode=False)
        return done.return_value if done.exception is None else type(done.exception).__name__, done.output

    report, key = str(copied / "report.json"), ("--key", str(public))
    code, told = run(report, *key)
    assert code == 0
    assert told.startswith("Verified: the report")
    assert run(report)[0] == "UsageError"
    (copied / "other.json").write_text("{}")
    (copied / "torn.json").write_text("{")
    for name in ("other.json", "torn.json", STATEMENT):
        assert run(str(copied / name), *key)[0] == "UsageError"
    text = (copied / "report.json").read_bytes()
    (copied / "report.json").write_bytes(text[:-2] + b" " + text[-2:])
    assert run(report, *key)[0] == 1
    (copied / STATEMENT).unlink()
    assert run(report, *key)[0] == 3
