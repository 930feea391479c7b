"""Transfer syntaxes: how the header is written, and which family of codec the pixels need."""

from __future__ import annotations

from dataclasses import dataclass

from titer.provenance.fingerprint.fingerprint import refuse


@dataclass(frozen=True)
class Syntax:
    """One transfer syntax (DICOM PS3.5, annex A; PS3.6, table A-1).

    Arguments
        uid: its name. family: `native`, `rle`, `jpeg` (lossy), `jpeg_lossless`, `jpeg_ls`, `jpeg_2000` or `video`.
        lossy: decoders may differ in the last bits, so that decoded pixels are only valid with the decoder's name.
        explicit, little, deflated: how the header is written.
    """

    uid: str
    family: str = "native"
    lossy: bool = False
    explicit: bool = True
    little: bool = True
    deflated: bool = False

    @property
    def native(self) -> bool:
        """Whether the pixels are plain words."""
        return self.family == "native"


_BASE = "1.2.840.10008.1.2"
# MPEG-2 (100, 101), MPEG-4 AVC (102 to 106), HEVC (107, 108); a further `.1` allows fragments.
_VIDEO = [f"{_BASE}.4.{number}{more}" for number in range(100, 109) for more in ("", ".1")]

SYNTAXES = {
    each.uid: each
    for each in (
        Syntax(_BASE, explicit=False),
        Syntax(f"{_BASE}.1"),
        Syntax(f"{_BASE}.1.99", deflated=True),
        Syntax(f"{_BASE}.2", little=False),
        Syntax(f"{_BASE}.5", "rle"),
        Syntax(f"{_BASE}.4.50", "jpeg", lossy=True),
        Syntax(f"{_BASE}.4.51", "jpeg", lossy=True),
        Syntax(f"{_BASE}.4.57", "jpeg_lossless"),
        Syntax(f"{_BASE}.4.70", "jpeg_lossless"),
        Syntax(f"{_BASE}.4.80", "jpeg_ls"),
        Syntax(f"{_BASE}.4.81", "jpeg_ls", lossy=True),
        Syntax(f"{_BASE}.4.90", "jpeg_2000"),
        Syntax(f"{_BASE}.4.91", "jpeg_2000", lossy=True),
        Syntax(f"{_BASE}.4.201", "jpeg_2000"),
        Syntax(f"{_BASE}.4.202", "jpeg_2000"),
        Syntax(f"{_BASE}.4.203", "jpeg_2000", lossy=True),
        *(Syntax(uid, "video", lossy=True) for uid in _VIDEO),
    )
}


def syntax_of(uid: str) -> Syntax:
    """The transfer syntax of a name; refuses those that nothing here reads exactly.

    >>> syntax_of("1.2.840.10008.1.2.5").family
    'rle'
    """
    if uid not in SYNTAXES:
        raise refuse(
            "unsupported.transfer_syntax",
            "a transfer syntax that can be read exactly",
            repr(uid),
            "let the capture point send Explicit VR Little Endian or a lossless syntax",
        )
    return SYNTAXES[uid]
