"""Simulated twins: determinism, ground truth, and that no single global cue solves them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.cases.dataset import Dataset
from titer.cases.datasets.chest_phantom import ChestPhantom
from titer.cases.datasets.ecg_simulated import EcgSimulated
from titer.cases.datasets.eeg_simulated import EegSimulated
from titer.cases.datasets.notes_template import NotesTemplate
from titer.cases.datasets.scan_phantom import ScanPhantom
from titer.cases.leakage import check_leakage
from titer.cases.simulate.concepts import label_of, language
from titer.cases.simulate.mcsharry import ANGLES, WIDTHS, Beats, solve
from titer.cases.simulate.streams import normals, uniforms
from titer.cases.splits import split
from titer.errors import DataError, LeakageError, PlanError
from titer.registry import DATASETS

SOURCES = {
    "chest_phantom": ChestPhantom,
    "ecg_simulated": EcgSimulated,
    "eeg_simulated": EegSimulated,
    "notes_template": NotesTemplate,
    "scan_phantom": ScanPhantom,
}
_MADE: dict[Any, Dataset] = {}


def made(name: str, **options: Any) -> Dataset:
    """A twin, made once per test run."""
    key = (name, tuple(sorted(options.items())))
    if key not in _MADE:
        _MADE[key] = SOURCES[name]().load(None, **options)
    return _MADE[key]


def area(values: np.ndarray[Any, Any], positive: np.ndarray[Any, Any]) -> float:
    """AUROC."""
    from scipy.stats import mannwhitneyu

    first, second = values[positive], values[~positive]
    return float(mannwhitneyu(first, second).statistic / (len(first) * len(second)))


@pytest.mark.parametrize("name", SOURCES)
class TestEveryTwin:
    def test_is_found_by_name_and_embedded(self, name: str) -> None:
        assert DATASETS.find(name) is SOURCES[name]
        assert SOURCES[name].embedded

    def test_same_seed_gives_the_same_bits_and_another_does_not(self, name: str) -> None:
        again = SOURCES[name]().load(None, cases=60)
        assert again.digest == SOURCES[name]().load(None, cases=60).digest
        assert again.digest != SOURCES[name]().load(None, cases=60, seed=1).digest

    def test_a_case_does_not_depend_on_how_many_there_are(self, name: str) -> None:
        few, many = made(name, cases=60).cases, made(name, cases=1200).cases
        np.testing.assert_array_equal(few.inputs, many.inputs[:60])
        np.testing.assert_array_equal(few.targets, many.targets[:60])
        np.testing.assert_array_equal(few.patients, many.patients[:60])
        assert few.ids == many.ids[:60]

    def test_numpy_global_state_is_untouched(self, name: str) -> None:
        before = np.random.get_state()[1].copy()
        SOURCES[name]().load(None, cases=25)
        assert (np.random.get_state()[1] == before).all()

    def test_patients_have_several_cases_and_keep_their_groups(self, name: str) -> None:
        cases = made(name, cases=1200).cases
        counts = np.bincount(cases.patients)
        assert 2.5 < counts.mean() < 3.5
        assert counts.max() > 3
        assert set(cases.groups) == {"sex", "age", "site"}
        for column in cases.groups.values():
            assert len(np.unique(np.stack([cases.patients.astype(str), column], axis=1), axis=0)) == len(counts)

    def test_classes_are_balanced(self, name: str) -> None:
        data = made(name, cases=1200)
        share = np.bincount(data.cases.targets) / len(data.cases)
        assert share.min() > (0.3 if len(share) == 2 else 0.2)

    def test_splits_by_patient_pass_the_leakage_check(self, name: str) -> None:
        data = made(name, cases=1200)
        assert check_leakage(data, split(data, seed=0)).patients > 300

    def test_a_patient_on_both_sides_is_refused(self, name: str) -> None:
        data = made(name, cases=1200)
        parts = split(data, seed=0)
        stray = np.flatnonzero(data.cases.patients == data.cases.patients[parts.test[0]])
        mixed = type(parts)(np.append(parts.train, stray[0]), parts.validation, np.setdiff1d(parts.test, stray[:1]))
        if len(stray) > 1:
            with pytest.raises(LeakageError):
                check_leakage(data, mixed)

    def test_unknown_and_impossible_options_are_refused(self, name: str) -> None:
        with pytest.raises(PlanError, match="cases_per_patient"):
            SOURCES[name]().load(None, cases_per_patien=3)
        for options in ({"cases": 5}, {"cases": 50.0}, {"seed": -1}, {"cases": True}, {"cases_per_patient": 0}):
            with pytest.raises(PlanError):
                SOURCES[name]().load(None, **options)

    def test_says_that_no_patient_was_involved(self, name: str) -> None:
        assert made(name, cases=60).card.synthetic


class TestNoGlobalCue:
    """Majority, brightness, spread, length, and single words: none of them solves a twin."""

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("chest_phantom", {"cases": 4000, "size": 16}),
            ("chest_phantom", {"cases": 4000, "size": 16, "classes": 4}),
            ("ecg_simulated", {"cases": 4000, "length": 250}),
            ("eeg_simulated", {"cases": 4000, "length": 128, "channels": 4}),
            ("scan_phantom", {"cases": 4000, "size": 16}),
        ],
    )
    def test_mean_and_spread(self, name: str, options: dict[str, Any]) -> None:
        cases = made(name, **options).cases
        flat = cases.inputs.reshape(len(cases), -1)
        for number in range(int(cases.targets.max()) + 1):
            mine = cases.targets == number
            assert abs(area(flat.mean(axis=1), mine) - 0.5) < 0.05
            assert abs(area(flat.std(axis=1), mine) - 0.5) < 0.2

    def test_length_of_a_note(self) -> None:
        cases = made("notes_template", cases=4000).cases
        assert abs(area((cases.inputs != 0).sum(axis=1), cases.targets == 1) - 0.5) < 0.04

    @pytest.mark.parametrize(("classes", "below"), [(2, 0.8), (4, 0.65)])
    def test_bag_of_words(self, classes: int, below: float) -> None:
        from sklearn.linear_model import LogisticRegression

        cases = made("notes_template", cases=2000, classes=classes).cases
        words = np.stack([np.bincount(note, minlength=len(language().vocabulary))[1:] for note in cases.inputs])
        learn, check = np.arange(2000) < 1400, np.arange(2000) >= 1400
        fitted = LogisticRegression(C=0.1, max_iter=300).fit(words[learn], cases.targets[learn])
        assert fitted.score(words[check], cases.targets[check]) < below
        length = (cases.inputs != 0).sum(axis=1)
        mixed, rng = cases.targets.copy(), np.random.default_rng(0)
        for each in np.unique(length):
            same = np.flatnonzero(length == each)
            mixed[same] = mixed[rng.permutation(same)]
        chance = LogisticRegression(C=0.1, max_iter=300).fit(words[learn], mixed[learn])
        spread = 2 * np.sqrt(1 / classes * (1 - 1 / classes) / check.sum())
        assert abs(chance.score(words[check], cases.targets[check]) - 1 / classes) < spread + 0.03


class TestPictures:
    @pytest.mark.parametrize("name", ["chest_phantom", "scan_phantom"])
    def test_masks_are_where_the_lesions_are(self, name: str) -> None:
        cases = made(name, cases=1200).cases
        assert cases.masks is not None
        area_of = cases.masks.sum(axis=(1, 2, 3))
        assert (area_of[cases.targets == 0] == 0).all()
        # Rarely a lesion lies so close to the border of the brain that no pixel keeps half of its height.
        assert (area_of[cases.targets > 0] > 0).mean() > 0.98

    def test_an_opacity_is_brighter_than_the_other_lung(self) -> None:
        cases = made("chest_phantom", cases=1200).cases
        assert cases.masks is not None
        sick = np.flatnonzero(cases.targets == 1)
        pictures, masks = cases.inputs[sick, 0], cases.masks[sick, 0].astype(bool)
        here = np.array([p[m].mean() for p, m in zip(pictures, masks, strict=True)])
        mirrored = np.array([p[:, ::-1][m].mean() for p, m in zip(pictures, masks, strict=True)])
        assert (here > mirrored).mean() > 0.9

    @pytest.mark.parametrize("classes", [2, 3, 4])
    def test_classes_and_sizes(self, classes: int) -> None:
        data = made("chest_phantom", cases=60, classes=classes, size=20)
        assert data.space.shape == (1, 20, 20)
        assert len(data.classes) == classes
        assert data.positive == tuple(range(1, classes))

    def test_only_normal_scans_train(self) -> None:
        data = made("scan_phantom", cases=1200)
        assert data.task == "anomaly"
        assert (data.cases.targets[split(data, seed=0).train] == 0).all()


class TestEcg:
    def test_agrees_with_the_full_model_solved_numerically(self) -> None:
        """McSharry's three equations with scipy's Runge-Kutta of order 8; rates that change from beat to beat."""
        from scipy.integrate import solve_ivp

        times = np.cumsum([-1.3, 0.9, 1.0, 0.7, 0.85, 1.1, 0.9, 0.95])
        heights = np.array([0.15, -0.1, 1.0, -0.2, 0.3])
        shape = (1, len(times), 5)
        beats = Beats(
            times[None],
            np.broadcast_to(heights, shape),
            np.broadcast_to(ANGLES, shape),
            np.broadcast_to(WIDTHS, shape),
        )
        found = solve(beats, rate=250.0, samples=500)[0]

        def slope(clock: float, state: Any) -> list[float]:
            x, y, z = state
            k = np.searchsorted(times, clock, side="right") - 1
            interval = times[k + 1] - times[k]
            omega, grow, alpha = 2 * np.pi / interval, np.sqrt(1 / interval), 1 - np.hypot(x, y)
            away = np.arctan2(y, x) - ANGLES * grow
            width = WIDTHS * grow
            pull = -(heights * omega * away / width**2 * np.exp(-0.5 * (away / width) ** 2)).sum()
            return [alpha * x - omega * y, alpha * y + omega * x, pull - z]

        k = np.searchsorted(times, 0.0, side="right") - 1
        angle = 2 * np.pi * (0.0 - times[k]) / (times[k + 1] - times[k])
        clock = np.arange(500) / 250.0
        start = [np.cos(angle), np.sin(angle), found[0]]
        wanted = solve_ivp(slope, (0, 2), start, "DOP853", clock, rtol=1e-7, atol=1e-9, max_step=0.004).y[2]
        # Half of the limit is the jump where one beat's waves hand over to the next.
        assert np.abs(found - wanted).max() < 0.01

    def test_an_r_wave_stands_where_it_was_put_and_as_high(self) -> None:
        one = np.ones((1, 6, 1))
        for interval in (0.5, 1.0):
            times = interval * np.arange(-1.0, 5.0)[None]
            trace = solve(Beats(times, 1.2 * one, 0 * one, 0.1 * one), rate=500.0, samples=900)[0]
            near = slice(int((interval - 0.1) * 500), int((interval + 0.1) * 500))
            assert abs(int(trace[near].argmax()) + near.start - interval * 500) <= 3
            assert abs(trace[near].max() - trace[near].min() - 1.2) < 0.06

    def test_each_class_is_what_its_name_says(self) -> None:
        from titer.cases.datasets.ecg_simulated import _beats

        draws = uniforms(0, "test", range(400), 24 + 20)
        targets = np.arange(400) % 4
        beats = _beats(uniforms(0, "traits", range(400), 24), draws, targets, 3.0)
        interval = np.diff(beats.times, axis=1)[:, :6]
        irregular = interval.std(axis=1) / interval.mean(axis=1)
        assert irregular[targets == 1].min() > irregular[targets == 0].max() * 0.8
        assert (beats.heights[targets == 1, :, 0] == 0).all()
        assert (beats.heights[targets == 0, :, 0] > 0).all()
        inside = (beats.times > 0.2) & (beats.times < 2.85)
        wide = beats.widths[:, :, 2] > 0.2
        assert ((wide & inside).sum(axis=1) == (targets == 2)).all()
        assert (np.abs(beats.heights[:, :, 5]).max(axis=1) > 0.05)[targets == 3].all()
        assert (beats.heights[targets != 3, :, 5] == 0).all()

    @pytest.mark.parametrize("length", [250, 500])
    def test_lengths(self, length: int) -> None:
        data = made("ecg_simulated", cases=60, length=length)
        assert data.space.shape == (1, length)
        assert data.space.rate == 125.0


class TestEeg:
    def test_units_are_those_of_the_scalp(self) -> None:
        cases = made("eeg_simulated", cases=1200).cases
        spread = cases.inputs.std(axis=(1, 2))
        assert 10 < np.quantile(spread, 0.02) < np.quantile(spread, 0.98) < 80
        assert np.abs(cases.inputs).max() < 500

    def test_noise_falls_with_frequency_and_blinks_are_at_the_front(self) -> None:
        data = made("eeg_simulated", cases=1200)
        quiet = data.cases.inputs[data.cases.targets == 0].astype(np.float64)
        power = (np.abs(np.fft.rfft(quiet)) ** 2).mean(axis=(0, 1))
        where = np.fft.rfftfreq(256, 1 / 128.0)
        bands = [power[(where >= low) & (where < high)].mean() for low, high in ((1, 8), (13, 20), (30, 45))]
        assert bands[0] > 3 * bands[1] > 3 * bands[2]
        # Lids push up only, rhythms both ways.
        upward = (quiet.max(axis=2) + quiet.min(axis=2)).mean(axis=0)
        front, back = data.space.names.index("Fp1"), data.space.names.index("O1")
        assert upward[front] > 10
        assert abs(upward[back]) < 4

    def test_a_discharge_has_harmonics_slows_down_and_grows(self) -> None:
        from titer.cases.simulate.brainwaves import discharge

        clock = np.arange(512) / 128.0
        wave = discharge(clock, np.array([5.0]), np.array([0.3]), np.array([0.0]), np.zeros((1, 1)))[0, 0]
        halves = np.abs(np.fft.rfft(wave.reshape(2, 256)))
        assert halves[0].argmax() > halves[1].argmax()
        assert wave[256:].std() > 1.1 * wave[:256].std()
        peak = int(halves[0].argmax())
        assert halves[0][2 * peak - 2 : 2 * peak + 3].max() > 0.2 * halves[0][peak]

    def test_a_seizure_follows_from_its_focus(self) -> None:
        """Electrodes near the focus see more of the discharge than those far away."""
        from titer.cases.datasets.eeg_simulated import _foci
        from titer.cases.simulate.brainwaves import places
        from titer.cases.simulate.patients import enlist

        cases = made("eeg_simulated", cases=1200).cases
        foci = _foci(enlist(1200, seed=0, per_patient=3).traits.astype(np.float64))
        away = np.sqrt(((places(8) - foci[:, None]) ** 2).sum(axis=-1))
        lines = np.abs(np.fft.rfft(cases.inputs.astype(np.float64)))[..., 5:13].sum(axis=-1)
        sick = cases.targets == 1
        rows = np.arange(1200)
        gain = np.log(lines[rows, away.argmin(axis=1)] / lines[rows, away.argmax(axis=1)])
        assert gain[sick].mean() > gain[~sick].mean() + 0.1

    @pytest.mark.parametrize(("length", "channels"), [(128, 4), (384, 19)])
    def test_lengths_and_electrodes(self, length: int, channels: int) -> None:
        data = made("eeg_simulated", cases=60, length=length, channels=channels)
        assert data.space.shape == (channels, length)
        assert len(set(data.space.names)) == channels
        with pytest.raises(PlanError, match="channels"):
            EegSimulated().load(None, cases=60, channels=20)


SENTENCES = [
    ("", 0),
    ("chest-pain . syncope .", 1),
    ("reports chest-pain and ankle-swelling .", 1),
    ("reports chest-pain . cough .", 0),
    ("denies chest-pain and ankle-swelling .", 0),
    ("reports chest-pain . denies syncope .", 0),
    ("mother-had chest-pain and syncope .", 0),
    ("resolved chest-pain and syncope .", 0),
    ("denies fatigue reports chest-pain and syncope .", 1),
    ("reports chest-pain . takes nitroglycerin .", 1),
    ("reports chest-pain . stopped nitroglycerin .", 0),
    ("reports itching rash and heartburn . takes ibuprofen .", 0),
    ("denies itching . chest-pain and syncope .", 1),
]


class TestNotes:
    @pytest.mark.parametrize(("text", "urgent"), SENTENCES)
    def test_the_parser_knows(self, text: str, urgent: int) -> None:
        assert label_of([language().number[word] for word in text.split()]) == urgent

    def test_the_strongest_domain_names_the_class(self) -> None:
        say = language().number
        note = [
            say[w]
            for w in [
                "reports",
                "cough",
                "dyspnea",
                "and",
                "wheeze",
                ".",
                "denies",
                "chest-pain",
                ".",
                "reports",
                "chest-pain",
                ".",
            ]
        ]
        assert label_of(note, 3) == 2
        assert label_of(note, 4) == 2
        aphasia = [say[w] for w in ["reports", "aphasia", "and", "seizure", "."]]
        assert [label_of(aphasia, k) for k in (2, 3, 4)] == [1, 0, 3]

    @pytest.mark.parametrize("classes", [2, 3, 4])
    def test_truth_is_what_the_parser_says(self, classes: int) -> None:
        cases = made("notes_template", cases=300, classes=classes).cases
        assert [label_of(note, classes) for note in cases.inputs.tolist()] == cases.targets.tolist()

    @settings(max_examples=60)
    @given(row=st.integers(0, 299), seed=st.integers(0, 2**31), classes=st.sampled_from([2, 3, 4]))
    def test_synonyms_never_change_the_truth(self, row: int, seed: int, classes: int) -> None:
        data = made("notes_template", cases=300, classes=classes)
        rng = np.random.default_rng(seed)
        note = data.cases.inputs[row].tolist()
        changed = [int(rng.choice((token, *data.synonyms.get(token, ())))) for token in note]
        assert label_of(changed, classes) == data.cases.targets[row]

    def test_synonyms_are_mutual_and_never_of_another_concept(self) -> None:
        words = language()
        for token, others in words.synonyms().items():
            for other in others:
                assert token in words.synonyms()[other]
                assert words.concept[token] == words.concept[other]

    def test_every_word_has_one_concept(self) -> None:
        from titer.cases.simulate.concepts import _concepts

        every = [word for concept in _concepts() for word in concept.words]
        assert len(every) == len(set(every))

    def test_denying_what_was_reported_changes_the_truth(self) -> None:
        say = language().number
        note = [say[w] for w in ["reports", "seizure", "and", "aphasia", "."]]
        assert label_of(note) == 1
        assert label_of([say["denies"], *note[1:]]) == 0

    def test_padding_says_nothing(self) -> None:
        note = [language().number[w] for w in ["reports", "chest-pain", "and", "syncope", "."]]
        assert label_of([*note, 0, 0, 0]) == label_of([0, *note]) == label_of(note)

    def test_foreign_tokens_and_classes_are_refused(self) -> None:
        with pytest.raises(DataError, match="token numbers"):
            label_of([10_000])
        with pytest.raises(DataError, match="2, 3 or 4"):
            label_of([1], 5)

    def test_vocabulary_is_of_the_declared_size(self) -> None:
        data = made("notes_template", cases=300)
        assert 500 <= len(data.space.vocabulary) <= 2000
        assert data.space.vocabulary[data.space.padding] == "[padding]"
        assert (data.cases.inputs[:, -1] == 0).all()


@given(rows=st.lists(st.integers(0, 10_000), min_size=1, max_size=5, unique=True))
def test_streams_do_not_depend_on_their_neighbors(rows: list[int]) -> None:
    for row in rows:
        alone = normals(3, "law", range(row, row + 1), (4,))[0]
        np.testing.assert_array_equal(normals(3, "law", range(row, row + 3), (4,))[0], alone)
