"""A reader of tlog-tiles logs that knows nothing of Titer: HTTP, SHA-256, and the published layout.

It reads every entry bundle and every tile of a log, hashes all entries, computes the root by the recursion of RFC 6962
(section 2.1), and compares each hash in each tile with the tree's.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import urllib.parse


def h(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def mth(hashes: list[bytes]) -> bytes:
    if not hashes:
        return h(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return h(b"\x01", mth(hashes[:k]), mth(hashes[k:]))


def path_of(level: str, n: int, width: int) -> str:
    digits = f"{n:03d}"
    digits = digits.zfill((len(digits) + 2) // 3 * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return (
        f"/tile/{level}/"
        + "".join(f"x{g}/" for g in groups[:-1])
        + groups[-1]
        + (f".p/{width}" if width != 256 else "")
    )


class Client:
    def __init__(self, prefix: str) -> None:
        parts = urllib.parse.urlsplit(prefix)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)

    def get(self, path: str) -> bytes:
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status)
        return body

    def read(self) -> tuple[str, int, bytes, list[bytes]]:
        """Origin, size, the recomputed root, and all entries; raises AssertionError where anything differs."""
        text = self.get("/checkpoint").decode().split("\n")
        origin, size, claimed = text[0], int(text[1]), base64.b64decode(text[2])
        entries: list[bytes] = []
        for n in range((size + 255) // 256):
            width = min(256, size - 256 * n)
            bundle = self.get(path_of("entries", n, width))
            before = len(entries)
            while bundle:
                length = bundle[0] << 8 | bundle[1]
                assert len(bundle) >= 2 + length
                entries.append(bundle[2 : 2 + length])
                bundle = bundle[2 + length :]
            assert len(entries) - before == width
        below = [h(b"\x00", entry) for entry in entries]
        root = mth(below)
        level = 0
        while below:
            for n in range((len(below) + 255) // 256):
                hashes = below[256 * n : 256 * n + 256]
                assert self.get(path_of(str(level), n, len(hashes))) == b"".join(hashes), (level, n)
            below = [mth(below[i : i + 256]) for i in range(0, len(below) // 256 * 256, 256)]
            level += 1
        assert root == claimed
        return origin, size, root, entries
