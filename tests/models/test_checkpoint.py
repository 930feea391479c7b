"""Checkpoints: the same model back, and every other file refused."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trained_examples import EXAMPLES, halves, notes, patches, waves

from titer.digest import canonical, digest
from titer.errors import CheckpointError, StoreError
from titer.models import checkpoint
from titer.models.checkpoint import from_bytes, load, save, to_bytes, trained
from titer.models.trained import TrainedModel
from titer.models.training import Epoch, train
from titer.models.zoo.t_cnn import TCNN
from titer.models.zoo.t_cnn1d import TCNN1d
from titer.registry import MODELS

_MADE: dict[str, TrainedModel] = {}


def made(name: str = "t_cnn") -> TrainedModel:
    """A model trained for a moment, once per test run."""
    if name not in _MADE:
        data = EXAMPLES[name]()
        _MADE[name] = train(MODELS.find(name)(), data, halves(len(data.cases)), seed=0, epochs=1)
    return _MADE[name]


def opened(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Header, what it says of the model, and the tensors."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["titer"])["about"], data[8 + length :]


def closed(header: dict[str, Any], about: Any, tensors: bytes) -> bytes:
    """A file whose header digest is right, as a forger would write it."""
    header["__metadata__"]["titer"] = canonical({"about": about, "digest": digest(about)})
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + tensors


@pytest.mark.parametrize("name", EXAMPLES)
def test_there_and_back(name: str) -> None:
    model = made(name)
    again = from_bytes(to_bytes(model), recipe=name, dataset=model.record.dataset)
    assert again.digest == model.digest
    assert (again.record, again.task, again.space, again.name) == (model.record, model.task, model.space, model.name)
    inputs = EXAMPLES[name]().cases.inputs[:20]
    np.testing.assert_array_equal(again.predict(inputs), model.predict(inputs))
    assert to_bytes(again) == to_bytes(model)


def test_a_regression_and_an_operating_point_come_back() -> None:
    data = waves(task="regression")
    model = train(TCNN1d(), data, halves(160), seed=0, epochs=1)
    again = from_bytes(to_bytes(model))
    np.testing.assert_array_equal(again.predict(data.cases.inputs[:9]), model.predict(data.cases.inputs[:9]))
    moved = made().calibrated(made().task.at(0.75))
    assert isinstance(moved, TrainedModel)
    assert from_bytes(to_bytes(moved)).task.threshold == 0.75


def test_equal_trainings_give_equal_bytes() -> None:
    data = notes()
    first, second = (train(MODELS.find("t_bow")(), data, halves(160), seed=0, epochs=1) for _ in range(2))
    assert to_bytes(first) == to_bytes(second)


def test_files(tmp_path: Path) -> None:
    path = save(made(), tmp_path / "deep" / "model.safetensors")
    assert load(path).digest == made().digest
    assert [each.name for each in path.parent.iterdir()] == ["model.safetensors"]
    with pytest.raises(CheckpointError, match="readable checkpoint"):
        load(tmp_path / "none.safetensors")


def test_safetensors_itself_reads_the_weights(tmp_path: Path) -> None:
    from safetensors import safe_open

    path = save(made(), tmp_path / "model.safetensors")
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(made().module.state_dict())


def test_random_state_is_as_before() -> None:
    before = torch.get_rng_state()
    from_bytes(to_bytes(made()))
    assert torch.equal(before, torch.get_rng_state())


class TestRefused:
    def test_another_recipe_or_data_set(self) -> None:
        with pytest.raises(CheckpointError, match="checkpoint of t_rnn, got one of t_cnn"):
            from_bytes(to_bytes(made()), recipe="t_rnn")
        with pytest.raises(CheckpointError, match="trained on the data set 0000"):
            from_bytes(to_bytes(made()), dataset="0" * 64)

    @pytest.mark.parametrize("data", [b"", b"123", b"\0" * 200, b"\xff" * 64, b"PK\x03\x04" + b"0" * 99, b"\x80\x05."])
    def test_what_is_no_checkpoint(self, data: bytes) -> None:
        with pytest.raises(CheckpointError):
            from_bytes(data)

    def test_weights_of_others_without_our_header(self) -> None:
        from safetensors.torch import save as plain

        with pytest.raises(CheckpointError, match="checkpoint of a Titer model"):
            from_bytes(plain({"weight": torch.zeros(3)}))

    @settings(max_examples=40)
    @given(share=st.floats(0, 0.9999))
    def test_truncated_files(self, share: float) -> None:
        data = to_bytes(made("t_bow"))
        with pytest.raises(CheckpointError):
            from_bytes(data[: int(share * len(data))])

    @settings(max_examples=60)
    @given(place=st.floats(0, 0.99999), bit=st.integers(0, 7))
    def test_any_flipped_bit(self, place: float, bit: int) -> None:
        data = bytearray(to_bytes(made("t_bow")))
        data[int(place * len(data))] ^= 1 << bit
        try:
            found = from_bytes(bytes(data))
        except CheckpointError:
            return
        # White space and the order of keys may change without a change of meaning; nothing else may.
        assert found.digest == made("t_bow").digest
        assert found.record == made("t_bow").record

    @pytest.mark.parametrize(
        "change",
        [
            {"format": "titer-checkpoint-0"},
            {"record": None},
            {"record": {"recipe": "t_cnn"}},
            {"record": "text"},
            {"space": {"kind": "image"}},
            {"space": {"kind": "image", "shape": [1, -4, 4], "unit": "x"}},
            {"space": {"kind": "image", "shape": "1616", "unit": "x"}},
            {"task": {"kind": "classes", "classes": ["one"]}},
            {"task": {"kind": "classes", "classes": 4}},
            {"task": {"kind": "classes", "classes": ["a", "b", "c"]}},
            {"mean": None},
            {"mean": ["zero"]},
            {"std": [0.0]},
            {"std": [1.0, 2.0, 3.0]},
            {"weights": "0" * 64},
            {"name": None},
        ],
    )
    def test_forged_headers(self, change: dict[str, Any]) -> None:
        header, about, tensors = opened(to_bytes(made()))
        with pytest.raises(CheckpointError):
            from_bytes(closed(header, {**about, **change}, tensors))

    @pytest.mark.parametrize(
        "change",
        [
            {"recipe": "os"},
            {"recipe": "../t_cnn"},
            {"recipe": "_parts"},
            {"settings": {"size": "mini"}},
            {"settings": {"size": "huge"}},
            {"settings": {"rate": "fast"}},
            {"settings": {"unknown": 1}},
            {"settings": []},
            {"extra": 1},
        ],
    )
    def test_forged_records(self, change: dict[str, Any]) -> None:
        header, about, tensors = opened(to_bytes(made()))
        with pytest.raises(CheckpointError):
            from_bytes(closed(header, {**about, "record": {**about["record"], **change}}, tensors))

    @pytest.mark.parametrize(
        ("name", "settings_", "shape"),
        [
            ("t_trf", {"width": 1 << 20}, None),
            ("t_trf", {}, [1 << 16]),
            ("t_rnn", {"hidden": 1 << 20}, None),
            ("t_ae", {}, [1, 1 << 20, 1 << 20]),
        ],
    )
    def test_models_beyond_any_memory_are_not_built(self, name: str, settings_: dict[str, Any], shape: Any) -> None:
        header, about, tensors = opened(to_bytes(made(name)))
        about["record"]["settings"].update(settings_)
        about["space"]["shape"] = shape or about["space"]["shape"]
        with pytest.raises(CheckpointError):
            from_bytes(closed(header, about, tensors))

    def test_deep_json(self) -> None:
        raw = b"[" * 200_000
        with pytest.raises(CheckpointError):
            from_bytes(struct.pack("<Q", len(raw)) + raw)

    def test_files_beyond_the_limit_are_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save(made(), tmp_path / "model.safetensors")
        data = path.read_bytes()
        monkeypatch.setattr(checkpoint, "LARGEST", 1000)
        for attempt in (lambda: load(path), lambda: from_bytes(data)):
            with pytest.raises(CheckpointError, match="at most 1000 bytes"):
                attempt()

    def test_nothing_is_unpickled(self, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        torch.save(made().module.state_dict(), path)
        with pytest.raises(CheckpointError):
            load(path)


class TestFolder:
    def test_a_training_is_done_once(self, tmp_path: Path) -> None:
        data, parts = patches(), halves(240)
        seen: list[Epoch] = []
        options: dict[str, Any] = {"seed": 0, "epochs": 1, "folder": tmp_path, "progress": seen.append}
        first = trained(TCNN(), data, parts, **options)
        again = trained(TCNN(), data, parts, **options)
        assert len(seen) == 1
        assert first.digest == again.digest
        trained(TCNN(), data, parts, **{**options, "seed": 1})
        assert len(list(tmp_path.iterdir())) == 2

    def test_a_damaged_or_foreign_file_is_refused_not_trained_over(self, tmp_path: Path) -> None:
        data, parts = patches(), halves(240)
        options: dict[str, Any] = {"epochs": 1, "folder": tmp_path}
        trained(TCNN(), data, parts, seed=0, **options)
        (first,) = tmp_path.iterdir()
        other = trained(TCNN(), data, parts, seed=1, **options)
        save(other, first)
        with pytest.raises(CheckpointError, match="delete that file"):
            trained(TCNN(), data, parts, seed=0, **options)
        first.write_bytes(first.read_bytes()[:-5])
        with pytest.raises(CheckpointError, match="damaged"):
            trained(TCNN(), data, parts, seed=0, **options)

    def test_a_stop_leaves_nothing(self, tmp_path: Path) -> None:
        def stop(epoch: Epoch) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trained(TCNN(), patches(), halves(240), seed=0, epochs=1, folder=tmp_path, progress=stop)
        assert not list(tmp_path.iterdir())

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("in the way")
        with pytest.raises(StoreError):
            save(made(), blocked / "model.safetensors")


def test_a_model_trained_on_other_cases_says_so() -> None:
    data = patches()
    other = replace(data, cases=data.cases.take(np.arange(200)))
    assert other.digest != made().record.dataset
    with pytest.raises(CheckpointError, match="train again"):
        from_bytes(to_bytes(made()), dataset=other.digest)
