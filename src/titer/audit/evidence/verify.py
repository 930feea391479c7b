"""Whether a report, as a folder or as a document, is what was signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import decompressobj
from zlib import error as ZlibError

from titer.audit.evidence.bundle import OPENING, PLAN, RECEIPT, RECEIPTS, REPORT, STATEMENT, attached, folder_of
from titer.audit.evidence.keys import envelope_type, public_hex, public_key
from titer.audit.evidence.recorded import Checked, check_records
from titer.audit.evidence.statement import PAYLOAD, PREDICATE, TYPE, statement_of
from titer.audit.report.schema import Report
from titer.errors import ReportError

PAGES = "pages"
"""The item that says whether a document's pages are those of the report inside."""

_LARGEST = 1 << 28

if TYPE_CHECKING:
    from securesystemslib.signer import Key


@dataclass(frozen=True)
class Verification:
    """What a check of a report found, item by item."""

    items: tuple[Checked, ...]

    @property
    def holds(self) -> bool:
        """Whether the report and everything that was signed with it is unchanged."""
        return all(item.holds is not False for item in self.items)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the items that are not what was signed."""
        return tuple(dict.fromkeys(item.name for item in self.items if item.holds is False))

    @property
    def open(self) -> tuple[str, ...]:
        """What is said of the records of a ledger that could not be decided."""
        return tuple(item.sentence for item in self.items if item.holds is None and item.lines)

    @property
    def unseen(self) -> tuple[str, ...]:
        """What is said of pages that could not be compared: they may show anything, whatever stands inside."""
        return tuple(item.sentence for item in self.items if item.holds is None and item.name == PAGES)


def verify_report(path: Path, key: Path, policy: Path | None = None) -> Verification:
    """Check that a report, and everything that was signed with it, is unchanged.

    A folder is checked with the files in it, a PDF with the files inside it. Of a PDF the pages themselves are checked
    too: they are set again from the report inside and compared byte by byte, where the same versions are installed.

    Arguments
        path: a folder, a report as JSON with what belongs to it beside it, or a PDF; content tells, not the name.
        key: the public key that must have signed (PEM).
        policy: which logs and witnesses count (tlog-policy). With it the records of the plan and of the report must be
            there and hold; without it receipts are named as not checked.

    Returns what was found, item by item. Errors: `ReportError` where there is nothing to check.
    """
    document = _is_pdf(path)
    files = _inside(path) if document else _beside(path)
    if STATEMENT not in files:
        raise ReportError(
            f"a signed statement in {path.name}", "none", "sign the report: titer report sign FOLDER --key KEY"
        )
    items, payload = _envelope(files[STATEMENT], public_key(key))
    if payload is not None:
        items += _subjects(payload, files)
        items += _predicate(payload, files.get("report.json"))
    records = {f"{name}{ending}" for name in (PLAN, REPORT) for ending in (RECEIPT, OPENING)}
    if policy is not None and "report.json" in files and all(item.holds is not False for item in items):
        items += check_records(files, _read(policy), public_hex(key))
    for name in sorted(files):
        if name in records or Path(name).match(RECEIPTS):
            if name.endswith(RECEIPT) and (policy is None or name not in records):
                items.append(Checked(name, None, "A receipt of a ledger; not checked here."))
        elif document and name != STATEMENT and name not in _named(payload):
            items.append(Checked(name, False, "It stands in the document, and nobody signed it."))
    if document and all(item.holds is not False for item in items):
        items.append(_pages(path.read_bytes(), files))
    return Verification(tuple(items))


def _is_pdf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(5) == b"%PDF-"


def _beside(path: Path) -> dict[str, bytes]:
    """Every file of a folder that could have been signed; a file that was named is the report, whatever its name."""
    kept = {"report.pdf", "report.html", "results.parquet"}
    folder = path.parent if path.is_file() else folder_of(path)
    found = {
        file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file() and file.name not in kept
    }
    return found | {"report.json": path.read_bytes()} if path.is_file() else found


def _inside(path: Path) -> dict[str, bytes]:
    """The files in a PDF."""
    try:
        import pikepdf
    except ImportError as error:
        raise ReportError("a reader of PDF files", "no module 'pikepdf'", "pip install 'titer[pdf]'") from error
    try:
        with pikepdf.open(path) as document:
            return {name: _unpacked(each.get_file().obj) for name, each in document.attachments.items()}
    except (pikepdf.PdfError, OSError) as error:
        raise ReportError(
            f"a PDF file {path.name}", str(error), "name the report.pdf that `titer report pdf` wrote"
        ) from error


def _unpacked(stream: Any) -> bytes:
    """The bytes of an attachment, never more than `_LARGEST`, however little they were packed into."""
    raw: bytes = stream.read_raw_bytes()
    packing = str(stream.get("/Filter", ""))
    if packing == "/FlateDecode" and "/DecodeParms" not in stream:
        try:
            raw = decompressobj().decompress(raw, _LARGEST + 1)
        except ZlibError as error:
            raise ReportError("files inside that can be unpacked", str(error), "copy the document again") from error
    elif packing:
        raise ReportError("files inside as `titer report pdf` packs them", packing, "name a document that it wrote")
    if len(raw) > _LARGEST:
        raise ReportError(f"files inside of at most {_LARGEST} bytes", "more", "name a report.pdf of Titer")
    return raw


def _envelope(data: bytes, key: Key) -> tuple[list[Checked], dict[str, Any] | None]:
    """Whether the envelope is signed by the key, and the statement in it."""
    from securesystemslib.exceptions import VerificationError

    try:
        envelope = envelope_type().from_dict(json.loads(data))
        envelope.verify([key], 1)
        payload = json.loads(envelope.payload)
    except VerificationError:
        return [Checked(STATEMENT, False, "Its signature is not one of this key.")], None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [Checked(STATEMENT, False, f"It is no signed statement: {type(error).__name__}.")], None
    if (envelope.payload_type, payload.get("_type"), payload.get("predicateType")) != (PAYLOAD, TYPE, PREDICATE):
        return [Checked(STATEMENT, False, "It is signed, and speaks of something else than a robustness report.")], None
    return [Checked(STATEMENT, True, "Signed by this key.")], payload


def _named(payload: dict[str, Any] | None) -> set[str]:
    return set() if payload is None else {str(each["name"]) for each in payload["subject"]}


def _subjects(payload: dict[str, Any], files: Mapping[str, bytes]) -> list[Checked]:
    made = []
    for subject in payload["subject"]:
        name, digest = subject["name"], subject["digest"]["sha256"]
        if name not in files:
            made.append(Checked(name, False, "It was signed and is missing."))
        elif sha256(files[name]).hexdigest() != digest:
            made.append(Checked(name, False, "It is not what was signed: its digest differs."))
        else:
            made.append(Checked(name, True, "As signed."))
    if "report.json" not in _named(payload):
        made.append(Checked("report.json", False, "The statement does not speak of it."))
    return made


def _predicate(payload: dict[str, Any], data: bytes | None) -> list[Checked]:
    """Whether the statement says of the report what the report says itself."""
    if data is None:
        return []
    try:
        says = statement_of({"report.json": data})["predicate"]
    except ValueError:
        return [Checked("report.json", False, "It is no report that this version can read.")]
    same = says == payload["predicate"]
    return [] if same else [Checked(STATEMENT, False, "It says of the report what the report does not say.")]


def _read(policy: Path) -> bytes:
    try:
        return policy.read_bytes()
    except OSError as error:
        raise ReportError(
            f"a policy in {policy.name}", f"{error.strerror}", "name a file in tlog-policy's form"
        ) from error


def _pages(document: bytes, files: Mapping[str, bytes]) -> Checked:
    """Whether the pages are those that the report inside makes."""
    import titer
    from titer.audit.report.pdf.render import render_pdf

    report = Report.model_validate_json(files["report.json"])
    if report.identity.titer_version != titer.__version__:
        return Checked(PAGES, None, f"Set by version {report.identity.titer_version} of Titer; not compared.")
    again = render_pdf(report, attached(files))
    if _maker(again) != _maker(document):
        return Checked(PAGES, None, "Set by another version of the typesetter; not compared.")
    if again != document:
        return Checked(PAGES, False, "They are not what the report inside makes.")
    return Checked(PAGES, True, "Set again from the report inside: the same bytes.")


def _maker(document: bytes) -> str:
    import pikepdf

    with pikepdf.open(BytesIO(document)) as opened:
        return str(opened.docinfo.get("/Creator", ""))
