"""Pictures and planes of volumes as they were recorded, as they were attacked, and the magnified change."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.audit.report.pictures import image_uri, outlined_uri, perturbation_uri
from titer.audit.report.schema import Outlines
from titer.audit.table import Array
from titer.cases.space import Space


def picture_fields(
    clean: Array, attacked: Array, space: Space, maps: tuple[Array, Array, Array] | None = None
) -> tuple[dict[str, Any], str]:
    """Fields of an `ImageItem`, and what the caption must add.

    One channel is shown in gray, three as colors; of any other number the most changed one. Of a volume [C, D, H, W]
    the plane with the largest change is shown. Black and white are the ends of the valid range; where the case spans
    less than half of it, the ends of what the case spans.

    Arguments
        clean, attacked: [C, H, W] or [C, D, H, W] in the unit of the space.
        maps: true map and what was marked before and after, [H, W] or [D, H, W], to draw their outlines.
    """
    before, after = clean.astype(np.float64), attacked.astype(np.float64)
    plane = ""
    if space.kind == "volume":
        place = int(np.abs(after - before).sum(axis=(0, 2, 3)).argmax())
        before, after = before[:, place], after[:, place]
        maps = None if maps is None else (maps[0][place], maps[1][place], maps[2][place])
        plane = f"plane {place + 1} of {space.shape[1]}"
    low, high = (np.broadcast_to(edge.reshape(-1), before.shape[0]) for edge in space.bounds())
    more = ""
    if len(before) not in (1, 3):
        channel = int(np.abs(after - before).sum(axis=(1, 2)).argmax())
        name = space.names[channel] if space.names else f"channel {channel + 1}"
        more = f"Shown: {name}, the most changed of {len(before)} channels."
        before, after, low, high = (each[channel : channel + 1] for each in (before, after, low, high))
    low, high = _display(before, after, low, high)
    one, two = (_shown(each, low, high) for each in (before, after))
    change, scale = perturbation_uri(two - one, reach=1.0)
    fields: dict[str, Any] = {
        "kind": "volume-slice" if space.kind == "volume" else "image",
        "clean_png": image_uri(one),
        "perturbation_png": change,
        "adversarial_png": image_uri(two),
        "perturbation_scale": scale,
        "plane": plane,
    }
    if maps is not None:
        fields["outlines"] = Outlines(
            clean_png=outlined_uri(one, maps[0], maps[1]), adversarial_png=outlined_uri(two, maps[0], maps[2])
        )
    return fields, more


def _display(before: Array, after: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Values shown as black and white, per channel."""
    least, most = min(before.min(), after.min()), max(before.max(), after.max())
    if 0 < most - least < 0.5 * float((high - low).max()):
        return np.full_like(low, least), np.full_like(high, most)
    return low, high


def _shown(picture: Array, low: Array, high: Array) -> Array:
    """[H, W] or [H, W, 3] with 0 as black and 1 as white."""
    scaled = (picture - low[:, None, None]) / (high - low)[:, None, None]
    return np.asarray(scaled[0] if len(scaled) == 1 else scaled.transpose(1, 2, 0))
