"""Only cases that are what was captured teach a model: every altered one is found, no other one is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from titer.audit.captured import capture_cases, case_row, receipts_of, vouched
from titer.audit.jobs import prepare
from titer.audit.plan import ReceiptsSpec
from titer.audit.plan_file import check_plan
from titer.audit.subject import OBJECTS, split_of
from titer.cases.dataset import Dataset
from titer.cases.find import find_dataset
from titer.errors import DataError, GuardError
from titer.provenance.fingerprint import fingerprint_of
from titer.provenance.guard import folder
from titer.provenance.guard.capture import Capture
from titer.provenance.ledger.chain import Chain
from titer.provenance.ledger.settings import create, opened

SETS: dict[str, dict[str, Any]] = {
    "breast_biopsies": {},
    "chest_phantom": {"cases": 60},
    "ecg_simulated": {"cases": 60},
    "notes_template": {"cases": 60},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("captures")
    folder.create(place / "site")
    create(place / "led", "ledger.example/captures", str(place / "mark.json"))
    return place


@pytest.fixture(scope="module")
def loaded(site: Path) -> Callable[[str], Dataset]:
    found: dict[str, Dataset] = {}

    def load(name: str) -> Dataset:
        if name not in found:
            found[name] = find_dataset(name, **SETS[name])
            assert capture(site, found[name]) == len(found[name].cases)
        return found[name]

    return load


def capture(site: Path, dataset: Dataset) -> int:
    private = folder.Folder(site / "site")
    with private.key("capture") as key, opened(site / "led") as log, closing(private.index()) as index:
        return capture_cases(dataset, Capture(Chain(log, key), index))


def spec(site: Path, **more: Any) -> ReceiptsSpec:
    key = folder.Folder(site / "site").public("capture")
    return ReceiptsSpec(ledger=str(site / "led"), site=str(site / "site"), keys=(key,), **more)


def altered(dataset: Dataset, rows: np.ndarray, *, labels: bool) -> Dataset:
    """Some cases as a poisoner leaves them: another label, or the smallest change of one value."""
    inputs, targets = dataset.cases.inputs.copy(), dataset.cases.targets.copy()
    for row in rows:
        if labels:
            targets[row] = (targets[row] + 1) % len(dataset.classes)
        else:
            flat = inputs[row].reshape(-1)
            place = int(np.argmax(flat))
            flat[place] = flat[place] - 1 if flat.dtype.kind in "iu" else np.nextafter(flat[place], -np.inf)
    return replace(dataset, cases=replace(dataset.cases, inputs=inputs, targets=targets))


@pytest.mark.parametrize("labels", [False, True], ids=["a value", "a label"])
@pytest.mark.parametrize("name", SETS)
def test_every_altered_case_is_found_and_no_other(
    site: Path, loaded: Callable[[str], Dataset], name: str, labels: bool
) -> None:
    dataset = loaded(name)
    assert vouched(dataset, spec(site)).sound.all()
    rows = np.random.default_rng(0).choice(len(dataset.cases), 12, replace=False)
    found = vouched(altered(dataset, rows, labels=labels), spec(site))
    assert np.flatnonzero(~found.sound).tolist() == sorted(rows.tolist())


def test_a_case_is_recorded_once(site: Path, loaded: Callable[[str], Dataset]) -> None:
    assert capture(site, loaded("breast_biopsies")) == 0


def test_cases_whose_capture_was_cut_off_are_captured_the_next_time(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Openings come first: without their records they vouch for nothing, and must not pass for captures either."""
    from titer.provenance.ledger.ledger import Ledger

    dataset = find_dataset("chest_phantom", cases=20, seed=11)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append_batch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            capture(site, dataset)
    assert capture(site, dataset) == 20
    assert capture(site, dataset) == 0


def test_what_is_recorded_does_not_depend_on_the_other_cases(loaded: Callable[[str], Dataset]) -> None:
    dataset = loaded("breast_biopsies")
    few = replace(dataset, cases=dataset.cases.take([7, 60, 30]), official=None)
    one, two = (fingerprint_of(case_row(each, row), "row") for each, row in ((dataset, 7), (few, 0)))
    assert one["tr"] == two["tr"]


def test_a_key_that_is_not_named_vouches_for_nothing(site: Path, loaded: Callable[[str], Dataset]) -> None:
    found = vouched(loaded("breast_biopsies"), spec(site).model_copy(update={"keys": ("ab" * 32,)}))
    assert not found.sound.any()


def _plan(site: Path, dataset: Dataset, **more: Any) -> Any:
    OBJECTS["memory:captured"] = dataset
    receipts = spec(site, **more).model_dump()
    return check_plan(
        {
            "titer": 1,
            "data": {"path": "memory:captured", "receipts": receipts},
            "model": {"zoo": "t_mlp", "epochs": 1},
            "threats": [{"limits": [0.1]}],
            "attacks": ["fgsm"],
        }
    )


def test_training_takes_no_altered_case(site: Path, loaded: Callable[[str], Dataset]) -> None:
    dataset = loaded("breast_biopsies")
    rows = np.arange(0, 100, 4)
    poisoned = altered(dataset, rows, labels=True)
    prepared = prepare(_plan(site, poisoned), None)
    (subject,) = prepared.plan.subjects
    parts = split_of(subject, poisoned, 0, True).split
    whole = split_of(_plan(site, poisoned).subjects[0].model_copy(update={"data": subject.data.model_copy(
        update={"receipts": None})}), poisoned, 0, True).split  # fmt: skip
    assert np.intersect1d(whole.train, rows).size
    assert parts.train.tolist() == np.setdiff1d(whole.train, rows).tolist()
    assert parts.test.tolist() == whole.test.tolist()
    (record,) = receipts_of(prepared.plan)
    assert record.item == "E19"
    assert "25 had no valid receipt and were kept out of training" in record.sentence
    assert any(
        "544 of 569 cases have a valid receipt (25 unknown)" in each for each in prepared.datasets[0].card.cautions
    )


def test_all_parts_or_none_if_the_plan_says_so(site: Path, loaded: Callable[[str], Dataset]) -> None:
    rows = np.arange(0, 100, 4)
    poisoned = altered(loaded("breast_biopsies"), rows, labels=False)
    (subject,) = prepare(_plan(site, poisoned, cases="all"), None).plan.subjects
    parts = split_of(subject, poisoned, 0, True).split
    assert not np.intersect1d(np.concatenate(list(parts.parts().values())), rows).size
    with pytest.raises(DataError, match="a valid receipt for every case, got 544 of 569 cases"):
        prepare(_plan(site, poisoned, otherwise="refuse"), None)


def test_data_that_was_never_captured_is_refused(site: Path, loaded: Callable[[str], Dataset], tmp_path: Path) -> None:
    dataset = loaded("breast_biopsies")
    strange = altered(dataset, np.arange(len(dataset.cases)), labels=False)
    with pytest.raises(DataError, match="cases with a valid receipt"):
        prepare(_plan(site, strange), None)
    with pytest.raises(GuardError, match="a site's folder"):
        vouched(dataset, spec(site).model_copy(update={"site": str(tmp_path)}))
