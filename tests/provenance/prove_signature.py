"""Beside the standard's own signatures: `python tests/provenance/prove_signature.py`.

DCMTK's `dcmsign` signs an image. After each lossless recompression its signature no longer verifies, and the ledger's
record does; after one changed bit both refuse.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
from acceptance import absent, tell
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from evidence_tools import POLICY, Log
from pydicom.data import get_testdata_file

from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.ledger.verify import verify

PROGRAMS = ("dcmsign", "dcmcrle", "dcmcjpls", "dcmcjpeg")
WAYS = {"RLE": ["dcmcrle"], "JPEG-LS": ["dcmcjpls", "+el"], "lossless JPEG": ["dcmcjpeg", "+e1"]}


def _run(*command: object) -> bool:
    return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0


def certify(key: Path, certificate: Path) -> None:
    """A key and a certificate that it has signed itself, valid since yesterday."""
    secret = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now, day = datetime.now(UTC), timedelta(days=1)
    made = x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number(), now - day, now + day)
    certificate.write_bytes(made.sign(secret, hashes.SHA256()).public_bytes(Encoding.PEM))
    key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))


def main() -> int:
    """Sign, recompress, change; 1 unless all is as said."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        absent(5, "dcmsign", f"not installed: {', '.join(missing)}; install the package dcmtk")
        return 0
    with tempfile.TemporaryDirectory(prefix="titer-dcmsign-") as name:
        folder = Path(name)
        signed, key = folder / "signed.dcm", folder / "key.pem"
        certify(key, folder / "cert.pem")
        plain = folder / "plain.dcm"
        data = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        data.save_as(plain, implicit_vr=False, little_endian=True)
        made = _run("dcmsign", "+s", key, folder / "cert.pem", plain, signed)
        log = Log()
        opening = log.capture(fingerprint_of(signed, "dicom"))

        def both(path: Path) -> tuple[bool, int]:
            ours = verify(fingerprint_of(path, "dicom"), opening, log.receipt(0), POLICY)
            theirs = subprocess.run(
                ["dcmsign", "--verify", "+rg", "+cf", folder / "cert.pem", path], capture_output=True, check=False
            )
            return theirs.returncode == 0, ours.exit_code

        before = both(signed)
        print(f"{'as signed':<16} dcmsign {'verifies' if before[0] else 'refuses'}, ledger exit code {before[1]}")
        right = made and before == (True, 0)
        told = {}
        for way, command in WAYS.items():
            out = folder / f"{way.replace(' ', '')}.dcm"
            written = _run(*command, signed, out)
            told[way] = both(out) if written else (True, -1)
            print(f"{way:<16} dcmsign {'verifies' if told[way][0] else 'refuses'}, ledger exit code {told[way][1]}")
        changed = pydicom.dcmread(signed)
        raw = bytearray(changed.PixelData)
        raw[1000] ^= 1
        changed.PixelData = bytes(raw)
        changed.save_as(folder / "changed.dcm")
        altered = both(folder / "changed.dcm")
        print(
            f"{'one bit changed':<16} dcmsign {'verifies' if altered[0] else 'refuses'}, ledger exit code {altered[1]}"
        )
    kept = [way for way, found in told.items() if found == (False, 0)]
    tell(5, "recompressed, dcmsign refuses, the ledger verifies", f"{', '.join(kept)} ({len(kept)} of {len(WAYS)})",
         held=right and len(kept) == len(WAYS))  # fmt: skip
    tell(5, "one bit changed, both refuse", str(altered == (False, 1)).lower(), held=altered == (False, 1))
    return 0 if right and len(kept) == len(WAYS) and altered == (False, 1) else 1


if __name__ == "__main__":
    sys.exit(main())
