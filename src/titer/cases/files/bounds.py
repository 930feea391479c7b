"""How large a file may be, and how damaged ones are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titer.errors import DataError, TiterError

# Decoded values of one data set, and one picture: far above clinical files, far below what fills a workstation.
MOST_BYTES = 4 * 2**30
MOST_PIXELS = 100_000_000
MOST_FILES = 200_000

_EXTRAS = {"PIL": "images", "pydicom": "images", "wfdb": "signals", "pyedflib": "signals"}


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Refuse with `DataError` what a foreign parser cannot read, whatever it raises.

    Parsers of clinical formats answer damaged bytes with any exception of Python. Its text may quote the file,
    and with it a patient's name, so the message carries the kind of the error alone.

    >>> with reading("a table"):
    ...     int("x")
    Traceback (most recent call last):
    titer.errors.DataError: expected a table that can be read, got a damaged file (ValueError); copy it again
    """
    try:
        yield
    except TiterError:
        raise
    except ImportError as error:
        package = (error.name or "a reader").split(".")[0]
        extra = _EXTRAS.get(package, "audit")
        raise DataError(f"the package {package}", "none installed", f'pip install "titer[{extra}]"') from error
    except FileNotFoundError as error:
        raise DataError(what, "no such file", "check the path") from error
    except PermissionError as error:
        raise DataError(f"{what} that may be read", "permission denied", "change the rights of the file") from error
    except MemoryError as error:
        raise DataError(f"{what} that fits into memory", "too many values", "take fewer or smaller cases") from error
    except Exception as error:
        came = f"a damaged file ({type(error).__name__})"
        raise DataError(f"{what} that can be read", came, "copy it again") from error


def check_size(count: float, what: str) -> None:
    """Refuse more bytes than `MOST_BYTES`, before anything is decoded."""
    if count > MOST_BYTES:
        raise DataError(
            f"{what} of at most {MOST_BYTES / 2**30:g} GiB once decoded",
            f"{count / 2**30:.3g} GiB",
            "take fewer cases, or smaller ones (option 'size' or 'seconds')",
        )


def read_bytes(path: Path, what: str) -> bytes:
    """A whole file of bounded size."""
    with reading(what):
        check_size(path.stat().st_size, what)
        return path.read_bytes()


def safe_name(name: str, what: str) -> str:
    """A path of a table, relative and inside its folder, with forward slashes.

    >>> safe_name("normal/1.png", "line 2")
    'normal/1.png'
    >>> safe_name("../secret.png", "line 2")
    Traceback (most recent call last):
    titer.errors.DataError: expected a path inside the folder in line 2, got one that leaves it; write it without '..'
    """
    plain = name.replace("\\", "/")
    parts = plain.split("/")
    if not plain or plain.startswith("/") or ":" in parts[0] or ".." in parts or "\0" in plain:
        came = "one that leaves it" if plain else "nothing"
        raise DataError(f"a path inside the folder in {what}", came, "write it without '..'")
    return "/".join(part for part in parts if part not in ("", "."))
