"""The files that belong to one report: what lies beside report.json, what is signed, what stands in the document."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from titer.atomic import write_whole
from titer.audit.report.pdf.render import Attachment, render_pdf
from titer.audit.report.schema import Report
from titer.errors import ReportError

STATEMENT = "report.dsse.json"
PLAN, REPORT = "plan", "report"
"""Names of the records that a ledger holds of an audit, before these endings:"""
RECEIPT, OPENING = ".tlog-proof", ".opening.json"
RECEIPTS = f"*{RECEIPT}"


def folder_of(path: Path) -> Path:
    """The folder of a report, by itself or by its report.json."""
    found = path if path.is_dir() else path.parent
    if not (found / "report.json").is_file():
        raise ReportError(f"a report.json in {found}", "none", "name the folder that `titer audit` wrote to")
    return found


def evidence_files(folder: Path) -> dict[str, bytes]:
    """The files that a statement speaks of: the report, its bill of materials, and files of the attached records.

    A file that a record names must lie beside the report with the digest that the record gives.
    """
    report = Report.load(folder / "report.json")
    found = {"report.json": (folder / "report.json").read_bytes()}
    if (folder / "bom.json").is_file():
        found["bom.json"] = (folder / "bom.json").read_bytes()
    for record in report.records:
        if record.file:
            if Path(record.file).name != record.file or not (folder / record.file).is_file():
                raise ReportError(
                    f"the file {record.file!r} of record {record.id!r} beside report.json", "none", "put it there"
                )
            data = (folder / record.file).read_bytes()
            digest = sha256(data).hexdigest()
            if record.sha256 is not None and digest != record.sha256:
                raise ReportError(
                    f"{record.file} with digest {record.sha256}", digest, "attach the file that was recorded"
                )
            found[record.file] = data
    return found


def attachments(folder: Path) -> tuple[Attachment, ...]:
    """What stands in the document besides report.json: the other evidence, the signed statement, the receipts."""
    files = evidence_files(folder)
    openings = [folder / f"{name}{OPENING}" for name in (PLAN, REPORT)]
    for file in (folder / STATEMENT, *openings, *sorted(folder.glob(RECEIPTS))):
        if file.is_file():
            files[file.name] = file.read_bytes()
    return attached(files)


def attached(files: Mapping[str, bytes]) -> tuple[Attachment, ...]:
    """Files by name as attachments, in the order of their names; report.json is left out, for it is always inside."""
    about = {
        "bom.json": "Bill of materials of models, data and programs (CycloneDX).",
        STATEMENT: "Signed statement over the report and what belongs to it (in-toto, DSSE).",
    }
    made = []
    for name, data in sorted(files.items()):
        receipt, opening = name.endswith(RECEIPT), name.endswith(OPENING)
        said = "Receipt of a ledger." if receipt else "What a record in a ledger commits to." if opening else ""
        words = about.get(name, said or "Evidence of a record in the report.")
        relation = "supplement" if said or name == STATEMENT else "data"
        if name != "report.json":
            made.append(Attachment(name, data, words, "text/plain" if receipt else _type(name), relation))
    return tuple(made)


def write_pdf(path: Path) -> Path:
    """Typeset report.pdf beside report.json, with everything that belongs to it inside."""
    folder = folder_of(path)
    return write_whole(folder / "report.pdf", render_pdf(Report.load(folder / "report.json"), attachments(folder)))


def write_bom(report: Report, folder: Path) -> Path:
    """Write the bill of materials of a report, with the packages of this environment, beside it."""
    from titer.audit.evidence.bom import bill_of_materials, installed

    return write_whole(folder / "bom.json", bill_of_materials(report, installed()))


def _type(name: str) -> str:
    ends = {".json": "application/json", ".txt": "text/plain", ".csv": "text/csv", ".pdf": "application/pdf"}
    return ends.get(Path(name).suffix, "application/octet-stream")
