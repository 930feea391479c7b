"""How a guard started from a file makes a model's input from the digested content of an object.

image   DICOM, PNG or JPEG as [1, C, H, W] (see `titer.cases.files.picture`); CT in HU, all else as grey level 0 to 1
signal  EDF, WFDB or a DICOM waveform as [1, C, T] in mV, or in uV where a channel is in uV or nV; resampled and cut
row     a flat JSON object as [1, K], the columns in the order that is told; a missing value is refused
text    text or FHIR in JSON as one string, [1, 1]

What it is given is described in `titer.provenance.guard.content`; PNG and JPEG have no fingerprint and come as they
are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import titer
from titer.errors import GuardError, PlanError, TiterError
from titer.provenance.guard.tensor import program_digest

if TYPE_CHECKING:
    from titer.cases.files.recording import Recording
    from titer.cli.guard_plan import PreparePlan

KINDS = {"image": ("dicom",), "signal": ("signal",), "row": ("row",), "text": ("text", "fhir")}
"""Kinds of fingerprints that each preparation takes."""

_MISSING = -32768
_VOLTS = {"v": 1.0, "mv": 1e-3, "uv": 1e-6, "µv": 1e-6, "μv": 1e-6, "nv": 1e-9}
_OF = {
    "image": ("size", "color", "window"),
    "signal": ("channels", "rate", "seconds"),
    "row": ("columns",),
    "text": (),
}


def preparation(plan: PreparePlan) -> tuple[Callable[[Any], Any], str]:
    """What prepares, and its digest: over the settings and the versions of the programs that have a part in it."""
    told = plan.model_dump(mode="json", exclude_defaults=True)
    foreign = [name for names in _OF.values() for name in names if name in told and name not in _OF[plan.kind]]
    if foreign:
        raise PlanError(f"settings of {plan.kind!r} in 'prepare'", repr(foreign[0]), "leave it out")
    if plan.kind == "row" and not plan.columns:
        raise PlanError("'columns' for rows", "none", "list them in the order that the model takes them")
    if plan.kind == "text" and {"mean", "std"} & set(told):
        raise PlanError("no 'mean' or 'std' for text", "one", "leave it out")
    make = {"image": _image, "signal": _signal, "row": _row, "text": _text}[plan.kind]

    def prepare(source: Any) -> Any:
        try:
            return make(source, plan)
        except GuardError:
            raise
        except (TiterError, ValueError, TypeError, KeyError, ArithmeticError) as error:
            # The words of an error may quote the object.
            raise GuardError(
                f"an object that can be prepared as {plan.kind}",
                type(error).__name__,
                "compare it with the settings under 'prepare'",
                code="prepare.failed",
            ) from error

    return prepare, program_digest(
        f"titer.cli.guard_prepare.{plan.kind}", titer.__version__, told | _versions(plan.kind)
    )


def _versions(kind: str) -> dict[str, str]:
    """Versions of the libraries whose arithmetic the input depends on."""
    from importlib.metadata import version

    needed = {"image": ("pydicom", "pillow"), "signal": ("scipy",)}.get(kind, ())
    return {"numpy": np.__version__} | {name: version(name) for name in needed}


def _image(source: Any, plan: PreparePlan) -> Any:
    from titer.cases.files.picture import read_picture

    if not isinstance(source, bytes):
        raise TypeError
    found = read_picture(source, "the object", plan.window, plan.color).resized(plan.size)
    return _scaled(found.values[None], plan)


def _signal(source: Any, plan: PreparePlan) -> Any:
    found = _recording(source, plan.channels) if isinstance(source, tuple) else _undigested(source, plan.channels)
    return _scaled(found.at_rate(plan.rate).windows(plan.seconds)[:1], plan)


def _undigested(source: bytes | Mapping[str, bytes], chosen: tuple[str, ...] | None) -> Recording:
    """A recording that has no fingerprint, which a site may have chosen to let pass with a banner."""
    from titer.cases.files.edf import read_edf
    from titer.cases.files.wfdb import read_record

    # The readers take files; the folder is gone when they are done.
    with tempfile.TemporaryDirectory(prefix="titer-guard-") as made:
        if isinstance(source, bytes):
            path = Path(made, "object.edf")
            path.write_bytes(source)
            return read_edf(path, "the object", chosen)
        for name, raw in source.items():
            # Names were checked at the door; one with a folder in it would be another file here.
            Path(made, Path(name).name).write_bytes(raw)
        (header,) = (name for name in source if name.endswith(".hea"))
        found = read_record(Path(made, Path(header).name).with_suffix(""), "the object")
        return found if chosen is None else found.chosen(chosen, "the object")


def _recording(channels: Sequence[tuple[Any, Any]], chosen: tuple[str, ...] | None) -> Recording:
    """Digital integers as a recording, by what is digested alone: label, unit, rate and scale of each channel."""
    from titer.cases.files.recording import Recording
    from titer.cases.files.wfdb import LIMIT_MV

    named = [(channel.label.decode("utf-8", "replace"), channel, integers) for channel, integers in channels]
    named = [each for each in named if _volts(each[1]) is not None] if chosen is None else named
    if chosen is not None:
        named = [next(each for each in named if each[0] == name) for name in chosen]
    units = [_volts(channel) for _, channel, _ in named]
    rates = {channel.rate for _, channel, _ in named}
    if not named or None in units or len(rates) > 1 or len({len(integers) for *_, integers in named}) > 1:
        raise ValueError
    unit, step = ("mV", 1e3) if all(each is not None and each >= 1e-3 for each in units) else ("uV", 1e6)
    rows = []
    for (_, channel, integers), volts in zip(named, units, strict=True):
        values = (integers * float(channel.scale) + float(channel.offset)) * (float(volts or 0) * step)
        # What WFDB writes for a sample that is missing; as a number it would be a shock.
        if bool(np.any((integers == _MISSING) & (np.abs(values) * 1e3 / step > LIMIT_MV))):
            raise ValueError
        rows.append(values)
    limit = LIMIT_MV * step / 1e3
    names = tuple(name for name, *_ in named)
    return Recording(np.stack(rows).astype(np.float32), names, float(rates.pop()), unit, -limit, limit)


def _volts(channel: Any) -> float | None:
    """Volts of one unit of a channel."""
    return _VOLTS.get(channel.unit.decode("utf-8", "replace").lower())


def _row(source: Any, plan: PreparePlan) -> Any:
    from titer.provenance.fingerprint import Limits
    from titer.provenance.fingerprint._json import read

    row = read(source, Limits())
    assert plan.columns is not None
    return _scaled(np.array([[_number(row[name]) for name in plan.columns]]), plan)


def _number(value: Any) -> float:
    from titer.provenance.fingerprint._json import Number

    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, Number):
        raise TypeError
    return float(Decimal(value))


def _text(source: Any, plan: PreparePlan) -> Any:  # noqa: ARG001 - as the others
    if not isinstance(source, bytes):
        raise TypeError
    return np.array([[source.decode("utf-8")]])


def _scaled(values: Any, plan: PreparePlan) -> Any:
    made = ((np.asarray(values, np.float64) - plan.mean) / plan.std).astype(np.float32)
    return np.moveaxis(made, 1, -1) if plan.layout == "channels-last" and made.ndim > 2 else made
