"""The gallery: what is shown is what was attacked, in clinical words, without anybody's name."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from build import RATES, build, edited, joined
from build_parts import SPACES, TASKS, WORDS, moved
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pydantic import TypeAdapter

from titer.attacks.noise import Noise
from titer.attacks.pgd import PGD
from titer.audit.gallery import attacked_case, gallery
from titer.audit.gallery_images import picture_fields
from titer.audit.gallery_notes import note_fields
from titer.audit.gallery_signals import MOST_CHANNELS, MOST_SAMPLES, signal_fields
from titer.audit.gallery_tables import table_fields
from titer.audit.gallery_words import changed, prediction, truth
from titer.audit.report.schema import GalleryItem
from titer.audit.results import Results
from titer.audit.table import Table
from titer.cases.space import Space
from titer.errors import StoreError
from titer.models.task import Task
from titer.threats.changes.embedding import Embedding

KINDS = {
    "image": {"kind": "image"},
    "rgb": {"kind": "rgb", "task": "three"},
    "volume": {"kind": "volume", "task": "anomaly", "limits": ("20", "50", "100")},
    "signal": {"kind": "signal", "task": "binary", "limits": ("0.01", "0.05 mV", "0.1")},
    "table": {"kind": "table", "task": "regression", "limits": ("0.1", "0.2", "0.4")},
    "tokens": {"kind": "tokens", "task": "multilabel", "norm": "l0", "limits": ("1", "2", "3")},
}


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def clean_and_attacked(results: Results) -> tuple[np.ndarray, np.ndarray]:
    """The first case shown."""
    cell = next(cell for cell in results.cells if cell.is_main and cell.attack == "pgd")
    trial = cell.trials[0]
    row = next(k for k, each in enumerate(trial.after["picture"]) if each is not None)
    return cell.dataset.cases.inputs[trial.before["row"][row]], attacked_case(trial, row)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("all", "every pixel changed by at most 2/255 of the gray scale"),
        ("outside-mask", "every pixel outside the known lesion changed by at most 2/255 of the gray scale"),
        ("inside-mask", "every pixel inside the marked region changed by at most 2/255 of the gray scale"),
    ],
)
def test_says_where_something_may_change(where, said):
    cell = next(cell for cell in build().cells if cell.is_main)
    threat = replace(cell.threat, spec=cell.threat.spec.model_copy(update={"where": where}))
    assert changed(replace(cell, threat=threat)) == said
    assert threat.id.endswith("linf" if where == "all" else where)


class TestSelection:
    def test_shows_the_strongest_attack_at_the_main_limit_of_the_first_trial(self):
        items = gallery(build())
        assert [item.cell for item in items] == ["t-cnn/additive-linf/2-255/pgd"] * 2
        assert {item.limit.label for item in items} == {"2/255"}

    @pytest.mark.parametrize("most", [0, 1, 5])
    def test_shows_at_most_what_the_plan_asks(self, most):
        assert len(gallery(build(gallery=most))) == most

    def test_shows_every_model_and_the_next_attack_where_the_strongest_has_none(self):
        def none_of_pgd(cell, trial):
            return {"picture": np.full(len(trial.after), None)} if cell.attack == "pgd" else None

        both = joined(build(name="A"), edited(build(name="B"), none_of_pgd))
        assert [item.cell.split("/")[0::3] for item in gallery(both)][::2] == [["a", "pgd"], ["b", "fgsm"]]

    def test_shows_no_control_no_embedding_and_nothing_where_nothing_was_turned(self):
        flat = {**RATES, "pgd": (0.9, 0.9, 0.9)}
        assert gallery(build(attacks=(PGD(), Noise()), rates=flat, wobble=0)) == ()
        assert gallery(build(change=Embedding("linf"), limits=("1", "2", "4"))) == ()

    def test_bytes_of_another_shape_are_refused(self):
        cut = edited(build(), lambda cell, trial: {"picture": np.array([b"123"] * len(trial.after), dtype=object)})
        with pytest.raises(StoreError, match="3 bytes"):
            gallery(cut)

    def test_an_object_array_is_never_read(self):
        def objects(trial):
            return replace(trial, after=Table(trial.after.columns, {"dtype": "|O", "shape": [1]}))

        results = build()
        cells = (replace(cell, trials=tuple(objects(trial) for trial in cell.trials)) for cell in results.cells)
        with pytest.raises(StoreError):
            gallery(replace(results, cells=tuple(cells)))


class TestEveryKind:
    @pytest.mark.parametrize("kind", KINDS)
    def test_is_valid_repeatable_and_names_nobody(self, kind):
        items = gallery(build(**KINDS[kind]))
        assert len(items) == 2
        assert items == gallery(build(**KINDS[kind]))
        for item in items:
            text = item.model_dump_json()
            assert TypeAdapter(GalleryItem).validate_json(text) == item
            assert "secret" not in text
            assert item.unit == SPACES[kind].unit
            assert item.caption.startswith(f"Synthetic {SPACES[kind].kind} cases; ")
            assert item.clean.label != item.adversarial.label

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("image", "every pixel changed by at most 2/255 of the gray scale (attack: pgd)"),
            ("volume", "every voxel changed by at most 50 HU"),
            ("signal", "every sample changed by at most 0.05 mV"),
            ("table", "every feature changed by at most 0.2 SD"),
            ("tokens", "at most 2 words replaced"),
        ],
    )
    def test_captions_say_what_was_allowed(self, kind, words):
        assert words in gallery(build(**KINDS[kind]))[0].caption

    @pytest.mark.parametrize(
        ("norm", "limits", "words"),
        [
            ("l2", ("1", "2", "3"), "pixels changed by at most 2 of the gray scale in total"),
            ("l1", ("1", "2", "3"), "pixels changed by at most 2 of the gray scale in total (sum of absolute changes)"),
            ("l0", ("1", "2", "3"), "at most 2 pixels changed, each by any valid amount"),
            ("l0", ("1",), "at most 1 pixel changed"),
            ("l0", ("1", "5 %", "10"), "at most 5 % of all pixels changed"),
        ],
    )
    def test_captions_know_the_norms(self, norm, limits, words):
        assert words in gallery(build(norm=norm, limits=limits))[0].caption


class TestImages:
    def test_pixels_are_those_of_the_case(self):
        results = build()
        item, (clean, attacked) = gallery(results)[0], clean_and_attacked(results)
        assert item.kind == "image"
        np.testing.assert_array_equal(picture(item.clean_png), np.round(clean[0] * 255))
        np.testing.assert_array_equal(picture(item.adversarial_png), np.round(attacked[0].astype(float) * 255))
        shown = (picture(item.perturbation_png).astype(float) / 255 - 0.5) / item.perturbation_scale
        np.testing.assert_allclose(shown, attacked[0] - clean[0], atol=0.6 / 255 / item.perturbation_scale)

    def test_an_unchanged_pixel_is_mid_gray(self):
        one = np.full((1, 4, 4), 0.3)
        two = one.copy()
        two[0, 0, 0] = 0.4
        fields, _ = picture_fields(one, two, Space("image", (1, 4, 4), "gray level (0-1)"))
        assert set(np.unique(picture(fields["perturbation_png"])[1:])) <= {127, 128}

    def test_colors_stay_colors_and_other_channels_show_the_most_changed(self):
        assert picture(gallery(build(**KINDS["rgb"]))[0].clean_png).shape == (6, 5, 3)
        clean = np.zeros((4, 5, 5))
        attacked = clean.copy()
        attacked[2] += 0.1
        fields, more = picture_fields(clean, attacked, Space("image", (4, 5, 5), "level", names=("a", "b", "c", "d")))
        assert "Shown: c" in more
        assert picture(fields["clean_png"]).shape == (5, 5)

    def test_volumes_show_the_plane_of_the_largest_change(self):
        clean = np.zeros((1, 5, 6, 7))
        attacked = clean.copy()
        attacked[0, 3] += 30
        fields, _ = picture_fields(clean, attacked, Space("volume", (1, 5, 6, 7), "HU", -1000, 1000))
        assert fields["plane"] == "plane 4 of 5"
        assert fields["kind"] == "volume-slice"
        assert picture(fields["clean_png"]).shape == (6, 7)

    def test_a_narrow_case_is_stretched(self):
        clean = np.linspace(0, 100, 16).reshape(1, 4, 4)
        fields, _ = picture_fields(clean, clean + 1, Space("image", (1, 4, 4), "HU", -1000, 3000))
        shown = picture(fields["clean_png"])
        assert shown.min() == 0
        assert shown.max() > 250

    @settings(max_examples=25, deadline=None)
    @given(
        arrays(np.float64, (3, 4, 5), elements=st.floats(0, 1)), arrays(np.float64, (3, 4, 5), elements=st.floats(0, 1))
    )
    def test_any_valid_case_can_be_shown(self, clean, attacked):
        fields, _ = picture_fields(clean, attacked, Space("image", (3, 4, 5), "level"))
        assert fields["perturbation_scale"] > 0
        assert re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}", fields["perturbation_png"])


class TestSignals:
    def test_strips_are_those_of_the_case_to_four_digits(self):
        results = build(**KINDS["signal"])
        item, (clean, attacked) = gallery(results)[0], clean_and_attacked(results)
        assert item.channels == ("lead I", "lead II")
        assert item.step == 1 / 125
        np.testing.assert_allclose(item.clean_values, clean, atol=5.1e-5)
        np.testing.assert_allclose(item.perturbation_values, attacked.astype(float) - clean, atol=5.1e-5)

    def test_long_recordings_show_the_stretch_that_changed(self):
        space = Space("signal", (12, 5000), "mV", -5.0, 5.0, rate=500.0)
        clean = np.zeros(space.shape)
        attacked = clean.copy()
        attacked[7, 3000:3100] = 0.2
        attacked[1, 3000] = 0.1
        fields, more = signal_fields(clean, attacked, space)
        assert len(fields["channels"]) == MOST_CHANNELS
        assert {"channel 2", "channel 8"} <= set(fields["channels"])
        strip = np.asarray(fields["perturbation_values"])
        assert strip.shape == (MOST_CHANNELS, MOST_SAMPLES)
        assert np.abs(strip).sum() == pytest.approx(100 * 0.2 + 0.1)
        assert "4 most changed of 12 channels" in more
        assert "Shown from" in more

    def test_small_units_keep_their_digits(self):
        space = Space("signal", (1, 4), "V", -1.0, 1.0)
        fields, more = signal_fields(np.zeros((1, 4)), np.full((1, 4), 3.456e-6), space)
        assert fields["perturbation_values"][0][0] == pytest.approx(3.456e-6)
        assert "sampling rate is not known" in more


class TestNotes:
    def test_words_are_compared_in_place_and_padding_is_dropped(self):
        results = build(**KINDS["tokens"])
        item, (clean, attacked) = gallery(results)[0], clean_and_attacked(results)
        assert [token.text for token in item.tokens] == [WORDS[k] for k in clean if k]
        assert [token.op for token in item.tokens].count("replace") == 2
        assert item.tokens[0].replacement == WORDS[attacked[0]]

    @settings(max_examples=50, deadline=None)
    @given(*[st.lists(st.integers(0, len(WORDS) - 1), min_size=12, max_size=12)] * 2)
    def test_both_notes_can_be_read_back(self, one, two):
        found = note_fields(np.array(one), np.array(two), SPACES["tokens"])
        tokens = found["tokens"] if found else ()
        assert [t.text for t in tokens if t.op != "insert"] == [WORDS[k] for k in one if k]
        after = [t.text if t.op == "equal" else t.replacement for t in tokens if t.op != "delete"]
        assert after == [WORDS[k] for k in two if k]


class TestTables:
    def test_the_most_changed_features_come_first_in_units_of_their_scale(self):
        space = SPACES["table"]
        clean = np.array([1.0, 2.0, 3.0, 4.0])
        fields, more = table_fields(clean, clean + np.array([0.5, 0.0, 0.9, 2.0]), space)
        assert [row.feature for row in fields["rows"]] == ["a", "d", "c"]
        assert (fields["rows"][1].clean, fields["rows"][1].adversarial) == (4.0, 6.0)
        assert "3 changed" in more

    def test_wide_rows_are_cut(self):
        space = Space("table", (30,), "um", 0, 10)
        fields, more = table_fields(np.zeros(30), np.arange(30) / 10, space)
        assert len(fields["rows"]) == 12
        assert fields["rows"][0].feature == "feature 30"
        assert "12 of 30 features" in more


class TestAnswers:
    def test_confidence_is_that_of_the_decision_not_of_the_largest_score(self):
        task = Task("classes", ("normal", "pneumonia"), (1,)).at(-1.0)
        said = prediction(task, np.array([0.5, 0.0]))
        assert said.label == "pneumonia"
        assert said.confidence == pytest.approx(0.3775, abs=1e-4)
        binary = Task("binary", ("no", "yes"), threshold=2.0)
        assert prediction(binary, np.array([1.0])).label == "no"
        assert prediction(binary, np.array([1.0])).confidence == pytest.approx(0.2689, abs=1e-4)

    @pytest.mark.parametrize(
        ("task", "scores", "label"),
        [
            ("anomaly", [0.25], "abnormal (score 0.25)"),
            ("regression", [41.53], "age: 41.5"),
            ("multilabel", [1.0, -1.0, 2.0], "effusion, nodule"),
            ("multilabel", [-1.0, -1.0, -2.0], "no finding"),
        ],
    )
    def test_answers_of_other_tasks_carry_no_confidence(self, task, scores, label):
        said = prediction(TASKS[task], np.array(scores))
        assert said.label == label
        assert said.confidence is None

    def test_a_class_that_is_ruled_out_is_no_error(self):
        said = prediction(TASKS["classes"], np.array([-np.inf, 0.0]))
        assert json.loads(said.model_dump_json()) == {"label": "pneumonia", "confidence": 1.0}

    def test_the_truth_is_said_in_the_same_words(self):
        assert truth(TASKS["classes"], np.int64(1)) == "pneumonia"
        assert truth(TASKS["regression"], 63.0) == "age: 63"


def test_the_builder_moves_by_the_radius():
    """The test's own tool: perturbed cases lie at the limit."""
    clean = np.full((2, 1, 8, 8), 0.5, dtype=np.float32)
    assert np.abs(moved(clean, SPACES["image"], 0.1) - clean).max() == pytest.approx(0.1)
