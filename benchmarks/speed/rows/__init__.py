"""One file per family of attacks; each says who has it and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules

from speed.timing import Row

Maker = Callable[[], Row]


def rows() -> Iterator[tuple[str, Maker]]:
    """Names of all rows with what makes each; models are trained when a row is made."""
    for found in sorted(module.name for module in iter_modules(__path__)):
        yield from import_module(f"{__name__}.{found}").ROWS.items()
