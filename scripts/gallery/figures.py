"""What is shown: who searches which change on which subject, and what a reader without formulas should know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from titer.attacks.apgd import APGD
from titer.attacks.attack import Attack
from titer.attacks.boundary import Boundary
from titer.attacks.carlini_wagner import CarliniWagner
from titer.attacks.deepfool import DeepFool
from titer.attacks.fab import FAB
from titer.attacks.fgsm import FGSM
from titer.attacks.fmn import FMN
from titer.attacks.greedy import Greedy
from titer.attacks.grid import Grid
from titer.attacks.hopskipjump import HopSkipJump
from titer.attacks.jsma import JSMA
from titer.attacks.natural import Natural
from titer.attacks.natural_patch import NaturalPatch
from titer.attacks.nes import NES
from titer.attacks.noise import Noise
from titer.attacks.patch import AdversarialPatch
from titer.attacks.pgd import PGD
from titer.attacks.random_search import RandomSearch
from titer.attacks.sigma_zero import SigmaZero
from titer.attacks.simba import SimBA
from titer.attacks.square import Square
from titer.attacks.strong import Strong
from titer.attacks.transfer import Transfer
from titer.attacks.universal import Universal
from titer.threats.change import Change
from titer.threats.changes.additive import Additive
from titer.threats.changes.affine import Affine
from titer.threats.changes.band import Band
from titer.threats.changes.bias_field import BiasField
from titer.threats.changes.blur import Blur
from titer.threats.changes.channels import Channels
from titer.threats.changes.contrast import Contrast
from titer.threats.changes.corruption import Corruption
from titer.threats.changes.dropped_lead import DroppedLead
from titer.threats.changes.gamma import Gamma
from titer.threats.changes.lowpass import LowPass
from titer.threats.changes.patch import Patch
from titer.threats.changes.together import Part, Together
from titer.threats.goal import Goal
from titer.threats.threat import ThreatModel


@dataclass(frozen=True)
class Figure:
    """One figure.

    Arguments
        file: its name, which begins with that of its subject. title: what happens, in plain words.
        attack: who searches; one that needs a surrogate is made from it. threat: what and how much.
        remark: what a clinician should know of it.
    """

    file: str
    title: str
    attack: Attack | Callable[[Any], Attack]
    threat: ThreatModel
    remark: str

    @property
    def subject(self) -> str:
        """The name of its subject."""
        return self.file.partition("-")[0]


def _at(change: Change, limit: float, label: str = "", **more: Any) -> ThreatModel:
    return ThreatModel(change, limit, label, **more)


_SCORES, _LABELS = {"knowledge": "scores"}, {"knowledge": "labels"}
_ASKEW = Together((Part(Affine(rotation=10.0, shift=0.0), 10.0), Part(Additive("linf"), 1 / 255, "1/255")))
_FILMS = (
    Figure(
        "film-pgd", "Every grey level by a little",
        PGD(), _at(Additive("linf"), 2 / 255, "2/255"),
        "The best-known attack. It walks uphill along the model's own gradients; no eye sees what it adds.",
    ),
    Figure(
        "film-fgsm", "The same in a single step",
        FGSM(), _at(Additive("linf"), 4 / 255, "4/255"),
        "One look at the gradient and one step along it: the cheapest attack there is, and a weak one.",
    ),
    Figure(
        "film-strong", "Several attackers, one after the other",
        Strong(steps=30, queries=500), _at(Additive("linf"), 2 / 255, "2/255"),
        "An ensemble: each member tries what the ones before it could not do. Report this one, not a single attack.",
    ),
    Figure(
        "film-noise", "Chance of the same size",
        Noise(), _at(Additive("linf"), 4 / 255, "4/255"),
        "The control: random noise as large as an attack may be. A model that fails here is merely noisy.",
    ),
    Figure(
        "film-carlini-wagner", "As little as possible in total",
        CarliniWagner(steps=60), _at(Additive("l2"), 8.0),
        "Looks for the smallest change that turns the answer, measured over the whole picture.",
    ),
    Figure(
        "film-deepfool", "Straight to the nearest border",
        DeepFool(), _at(Additive("l2"), 8.0),
        "Takes the model for a flat landscape, step by step, and goes to where the answer turns.",
    ),
    Figure(
        "film-fmn", "The smallest change, found quickly",
        FMN(), _at(Additive("linf"), 8 / 255, "8/255"),
        "Shrinks its allowance while the model is fooled and widens it when not; the price is this film's own radius.",
    ),
    Figure(
        "film-sigma-zero", "A few pixels by a lot",
        SigmaZero(), _at(Additive("l0"), 400.0),
        "Few pixels change, each as far as it likes: dead or hot elements of a detector would look like this.",
    ),
    Figure(
        "film-jsma", "Pixel by pixel, the most telling first",
        JSMA(), _at(Additive("l0"), 400.0),
        "Picks the pixels that weigh most for the answer, two at a time.",
    ),
    Figure(
        "film-universal", "One pattern for every film",
        Universal(epochs=8), _at(Additive("linf"), 6 / 255, "6/255", goal=Goal("lower")),
        "Learned from other children's films and laid over this one, which it never saw. A tampered archive or viewer "
        "could add it to every picture without asking the model anything.",
    ),
    Figure(
        "film-patch", "A sticker that was made to mislead",
        AdversarialPatch(epochs=10), _at(Patch("circle"), 0.3),
        "Learned on other films to work wherever it lies. It is plain to see; the question is whether anyone looks.",
    ),
    Figure(
        "film-natural-patch", "A piece of another film",
        NaturalPatch(), _at(Patch("circle"), 0.3),
        "The control of the sticker: real tissue of another child, as large. It tells covering from misleading.",
    ),
    Figure(
        "film-rotation", "Another angle",
        Grid(), _at(Affine(rotation=15.0, shift=0.0), 15.0),
        "The child lies askew. Angles on a grid are tried; no pixel is altered otherwise.",
    ),
    Figure(
        "film-shift", "Another place",
        RandomSearch(queries=50), _at(Affine(rotation=0.0, shift=0.15), 0.15),
        "Positioning off center, the worst of at most fifty tries at random.",
    ),
    Figure(
        "film-contrast", "Another exposure",
        Grid(), _at(Contrast(contrast=50.0, brightness=0.0), 50.0),
        "Gain about the mean of the film, as another exposure or window sets it.",
    ),
    Figure(
        "film-gamma", "Another display curve",
        Grid(), _at(Gamma(), 60.0),
        "Black and white stay, the middle moves, as the curve of a detector or a monitor moves it.",
    ),
    Figure(
        "film-bias-field", "Uneven brightness",
        PGD(), _at(BiasField(), 15.0),
        "A slow drift of brightness across the film: heel effect and scatter in X-rays, receive coils in MRI.",
    ),
    Figure(
        "film-blur", "Out of focus",
        Grid(), _at(Blur(), 2.0),
        "Movement or a large focal spot. Detail is lost evenly; nothing is drawn in.",
    ),
    Figure(
        "film-lowpass", "A smooth veil",
        PGD(), _at(LowPass(), 10 / 255, "10/255"),
        "As the first figure, but what is added must be smooth, as scatter is.",
    ),
    Figure(
        "film-together", "Two things at once",
        PGD(), _at(_ASKEW, 1.0),
        "A slight turn and a slight change of grey levels, each within a limit of its own.",
    ),
    Figure(
        "film-square", "Black box: scores only",
        Square(), _at(Additive("linf"), 6 / 255, "6/255", **_SCORES),
        "Sees no weights and no gradients, only the scores that an endpoint gives. Tries squares at random and keeps "
        "what helps.",
    ),
    Figure(
        "film-nes", "Black box: a gradient by asking",
        NES(queries=2000), _at(Additive("linf"), 10 / 255, "10/255", **_SCORES),
        "Estimates the gradient from pairs of questions, and walks along it.",
    ),
    Figure(
        "film-simba", "Black box: one wave at a time",
        SimBA(queries=2000, basis="dct"), _at(Additive("l2"), 8.0, **_SCORES),
        "Adds or takes away one wave after the other and keeps what lowers the score.",
    ),
    Figure(
        "film-hopskipjump", "Black box: decisions only",
        HopSkipJump(queries=2000, closest=True), _at(Additive("l2"), 25.0, **_LABELS),
        "Sees nothing but the answer. Starts from a picture that is taken for the other class, and walks back along "
        "the border towards the film.",
    ),
    Figure(
        "film-boundary", "Black box: along the border",
        Boundary(queries=2000, closest=True), _at(Additive("l2"), 40.0, **_LABELS),
        "The older way to do the same; it needs more questions to come as near.",
    ),
    Figure(
        "film-corruption", "What devices do by themselves",
        Natural(), _at(Corruption(only=("noise",)), 0.25),
        "A control: noise as of a low dose. Nobody chose it to mislead the model.",
    ),
)  # fmt: skip
_ECGS = (
    Figure(
        "ecg-pgd", "Every sample by a little",
        PGD(), _at(Additive("linf"), 0.1),
        "One small square of the paper at the most. It looks like muscle noise.",
    ),
    Figure(
        "ecg-apgd", "Small in total, so spent where it counts",
        APGD(steps=30), _at(Additive("l1"), 6.0),
        "The sum of all changes is limited, so the attack spends it on the samples that matter.",
    ),
    Figure(
        "ecg-lowpass", "Smooth, without the saw teeth",
        PGD(), _at(LowPass(), 0.15),
        "The same attack, but what is added is smoothed (smooth adversarial perturbations), so that a cardiologist "
        "sees no square steps.",
    ),
    Figure(
        "ecg-band", "Within the recorder's band",
        PGD(), _at(Band(0.5, 40.0), 0.1),
        "Nothing outside of 0.5 to 40 Hz is added, so the usual filter of a monitor takes none of it away.",
    ),
    Figure(
        "ecg-fab", "As little as possible in total",
        FAB(), _at(Additive("l2"), 2.0),
        "Looks for the nearest point at which the answer turns.",
    ),
    Figure(
        "ecg-transfer", "By way of another model",
        lambda surrogate: Transfer((surrogate,)), _at(Additive("linf"), 0.25, **_LABELS),
        "The attacker trains a network of their own, attacks that, and hands the strip to this one unseen: not a "
        "single question is asked.",
    ),
    Figure(
        "ecg-square", "Black box: scores only",
        Square(), _at(Additive("linf"), 0.15, **_SCORES),
        "Steps at random, kept where the score falls.",
    ),
    Figure(
        "ecg-natural-patch", "A piece of another strip",
        NaturalPatch(), _at(Patch("square"), 0.15),
        "A control: a second and a half of another person's recording in place of what was there.",
    ),
    Figure(
        "ecg-corruption", "What recorders do by themselves",
        Natural(), _at(Corruption(only=("wander",)), 0.6),
        "A control: the baseline wanders, as breathing makes it.",
    ),
)  # fmt: skip
_EEGS = (
    Figure(
        "eeg-band", "Within the band of an EEG",
        PGD(), _at(Band(0.5, 40.0, share=0.5), 150.0),
        "What is added lies between 0.5 and 40 Hz and stays below half of the channel's own root mean square.",
    ),
    Figure(
        "eeg-hopskipjump", "Black box: decisions only",
        HopSkipJump(queries=2000, closest=True), _at(Additive("l2"), 4000.0, **_LABELS),
        "Sees nothing but the answer, and asks many times.",
    ),
    Figure(
        "eeg-corruption", "What recorders do by themselves",
        Natural(), _at(Corruption(only=("hum",)), 0.3),
        "A control: hum of the mains.",
    ),
)  # fmt: skip
_TWINS = (
    Figure(
        "twin-band", "Within a band, with a limit for each channel",
        PGD(), _at(Band(0.5, 40.0, most=(10.0, 10.0, 5.0, 5.0, 5.0, 5.0, 10.0, 10.0)), 10.0),
        "The central and temporal electrodes (C3, C4, T7, T8) may move by half as much as the others.",
    ),
    Figure(
        "twin-channels", "One electrode only",
        PGD(restarts=8), _at(Channels(1), 20.0),
        "The attacker may alter one electrode and chooses which; the other seven stay as they were recorded.",
    ),
    Figure(
        "twin-dropped-lead", "Electrodes that fail",
        Greedy(), _at(DroppedLead(), 2.0, **_SCORES),
        "Electrodes are tried with zero, a flat line and noise, up to two at a time: the worst loose contacts.",
    ),
)  # fmt: skip
_MRIS = (
    Figure(
        "mri-pgd-mask", "Brain tissue only",
        PGD(steps=10, restarts=1), _at(Additive("linf"), 4.0, where="inside-mask"),
        "Only voxels of the brain may change; skull, skin and air stay as they were, bit for bit.",
    ),
    Figure(
        "mri-bias-field", "Coil drift",
        PGD(steps=10, restarts=1), _at(BiasField(), 25.0),
        "The receive field of the coils, in three dimensions. Contrast within any small region stays what it is.",
    ),
    Figure(
        "mri-blur", "Out of focus",
        Grid(points=8, mildest=True), _at(Blur(), 2.0),
        "Movement or a coarser reconstruction, the same in all directions.",
    ),
    Figure(
        "mri-patch", "A ball of made-up tissue",
        AdversarialPatch(epochs=6, place=(0.55, 0.5, 0.5)), _at(Patch("circle"), 0.25),
        "Learned on three other heads for this place. Within the ball the anatomy is gone, so it covers as well as "
        "misleads; the next figure tells how much of it is covering.",
    ),
    Figure(
        "mri-natural-patch", "A ball of another person's brain",
        NaturalPatch(place=(0.55, 0.5, 0.5)), _at(Patch("circle"), 0.25),
        "The control of the one before: real tissue, as large, at the same place.",
    ),
    Figure(
        "mri-corruption", "What scanners do by themselves",
        Natural(), _at(Corruption(only=("ghosting",)), 0.4),
        "A control: ghosts, as breathing and pulsation make them.",
    ),
)  # fmt: skip
FIGURES = _FILMS + _ECGS + _EEGS + _TWINS + _MRIS
