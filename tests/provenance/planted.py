"""The eighteen kinds of identifiers of 45 CFR 164.514(b)(2)(i), for tests that look for them where none may be."""

from __future__ import annotations

# 45 CFR 164.514(b)(2)(i), (A) to (R); words that no report needs.
PLANTED = {
    "A name": "Zyxwombat",
    "B place": "Quagmireville",
    "C date": "1961-03-14",
    "D telephone": "(555) 010-0199",
    "E fax": "555-010-0277",
    "F e-mail": "qqmailbox@example.org",
    "G social security number": "078-05-1120",
    "H medical record number": "MRN4471920",
    "I health plan number": "HPB8830017",
    "J account number": "ACCT99120034",
    "K license number": "LIC7750921",
    "L vehicle number": "1HGCM82633A004352",
    "M device number": "SN20039948",
    "N web address": "https://people.example.org/qqprofile",
    "O network address": "203.0.113.77",
    "P biometric": "fingerprintzq77",
    "Q photograph": "facezq88",
    "R other": "bedtagzq99",
}


def pieces(text: str) -> set[bytes]:
    """A planted text, and what is left of it where a reader splits words or lowers letters."""
    found = {text, text.lower(), text.upper()}
    return {piece.encode(encoding) for piece in found for encoding in ("utf-8", "utf-16-le", "latin-1")}
