"""Two clouds: a table of two normal distributions, two rows per patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titer.cases.case import Batch
from titer.cases.dataset import DataCard, Dataset, DatasetSource
from titer.cases.space import Space


class TwoClouds(DatasetSource):
    """Two classes, three standard deviations apart.

    Options
        cases: number of rows.
    """

    name: ClassVar[str] = "two_clouds"
    embedded: ClassVar[bool] = True

    def load(self, root: Path | None, **options: Any) -> Dataset:
        cases = int(options.get("cases", 400))
        rng = np.random.Generator(np.random.Philox(7))
        targets = np.arange(cases) % 2
        inputs = rng.normal(size=(cases, 4)) + 1.5 * (2 * targets[:, None] - 1)
        batch = Batch(np.clip(inputs, -8, 8), targets, np.arange(cases) // 2, tuple(map(str, range(cases))))
        card = DataCard(
            self.name, "Two clouds of points", "CC0", "none", "generated", "generated pairs", synthetic=True
        )
        space = Space("table", (4,), "unit", -8.0, 8.0, limit_unit="SD")
        return Dataset(card, space, "classes", ("left", "right"), (1,), batch)
