"""Which attack with which change is shown on what."""

from __future__ import annotations

from dataclasses import dataclass

from titer.attacks.apgd import APGD
from titer.attacks.attack import Attack
from titer.attacks.boundary import Boundary
from titer.attacks.carlini_wagner import CarliniWagner
from titer.attacks.deepfool import DeepFool
from titer.attacks.fab import FAB
from titer.attacks.fgsm import FGSM
from titer.attacks.fmn import FMN
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
from titer.attacks.universal import Universal
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
from titer.threats.threat import ThreatModel


@dataclass(frozen=True)
class Figure:
    """One figure: its file, the subject, what searches what."""

    file: str
    subject: str
    attack: Attack
    threat: ThreatModel
    remark: str = ""


def _at(change: object, limit: float, **more: object) -> ThreatModel:
    return ThreatModel(change, limit, **more)  # type: ignore[arg-type]


def _grey(levels: int, **more: object) -> ThreatModel:
    """So many of the 255 steps of a display."""
    return _at(Additive("linf"), levels / 255, label=f"{levels}/255", **more)


_SCORES, _LABELS = {"knowledge": "scores"}, {"knowledge": "labels"}
FIGURES = (
    Figure("film-fgsm", "film", FGSM(), _grey(4)),
    Figure("film-pgd", "film", PGD(), _grey(2)),
    Figure("film-strong", "film", Strong(), _grey(1)),
    Figure("film-noise", "film", Noise(), _grey(2), "The control: chance instead of a search."),
    Figure("film-carlini-wagner", "film", CarliniWagner(), _at(Additive("l2"), 8.0)),
    Figure("film-deepfool", "film", DeepFool(), _at(Additive("l2"), 8.0)),
    Figure("film-fmn", "film", FMN(), _at(Additive("l2"), 8.0)),
    Figure("film-jsma", "film", JSMA(), _at(Additive("l0"), 60.0)),
    Figure("film-sigma-zero", "film", SigmaZero(), _at(Additive("l0"), 60.0)),
    Figure("film-universal", "film", Universal(), _grey(6)),
    Figure("film-patch", "film", AdversarialPatch(epochs=15), _at(Patch("circle"), 0.3)),
    Figure("film-natural-patch", "film", NaturalPatch(), _at(Patch("square"), 0.35)),
    Figure("film-grid", "film", Grid(points=7), _at(Affine(), 1.0)),
    Figure("film-contrast", "film", PGD(), _at(Contrast(), 1.0)),
    Figure("film-gamma", "film", Grid(points=21), _at(Gamma(), 60.0)),
    Figure("film-together", "film", PGD(), _at(Together((Part(Affine(), 0.5), Part(Additive("linf"), 1 / 255))), 1.0)),
    Figure("film-square", "film", Square(), _grey(4, **_SCORES)),
    Figure("film-nes", "film", NES(), _grey(4, **_SCORES)),
    Figure("film-simba", "film", SimBA(), _at(Additive("l2"), 8.0, **_SCORES)),
    Figure("film-hopskipjump", "film", HopSkipJump(queries=2000), _at(Additive("l2"), 12.0, **_LABELS)),
    Figure("film-boundary", "film", Boundary(queries=2000), _at(Additive("l2"), 20.0, **_LABELS)),
    Figure("film-corruption", "film", Natural(), _at(Corruption(), 3.0), "A control: what devices do by themselves."),
    Figure("ecg-pgd", "ecg", PGD(), _at(Additive("linf"), 0.1)),
    Figure("ecg-lowpass", "ecg", PGD(), _at(LowPass(), 0.1), "Smooth: nothing that an electrode could not do."),
    Figure("ecg-band", "ecg", APGD(), _at(Band(0.5, 40.0), 0.1)),
    Figure("ecg-fab", "ecg", FAB(), _at(Additive("l2"), 2.0)),
    Figure("ecg-dropped-lead", "ecg", RandomSearch(), _at(DroppedLead(), 1.0), "A control: a lead that fails."),
    Figure("ecg-square", "ecg", Square(), _at(Additive("linf"), 0.15, **_SCORES)),
    Figure("ecg-corruption", "ecg", Natural(), _at(Corruption(), 3.0), "A control: what recorders do by themselves."),
    Figure("eeg-band", "eeg", PGD(), _at(Band(0.5, 40.0), 20.0)),
    Figure("eeg-channels", "eeg", PGD(), _at(Channels(1), 20.0)),
    Figure("eeg-hopskipjump", "eeg", HopSkipJump(), _at(Additive("l2"), 400.0, **_LABELS)),
    Figure("mri-pgd-mask", "mri", PGD(), _at(Additive("linf"), 2.0, where="inside-mask"), "Only brain is changed."),
    Figure("mri-bias-field", "mri", PGD(), _at(BiasField(), 40.0)),
    Figure("mri-blur", "mri", Grid(), _at(Blur(), 2.0)),
    Figure("mri-affine", "mri", RandomSearch(), _at(Affine(rotation=30.0, shift=0.1), 1.0)),
    Figure("mri-patch", "mri", AdversarialPatch(epochs=8), _at(Patch("circle"), 0.4)),
)
