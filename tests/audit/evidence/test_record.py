"""An audit in a ledger: its plan before the run, its report after it, and nobody can say otherwise later."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner

from titer.audit.evidence.keys import new_key, public_hex
from titer.audit.evidence.record import Keeper, plan_text
from titer.audit.evidence.recorded import check_records
from titer.cli.main import cli
from titer.errors import LedgerError, ReportError, TiterError

pytest.importorskip("sqlalchemy", reason="needs the extra titer[ledger]")
pytest.importorskip("securesystemslib", reason="needs the extra titer[sign]")

PLAN = """
titer: 1
data: {name: breast_biopsies}
model: {zoo: t_mlp, epochs: 2}
threats: [{limits: [0.1]}]
attacks: [fgsm, noise]
"""


@dataclass(frozen=True)
class Told:
    """What the command said, and its exit code."""

    exit_code: int
    output: str


def titer(*words: object, **variables: str) -> Told:
    done = CliRunner(env=variables).invoke(cli, [str(word) for word in words], standalone_mode=False)
    if done.exception is not None:
        assert isinstance(done.exception, TiterError | ClickException), done.exception
        message = done.exception.format_message() if isinstance(done.exception, ClickException) else str(done.exception)
        return Told(2, f"{done.output}\n{message}")
    return Told(int(done.return_value), done.output)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger, a key, a policy for verifiers, and an audit that was recorded."""
    place = tmp_path_factory.mktemp("site")
    new_key(place / "signer.pem")
    (place / "plan.yaml").write_text(PLAN, encoding="utf-8")
    made = titer("ledger", "init", place / "led", "--origin", "ledger.example/2026", "--mark", place / "mark.json")
    assert made.exit_code == 0, made.output
    (place / "policy.txt").write_text(titer("ledger", "policy", place / "led").output, encoding="utf-8")
    run = titer(*audit(place))
    assert run.exit_code == 0, run.output
    assert "Receipt:" in run.output
    return place


def audit(place: Path, *more: object, out: str = "out") -> list[object]:
    where = ["--ledger", place / "led", "--key", place / "signer.pem", "--scheduler", "inline"]
    return ["audit", place / "plan.yaml", "--out", place / out, *where, *more]


def verify(place: Path, file: Path, *more: object) -> Told:
    return titer("verify", file, "--key", place / "signer.pem.pub", "--policy", place / "policy.txt", *more)


@pytest.fixture
def copied(site: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(site / "out", tmp_path / "out"))


def test_the_report_is_unchanged_and_its_plan_was_there_before_it(site: Path) -> None:
    told = verify(site, site / "out" / "report.json", "--explain")
    assert told.exit_code == 0, told.output
    assert "Verified: the report is as it was signed" in told.output
    assert "no witness tells when it was there" in told.output
    assert "The plan was recorded before the report" in told.output


def test_the_document_carries_its_proof(site: Path, copied: Path) -> None:
    pytest.importorskip("typst", reason="needs the extra titer[pdf]")
    assert titer("report", "pdf", copied).exit_code == 0
    told = verify(site, copied / "report.pdf")
    assert told.exit_code == 0
    assert told == verify(site, copied / "report.json"), "the document says what the folder says, and since when"


def test_the_variables_name_key_and_policy(site: Path) -> None:
    names = {"TITER_KEY": str(site / "signer.pem.pub"), "TITER_POLICY": str(site / "policy.txt")}
    assert titer("verify", site / "out" / "report.json", **names).exit_code == 0


@pytest.mark.parametrize("name", ["report.json", "report.dsse.json", "plan.tlog-proof", "report.tlog-proof"])
def test_one_changed_byte_is_named(site: Path, copied: Path, name: str) -> None:
    raw = (copied / name).read_bytes()
    # Of a receipt, within the record: a signature that no policy asks for may be anything.
    place = raw.index(b"e", 60)
    (copied / name).write_bytes(raw[:place] + b"f" + raw[place + 1 :])
    told = verify(site, copied / "report.json")
    assert told.exit_code == 1, told.output
    assert name in told.output


@pytest.mark.parametrize("name", ["plan.tlog-proof", "report.tlog-proof"])
def test_a_missing_receipt_is_named(site: Path, copied: Path, name: str) -> None:
    (copied / name).unlink()
    told = verify(site, copied / "report.json")
    assert told.exit_code == 1
    assert name in told.output


def test_without_its_opening_nothing_can_be_said(site: Path, copied: Path) -> None:
    (copied / "plan.opening.json").unlink()
    assert verify(site, copied / "report.json").exit_code == 3


def test_the_receipt_of_another_plan_does_not_do(site: Path, copied: Path) -> None:
    """A plan that was recorded on the same ledger by the same key, and is not the one of this report."""
    keeper = Keeper(site / "led", site / "signer.pem")
    with keeper._chain() as chain:
        keeper._record(chain, copied, "plan", "capture", plan_text("0" * 64))
    told = verify(site, copied / "report.json", "--explain")
    assert told.exit_code == 1
    assert "plan.tlog-proof" in told.output


def test_a_plan_recorded_again_after_the_run_does_not_do(site: Path, copied: Path) -> None:
    """Its receipt is not the one that was signed, and the record of the report names another one."""
    digest = json.loads((copied / "report.json").read_text())["identity"]["plan"]["digest"]
    keeper = Keeper(site / "led", site / "signer.pem")
    (copied / "plan.opening.json").unlink()
    with keeper._chain() as chain:
        keeper._record(chain, copied, "plan", "capture", plan_text(digest))
    told = verify(site, copied / "report.json", "--explain")
    assert told.exit_code == 1
    assert "plan.tlog-proof. It is not what was signed" in told.output
    files = {file.name: file.read_bytes() for file in copied.iterdir() if file.is_file()}
    found = check_records(files, (site / "policy.txt").read_bytes(), public_hex(site / "signer.pem.pub"))
    assert [each.sentence for each in found if each.holds is False] == [
        "The record of the report does not name that of its plan."
    ]


def test_the_index_of_requirements_knows_of_the_record(site: Path) -> None:
    report = json.loads((site / "out" / "report.json").read_text())
    (record,) = report["records"]
    assert record["item"] == "E15"
    assert "is record 0 of ledger.example/2026" in record["sentence"]
    (item,) = (each for each in report["index"]["items"] if each["id"] == "E15")
    assert item["state"] == "partial"


def test_a_plan_in_another_log_of_the_same_policy_does_not_do(site: Path, tmp_path: Path) -> None:
    """Whoever names a plan that no log of the report holds can have it entered into another one at any later time."""
    made = titer("ledger", "init", tmp_path / "led", "--origin", "other.example/2026", "--mark", tmp_path / "mark.json")
    assert made.exit_code == 0, made.output
    ours, theirs = ((site / "policy.txt").read_text(), titer("ledger", "policy", tmp_path / "led").output)
    both = "\n".join([*(line for line in theirs.splitlines() if line.startswith("log ")), ours])
    (tmp_path / "policy.txt").write_text(both)
    where = ["--ledger", tmp_path / "led", "--key", site / "signer.pem", "--scheduler", "inline"]
    run = titer("audit", site / "plan.yaml", "--out", tmp_path / "run", *where)
    assert run.exit_code == 0, run.output
    for name in ("report.opening.json", "report.tlog-proof"):
        (tmp_path / "run" / name).unlink()
    assert Keeper(site / "led", site / "signer.pem").report(tmp_path / "run").is_file()
    told = titer(
        "verify", tmp_path / "run/report.json", "--key", site / "signer.pem.pub", "--policy", tmp_path / "policy.txt",
        "--explain",
    )  # fmt: skip
    assert told.exit_code == 1, told.output
    assert "stand in two logs" in told.output


def test_another_signer_does_not_do(site: Path, copied: Path, tmp_path: Path) -> None:
    _, public = new_key(tmp_path / "other.pem")
    told = titer("verify", copied / "report.json", "--key", public, "--policy", site / "policy.txt")
    assert told.exit_code == 1


def test_the_same_plan_goes_on_and_another_is_refused(site: Path) -> None:
    before = (site / "out" / "plan.tlog-proof").read_bytes()
    again = titer(*audit(site))
    assert again.exit_code == 0, again.output
    assert (site / "out" / "plan.tlog-proof").read_bytes() == before
    assert verify(site, site / "out" / "report.json").exit_code == 0
    other = titer(*audit(site, "--set", "seeds=[1]"))
    assert other.exit_code == 2
    assert "another plan" in other.output


def test_what_was_stopped_before_its_receipt_is_not_recorded_twice(
    site: Path, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two records of one plan would look like two reports of which one is kept back."""
    from titer.audit.evidence import record
    from titer.provenance.ledger.operations import state

    for name in ("report.opening.json", "report.tlog-proof"):
        (copied / name).unlink()
    keeper, write = Keeper(site / "led", site / "signer.pem"), record.write_whole

    def stopped(path: Path, data: bytes) -> Path:
        if path.name.endswith(".tlog-proof"):
            raise KeyboardInterrupt
        return write(path, data)

    def planned() -> None:
        with keeper._chain() as chain:
            keeper._record(chain, tmp_path, "plan", "capture", plan_text("1" * 64))

    before = int(state(site / "led")["entries"])
    for step in (planned, lambda: keeper.report(copied)):
        with monkeypatch.context() as patch:
            patch.setattr(record, "write_whole", stopped)
            for _ in range(2):
                with pytest.raises(KeyboardInterrupt):
                    step()
        step()
    assert int(state(site / "led")["entries"]) == before + 2
    told = verify(site, copied / "report.json")
    assert told.exit_code == 0, told.output


def test_results_from_before_their_plan_are_refused(site: Path) -> None:
    (site / "early" / "results").mkdir(parents=True)
    (site / "early" / "results" / "x").write_bytes(b"1")
    told = titer(*audit(site, out="early"))
    assert told.exit_code == 2
    assert "record the plan before them" in told.output


def test_a_report_whose_plan_was_not_recorded_is_refused(site: Path, copied: Path) -> None:
    (copied / "plan.tlog-proof").unlink()
    with pytest.raises(ReportError, match="recorded before the run"):
        Keeper(site / "led", site / "signer.pem").report(copied)


def test_a_folder_without_a_ledger_is_refused_before_the_run(site: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="a ledger's folder"):
        Keeper(tmp_path, site / "signer.pem")
    told = titer("audit", site / "plan.yaml", "--out", tmp_path / "out", "--ledger", site / "led")
    assert told.exit_code == 2
    assert "belong together" in told.output
    assert not (tmp_path / "out").exists()
