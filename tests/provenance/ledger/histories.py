"""Histories: clients that write down what they asked and what they were told, and a checker that believes only that.

`python histories.py client ...` is one client process with several threads. `run` starts some, kills and pauses them
while they work, and `judge` compares their diaries with the ledger that is left.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from provenance_tools import check, examined, leaf, make, reopen

from titer.errors import LedgerError
from titer.provenance.ledger.store import Store


def client(folder: Path, url: str, name: str, threads: int, seconds: float, patience: float) -> None:
    """Append until the time is over, from several threads; each line of the diary is flushed before the next act."""
    # A clock that jumps by up to a year either way, for every caller in this process.
    real, draw = time.time, random.Random(name)
    time.time = lambda: real() + draw.uniform(-3e7, 3e7)
    ledger = reopen(folder, url, patience=patience)
    stop = time.monotonic() + seconds

    def thread(number: int) -> None:
        with (folder.parent / f"diary-{name}-{number}").open("a") as diary:

            def write(**what: Any) -> None:
                diary.write(json.dumps(what) + "\n")
                diary.flush()

            counter = 0
            while time.monotonic() < stop:
                raw = leaf(f"{name}.{number}", counter)
                write(asked=raw.decode())
                try:
                    told = ledger.append(raw, wait=draw.choice(["published", "published", "durable"]), timeout=60)
                except LedgerError as error:
                    write(failed=error.code)
                    continue
                write(told=raw.decode(), index=told.index, state=told.state)
                if counter % 10 == 0 and told.state == "published":
                    write(checkpoint=ledger.checkpoint().decode())
                counter += 1

    workers = [threading.Thread(target=thread, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ledger.close()


def run(
    folder: Path, url: str, *, processes: int, threads: int, seconds: float, harm: bool, patience: float = 0.5
) -> list[str]:
    """Let clients work, kill and pause some of them, and say what is wrong with what they leave behind."""
    make(folder, url).close()
    draw = random.Random(5)
    names = iter(range(10_000))
    until = time.monotonic() + seconds

    def start() -> subprocess.Popen[bytes]:
        left = max(0.5, until - time.monotonic())
        words = ["client", str(folder), url, f"c{next(names)}", str(threads), str(left), str(patience)]
        return subprocess.Popen([sys.executable, __file__, *words])

    running = [start() for _ in range(processes)]
    try:
        while harm and time.monotonic() < until - 2:
            time.sleep(draw.uniform(0.3, 0.9))
            victim = draw.randrange(len(running))
            if draw.random() < 0.4:
                running[victim].kill()
                running[victim].wait()
                running[victim] = start()
            else:
                running[victim].send_signal(signal.SIGSTOP)
                time.sleep(draw.uniform(0.1, 3 * patience))
                running[victim].send_signal(signal.SIGCONT)
        ended = [process.wait(120) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    wrong = [f"a client ended with {code}" for code in ended if code]
    with reopen(folder, url, patience=0.05) as ledger:
        ledger.append(leaf("last", 0), timeout=60)
    return wrong + judge(folder, url)


def judge(folder: Path, url: str) -> list[str]:
    """What the diaries say that the ledger does not bear out."""
    asked: set[str] = {leaf("last", 0).decode()}
    told: list[tuple[str, int | None]] = []
    notes: set[str] = set()
    for diary in folder.parent.glob("diary-*"):
        for line in diary.read_text().splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if "asked" in said:
                asked.add(said["asked"])
            if "told" in said:
                told.append((said["told"], said["index"]))
            if "checkpoint" in said:
                notes.add(said["checkpoint"])
    store = Store.open(url)
    there = [entry.leaf.decode() for entry in store.entries(0, store.size())]
    store.close()
    where = {raw: index for index, raw in enumerate(there)}
    wrong = [f"acknowledged, not there: {raw}" for raw, _ in told if raw not in where]
    wrong += [f"told {index}, is at {where.get(raw)}" for raw, index in told if index not in (None, where.get(raw))]
    wrong += (
        [f"twice: {raw}" for raw in {raw for raw in there if there.count(raw) > 1}] if len(where) < len(there) else []
    )
    wrong += [f"never asked: {raw}" for raw in there if raw not in asked]
    roots = _roots([raw.encode() for raw in there])
    for note in notes:
        seen = check(note.encode())
        if roots.get(seen.size) != seen.root:
            wrong.append(f"a checkpoint of size {seen.size} was seen that this log does not extend")
    wrong += map(str, examined(folder, url).faults)
    if not told:
        wrong.append("nothing was acknowledged at all")
    print(f"{len(told)} acknowledged, {len(there)} entries, {len(notes)} checkpoints seen, {len(wrong)} wrong")
    return wrong


def _roots(leaves: list[bytes]) -> dict[int, bytes]:
    """The root at every size, by a stack of subtrees: code of its own, for it judges the ledger's."""
    roots, stack = {0: sha256(b"").digest()}, []
    for size, raw in enumerate(leaves, 1):
        stack.append((1, sha256(b"\x00" + raw).digest()))
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            (width, right), (_, left) = stack.pop(), stack.pop()
            stack.append((2 * width, sha256(b"\x01" + left + right).digest()))
        root = stack[-1][1]
        for _, left in reversed(stack[:-1]):
            root = sha256(b"\x01" + left + root).digest()
        roots[size] = root
    return roots


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    client(Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]), float(sys.argv[6]), float(sys.argv[7]))
