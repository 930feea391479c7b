"""Faults, produced for real: kills and errors at each system call, and disks that lost what was not flushed.

A workload runs in a child process. `strace` counts its system calls once, then the same workload runs again and again,
each time killed, or refused, at another one. For power failures one run is recorded, call by call with all bytes, and
replayed up to each call onto disks that kept, dropped or mixed whatever had not been flushed. What must hold after
each: whatever was acknowledged is at its index, and fsck finds nothing.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from provenance_tools import ORIGIN, admit, check, examined, leaf, make, reopen, sign
from tile_client import Client

from titer.errors import LedgerError
from titer.provenance.ledger import recompute
from titer.provenance.ledger.checkpoint import Checkpoint
from titer.provenance.ledger.ledger import Ledger
from titer.provenance.ledger.publish import Site, write_fully
from titer.provenance.ledger.serve import Server
from titer.provenance.ledger.store import Item

CHANGING = (
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "flock",
    "fcntl",
)
REFUSED = ("openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "mkdir")
START = 254
GROUPS = (3, 1)
"""The workload crosses the end of a tile, so that full, partial and upper tiles are all written."""

Patch = Callable[[], None]


@dataclass
class Tally:
    """How many faults were produced, by kind, and what did not survive them."""

    faults: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def note(self, kind: str, words: str | None) -> None:
        self.faults[kind] += 1
        if words is not None:
            self.broken.append(f"{kind}: {words}")

    @property
    def total(self) -> int:
        return sum(self.faults.values())


def template(folder: Path) -> Path:
    """A ledger with some history, closed and flushed; its copies are what is broken."""
    with make(folder, threads=1) as ledger:
        ledger.append_many([leaf("k", n) for n in range(START)])
    return folder


def items(start: int, many: int) -> list[Item]:
    made = []
    for n in range(start, start + many):
        raw = leaf("k", n)
        made.append(Item(raw, sha256(b"\x00" + raw).digest(), *admit(raw)))
    return made


def lead(ledger: Ledger) -> None:
    """Take the lease, from a dead holder too."""
    until = time.monotonic() + 10
    while not ledger.sequencer.lead():
        if time.monotonic() > until:
            raise AssertionError("the lease cannot be had")
        time.sleep(0.005)


def work(folder: Path, tell: Callable[[int], object], *, attempts: int = 1) -> None:
    """The workload: groups are committed and published in one thread; `tell` acknowledges each entry."""
    ledger = reopen(folder, threads=1, patience=0.01, mark=folder / "mark")
    for attempt in range(attempts):
        try:
            lead(ledger)
            ledger.sequencer.load()
            start = START
            for many in GROUPS:
                placed = ledger.sequencer.commit(items(start, many))
                ledger.sequencer.publish()
                for where in placed:
                    assert where.index is not None
                    tell(where.index)
                start += many
            return
        except LedgerError:
            if attempt == attempts - 1:
                raise


def copied(source: Path, target: Path) -> Path:
    """A copy of the template, its mark inside, so that a replayed disk holds it too."""
    shutil.copytree(source, target)
    shutil.copy(source.with_name(source.name + "-mark") / "mark", target / "mark")
    return target


def verdict(folder: Path, acknowledged: set[int]) -> str | None:
    """What is wrong after a fault; None if nothing is: recover, publish, and compare."""
    ledger = reopen(folder, threads=1, patience=0.005, mark=folder / "mark")
    try:
        lead(ledger)
        ledger.sequencer.load()
        for entry in ledger.store.entries(START, START + sum(GROUPS)):
            acknowledged.discard(entry.index) if entry.leaf == leaf("k", entry.index) else None
        if acknowledged:
            return f"lost {sorted(acknowledged)}"
        # Work goes on: all of it again is idempotent for what is there.
        placed = ledger.sequencer.commit(items(START, sum(GROUPS)))
        if [where.index for where in placed] != list(range(START, START + sum(GROUPS))):
            return f"indices {[where.index for where in placed]}"
        ledger.sequencer.publish()
        if check(ledger.checkpoint()).size != START + sum(GROUPS):
            return "not published"
    except LedgerError as error:
        return f"{error.code}: {error}"
    finally:
        ledger.close()
    faults = examined(folder, mark=folder / "mark").faults
    return "; ".join(map(str, faults)) or None


# -- a child under strace -------------------------------------------------------------------------------------------


def traced(
    folder: Path, options: list[str], *, patch: Patch | None = None, attempts: int = 1, output: Path | None = None
) -> tuple[set[int], int]:
    """Run the workload in a child that strace watches; gives what was acknowledged, and how the child ended."""
    go_read, go_write = os.pipe()
    # A socket, for its calls are not among those that are counted.
    told, teller = socket.socketpair()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.close(go_write)
            told.close()
            if patch is not None:
                patch()
            os.read(go_read, 1)
            work(folder, lambda index: teller.send(b"ACK%d\n" % index), attempts=attempts)
            code = 0
        except LedgerError:
            code = 2
        finally:
            os._exit(code)
    os.close(go_read)
    teller.close()
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-p", str(child), "-o", str(output or "/dev/null"), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text():
        if tracer.poll() is not None:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"strace: {(tracer.stderr.read() if tracer.stderr else b'').decode()}")
        time.sleep(0.001)
    os.write(go_write, b"!")
    os.close(go_write)
    with told, told.makefile("rb") as stream:
        lines = stream.read().split()
    status = os.waitpid(child, 0)[1]
    tracer.wait(10)
    if tracer.stderr:
        tracer.stderr.close()
    return {int(line[3:]) for line in lines}, os.waitstatus_to_exitcode(status)


def counted(source: Path, scratch: Path, patch: Patch | None = None) -> Counter[str]:
    """How often the workload makes each system call."""
    folder = copied(source, scratch / "count")
    log = scratch / "calls"
    acknowledged, code = traced(folder, ["-e", f"trace={','.join(CHANGING)}"], patch=patch, output=log)
    assert (code, acknowledged) == (0, set(range(START, START + sum(GROUPS))))
    found = re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE)
    shutil.rmtree(folder)
    return Counter(name for name in found if name in CHANGING)


def places(calls: Counter[str], names: tuple[str, ...], every: int) -> Iterator[tuple[str, int]]:
    """Each system call by name and number, or one of `every`."""
    for place, (name, number) in enumerate((call, k) for call in names for k in range(1, calls[call] + 1)):
        if place % every == 0:
            yield name, number


def kills(source: Path, scratch: Path, tally: Tally, *, every: int = 1, patch: Patch | None = None) -> None:
    """SIGKILL at each system call."""
    for name, number in places(counted(source, scratch, patch), CHANGING, every):
        folder = copied(source, scratch / "kill")
        options = ["-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={number}"]
        acknowledged, _ = traced(folder, options, patch=patch)
        words = verdict(folder, acknowledged)
        tally.note("killed", words and f"{name} {number}: {words}")
        shutil.rmtree(folder)


def refusals(source: Path, scratch: Path, tally: Tally, *, every: int = 1, patch: Patch | None = None) -> None:
    """EIO, ENOSPC and EDQUOT at each system call: told to the caller, and the next attempt succeeds."""
    calls = counted(source, scratch, patch)
    for error in ("EIO", "ENOSPC", "EDQUOT"):
        names = REFUSED if error == "EIO" else ("openat", "write", "pwrite64", "mkdir", "rename", "ftruncate")
        for name, number in places(calls, names, every):
            folder = copied(source, scratch / "refuse")
            options = ["-e", f"trace={name}", "-e", f"inject={name}:error={error}:when={number}"]
            acknowledged, code = traced(folder, options, patch=patch, attempts=3)
            words = verdict(folder, acknowledged)
            if words is None and code not in (0, 2):
                words = f"the child ended with {code}"
            tally.note(error, words and f"{name} {number}: {words}")
            shutil.rmtree(folder)


# -- power failures -------------------------------------------------------------------------------------------------


class _File:
    def __init__(self, data: bytes = b"") -> None:
        self.flushed = data
        self.changes: list[tuple[int, bytes]] = []
        """Offset and bytes written since the last flush; offset -1 cuts the file to the length that follows."""

    def content(self, keep: Callable[[], bool]) -> bytes:
        data = bytearray(self.flushed)
        for offset, raw in self.changes:
            if not keep():
                continue
            if offset < 0:
                length = int.from_bytes(raw, "big")
                del data[length:]
                data.extend(b"\0" * (length - len(data)))
            else:
                data.extend(b"\0" * (offset - len(data)))
                data[offset : offset + len(raw)] = raw
        return bytes(data)

    def flush(self) -> None:
        self.flushed, self.changes = self.content(lambda: True), []


class Disk:
    """A disk that forgets: names and contents as flushed, and what was changed since.

    A file's flush does not flush its name, and a name's flush (that of the folder) does not flush the file: POSIX
    promises no more.
    """

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, _File] = {}
        self.folders = {"."}
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_dir():
                self.folders.add(name)
            elif not name.endswith("-shm"):
                self.files[name] = _File(path.read_bytes())
        self.names = dict(self.files)
        self.pending: list[tuple[str, str, _File | None]] = []
        """Folder, name and what it names (None: nothing any more) since that folder's flush."""

    def name(self, path: str, what: _File | None) -> None:
        if what is None:
            self.files.pop(path, None)
        else:
            self.files[path] = what
        self.pending.append((str(Path(path).parent), path, what))

    def flush(self, path: str) -> None:
        if path in self.folders:
            for change in [change for change in self.pending if change[0] == path]:
                self._apply(self.names, change)
                self.pending.remove(change)
        elif path in self.files:
            self.files[path].flush()

    @staticmethod
    def _apply(names: dict[str, _File], change: tuple[str, str, _File | None]) -> None:
        if change[2] is None:
            names.pop(change[1], None)
        else:
            names[change[1]] = change[2]

    def write_to(self, folder: Path, keep: Callable[[], bool]) -> None:
        """What is found after the power comes back, if `keep` says of each unflushed change whether it got through."""
        names = dict(self.names)
        for change in self.pending:
            if keep():
                self._apply(names, change)
        for path, file in names.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content(keep))
        for path in self.folders:
            (folder / path).mkdir(parents=True, exist_ok=True)


_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")


def recorded(
    source: Path, scratch: Path, patch: Patch | None = None
) -> tuple[Path, Disk, list[tuple[str, list[str], str]]]:
    """One run of the workload: the disk before it, and each call with its bytes."""
    folder = copied(source, scratch / "record")
    disk = Disk(folder)
    log = scratch / "recording"
    names = "openat,write,sendto,pwrite64,fsync,fdatasync,ftruncate,rename,unlink,unlinkat,mkdir,rmdir,close"
    _, code = traced(folder, ["-y", "-xx", "-s", "10000000", "-e", f"trace={names}"], patch=patch, output=log)
    assert code == 0
    calls = []
    for line in log.read_text().splitlines():
        match = _CALL.match(line)
        if match and int(match[3]) >= 0:
            calls.append((match[1], _split(match[2]), match[3]))
    shutil.rmtree(folder)
    return folder, disk, calls


def _split(words: str) -> list[str]:
    return re.findall(r'"(?:[^"\\]|\\.)*"(?:\.\.\.)?|\d+<[^>]*>|[^,\s][^,]*', words)


def _raw(word: str) -> bytes:
    return bytes.fromhex(word.strip('"').replace("\\x", ""))


def _named(word: str) -> str:
    """The path behind a file descriptor, which `strace -y -xx` writes in hexadecimal too."""
    inside = word.partition("<")[2].rstrip(">")
    return _raw(inside).decode() if inside.startswith("\\x") else inside


def power_failures(
    source: Path, scratch: Path, tally: Tally, *, every: int = 1, mixes: int = 2, patch: Patch | None = None
) -> None:
    """The power fails after each recorded call, with what was not flushed kept, dropped, or mixed."""
    folder, disk, calls = recorded(source, scratch, patch)
    acknowledged: set[int] = set()
    at: dict[str, int] = {}

    def inside(path: str) -> str | None:
        if path == str(folder):
            return "."
        name = path.removeprefix(f"{folder}/")
        return None if name == path or name.endswith("-shm") else name

    for number, (call, words, result) in enumerate(calls):
        changed = True
        if call == "openat":
            path = inside(_raw(words[1]).decode())
            if path is not None and path not in disk.folders and "O_CREAT" in words[2] and path not in disk.files:
                disk.name(path, _File())
            elif path in disk.files and "O_TRUNC" in words[2]:
                disk.files[path].changes.append((-1, (0).to_bytes(8, "big")))
            else:
                changed = False
            if path is not None:
                at[result] = 0
        elif call == "sendto":
            acknowledged.update(int(line[3:]) for line in _raw(words[1]).split() if line.startswith(b"ACK"))
        elif call in ("write", "pwrite64"):
            path = inside(_named(words[0]))
            raw = _raw(words[1])[: int(result)]
            if path is None:
                continue
            number_of = words[0].partition("<")[0]
            offset = int(words[3]) if call == "pwrite64" else at.get(number_of, 0)
            if call == "write":
                at[number_of] = offset + len(raw)
            disk.files[path].changes.append((offset, raw))
        elif call == "ftruncate":
            path = inside(_named(words[0]))
            if path is None:
                continue
            disk.files[path].changes.append((-1, int(words[1]).to_bytes(8, "big")))
        elif call in ("fsync", "fdatasync"):
            path = inside(_named(words[0]))
            if path is not None:
                disk.flush(path)
        elif call == "rename":
            old, new = (inside(_raw(word).decode()) for word in words[:2])
            if old and new:
                file = disk.files[old]
                disk.name(old, None)
                disk.name(new, file)
        elif call in ("unlink", "unlinkat"):
            path = inside(_raw(words[0]).decode()) if call == "unlink" else inside(_at(words))
            if path in disk.files and "AT_REMOVEDIR" not in "".join(words):
                disk.name(path, None)
        elif call == "mkdir":
            path = inside(_raw(words[0]).decode())
            if path is not None:
                disk.folders.add(path)
        else:
            changed = False
        if changed and number % every == 0:
            _replay(disk, scratch, acknowledged, tally, f"after call {number} ({call})", mixes, number)


def _at(words: list[str]) -> str:
    return f"{_named(words[0])}/{_raw(words[1]).decode()}"


def _replay(
    disk: Disk, scratch: Path, acknowledged: set[int], tally: Tally, where: str, mixes: int, number: int
) -> None:
    ways: list[tuple[str, Callable[[], bool]]] = [("kept", lambda: True), ("dropped", lambda: False)]
    for seed in range(mixes):
        draw = random.Random(f"{number}.{seed}")
        ways.append(("mixed", lambda draw=draw: draw.random() < 0.5))  # type: ignore[misc]
    for name, keep in ways:
        target = scratch / "replay"
        target.mkdir()
        disk.write_to(target, keep)
        words = verdict(target, set(acknowledged))
        tally.note(f"power failed, {name}", words and f"{where}: {words}")
        shutil.rmtree(target)


# -- broken on purpose ------------------------------------------------------------------------------------------------


def without_fsync() -> None:
    """A ledger that forgets to flush its files."""
    os.fsync = lambda handle: None  # type: ignore[assignment]


def rename_before_write() -> None:
    """A ledger that puts a file in place and then writes it."""
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        raw = self.read_bytes()
        write_fully(self, b"")
        done = rename(self, target)
        write_fully(Path(target), raw)
        return done

    Path.replace = replace  # type: ignore[method-assign, assignment]


_FRESH = itertools.count()


def scratch_in(folder: Path) -> Path:
    """A new folder to break things in."""
    made = folder / f"scratch{next(_FRESH)}"
    made.mkdir()
    return made


def width_off_by_one(folder: Path) -> str:
    """What an independent client says of a log whose tiles are one hash too narrow; empty if it is content."""
    right = recompute.WIDTH
    recompute.WIDTH = 255
    try:
        tree, site = recompute.Rebuild(), Site(folder, threads=1)
        site.prepare()
        for n in range(600):
            site.stage(tree.feed(leaf("k", n)))
        site.stage((), tree.partial())
        site.publish(sign(Checkpoint(ORIGIN, tree.size, tree.root())), lambda _: True)
    finally:
        recompute.WIDTH = right
    server = Server(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        Client(server.address).read()
    except AssertionError as error:
        return f"the independent client refuses it: {error}"
    finally:
        server.shutdown()
        server.server_close()
    return ""
