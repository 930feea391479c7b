"""Pictures, strips, notes and rows of the example report, drawn by formula."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from report_example_results import cell

from titer.audit.report import schema as s
from titer.audit.report.pictures import image_uri, magnification, perturbation_uri

Array = npt.NDArray[np.float64]


def gallery() -> tuple[s.GalleryItem, ...]:
    return picture("image", 5), picture("volume-slice", 9), strip(), note(), row()


def phantom(seed: int) -> Array:
    """Two lung fields, ribs, an opacity and sensor noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    body = 0.62 - 0.15 * (x**2 + y**2)
    lungs = sum(np.exp(-(((x - side) / 0.3) ** 4) - (y / 0.7) ** 4) for side in (-0.42, 0.42))
    ribs = 0.05 * np.sin(18 * y + 3 * x**2) * lungs
    opacity = 0.22 * np.exp(-((x - 0.4) ** 2 + (y - 0.2) ** 2) / 0.03)
    drawn = body - 0.38 * lungs + ribs + opacity + 0.015 * rng.standard_normal(x.shape)
    return np.asarray(np.clip(drawn, 0, 1))


def picture(kind: str, seed: int) -> s.ImageItem:
    clean = phantom(seed)
    rng = np.random.default_rng(seed + 100)
    change = 4 / 255 * np.sign(np.cumsum(rng.standard_normal(clean.shape), axis=1))
    shown, scale = perturbation_uri(change, reach=1.0)
    caption = "Chest phantom with a soft opacity in the left lower zone; pixel intensity 0 to 1."
    common = common_fields(
        "T-CNN",
        "PGD",
        2,
        caption=caption,
        unit="intensity (0 to 1)",
        true="opacity",
        clean=("opacity", 0.962),
        adversarial=("clear", 0.991),
        cost=4 / 255,
    )
    return s.ImageItem.model_validate(
        {
            **common,
            "kind": kind,
            "clean_png": image_uri(clean),
            "perturbation_png": shown,
            "adversarial_png": image_uri(np.clip(clean + change, 0, 1)),
            "perturbation_scale": scale,
            "plane": "axial, slice 31 of 64" if kind == "volume-slice" else "",
        }
    )


def strip() -> s.SignalItem:
    time = np.arange(500) / 125
    waves = ((0.12, -0.18, 0.025), (-0.1, -0.03, 0.01), (1.05, 0.0, 0.012), (-0.22, 0.03, 0.012), (0.28, 0.24, 0.04))
    clean = np.zeros_like(time)
    for beat in np.arange(0.3, 4, 0.82):
        for height, offset, width in waves:
            clean += height * np.exp(-((time - beat - offset) ** 2) / (2 * width**2))
    change = 0.05 * np.sin(2 * np.pi * 7 * time) * np.sin(2 * np.pi * 0.6 * time + 1)
    caption = "Single-lead ECG, 4 s at 125 Hz, in mV; regular rhythm with P waves."
    common = common_fields(
        "T-RNN",
        "PGD",
        2,
        caption=caption,
        unit="mV",
        true="normal",
        clean=("normal", 0.973),
        adversarial=("arrhythmia", 0.884),
        cost=0.05,
    )
    return s.SignalItem(
        **common,
        kind="signal",
        step=1 / 125,
        channels=("lead II",),
        clean_values=rounded(clean),
        adversarial_values=rounded(clean + change),
        perturbation_values=rounded(change),
        perturbation_scale=magnification(0.05, reach=2.0),
    )


def note() -> s.NoteItem:
    text = "Patient reports chest pain since this morning , denies fever . No prior stroke . Started on aspirin daily ."
    changes = {
        "chest": "thoracic",
        "fever": "pyrexia",
    }
    tokens = tuple(
        s.NoteToken(op="replace" if word in changes else "equal", text=word, replacement=changes.get(word))
        for word in text.split()
    )
    common = common_fields(
        "T-TRF",
        "JSMA",
        1,
        caption="Template note; finding decided by its concepts.",
        unit="words",
        true="finding",
        clean=("finding", 0.94),
        adversarial=("no finding", 0.71),
        cost=2,
    )
    return s.NoteItem(**common, kind="note", tokens=tokens)


def row() -> s.TableItem:
    rows = (
        s.FeatureRow(feature="mean radius", unit="um", clean=14.2, adversarial=14.9),
        s.FeatureRow(feature="mean texture", unit="gray level", clean=19.1, adversarial=19.1),
        s.FeatureRow(feature="worst concavity", clean=0.34, adversarial=0.29),
    )
    common = common_fields(
        "T-AE",
        "PGD",
        1,
        caption="Fine-needle biopsy, three of thirty features.",
        unit="as listed",
        true="lesion",
        clean=("lesion", None),
        adversarial=("healthy", None),
        cost=3.6 / 255,
    )
    return s.TableItem(**common, kind="table", rows=rows)


def common_fields(
    model: str,
    attack: str,
    step: int,
    *,
    caption: str,
    unit: str,
    true: str,
    clean: tuple[str, float | None],
    adversarial: tuple[str, float | None],
    cost: float,
) -> dict[str, object]:
    source = cell(model, attack, step)
    before, after = (s.Prediction(label=label, confidence=sure) for label, sure in (clean, adversarial))
    return {
        "cell": source.id,
        "caption": caption,
        "unit": unit,
        "true_label": true,
        "clean": before,
        "adversarial": after,
        "cost": cost,
        "limit": source.limit,
    }


def rounded(values: Array) -> tuple[tuple[float, ...], ...]:
    return (tuple(round(float(value), 4) for value in values),)
