"""What the gallery attacks: a film, an ECG strip, an EEG strip and cubes of an MRI volume, each with a small model."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from titer.attacks import engine
from titer.attacks.attack import Attack
from titer.cases.case import Array, Batch
from titer.cases.dataset import DataCard, Dataset
from titer.cases.find import data_root, find_dataset
from titer.cases.space import Space
from titer.cases.splits import split
from titer.models.checkpoint import trained
from titer.models.model import to_tensor
from titer.models.trained import TrainedModel
from titer.models.zoo.t_cnn import TCNN
from titer.models.zoo.t_cnn1d import TCNN1d
from titer.threats.threat import ThreatModel

CACHE = Path(__file__).parents[2] / ".cache" / "gallery"
# Side of a cube in voxels of 2 mm, the step between cubes, and the labels of the lateral ventricles.
_SIDE, _STEP, _VENTRICLES = 32, 14, (51, 52)
# Cases of disease that an attack may be shown on; the first that it turns is.
_SHOWN = 12


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, cases of its test part that it decides right, and others to learn from."""

    title: str
    credit: str
    model: TrainedModel
    batch: Batch
    pool: Batch

    def said(self, scores: Array) -> str:
        """The model's answer to one case, in words."""
        chances = torch.softmax(torch.from_numpy(np.asarray(scores, dtype=np.float64)), dim=-1).numpy()
        return f"{self.model.task.classes[int(chances.argmax())]} ({100 * float(chances.max()):.0f} %)"


def film() -> Subject:
    dataset = find_dataset("cxr_pediatric", size=128)
    rows = split(dataset, seed=0)
    model = trained(TCNN(epochs=6), dataset, rows, seed=0, folder=CACHE)
    credit = "Film: Kermany et al., Cell 172:1122 (2018), CC BY 4.0."
    return _subject("Chest X-ray of a child", credit, model, dataset, rows, 1)


def ecg() -> Subject:
    dataset = find_dataset("ecg_mitbih")
    rows = split(dataset, seed=0, limit=(4000, 800, 800))
    model = trained(TCNN1d(epochs=4), dataset, rows, seed=0, folder=CACHE)
    credit = "Beat: MIT-BIH Arrhythmia Database, Moody and Mark 2001, PhysioNet, ODC-BY 1.0."
    return _subject("ECG, one second around a beat", credit, model, dataset, rows, 1)


def eeg() -> Subject:
    dataset = find_dataset("eeg_bonn")
    rows = split(dataset, seed=0, limit=(1600, 400, 400))
    model = trained(TCNN1d(epochs=4), dataset, rows, seed=0, folder=CACHE)
    credit = "Excerpt of 3 s: Andrzejak et al., Phys. Rev. E 64:061907 (2001), shown with citation."
    return _subject("EEG, three seconds", credit, model, dataset, rows, 1)


def mri() -> Subject:
    """Cubes of T1 volumes, with or without a lateral ventricle; three persons to train and check, one to test."""
    dataset = _cubes()
    rows = split(dataset, seed=0, by="official")
    model = trained(TCNN(size="mini", epochs=6, shift=0.0), dataset, rows, seed=0, folder=CACHE)
    credit = (
        "Volume: IXI data set (brain-development.org), CC BY-SA 3.0; labels by DLMUSE; this picture is CC BY-SA 3.0."
    )
    return _subject("T1 MRI, a cube of 64 mm", credit, model, dataset, rows, 1)


SUBJECTS: dict[str, Callable[[], Subject]] = {each.__name__: each for each in (film, ecg, eeg, mri)}


def shown(subject: Subject, attack: Attack, threat: ThreatModel) -> tuple[engine.Outcome, int]:
    """The outcome on a few cases, and which of them is shown: the first that was turned, else the most moved one."""
    if attack.learns:
        attack = engine.learn(attack, subject.model, subject.pool, threat, seed="gallery")
    outcome = engine.run(attack, subject.model, subject.batch, threat, seed="gallery")
    turned = np.flatnonzero(outcome.fooled)
    return outcome, int(turned[0]) if len(turned) else int(outcome.cost.argmax())


def _subject(title: str, credit: str, model: TrainedModel, dataset: Dataset, rows: object, positive: int) -> Subject:
    held = dataset.cases.take(rows.test)  # type: ignore[attr-defined]
    held = held.take(np.flatnonzero(held.targets == positive))
    with model.ready(), torch.no_grad():
        right = model.scores(to_tensor(held.inputs, model.space)).argmax(dim=1).numpy() == held.targets
    pool = dataset.cases.take(rows.validation)  # type: ignore[attr-defined]
    return Subject(
        title, credit, model, held.take(np.flatnonzero(right)[:_SHOWN]), pool.take(range(min(len(pool), 120)))
    )


def _cubes() -> Dataset:
    """Cubes of the volumes, each with the mask of what is brain; values in percent of the brightest tissue."""
    folder = (data_root() or Path()) / "brain_mri_ixi"
    inputs, targets, people, ids, masks = [], [], [], [], []
    for person, path in enumerate(sorted(folder.glob("*_T1_ds.nii.gz"))):
        volume, labels = _voxels(path).astype(np.float32), _voxels(path.with_name(path.name[:-7] + "_DLMUSE.nii.gz"))
        volume = np.clip(100 * volume / np.percentile(volume, 99.8), 0, 100)
        edges = [range(8, length - _SIDE - 4, _STEP) for length in volume.shape]
        for corner in ((a, b, c) for a in edges[0] for b in edges[1] for c in edges[2]):
            cut = tuple(slice(start, start + _SIDE) for start in corner)
            if (labels[cut] > 0).mean() < 0.2:
                continue
            inputs.append(volume[cut][None])
            masks.append((labels[cut] > 0)[None])
            targets.append(int(np.isin(labels[cut], _VENTRICLES).mean() > 0.01))
            people.append(person)
            ids.append(f"cube-{person}-{'-'.join(map(str, corner))}")
    kept = Batch(
        np.stack(inputs), np.array(targets), np.array(people), tuple(ids), masks=np.stack(masks).astype(np.float32)
    )
    space = Space("volume", (1, _SIDE, _SIDE, _SIDE), "% of the brightest tissue", 0.0, 100.0, spacing=(2.0, 2.0, 2.0))
    parts = np.array(["train", "train", "validation", "test"])[kept.patients]
    card = DataCard(
        name="brain_mri_ixi", title="cubes of T1 volumes", licence="CC BY-SA 3.0", citation="IXI data set",
        source="four volumes at 2 mm", subjects="one per volume",
    )  # fmt: skip
    return Dataset(card, space, "classes", ("no ventricle", "ventricle"), (1,), kept, parts)


def _voxels(path: Path) -> Array:
    """The voxels of a NIfTI file of bytes, [left to right, back to front, foot to head]."""
    data = gzip.decompress(path.read_bytes())
    shape, start = struct.unpack_from("<3h", data, 42), int(struct.unpack_from("<f", data, 108)[0])
    return np.frombuffer(data, np.uint8, int(np.prod(shape)), start).reshape(shape, order="F")
