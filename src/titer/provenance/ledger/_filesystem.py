"""Which file systems SQLite's locks can be trusted on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from titer.errors import LedgerError

_REMOTE = frozenset({
    "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "cvmfs", "davfs", "fuse", "glusterfs", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb", "smb2", "smb3",
    "smbfs", "vboxsf", "virtiofs", "vmhgfs", "webdav",
})  # fmt: skip
_LOCAL_FUSE = frozenset(("fuse.fuse-overlayfs", "fuse.overlayfs", "fuseblk"))


def require_local(path: Path) -> None:
    """Refuse a path on a network file system, for SQLite's locks and shared memory work within one host only."""
    kind = kind_of(path)
    if kind in _LOCAL_FUSE:
        return
    if kind in _REMOTE or kind.startswith("fuse."):
        raise LedgerError(
            "SQLite on a disk of this host",
            f"{path} on a network file system ({kind})",
            "choose a local folder, or use PostgreSQL for several hosts",
            code="store.network",
        )


def kind_of(path: Path, table: str | None = None) -> str:
    """The kind of file system that a path is on, from the table of mounts; empty where nothing tells.

    >>> kind_of(Path("/srv/ward/a"), "36 35 98:0 / / rw - ext4 /dev/sda rw\\n37 36 0:4 / /srv rw - nfs4 host:/a rw\\n")
    'nfs4'
    """
    mounts = _mounts(table)
    real = path.resolve()
    found = ""
    for place in (real, *real.parents):
        # The last mount on a place hides those before it.
        found = mounts.get(str(place), "")
        if found:
            return found
    return found


def _mounts(table: str | None) -> dict[str, str]:
    if table is None and sys.platform == "darwin":  # pragma: no cover - macOS tells it another way
        lines = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True).stdout.splitlines()
        return {
            line.partition(" on ")[2].rpartition(" (")[0]: line.rpartition(" (")[2].split(",")[0].rstrip(")")
            for line in lines
        }
    if table is None:
        source = Path("/proc/self/mountinfo")
        try:
            table = source.read_text(encoding="utf-8") if source.exists() else ""
        except OSError as error:
            raise LedgerError(
                "the table of mounted file systems", f"{source}: {error.strerror}", "try again", code="storage.io"
            ) from error
    mounts = {}
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        place = before.split(" ")[4].encode().decode("unicode_escape")
        mounts[place] = after.split(" ")[0]
    return mounts
