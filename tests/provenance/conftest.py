"""A real PostgreSQL server, which ledgers and indices are tested over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def _programs() -> Path | None:
    """The folder of PostgreSQL's server programs; Debian keeps them out of the path."""
    found = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    if found:
        return found[-1]
    there = shutil.which("initdb")
    return None if there is None else Path(there).resolve().parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server; skipped where none is installed."""
    programs = _programs()
    if programs is None:
        reason = "needs PostgreSQL's server: install the package postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # A server refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="titer-pg-"))
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    plain = {"LC_ALL": "C", "PATH": os.environ["PATH"]}
    options = ("-c", "listen_addresses=", "-c", "max_connections=200")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, check=True, env=plain)

    run(str(programs / "initdb"), "-D", str(data), "-U", "titer", "-A", "trust", "-E", "UTF8", "--no-sync")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(data), "-k", str(folder), *options],
            user=user,
            cwd=folder,
            stdout=log,
            stderr=log,
            env=plain,
        )
    try:
        for _ in range(200):
            if server.poll() is not None:
                pytest.fail((folder / "log").read_text())
            with contextlib.suppress(subprocess.CalledProcessError):
                run(str(programs / "psql"), "-h", str(folder), "-U", "titer", "-d", "postgres", "-c", "SELECT 1")
                break
            time.sleep(0.05)
        yield f"postgresql+psycopg://titer@/postgres?host={folder}"
    finally:
        # At once: a polite end would wait for open connections, and nothing here is worth a last flush.
        server.send_signal(signal.SIGQUIT)
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
