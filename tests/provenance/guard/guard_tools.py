"""A site for tests: a real ledger, a private index, a capture point, and models that count their calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from provenance_tools import ORIGIN, address, check, mark_of, sign

from titer.provenance.guard.capture import Capture
from titer.provenance.guard.index import Index
from titer.provenance.guard.inprocess import Guarded, guard
from titer.provenance.guard.policy import Policy
from titer.provenance.guard.quarantine import Quarantine
from titer.provenance.ledger import merkle, record
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.ledger import Admitted, Ledger
from titer.provenance.ledger.mark import Mark
from titer.provenance.ledger.publish import Site as Files
from titer.provenance.ledger.sequencer import Signing
from titer.provenance.ledger.store import Store

MODEL, PREPARATION = "ab" * 32, "cd" * 32


def admit(leaf: bytes) -> Admitted:
    told = record.parse(leaf)
    return Admitted(told.capture_key, told.counter)


def open_ledger(folder: Path, **signing: Any) -> Ledger:
    """A new ledger that admits signed records alone."""
    folder.mkdir(parents=True)
    Store.create(address(folder), origin=ORIGIN).close()
    mark_of(folder).create(Mark(ORIGIN, 0, merkle.EMPTY))
    return Ledger(
        Store.open(address(folder)),
        Files(folder, threads=1),
        mark_of(folder),
        ORIGIN,
        Signing(sign, check, **signing),
        admit,
    )


def letters(raw: bytes) -> np.ndarray[Any, Any]:
    """A text as numbers: the preparation of the counting model."""
    return np.frombuffer(raw, np.uint8).astype(np.float32)


class Counting:
    """A model that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        self.calls += 1
        return np.array([values.sum(), values.mean()])


class Hospital:
    """All that a site has."""

    def __init__(self, folder: Path, **signing: Any) -> None:
        self.folder = folder
        self.ledger = open_ledger(folder / "log", **signing)
        self.index = Index(f"sqlite:///{folder}/index.sqlite", bytes(32))
        self.key, self.workshop, self.guard_key = (Ed25519PrivateKey.generate() for _ in range(3))
        self.point = self.point_of(self.key)
        self.deriver = self.point_of(self.workshop)

    def point_of(self, key: Ed25519PrivateKey, clock: Callable[[], float] | None = None) -> Capture:
        return Capture(Chain(self.ledger, key, **({"clock": clock} if clock else {})), self.index)

    def policy(self, mode: str = "flag", **more: Any) -> Policy:
        told = {"captures": {self.point.chain.public}, "derivers": {self.deriver.chain.public}} | more
        return Policy(mode=mode, **told)  # type: ignore[arg-type]

    def guarded(self, model: Any, policy: Policy | None = None, **more: Any) -> Guarded:
        told: dict[str, Any] = {
            "index": self.index,
            "key": Ed25519PrivateKey.generate(),
            "model_digest": MODEL,
            "prepare": letters,
            "preparation": PREPARATION,
            "quarantine": Quarantine(self.folder / "quarantine"),
        }
        return guard(model, self.ledger, policy or self.policy(), **(told | more))

    def close(self) -> None:
        self.ledger.close()
        self.index.close()
