"""Plain text: `tx`, over UTF-8 in Unicode's NFC with one line feed per line end, and nothing else changed.

No compatibility form (NFKC), no case folding, no trimming: those change what a reader or a model sees.
"""

from __future__ import annotations

from titer.errors import PlanError
from titer.provenance.fingerprint._stream import Source, opened, rest
from titer.provenance.fingerprint._unicode import Oddities, canonical
from titer.provenance.fingerprint.fingerprint import Digest, Fingerprint, Limits, Running


def fingerprint(source: Source, limits: Limits | None = None) -> Fingerprint:
    """The fingerprint of one text, read forward once.

    Source: Unicode Standard Annex 15 (NFC); Annex 24 and Technical Standard 39 for what the counts mean.

    Arguments
        source: UTF-8 as bytes, path (a `Path`, not a string, which could be the text itself) or open binary file.
        limits: `object_bytes` bounds the text.

    Refuses (`FingerprintError`, with a code) what is no UTF-8, characters that this machine's version of Unicode does
    not know (another version might normalize them otherwise), and more than 255 combining characters in a row.
    `notes` counts characters that hide something: see `Oddities`.

    >>> fingerprint("fi\\u00e8vre\\r\\n".encode())["tx"] == fingerprint("fie\\u0300vre\\n".encode())["tx"]
    True
    """
    if isinstance(source, str):
        raise PlanError("bytes, a Path or an open file", "a string", "encode the text in UTF-8, or wrap a path in Path")
    limits = limits or Limits()
    state, seen = Running("tx", 1), Oddities()
    with opened(source, limits) as stream:
        for text in canonical(rest(stream)):
            state.update(text.encode("utf-8"))
            seen.add(text)
    return Fingerprint("text", (Digest("tx", 1, state.value()),), notes=seen.counts())


def normal_form(source: Source, limits: Limits | None = None) -> bytes:
    """The text that `tx` is over: texts of equal `tx` have one normal form.

    >>> normal_form("fie\\u0300vre\\r\\n".encode()).decode()
    'fièvre\\n'
    """
    with opened(source, limits or Limits()) as stream:
        return "".join(canonical(rest(stream))).encode("utf-8")
