"""Evidence on what was examined, how, and how it can be examined again."""

from __future__ import annotations

from titer.audit.evidence.seen import Seen, absent, block, listed
from titer.audit.report.schema import Draft


def e15(_: Draft) -> Seen:
    """The plan, fixed beforehand."""
    why = "The digest of the plan is in the report; no time token or receipt shows when it was fixed."
    return Seen("partial", why, block("identity"))


def e16(draft: Draft) -> Seen:
    """The data, their split, the leakage check, their digests."""
    links = block("datasets")
    open_ = [f"{card.name} ({card.leakage.status})" for card in draft.datasets if card.leakage.status != "passed"]
    if open_:
        return Seen("partial", f"Leakage check not passed: {listed(open_)}.", links)
    return Seen("evidence", "Sources, split by patient, leakage check passed, digest of the cases.", links)


def e17(_: Draft) -> Seen:
    """Identity of the model."""
    return Seen("evidence", "Digest of every model here, its bill of materials in bom.json.", block("models"))


def e18(_: Draft) -> Seen:
    """Software inside."""
    why = "Packages with versions here and in bom.json; vulnerabilities are not looked up, the audit asks no network."
    return Seen("partial", why, block("identity"))


def e24(draft: Draft) -> Seen:
    """The gate that keeps identifiers in."""
    gate = draft.gate
    if gate is None:
        return absent("No gate was run over what this audit writes.")
    if gate.pixels:
        why = (
            "Texts were looked through; pixels of the cases shown were not read, so words burned into them would stay."
        )
        return Seen("partial", why, block("gate"))
    return Seen("evidence", "Texts were looked through before writing; no picture of a case is shown.", block("gate"))


def e25(_: Draft) -> Seen:
    """Comparison with an earlier version."""
    return absent("Only this version was examined; `titer compare` sets two reports side by side.")


def e27(_: Draft) -> Seen:
    """The result for machines, signed."""
    why = "report.json is this report for machines; whether it is signed, `titer report verify` says."
    return Seen("partial", why, block("identity"))


def e28(_: Draft) -> Seen:
    """The report for people."""
    why = "This page and, by `titer report pdf`, a document for archives; every figure has words in its place."
    return Seen("evidence", why, block("summary"))


def e29(_: Draft) -> Seen:
    """What the audit took."""
    why = "Machine, threads, questions and passes per case; duration and energy were not measured."
    return Seen("partial", why, block("identity"))
