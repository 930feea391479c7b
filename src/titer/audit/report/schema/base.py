"""What all blocks of a report share: frozen, closed to unknown keys, finite numbers only."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

SCHEMA_VERSION: Final = "1.1"
"""Version of the report format. The first number changes when an old reader would misread a new report; the second when
blocks or kinds are added that an old reader does not know.

1.1: metrics of segmentations, outlines in the gallery, minimal radii; records, gate and index.
"""

READABLE: Final = ("1.1",)
"""Versions that this one reads."""

Text = Annotated[str, StringConstraints(min_length=1)]
"""A string that says something."""


class Block(BaseModel):
    """A part of a report: immutable, without unknown keys, without NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
