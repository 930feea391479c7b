"""A page that does what `titer verify` does, in a browser and without a network: one HTML file, nothing to install.

The page is put together from the files in `page/`. It shares no code with the Python side, so that whoever has reason
to doubt one can ask the other; what both must agree on word for word (the fields of records, the attributes of DICOM
images that count) is written into it from the tables here. Its content security policy forbids every connection.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

from titer.provenance.fingerprint._rd import ROWS
from titer.provenance.ledger.policy import Policy
from titer.provenance.ledger.record import _MOST, _NEEDED, CLASSES, CONTEXT, EXT, FIRST, LABEL, LARGEST, Record

_SCRIPTS = ("bytes.js", "mldsa.js", "ledger.js", "keys.js", "objects.js", "verify.js", "page.js")


def write_verifier(path: Path, policy: bytes | None = None) -> None:
    """Write the page.

    Arguments
        path: the file, such as `verify.html`. policy: a policy that the page falls back on where its reader has none;
            RecordError if it is not valid.
    """
    path.write_text(verifier_page(policy), encoding="utf-8")


def verifier_page(policy: bytes | None = None) -> str:
    """The page as text.

    >>> "default-src 'none'; script-src 'sha256-" in verifier_page()
    True
    """
    if policy is not None:
        Policy.parse(policy)
    folder = files(__package__).joinpath("page")
    page, style, *scripts = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "page.css", *_SCRIPTS)
    )
    script = "\n".join(['"use strict";', *_constants(policy), *scripts])
    rules = (
        "default-src 'none'",
        f"script-src 'sha256-{_hash(script)}'",
        f"style-src 'sha256-{_hash(style)}'",
        "base-uri 'none'",
        "form-action 'none'",
    )
    parts = {"CSP": "; ".join(rules), "STYLE": style, "SCRIPT": script}
    return re.sub(r"@@([A-Z]+)@@", lambda found: parts[found[1]], page)


def _constants(policy: bytes | None) -> list[str]:
    schema = {
        "fields": sorted(json.loads(_SPECIMEN.canonical())),
        "classes": CLASSES,
        "label": LABEL.pattern,
        "ext": {kind: {name: _form(form) for name, form in fields.items()} for kind, fields in EXT.items()},
        "needed": {kind: sorted(names) for kind, names in _NEEDED.items()},
        "most": _MOST,
        "largest": LARGEST,
        "context": CONTEXT.decode("ascii"),
    }
    table = {"/".join(map(str, tags)): row.kind for tags, row in ROWS.items()}
    told = {
        "SCHEMA": schema,
        "TABLE": table,
        "SEQUENCES": _sequences(),
        "POLICY": None if policy is None else base64.b64encode(policy).decode("ascii"),
    }
    lines = {name: json.dumps(value, separators=(",", ":")).replace("<", "\\u003c") for name, value in told.items()}
    lines["SEQUENCES"] = f"new Set({lines['SEQUENCES']})"
    return [f"const {name} = {value};" for name, value in lines.items()]


_SPECIMEN = Record("policy", "0" * 64, "0" * 64, 0, FIRST, "0" * 32, 0, ext={"digest": "0" * 64})


def _form(form: re.Pattern[str] | type[int]) -> str:
    return form.pattern if isinstance(form, re.Pattern) else "int"


def _sequences() -> list[int]:
    """Tags of what the data dictionary calls sequences."""
    from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined] # told in its documentation

    return sorted(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
