"""A served linear model, a clock that passes only while somebody sleeps, and endpoints that use both."""

from __future__ import annotations

from typing import Any

import numpy as np
from adapter_examples import TABLE, TWO

from titer.models.adapters.http import EndpointModel
from titer.models.adapters.http_client import Client
from titer.models.adapters.http_terms import Service

WEIGHT = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0], [-1.0, 1.0]])


def logits(inputs: np.ndarray) -> np.ndarray:
    return np.asarray(inputs, dtype=np.float64).reshape(len(inputs), -1)[:, :4] @ WEIGHT


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def client_of(url: str, clock: Clock | None = None, **terms: Any) -> Client:
    time = clock or Clock()
    return Client(url, Service(**{"timeout": 5.0, **terms}), sleep=time.sleep, clock=time)


def endpoint(server: Any, form: Any = "kserve", **settings: Any) -> EndpointModel:
    terms = settings.pop("terms", {})
    client = client_of(server.kserve if form == "kserve" else server.plain, settings.pop("clock", None), **terms)
    return EndpointModel(client, TABLE, settings.pop("task", TWO), protocol=form, **settings)
