"""The torch adapter beyond the common laws: hidden modes, in-place layers, precision, embeddings, files."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapter_examples import IMAGES, ONE, TABLE, THREE, TWO, cnn, images
from safetensors.torch import save_file
from torch import nn

from titer.cases.space import Space
from titer.errors import CheckpointError, ModelError
from titer.models.adapters.fingerprint import module_digest, object_digest
from titer.models.adapters.torch import TorchModel
from titer.models.adapters.torch_files import load_torch, torch_format
from titer.models.task import Task

NOTES = Space("tokens", (6,), "word", vocabulary=("", "no", "fever", "cough", "acute"))


class Reader(nn.Module):
    def __init__(self, twice: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 3, padding_idx=0)
        self.last = nn.Linear(3, 2)
        self.twice = twice

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        embedded = self.words(tokens)
        if self.twice:
            embedded = embedded + self.words(tokens)
        return self.last(embedded.mean(1))


def test_scores_are_those_of_the_module_on_normalized_input() -> None:
    module = cnn().eval()
    model = TorchModel(module, IMAGES, TWO, mean=0.5, std=0.25)
    expected = module((torch.from_numpy(images()) - 0.5) / 0.25).detach().double().numpy()
    np.testing.assert_allclose(model.predict(images()), expected, atol=1e-6)


def test_gradient_agrees_with_finite_differences() -> None:
    model = TorchModel(cnn(dtype=torch.float64), IMAGES, TWO, mean=0.4, std=0.3)
    point = torch.from_numpy(images(8, dtype=np.float64))
    with model.ready():
        torch.autograd.gradcheck(model.scores, (point.requires_grad_(True),), atol=1e-6)


def test_a_part_left_in_training_mode_is_found() -> None:
    module = cnn().eval()
    module[3].train()
    model = TorchModel(module, IMAGES, TWO)
    assert np.array_equal(model.predict(images()), model.predict(images()))
    assert module[3].training
    assert not module.training


def test_layers_that_work_in_place_leave_the_input_alone() -> None:
    module = nn.Sequential(nn.Hardtanh(-0.1, 0.1, inplace=True), nn.Linear(4, 2))
    model = TorchModel(module, TABLE, TWO)
    given = torch.full((8, 4), 2.0, requires_grad=True)
    with model.ready():
        model.scores(given).sum().backward()
    assert torch.equal(given.detach(), torch.full((8, 4), 2.0))


def test_precision_follows_the_weights() -> None:
    for dtype, told in (
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
    ):
        model = TorchModel(nn.Linear(4, 2).to(dtype), TABLE, TWO, mean=1.0, std=3.0)
        for given in (torch.float32, torch.float64):
            point = torch.rand(8, 4, dtype=given, requires_grad=True)
            scores = model.scores(point)
            assert scores.dtype == told
            (gradient,) = torch.autograd.grad(scores.sum(), point)
            assert gradient.dtype == given


def test_outputs_are_chosen_by_name_and_place() -> None:
    pair = namedtuple("pair", "logits hidden")

    class Many(nn.Module):
        def __init__(self, form: str) -> None:
            super().__init__()
            self.form = form

        def forward(self, x: torch.Tensor) -> Any:
            logits, hidden = x[:, :2], x
            return {
                "dict": {"logits": logits, "hidden": hidden},
                "tuple": (hidden, logits),
                "named": pair(logits, hidden),
                "one": [logits],
                "none": None,
            }[self.form]

    given = torch.rand(8, 4)
    for form, output in (
        ("dict", "logits"),
        ("tuple", 1),
        ("tuple", -1),
        ("named", "logits"),
        ("named", 0),
        ("one", None),
    ):
        model = TorchModel(Many(form), TABLE, TWO, output=output)
        assert torch.equal(model.scores(given), given[:, :2])
    for form, output in (("dict", None), ("dict", "logit"), ("tuple", 2), ("none", None), ("tuple", None)):
        with pytest.raises(ModelError, match=r"output|wrap"):
            TorchModel(Many(form), TABLE, TWO, output=output).scores(given)


def test_probabilities_are_found_said_and_turned_back() -> None:
    line = nn.Linear(4, 3)
    plain = TorchModel(line, TABLE, THREE, probabilities=None)
    soft = TorchModel(nn.Sequential(line, nn.Softmax(1)), TABLE, THREE, probabilities=None)
    assert (plain.probabilities, soft.probabilities) == (False, True)
    assert "probabilities found" in soft.notes[0]
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    np.testing.assert_allclose(
        soft.predict(rows), torch.log_softmax(line(torch.from_numpy(rows)), 1).detach().numpy(), atol=1e-5
    )
    one = TorchModel(nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), TABLE, TWO, probabilities=None)
    assert one.probabilities
    with pytest.raises(ModelError, match="could be either"):
        TorchModel(nn.Sequential(nn.Linear(4, 1), nn.Hardtanh(0.2, 0.4)), TABLE, TWO, probabilities=None)


def test_less_access_hides_gradients() -> None:
    given = torch.rand(8, 4, requires_grad=True)
    assert not TorchModel(nn.Linear(4, 2), TABLE, TWO, access="scores").scores(given).requires_grad
    hard = TorchModel(nn.Linear(4, 3), TABLE, THREE, access="labels").scores(given)
    assert sorted(set(hard.flatten().tolist())) == [0.0, 1.0]


def test_embedding_is_found_replaced_and_counted() -> None:
    tokens = torch.tensor([[1, 2, 3, 0, 0, 0]] * 8)
    model = TorchModel(Reader(), NOTES, TWO)
    embedded = model.embed(tokens)
    assert embedded.shape == (8, 6, 3)
    assert torch.equal(model.scores_embedded(tokens, embedded), model.scores(tokens))
    moved = model.scores_embedded(tokens, embedded + 1)
    assert not torch.equal(moved, model.scores(tokens))
    assert not model.module.words._forward_hooks
    twice = TorchModel(Reader(twice=True), NOTES, TWO)
    with pytest.raises(ModelError, match="2 uses"):
        twice.scores_embedded(tokens, embedded)
    with pytest.raises(ModelError, match="submodule named 'word'"):
        TorchModel(Reader(), NOTES, TWO, embedding="word")
    with pytest.raises(ModelError, match="embeds tokens"):
        TorchModel(nn.Sequential(nn.Embedding(5, 2), nn.Embedding(5, 2)), NOTES, TWO).embed(tokens)


def test_wrong_outputs_are_refused() -> None:
    for module in (nn.Linear(4, 3), nn.Unflatten(1, (2, 2)), nn.Sequential(nn.Linear(4, 2), nn.Flatten(0))):
        with pytest.raises(ModelError, match="output of shape"):
            TorchModel(module, TABLE, TWO).scores(torch.rand(8, 4))
    assert TorchModel(nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), TABLE, ONE).scores(torch.rand(8, 4)).shape == (
        8,
        1,
    )


def test_digest_sees_weights_structure_buffers_and_settings() -> None:
    def made(**changes: Any) -> str:
        return TorchModel(cnn(), IMAGES, TWO, **changes).digest

    module = cnn()
    assert made() == made()
    assert made(mean=0.1) != made()
    first = module_digest(module, None)
    module[1].running_mean += 1e-3
    second = module_digest(module, None)
    module[2] = nn.Tanh()
    third = module_digest(module, None)
    assert len({first, second, third}) == 3


def test_object_digest_sees_code_constants_closures_and_state() -> None:
    def with_constant(value: float) -> Any:
        return lambda x: x * value

    same = [object_digest(with_constant(2.0)) for _ in range(2)]
    assert same[0] == same[1] != object_digest(with_constant(3.0))
    assert object_digest(lambda x: x + 1) != object_digest(lambda x: x + 2)
    loop: dict[str, Any] = {}
    loop["self"] = loop
    assert object_digest(loop) == object_digest(loop)
    assert object_digest({1, 2, 3}) == object_digest({3, 2, 1})
    assert object_digest(np.zeros(2)) != object_digest(np.zeros((2, 1)))
    assert object_digest(np.array([None, "a"], dtype=object)) != object_digest(np.array([None, "b"], dtype=object))
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ModelError, match="nested"):
        object_digest(deep)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    module = cnn().eval()
    example = (torch.from_numpy(images(4)),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, example, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, folder / "free.pt2")
        torch.export.save(torch.export.export(module, example), folder / "fixed.pt2")
        torch.jit.trace(module, example).save(folder / "script.pt")
    torch.save(module.state_dict(), folder / "weights.pt")
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, folder / "training.pt")
    torch.save(module, folder / "module.pt")
    torch.save([1, 2], folder / "list.pt")
    save_file(module.state_dict(), folder / "weights.safetensors")
    return folder


@pytest.mark.parametrize(
    "name", ["free.pt2", "fixed.pt2", "script.pt", "weights.pt", "training.pt", "weights.safetensors"]
)
def test_every_kind_of_file_gives_the_same_scores_and_gradients(files: Path, name: str) -> None:
    factory = None if name.endswith(".pt2") or name == "script.pt" else cnn
    module = load_torch(files / name, factory=factory, trusted=factory is None)
    model = TorchModel(module, IMAGES, TWO, batch=4 if name == "fixed.pt2" else None)
    reference = TorchModel(cnn(), IMAGES, TWO)
    told = []
    for each in (model, reference):
        point = torch.from_numpy(images()).requires_grad_(True)
        with each.ready():
            scores = each.scores(point)
            told.append((scores.detach(), *torch.autograd.grad(scores[:, 1].sum(), point)))
    for mine, theirs in zip(*told, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6)
    assert all(weight.requires_grad for weight in model.module.parameters())


def test_programs_need_the_word_of_the_plan(files: Path) -> None:
    for name, kind in (("free.pt2", "torch-export"), ("script.pt", "torchscript")):
        assert torch_format(files / name) == kind
        with pytest.raises(ModelError, match="trusted: true"):
            load_torch(files / name)
        with pytest.raises(ModelError, match="no factory"):
            load_torch(files / name, factory=cnn, trusted=True)


def test_objects_are_never_unpickled(files: Path, tmp_path: Path) -> None:
    for name in ("module.pt", "list.pt"):
        with pytest.raises(CheckpointError, match="state_dict"):
            load_torch(files / name, factory=cnn, trusted=True)

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "unpickled",))

    torch.save({"w": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError):
        load_torch(tmp_path / "evil.pt", factory=cnn)
    buffer = io.BytesIO()
    torch.save((Evil(),), buffer)
    for inside, content in (("data/sample_inputs/model.pt", buffer.getvalue()), ("data/weights/model.pt", b"x")):
        _rewritten(files / "free.pt2", tmp_path / "evil.pt2", {inside: content})
        with pytest.raises(ModelError, match="other objects"):
            load_torch(tmp_path / "evil.pt2", trusted=True)
    table = json.dumps({"config": {"w": {"path_name": "weight_0", "use_pickle": True}}}).encode()
    _rewritten(files / "free.pt2", tmp_path / "evil.pt2", {"data/weights/model_weights_config.json": table})
    with pytest.raises(ModelError, match="other objects"):
        load_torch(tmp_path / "evil.pt2", trusted=True)
    assert not (tmp_path / "unpickled").exists()


def _rewritten(source: Path, target: Path, changes: dict[str, bytes]) -> None:
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        root = before.namelist()[0].split("/")[0]
        for name in before.namelist():
            if name.partition("/")[2] not in changes:
                after.writestr(name, before.read(name))
        for name, content in changes.items():
            after.writestr(f"{root}/{name}", content)


def test_weights_of_another_module_are_named(files: Path) -> None:
    with pytest.raises(CheckpointError, match=r"6\.weight of shape \[2, 4\], not \[3, 4\]"):
        load_torch(files / "weights.safetensors", factory=lambda: cnn(3))
    with pytest.raises(CheckpointError, match=r"no bias; no weight.*more"):
        load_torch(files / "weights.pt", factory=lambda: nn.Linear(4, 2))
    with pytest.raises(ModelError, match="factory: module:function"):
        load_torch(files / "weights.pt")
    with pytest.raises(ModelError, match="returns a torch module"):
        load_torch(files / "weights.pt", factory=OrderedDict)


def test_damaged_and_strange_files_are_refused(files: Path, tmp_path: Path) -> None:
    whole = (files / "weights.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-10])
    (tmp_path / "text.pt").write_text("no model")
    (tmp_path / "cut.pt").write_bytes((files / "weights.pt").read_bytes()[:300])
    cut = (files / "free.pt2").read_bytes()
    (tmp_path / "cut.pt2").write_bytes(cut[: len(cut) // 2])
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("a/readme.txt", "no model")
    with zipfile.ZipFile(tmp_path / "broken.pt2", "w") as archive:
        archive.writestr("a/models/model.json", "{}")
        archive.writestr("a/data/weights/model_weights_config.json", "no json")
    for name in (
        "cut.safetensors",
        "text.pt",
        "cut.pt",
        "cut.pt2",
        "other.pt",
        "broken.pt2",
        "none.pt",
        "none.safetensors",
    ):
        with pytest.raises(ModelError):
            load_torch(tmp_path / name, factory=None if name.endswith("pt2") else cnn, trusted=True)


def test_a_task_with_one_score_and_labels() -> None:
    strange = Task("anomaly", ("normal", "abnormal"))
    model = TorchModel(nn.Linear(4, 1), TABLE, strange, access="labels")
    assert set(model.scores(torch.randn(8, 4)).flatten().tolist()) <= {-1.0, 1.0}
