"""What a preparation is given of an object: its digested content, and nothing that stands beside it in the file.

A digest names content and leaves out how a file carries it: the encoding of words, blanks, the order of keys, what a
server stamps on a resource. A preparation that reads the file again sees all of that, by other libraries than those
that digested it, and what it sees can then be changed while every digest stays. So the guard hands over the content as
it was digested, and refuses it where that is not what the verdict was about.

dicom    a file in its normal form, see `titer.provenance.fingerprint.dicom.normal_form`
signal   each channel with its integers, see `titer.provenance.fingerprint.signal.digital`
text     the text in NFC with one line feed per line end. fhir: the resource in the order of RFC 8785, without what
         servers set. row: a flat JSON object in that order
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from titer.errors import GuardError
from titer.provenance.fingerprint import Fingerprint, Limits, dicom, fhir, row, signal, text

Content = Callable[[Any, Fingerprint, Limits], Any]
"""Makes of an object, its fingerprint and the limits on parsing what the preparation is given."""

_COVERED = ("px", "rd", "sg")


def digested(source: Any, made: Fingerprint, limits: Limits) -> Any:
    """The content of an object as it was digested.

    Arguments
        source: the object's bytes, or files by name. made: its fingerprint. limits: as for that.

    Volumes and claims have no such form yet and are given as they are: let their preparation use nothing but what
    `vx`, `rd` and `cl` cover.
    """
    if made.kind == "dicom":
        again, content = dicom.normal_form(source, limits)
        return _same(made, again, content)
    if made.kind == "signal":
        found, channels = signal.digital(source, limits)
        return _same(made, found, channels)
    forms = {"text": text.normal_form, "fhir": fhir.normal_form, "row": row.normal_form}
    return forms[made.kind](source, limits) if made.kind in forms else source


def whole(source: Any, made: Fingerprint, limits: Limits) -> Any:  # noqa: ARG001 - as `digested`
    """The object as it came: for preparations that use nothing but what was digested."""
    return source


def _same(made: Fingerprint, again: Fingerprint, content: Any) -> Any:
    """The content, if its digests are those that were judged: a decoder may see other pixels the second time."""
    if any(again.names != made.names or again[name] != made[name] for name in _COVERED if name in made):
        raise GuardError("the content that was judged", "another", "send the object again", code="prepare.content")
    return content
