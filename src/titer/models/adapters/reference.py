"""References in plans: `module:name` means code of the user's own, imported because the plan names it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from titer.errors import PlanError
from titer.models.adapters.probe import first_line


def resolve(reference: str, folder: Path | None = None) -> Any:
    """The object that `module:name` (or `module:class.attribute`) refers to.

    Arguments
        folder: where modules are looked for after the installed ones; the working directory if left out.

    Importing runs the module's code with the rights of the user: name only code that you trust.

    >>> resolve("math:tau")
    6.283185307179586
    """
    module, _, path = str(reference).partition(":")
    if not module or not path or not all(part.isidentifier() for part in (*module.split("."), *path.split("."))):
        raise PlanError("a reference of the form module:name", repr(reference), "write for example my_models:classify")
    with _beside(folder or Path.cwd()):
        try:
            found: Any = importlib.import_module(module)
        except Exception as error:
            raise PlanError(
                f"a module {module!r} that can be imported",
                f"{type(error).__name__}: {first_line(error)}",
                "put it beside the plan, install it, or correct the reference",
            ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            names = [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []
            raise PlanError(
                f"{part!r} in {module}", f"only {', '.join(names[:10]) or 'nothing'}", "correct the reference"
            )
        found = getattr(found, part)
    return found


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    text = str(folder.resolve())
    before = list(sys.path)
    # Last, so that a file of the user's hides no installed module.
    sys.path.append(text)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
