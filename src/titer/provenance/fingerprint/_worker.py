"""Decoders at work in processes of their own: what ends one of them refuses an object, and ends nothing else.

Plug-ins are written in C, C++ and Rust, and some answer damaged bytes by ending the process. So each codestream goes
through a pipe to a helper process and comes back as words. Helpers wait for the next one; a caller that finds
none waiting starts one. Between the two only lengths, JSON and raw bytes are exchanged.
"""

from __future__ import annotations

import atexit
import json
import os
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np

from titer.provenance.fingerprint._codecs import ROUTINES, Claim
from titer.provenance.fingerprint._elements import malformed
from titer.provenance.fingerprint._pixels import Frame, Words, shaped
from titer.provenance.fingerprint.fingerprint import refuse

_LONGEST_SECONDS = 120.0
_TYPES = ("|u1", "<u2", "<u4", "<u8", "|i1", "<i2", "<i4")
_HEAD = struct.Struct("<II")


def decode(data: bytes, frame: Frame, family: str, claimed: Claim | None) -> Words:
    """Native words of one frame, (rows, columns, samples), as unsigned words of the header's width.

    Refuses what the decoder cannot decode, decodes to another number of samples, takes two minutes for, or dies of.
    """
    asked = {"family": family, "frame": asdict(frame), "claimed": asdict(claimed) if claimed else None}
    most = frame.rows * frame.columns * frame.samples * 8
    helper = _HELPERS.take()
    told, flat = helper.ask(json.dumps(asked).encode(), data, most)
    if not told:
        raise malformed("codestream", f"{family} that decodes", "bytes that end the decoder")
    _HELPERS.give_back(helper)
    if "missing" in told:
        raise refuse(
            "unsupported.decoder", f"a decoder for {family}", f"no {told['missing']}", 'pip install "titer[ledger]"'
        )
    if "error" in told:
        raise malformed("codestream", f"{family} that decodes", str(told["error"]))
    kind = str(told.get("type"))
    if kind not in _TYPES or len(flat) % np.dtype(kind).itemsize:
        raise malformed("codestream", f"{family} that decodes", "an answer that is none")
    words = np.frombuffer(flat, dtype=kind)
    if words.size != frame.rows * frame.columns * frame.samples:
        raise malformed("codestream", f"{frame.rows * frame.columns * frame.samples} samples", f"{words.size}")
    return shaped(words.astype(frame.words, copy=False), frame, bool(told.get("planar")))


class _Helper:
    """One process that decodes what it is given until its input closes."""

    def __init__(self) -> None:
        home = str(Path(__file__).parents[3])
        known = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([home, known] if known else [home])
        # Without `-P` the working folder, which may hold anything, would come first.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )

    def ask(self, head: bytes, data: bytes, most: int) -> tuple[dict[str, object], bytes]:
        """Its answer, empty where it died, hung or answered beyond `most` bytes; it is then gone."""
        limit = threading.Timer(_LONGEST_SECONDS, self._process.kill)
        limit.daemon = True
        limit.start()
        try:
            given, taken = self._process.stdin, self._process.stdout
            assert given is not None
            assert taken is not None
            _put(given, head, data)
            told, flat = _get(taken, most)
            found = json.loads(told)
            if not isinstance(found, dict):
                raise ValueError
        except (OSError, EOFError, ValueError):
            self.end()
            return {}, b""
        except BaseException:
            # Interrupted in the middle of a question: what comes next would be the answer to this one.
            self.end()
            raise
        finally:
            limit.cancel()
        return found, flat

    def end(self) -> None:
        """Ends the process and waits for its end."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None


class _Helpers:
    """The helpers that wait, last used first."""

    def __init__(self) -> None:
        self._lock, self._waiting = threading.Lock(), list[_Helper]()
        atexit.register(self.end)
        if hasattr(os, "register_at_fork"):
            # A forked child shares the pipes of its parent and must not speak through them.
            os.register_at_fork(after_in_child=self._forget)

    def take(self) -> _Helper:
        with self._lock:
            while self._waiting:
                helper = self._waiting.pop()
                if helper.alive:
                    return helper
                helper.end()
        return _Helper()

    def give_back(self, helper: _Helper) -> None:
        with self._lock:
            self._waiting.append(helper)

    def end(self) -> None:
        with self._lock:
            while self._waiting:
                self._waiting.pop().end()

    def _forget(self) -> None:
        self._lock, self._waiting = threading.Lock(), []


_HELPERS = _Helpers()


def _put(stream: BinaryIO | object, head: bytes, data: bytes) -> None:
    for piece in (_HEAD.pack(len(head), len(data)), head, data):
        stream.write(piece)  # type: ignore[union-attr]
    stream.flush()  # type: ignore[union-attr]


def _get(stream: BinaryIO | object, most: int) -> tuple[bytes, bytes]:
    head, data = _HEAD.unpack(_exactly(stream, _HEAD.size))
    if data > most or head > 1 << 16:
        raise EOFError
    return _exactly(stream, head), _exactly(stream, data)


def _exactly(stream: BinaryIO | object, count: int) -> bytes:
    data: bytes = stream.read(count)  # type: ignore[union-attr]
    if len(data) != count:
        raise EOFError
    return data


def serve(given: BinaryIO, taken: BinaryIO) -> None:
    """Answers until the input closes."""
    while True:
        try:
            head, data = _get(given, 1 << 32)
        except EOFError:
            return
        asked = json.loads(head)
        claimed = Claim(**asked["claimed"]) if asked["claimed"] else None
        try:
            words, planar = ROUTINES[asked["family"]](data, Frame(**asked["frame"]), claimed)
            _put(taken, json.dumps({"type": words.dtype.str, "planar": planar}).encode(), words.tobytes())
        except ImportError as error:
            _put(taken, json.dumps({"missing": str(error.name)}).encode(), b"")
        except BaseException as error:
            # One plug-in answers damaged bytes with a panic, which is no `Exception`.
            _put(taken, json.dumps({"error": type(error).__name__}).encode(), b"")


if __name__ == "__main__":
    # Plug-ins that print would speak into the answer: what they print goes nowhere.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
