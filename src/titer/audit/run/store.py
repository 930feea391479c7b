"""The folder in which finished results wait for the next run and for the report."""

from __future__ import annotations

from pathlib import Path

from titer.audit.run import files
from titer.audit.run.job import KEY
from titer.audit.run.lock import Lock
from titer.errors import StoreError


class Store:
    """Results by key, as files `DIR/results/KEY`, each whole or absent.

    Anyone may read; one process at a time writes (`locked`, which executors enter by themselves). A file that was cut
    short or changed is found by its checksum and counts as missing.

    Arguments
        folder: where results are kept; it is made if need be.

    Raises StoreError for a folder that cannot be used, is locked by another process, or is full.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store(Path(folder))
    ...     store.put("0a1b", b"twelve")
    ...     store.has("0a1b"), store.get("0a1b"), store.keys()
    (True, b'twelve', ('0a1b',))
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.results = self.folder / "results"
        try:
            self.results.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"a folder {self.folder} for results", str(error.strerror), "choose a folder that can be written"
            ) from error
        self._lock = Lock(self.folder / "lock")
        self._sound: dict[str, tuple[int, int, int]] = {}

    def locked(self) -> Lock:
        """A context in which no other process writes; it can be entered again inside itself."""
        return self._lock

    def put(self, key: str, data: bytes) -> None:
        """Keeps a result, in one step; replaces what was there."""
        with self._lock:
            files.write(self.path(key), data)

    def get(self, key: str) -> bytes:
        """A result's bytes; StoreError if it is missing or damaged."""
        try:
            return files.read(self.path(key))
        except (FileNotFoundError, files.Unsound) as error:
            got = "none" if isinstance(error, FileNotFoundError) else f"a damaged file: {error}"
            raise StoreError(
                f"a result {key} in {self.results}", got, "run the audit again: it makes what is missing"
            ) from error

    def has(self, key: str) -> bool:
        """Whether a whole result is there."""
        return self.fault(key) is None

    def fault(self, key: str) -> str | None:
        """None for a whole result, an empty sentence for a missing one, and else what is wrong with the file."""
        path = self.path(key)
        try:
            facts = path.stat()
            seen = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
            # A file is read once, not at every question, as long as nobody replaces it.
            if self._sound.get(key) != seen:
                files.read(path)
                self._sound[key] = seen
        except FileNotFoundError:
            return ""
        except files.Unsound as unsound:
            return str(unsound)
        return None

    def keys(self) -> tuple[str, ...]:
        """Names of all whole results, sorted."""
        names = sorted(path.name for path in self.results.iterdir() if KEY.fullmatch(path.name))
        return tuple(name for name in names if self.has(name))

    def path(self, key: str) -> Path:
        """Where a result lies, or would."""
        if not KEY.fullmatch(key):
            raise StoreError("a key of letters, digits, - and _", repr(key), "name the result by a digest")
        return self.results / key

    def sweep(self) -> None:
        """Removes what killed writers left unfinished; for the holder of the lock."""
        files.sweep(self.results)
