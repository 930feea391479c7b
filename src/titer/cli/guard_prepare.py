"""How a guard started from a file makes a model's input from an object's bytes.

image   DICOM, PNG or JPEG as [1, C, H, W] (see `titer.cases.files.picture`); CT in HU, all else as grey level 0 to 1
signal  an EDF file or the files of a WFDB record as [1, C, T] in its unit, resampled and cut as told
row     a flat JSON object as [1, K], the columns in the order that is told; a missing value is refused
text    text or FHIR in JSON as one string, [1, 1]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import titer
from titer.errors import GuardError, PlanError, TiterError
from titer.provenance.guard.tensor import program_digest

if TYPE_CHECKING:
    from titer.cli.guard_plan import PreparePlan

Source = bytes | Mapping[str, bytes]
_OF = {
    "image": ("size", "color", "window"),
    "signal": ("channels", "rate", "seconds"),
    "row": ("columns",),
    "text": (),
}


def preparation(plan: PreparePlan) -> tuple[Callable[[Source], Any], str]:
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

    def prepare(source: Source) -> Any:
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


def _image(source: Source, plan: PreparePlan) -> Any:
    from titer.cases.files.picture import read_picture

    if not isinstance(source, bytes):
        raise TypeError
    found = read_picture(source, "the object", plan.window, plan.color).resized(plan.size)
    return _scaled(found.values[None], plan)


def _signal(source: Source, plan: PreparePlan) -> Any:
    from titer.cases.files.edf import read_edf
    from titer.cases.files.wfdb import read_record

    # The readers take files; the folder is gone when they are done.
    with tempfile.TemporaryDirectory(prefix="titer-guard-") as made:
        if isinstance(source, bytes):
            path = Path(made, "object.edf")
            path.write_bytes(source)
            found = read_edf(path, "the object", plan.channels)
        else:
            for name, raw in source.items():
                # Names were checked at the door; one with a folder in it would be another file here.
                Path(made, Path(name).name).write_bytes(raw)
            (header,) = (name for name in source if name.endswith(".hea"))
            found = read_record(Path(made, Path(header).name).with_suffix(""), "the object")
            found = found if plan.channels is None else found.chosen(plan.channels, "the object")
    return _scaled(found.at_rate(plan.rate).windows(plan.seconds)[:1], plan)


def _row(source: Source, plan: PreparePlan) -> Any:
    from titer.provenance.fingerprint import Limits
    from titer.provenance.fingerprint._json import read

    row = read(source, Limits())  # type: ignore[arg-type]
    assert plan.columns is not None
    return _scaled(np.array([[_number(row[name]) for name in plan.columns]]), plan)


def _number(value: Any) -> float:
    from titer.provenance.fingerprint._json import Number

    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, Number):
        raise TypeError
    return float(Decimal(value))


def _text(source: Source, plan: PreparePlan) -> Any:  # noqa: ARG001 - as the others
    if not isinstance(source, bytes):
        raise TypeError
    return np.array([[source.decode("utf-8")]])


def _scaled(values: Any, plan: PreparePlan) -> Any:
    made = ((np.asarray(values, np.float64) - plan.mean) / plan.std).astype(np.float32)
    return np.moveaxis(made, 1, -1) if plan.layout == "channels-last" and made.ndim > 2 else made
