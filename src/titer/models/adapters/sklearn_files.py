"""Files of scikit-learn models: skops files, whose types are checked before anything is made; never pickles."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from titer.errors import ModelError
from titer.models.adapters.probe import first_line

_LIMIT = 2**31


def load_skops(path: Path, trusted: Sequence[str] = ()) -> Any:
    """The estimator in a skops file.

    Arguments
        trusted: names of further types that may be made, as the plan lists them; those of scikit-learn and numpy
            that skops knows to be harmless need not be named.

    Refuses other types, damaged files, and all files if skops is not installed (`ModelError`).
    """
    try:
        io: Any = importlib.import_module("skops.io")
    except ImportError as error:
        raise ModelError(
            "the package skops for .skops files", "none", "install it: pip install skops; or use 'python: module:name'"
        ) from error
    try:
        if path.stat().st_size > _LIMIT:
            raise ModelError(f"a file of at most {_LIMIT} bytes", f"{path.name}", "give a smaller model")
        unknown = sorted(set(io.get_untrusted_types(file=path)) - set(trusted))
    except ModelError:
        raise
    except OSError as error:
        raise ModelError("a model file that can be read", f"{path.name}: {error.strerror}", "check the path") from error
    except Exception as error:
        raise ModelError("a whole skops file", f"{path.name}: {first_line(error)}", "save it again") from error
    if unknown:
        raise ModelError(
            "a file of types that are known to be harmless",
            f"{path.name} with {', '.join(unknown)}",
            "if you trust who made it, list these names under 'trusted' in the plan",
        )
    try:
        return io.load(path, trusted=list(trusted))
    except Exception as error:
        raise ModelError(
            "a skops file of this scikit-learn", f"{path.name}: {first_line(error)}", "save it again"
        ) from error
