"""The gallery page: every method is on it, every picture is there and described, and a figure is drawn anew alike."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from titer.cases.find import find_dataset
from titer.models.adapters.torch import TorchModel
from titer.models.recipe import task_of
from titer.models.zoo.t_cnn1d import TCNN1d
from titer.registry import ATTACKS, CHANGES

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from gallery.draw import FACTS, FOLDER, PAGE, drawn  # noqa: E402 - the folder of scripts is no package of its own
from gallery.figures import FIGURES  # noqa: E402
from gallery.page import page  # noqa: E402
from gallery.subjects import SUBJECTS, Subject  # noqa: E402

TEXT = PAGE.read_text()
SHOWN = re.findall(r"!\[([^\]]*)\]\((images/gallery/[a-z0-9-]+\.(?:png|svg))\)", TEXT)
CREDITS = {
    "film": "CC BY 4.0",
    "ecg": "ODC Attribution",
    "eeg": "Andrzejak",
    "twin": "simulated",
    "mri": "CC BY-SA 3.0",
}


def names(registry: object) -> list[str]:
    """Methods of Titer's own, without those that other packages bring."""
    return [name for name in registry.names() if registry.find(name).__module__.startswith("titer.")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [*names(ATTACKS), *names(CHANGES)])
def test_every_attack_and_change_is_shown_or_its_absence_explained(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_every_figure_is_on_the_page_with_its_picture_and_an_alternative_text() -> None:
    assert len(SHOWN) == len(FIGURES)
    for alt, file in SHOWN:
        assert (PAGE.parent / file).is_file(), file
        assert len(alt) > 80, file
        assert "The model says" in alt, file


def test_no_picture_is_left_over_and_all_are_small() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {Path(file).name for _, file in SHOWN} | {FACTS.name}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000


def test_the_page_is_what_the_facts_make_of_it() -> None:
    facts = json.loads(FACTS.read_text())
    assert page(facts["figures"], facts["subjects"]) == TEXT


def test_every_caption_names_source_seed_and_questions() -> None:
    for figure in FIGURES:
        section = TEXT.split(f'<a id="{figure.file}">')[1].split("<a id=")[0]
        assert CREDITS[figure.subject] in section, figure.file
        assert 'seed "gallery"' in section
        assert re.search(r"[\d,]+ questions?, [\d,]+ gradients?", section)
        assert "An attacker who sees" in section
    assert set(CREDITS) == set(SUBJECTS)


def test_a_figure_drawn_anew_has_the_same_picture_and_price(real_data: Path) -> None:
    figure = next(each for each in FIGURES if each.file == "ecg-corruption")
    kept = json.loads(FACTS.read_text())["figures"][figure.file]
    dataset = find_dataset("ecg_mitbih", root=real_data, task="strips")
    # What nature does asks no model, so an untrained one will do.
    task = task_of(dataset)
    model = TorchModel(TCNN1d().module(dataset.space, task), dataset.space, task)
    case = dataset.cases.take(np.flatnonzero(np.array(dataset.cases.ids) == kept["case"]))
    picture, fact = drawn(figure, Subject("a ten-second ECG strip, lead MLII", "", "", model, case, case))
    assert picture == (FOLDER / fact["picture"]).read_bytes()
    same = ("picture", "case", "cost", "moved", "factor", "questions", "gradients", "attack", "change", "threat")
    assert {key: fact[key] for key in same} == {key: kept[key] for key in same}
