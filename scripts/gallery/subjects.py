"""Who is attacked: small models on a film, an ECG, two EEGs and brain volumes, each with the cases that are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from gallery.volumes import VOXEL_ML, cubes, heads, space, whole
from titer.cases.case import Array, Batch
from titer.cases.dataset import Dataset
from titer.cases.find import data_root, find_dataset
from titer.cases.space import Space
from titer.cases.splits import Split, split
from titer.models.adapters.torch import TorchModel
from titer.models.checkpoint import trained
from titer.models.model import Model, to_tensor
from titer.models.recipe import Recipe
from titer.models.task import Task
from titer.models.trained import TrainedModel
from titer.models.zoo.t_cnn import TCNN
from titer.models.zoo.t_cnn1d import TCNN1d
from titer.models.zoo.t_unet import TUNet

CACHE = Path(__file__).parents[2] / ".cache" / "gallery"
# Cases of the validation part that some attacks learn from.
_POOL = 96
# Cases chosen by eye among those that the models decide right: typical, and free of marks. The first is shown; the
# others are, in this order, where it withstands.
_FILMS = ("cxr-0757", "cxr-0776", "cxr-0540", "cxr-0240", "cxr-0285")
_STRIPS = ("strip-00587", "strip-00586", "strip-00933", "strip-00366", "strip-00904")
_EXCERPTS = ("eeg-485-2", "eeg-499-0", "eeg-439-1", "eeg-418-1")
_WINDOWS = ("eeg-000886", "eeg-000791", "eeg-001026", "eeg-000530")


@dataclass(frozen=True, eq=False)
class Subject:
    """A model with what it is shown.

    Arguments
        what: the case in words, with an article. told: what the model is and how good, one or two sentences.
        credit: source, citation and licence, as it stands under every figure.
        model: attacked. cases: of the test part; the first is shown, the others where it withstands.
        pool: cases outside the test, from which some attacks learn. surrogate: another model of the same, or None.
    """

    what: str
    told: str
    credit: str
    model: Model
    cases: Batch
    pool: Batch
    surrogate: Model | None = None

    def says(self, scores: Array, truth: Array) -> str:
        """The model's answer to one case, in words."""
        task = self.model.task
        if task.kind == "segmentation":
            volume = float((task.decide(scores[None]) == 1).sum()) * VOXEL_ML
            return f"{volume:.1f} mL (Dice {float(task.agreement(scores[None], truth[None])[0]):.2f})"
        decided = int(task.decide(scores[None])[0])
        return f"{task.classes[decided]} ({100 * float(task.confidence(scores[None])[0]):.0f} %)"


def film() -> Subject:
    return _classifier(
        "a chest X-ray of a child",
        "films",
        TCNN(epochs=3, batch=32),
        find_dataset("cxr_pediatric", size=128),
        _FILMS,
        "Chest X-ray: Kermany et al., Cell 172:1122 (2018), data doi 10.17632/rscbjbr9sj, "
        "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); reduced to 128 x 128 pixels and changed as said.",
    )


def ecg(*, lend: bool = True) -> Subject:
    """Strips of ten seconds; the surrogate, where one is lent, is the same network from another seed."""
    return _classifier(
        "a ten-second ECG strip, lead MLII",
        "strips",
        TCNN1d(epochs=5, own_scale="standard", shift=0.1, amplitude=0.2),
        find_dataset("ecg_mitbih", task="strips"),
        _STRIPS,
        "ECG: contains information from the MIT-BIH Arrhythmia Database (Moody and Mark, IEEE Eng. Med. Biol. "
        "20(3):45, 2001; Goldberger et al., Circulation 101:e215, 2000), made available under the "
        "[ODC Attribution License](https://physionet.org/content/mitdb/view-license/1.0.0/).",
        lend=lend,
    )


def eeg() -> Subject:
    return _classifier(
        "three seconds of intracranial EEG",
        "excerpts",
        TCNN1d(epochs=3, own_scale="center", shift=0.1),
        find_dataset("eeg_bonn", task="intracranial"),
        _EXCERPTS,
        "EEG: excerpt of three seconds from the data of Andrzejak et al., Phys. Rev. E 64:061907 (2001), "
        "doi 10.1103/PhysRevE.64.061907, which their authors publish for free use with this citation.",
        others="other recordings",
    )


def twin() -> Subject:
    return _classifier(
        "two seconds of a simulated EEG of eight electrodes",
        "windows",
        TCNN1d(epochs=8),
        find_dataset("eeg_simulated", cases=1200),
        _WINDOWS,
        "EEG: simulated by Titer (`eeg_simulated`); no patient was involved.",
        others="other simulated people",
    )


def mri() -> Subject:
    """Whole brains; the network learns from cubes of two persons, a third says when to stop, the fourth is attacked."""
    known = heads((data_root() or Path()) / "brain_mri_ixi")
    learned = cubes(known)
    rows = Split(*(np.flatnonzero(learned.official == part) for part in ("train", "validation", "test")))
    network = trained(TUNet(epochs=6, batch=4, width=5, rate=7e-3), learned, rows, seed=0, folder=CACHE)
    batch = whole(known)
    model = _alone(network, space(batch.inputs.shape[2:]), replace(network.task, tolerance=0.6))
    shown = batch.take([3])
    agreed = model.task.agreement(_scores(model, shown), shown.targets)
    true = float(shown.targets.sum()) * VOXEL_ML
    return Subject(
        "a T1-weighted MRI of the head",
        "The model marks the lateral ventricles, outlined in yellow, and measures their volume (`t_unet`, trained on "
        f"cubes of two persons; Dice {agreed[0]:.2f} on the fourth, who is shown and whose ventricles truly hold "
        f"{true:.1f} mL). "
        "It counts as fooled when Dice falls below 0.6. Planes lie through the middle of what it marks, or of a change "
        "that is small; the window ends at 140 % of white matter.",
        "MRI: [IXI data set](https://brain-development.org/ixi-dataset/), CC BY-SA 3.0; this figure is adapted from it "
        "and stands under [CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/). True ventricles by DLMUSE.",
        model,
        shown,
        batch.take([0, 1, 2]),
    )


SUBJECTS: dict[str, Callable[[], Subject]] = {each.__name__: each for each in (film, ecg, eeg, twin, mri)}


def _classifier(
    what: str,
    many: str,
    recipe: Recipe,
    dataset: Dataset,
    chosen: tuple[str, ...],
    credit: str,
    *,
    others: str = "other people",
    lend: bool = False,
) -> Subject:
    rows = split(dataset, seed=0)
    known = [trained(recipe, dataset, rows, seed=seed, folder=CACHE) for seed in range(1 + lend)]
    model, *more = (_alone(each, each.space, each.task) for each in known)
    held = dataset.cases.take(rows.test)
    right = model.task.correct(_scores(model, held), held.targets)
    place = {name: row for row, name in enumerate(held.ids)}
    told = (
        f"The model tells {dataset.classes[0]} from {dataset.classes[1]} (`{recipe.name}`, trained for this page on "
        f"{len(rows.train):,} {many}, right in {100 * right.mean():.0f} % of {len(held):,} {many} of {others})."
    )
    shown = held.take([place[name] for name in chosen])
    return Subject(what, told, credit, model, shown, dataset.cases.take(rows.validation[:_POOL]), *more)


def _alone(known: TrainedModel, where: Space, task: Task) -> TorchModel:
    """The same model, asked about each case by itself: a figure has one, and company would only cost time."""
    model = TorchModel(known.module, where, task, name=known.name, mean=known.mean, std=known.std, batch=1)
    model.rowwise = True
    return model


def _scores(model: Model, batch: Batch) -> Array:
    with model.ready(), torch.no_grad():
        return np.asarray(model.scores(to_tensor(batch.inputs, model.space)).double().numpy())
