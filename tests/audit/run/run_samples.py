"""Functions that jobs of these tests call; workers import this module by name."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from titer.audit.run import Event, Job, Store, choose, progress
from titer.errors import DataError


def tell(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    """Its settings and its inputs, so that every difference in them shows."""
    told = ",".join(f"{key}={value.decode()}" for key, value in sorted(inputs.items()))
    return f"{payload!r}({told})".encode()


def refuse(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    raise DataError("cases", "none", "give some")


def stumble(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    return str({}["absent"]).encode()


def leave(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    sys.exit("gone")


def text(payload: dict[str, Any], inputs: dict[str, bytes]) -> Any:
    return "not bytes"


def large(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    return bytes(payload["size"])


def size(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    return str(sum(len(value) for value in inputs.values())).encode()


def log(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    """Leaves a line with its name and its process in a side log, then works for a while."""
    with Path(payload["log"]).open("a") as stream:
        stream.write(f"{payload['name']} {os.getpid()}\n")
    for part in range(5):
        time.sleep(payload["seconds"] / 5)
        progress(part + 1, 5)
    return tell({"name": payload["name"]}, inputs)


def die(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    """Kills its own worker as often as asked, counting in a file."""
    count = Path(payload["count"])
    deaths = int(count.read_text()) if count.exists() else 0
    if deaths < payload["times"]:
        count.write_text(str(deaths + 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return str(deaths).encode()


def environment(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    main = getattr(sys.modules["__main__"], "__file__", "none")
    return f"{os.environ.get('OMP_NUM_THREADS')} {os.environ.get('MKL_NUM_THREADS')} {main}".encode()


def threads(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    import torch

    return str(torch.get_num_threads()).encode()


def learn(payload: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    """Sums whose last bits depend on the order of addition: convolutions, a matrix product and their gradients."""
    import numpy as np
    import torch

    random = torch.Generator().manual_seed(payload["seed"])
    images = torch.randn(16, 3, 32, 32, generator=random, requires_grad=True)
    kernels = torch.randn(8, 3, 5, 5, generator=random, requires_grad=True)
    weights = torch.randn(8 * 28 * 28, 64, generator=random, requires_grad=True)
    hidden = torch.nn.functional.conv2d(images, kernels).tanh().flatten(1)
    loss = torch.logsumexp(hidden @ weights, dim=1).sum()
    loss.backward()
    numbers = [loss.detach(), *(leaf.grad for leaf in (images, kernels, weights) if leaf.grad is not None)]
    square = np.random.default_rng(payload["seed"]).normal(size=(400, 400))
    return b"".join(number.numpy().tobytes() for number in numbers) + (square @ square).tobytes()


def logged_jobs(log: Path, count: int, seconds: float) -> list[Job]:
    """Jobs that leave a line each; every fourth needs the two before it."""
    return [
        Job(
            key=f"job{index:02d}",
            function="run_samples:log",
            payload={"log": str(log), "name": f"job{index:02d}", "seconds": seconds},
            after=(f"job{index - 1:02d}", f"job{index - 2:02d}") if index % 4 == 3 else (),
        )
        for index in range(count)
    ]


def drive(store: str, log: str, scheduler: str, count: str, seconds: str) -> None:
    """A run to be killed: tells its events on standard output as they come."""

    def show(event: Event) -> None:
        sys.stdout.write(f"{event}\n")
        sys.stdout.flush()

    executor = choose(scheduler, 2 if scheduler == "processes" else None)
    try:
        executor.run(logged_jobs(Path(log), int(count), float(seconds)), Store(Path(store)), show)
    except KeyboardInterrupt:
        sys.exit(130)
