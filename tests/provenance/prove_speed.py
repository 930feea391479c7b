"""How fast: `python tests/provenance/prove_speed.py` prints appends, imports and checks beside the machine's ceilings.

Each figure is the median of five runs. An append counts when the record's signature was checked, the entry is durable,
and a signed checkpoint that covers it is published with its tiles, all flushed. The ceilings are what the same machine
can do at all in the same minute: hash a leaf, check a signature, flush a file, insert rows.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "ledger"))

import guard_speed
from acceptance import absent, tell
from provenance_tools import KEY, ORIGIN, make_signed, signed_batch, signed_leaf

from titer.provenance.ledger import batch
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.operations import examine
from titer.provenance.ledger.settings import formed

RUNS = 5
FORMED = partial(formed, ORIGIN)
CHECKERS = max(1, len(os.sched_getaffinity(0)) - 1)
_PUBLIC = KEY.public_key()


def ceilings(folder: Path) -> dict[str, float]:
    """What the machine can do, each per second."""
    leaf = signed_leaf("k", 0)
    message, signature = b"m" * 600, KEY.sign(b"m" * 600)
    handle = os.open(folder / "flushed", os.O_RDWR | os.O_CREAT)
    database = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, leaf BLOB)")

    def flush() -> None:
        os.pwrite(handle, leaf, 0)
        os.fdatasync(handle)

    def insert() -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO rows (leaf) VALUES (?)", [(leaf,)] * 64)
        database.execute("COMMIT")

    measured = {
        "leaf hashes": rate(lambda: sha256(b"\x00" + leaf).digest(), 20_000),
        "signature checks": rate(lambda: _PUBLIC.verify(signature, message), 2_000),
        "fdatasync": rate(flush, 50),
        "rows committed by 64": 64 * rate(insert, 30),
    }
    os.close(handle)
    database.close()
    return measured


def rate(act: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        act()
    return times / (time.perf_counter() - start)


def appends(folder: Path, writers: int, each: int) -> tuple[float, float, float]:
    """Appends a second, and the 50th and 99th percentile of their time in ms, of so many writers at once."""
    leaves = [[signed_leaf(f"w{name}", n) for n in range(each + 2)] for name in range(writers)]
    times: list[float] = []
    ready, go = threading.Barrier(writers + 1), threading.Barrier(writers + 1)
    with make_signed(folder, checkers=CHECKERS) as ledger:

        def write(mine: list[bytes]) -> None:
            for leaf in mine[:2]:
                ledger.append(leaf)
            ready.wait()
            go.wait()
            for leaf in mine[2:]:
                start = time.perf_counter()
                state = ledger.append(leaf).state
                times.append(time.perf_counter() - start)
                assert state == "published"

        threads = [threading.Thread(target=write, args=(mine,)) for mine in leaves]
        for thread in threads:
            thread.start()
        ready.wait()
        start = time.perf_counter()
        go.wait()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - start
    times.sort()
    return len(times) / took, times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3


def bulk(folder: Path, many: int) -> float:
    """Records a second of an import in batches of 256, each under one signature."""
    batches = [signed_batch(f"archive{n}", 256) for n in range(many // 256)]
    with make_signed(folder, checkers=CHECKERS) as ledger:
        start = time.perf_counter()
        send(ledger, batches)
        took = time.perf_counter() - start
        assert ledger.store.size() == len(batches) * 256
    return len(batches) * 256 / took


def send(ledger: Ledger, batches: list[tuple[list[bytes], bytes]]) -> None:
    """From a few threads, so that one batch is checked while another is written."""
    todo = iter(batches)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                found = next(todo, None)
            if found is None:
                return
            leaves, signature = found
            ledger.append_batch(leaves, partial(batch.admit, signature=signature, formed=FORMED), timeout=120)

    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fsck(folder: Path, many: int) -> float:
    """Seconds that fsck takes for so many entries, tree and format."""
    with make_signed(folder, check_signatures=False) as ledger:
        for start in range(0, many, 8192):
            ledger.append_many(
                [signed_leaf("f", n, sign=False) for n in range(start, min(many, start + 8192))], timeout=600
            )
    start = time.perf_counter()
    found = examine(folder)
    took = time.perf_counter() - start
    assert found.faults == []
    assert found.size == many
    return took


def median(measure: Callable[[Path], float | tuple[float, ...]], folder: Path, runs: int) -> list[float]:
    """The median over runs, each in a folder of its own."""
    rows = []
    for run in range(runs):
        scratch = folder / f"run{run}"
        found = measure(scratch)
        rows.append(found if isinstance(found, tuple) else (found,))
        shutil.rmtree(scratch)
        shutil.rmtree(scratch.with_name(f"{scratch.name}-mark"))
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def main(runs: int = RUNS, entries: int = 1_000_000) -> int:
    """Measure all and print it; returns how many targets were missed."""
    folder = Path(tempfile.mkdtemp(prefix="titer-speed-"))
    missed = 0

    def told(what: str, value: str, target: str, *, held: bool) -> None:
        nonlocal missed
        missed += not held
        print(f"{what}: {value} (target {target}: {'held' if held else 'MISSED'})")
        tell(12, what, f"{value} (target {target})", held=held)

    try:
        python, load = platform.python_version(), os.getloadavg()[0]
        print(f"machine: {os.cpu_count()} cores, {platform.machine()}, Python {python}, load {load:.1f}")
        tell(
            12, "machine", f"{os.cpu_count()} cores, {platform.machine()}, Python {python}, load {load:.1f}", held=True
        )
        raw = {name: f"{value:,.0f}/s" for name, value in ceilings(folder).items()}
        for name, each in raw.items():
            print(f"ceiling, {name}: {each}")
        tell(12, "raw ceilings", ", ".join(f"{name} {each}" for name, each in raw.items()), held=True)
        for writers, each, least in ((64, 40, 1000), (256, 20, 3000)):
            speed, half, most = median(lambda f, w=writers, e=each: appends(f, w, e), folder, runs)  # type: ignore[misc]
            words = f"{speed:,.0f}/s, p50 {half:.0f} ms, p99 {most:.0f} ms"
            limit = f">= {least:,}/s" + (", p99 <= 200 ms" if writers == 64 else "")
            told(
                f"durable and published, {writers} writers",
                words,
                limit,
                held=speed >= least and (writers != 64 or most <= 200),
            )
        (speed,) = median(lambda f: bulk(f, 20_480), folder, runs)
        told("bulk import, one signature for 256", f"{speed:,.0f}/s", ">= 10,000/s", held=speed >= 10_000)
        half, most = median(lambda f: guard_speed.overhead(f, 100), folder, runs)
        words = f"p50 {half:.1f} ms, p99 {most:.1f} ms"
        told("guard, a slice of 512x512x16 bits", words, "p50 <= 25 ms, p99 <= 60 ms", held=half <= 25 and most <= 60)
        if (why := guard_speed.missing()) is None:
            ours, theirs = median(lambda f: guard_speed.stored(f, 120), folder, runs)
            words = f"{ours:.0f} slices/s, DCMTK storescp {theirs:.0f}/s"
            limit = ">= 40/s and never slower than storescp"
            told("C-STORE with fingerprint, one association", words, limit, held=ours >= 40 and ours >= theirs)
        else:
            print(why)
            absent(12, "C-STORE beside DCMTK storescp", why)
        (slow,) = median(lambda f: guard_speed.offline(f, 40), folder, runs)
        told("offline verification of one slice", f"{slow:.1f} ms", "<= 50 ms", held=slow <= 50)
        took = fsck(folder / "fsck", entries)
        # Below a million the start of its processes weighs more: a few seconds are let pass.
        limit = 60 * entries / 1e6 + (5 if entries < 1_000_000 else 0)
        told(f"fsck of {entries:,} entries", f"{took:.1f} s", f"<= {limit:.0f} s", held=took <= limit)
        for name, value in ceilings(folder / "fsck").items():
            print(f"ceiling again, {name}: {value:,.0f}/s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return missed


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    sys.exit(1 if main(*numbers) else 0)
