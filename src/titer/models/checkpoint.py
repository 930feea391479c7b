"""Checkpoints of reference models: safetensors with all that is needed to build the same model again, and no code.

The file holds the weights; its header says, as JSON, recipe, settings, space, task, normalization and the record of the
training. Nothing in it is executed, and a file that belongs to another model or data set is refused. Digests over
header and weights find damage; they prove no origin, for whoever can write the file can write them too.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titer.atomic import write_whole
from titer.cases.space import Space
from titer.digest import canonical, digest
from titer.errors import CheckpointError, TiterError
from titer.models.recipe import Recipe
from titer.models.task import Task
from titer.models.trained import Rows, TrainedModel, TrainingRecord, new_module, training_key
from titer.models.training import Epoch, train
from titer.registry import MODELS

if TYPE_CHECKING:
    from torch import Tensor

    from titer.cases.dataset import Dataset

FORMAT = "titer-checkpoint-2"
LARGEST = 1 << 30
_HEADER = 1 << 26


def to_bytes(model: TrainedModel) -> bytes:
    """A trained model as the bytes of a safetensors file; equal models give equal bytes."""
    from safetensors.torch import save

    state = {name: value.detach().cpu().contiguous() for name, value in model.module.state_dict().items()}
    about = {
        "format": FORMAT,
        "name": model.name,
        "space": _fields(model.space),
        "task": _fields(model.task),
        "mean": model.mean,
        "std": model.std,
        "record": _fields(model.record),
        "weights": _weights_digest(state),
    }
    # One entry only: the order of several is not fixed, and equal models shall have equal bytes.
    return save(state, metadata={"titer": canonical({"about": about, "digest": digest(about)})})


def from_bytes(data: bytes, *, recipe: str | None = None, dataset: str | None = None) -> TrainedModel:
    """The model in the bytes of a checkpoint.

    Arguments
        recipe: name of the recipe that is expected; None accepts any.
        dataset: digest of the data set that it must have been trained on; None accepts any.

    Refuses damaged and foreign files, and checkpoints of another recipe or data set (`CheckpointError`).
    """
    about = _about(data)
    record = _made(TrainingRecord, about.get("record"))
    if recipe is not None and record.recipe != recipe:
        raise CheckpointError(f"a checkpoint of {recipe}", f"one of {record.recipe}", "choose the right file")
    if dataset is not None and record.dataset != dataset:
        raise CheckpointError(
            f"a model trained on the data set {dataset[:12]}",
            f"one trained on {record.dataset[:12]} ({record.dataset_name})",
            "choose the right file, or train again",
        )
    space, task = _made(Space, about.get("space")), _made(Task, about.get("task"))
    module = _module(record, space, task, _weights(data, str(about.get("weights"))))
    mean, std, name = (_told(about, key) for key in ("mean", "std", "name"))
    try:
        return TrainedModel(module, space, task, record, mean=_numbers(mean), std=_numbers(std), name=str(name))
    except CheckpointError:
        raise
    except TiterError as error:
        raise CheckpointError("a normalization that fits the space", error.got, "train again") from error


def save(model: TrainedModel, path: Path) -> Path:
    """Write a checkpoint, all of it or nothing."""
    return write_whole(path, to_bytes(model))


def load(path: Path, *, recipe: str | None = None, dataset: str | None = None) -> TrainedModel:
    """Read a checkpoint; see `from_bytes` for what is refused."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise CheckpointError(f"a checkpoint of at most {LARGEST} bytes", f"{size} bytes", "choose the right file")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"a readable checkpoint {path.name}", f"{error.strerror}", "correct the path") from error
    return from_bytes(data, recipe=recipe, dataset=dataset)


def is_checkpoint(path: Path) -> bool:
    """Whether a file says that it is a checkpoint of a Titer model; nothing of it is believed or executed."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            said = json.loads(stream.read(length)) if length <= _HEADER else None
    except (OSError, struct.error, ValueError, RecursionError):
        return False
    notes = said.get("__metadata__") if isinstance(said, dict) else None
    return isinstance(notes, dict) and "titer" in notes


def trained(
    recipe: Recipe,
    dataset: Dataset,
    rows: Rows,
    *,
    seed: int,
    folder: Path,
    epochs: int | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> TrainedModel:
    """The model of a training, from the folder if it was done before, else trained and kept there.

    Arguments
        folder: where checkpoints lie, each named by the digest of its training.
        recipe, dataset, rows, seed, epochs, progress: as for `titer.models.training.train`.

    A stop at any moment leaves a whole checkpoint or none; a damaged one is refused, not trained over.
    """
    key = training_key(recipe, dataset, rows, seed=seed, epochs=epochs)
    path = folder / f"{recipe.name}-{key[:32]}.safetensors"
    if not path.exists():
        model = train(recipe, dataset, rows, seed=seed, epochs=epochs, progress=progress)
        save(model, path)
        return model
    found = load(path, recipe=recipe.name, dataset=dataset.digest)
    if found.record.key != key:
        raise CheckpointError(
            f"the training {key[:12]} in {path.name}", f"the training {found.record.key[:12]}", "delete that file"
        )
    return found


def _about(data: bytes) -> dict[str, Any]:
    """What the header says of the model, once its digest was found to agree."""
    if len(data) > LARGEST:
        raise CheckpointError(f"a checkpoint of at most {LARGEST} bytes", f"{len(data)}", "choose the right file")
    try:
        (length,) = struct.unpack("<Q", data[:8])
        if not 0 < length <= min(_HEADER, len(data) - 8):
            raise ValueError("the header is longer than the file")
        said = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["titer"])
        about = said["about"]
        agrees = digest(about) == said["digest"]
    except (struct.error, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise CheckpointError(
            "a checkpoint of a Titer model", f"{len(data)} bytes that are none", "choose the right file, or train again"
        ) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(f"a checkpoint in the format {FORMAT}", "another one", "train again with this version")
    if not agrees:
        raise CheckpointError("a header that agrees with its digest", "an altered one", "train again")
    return about


def _weights(data: bytes, wanted: str) -> dict[str, Tensor]:
    """All tensors of the file, once their digest was found to agree."""
    from safetensors import SafetensorError
    from safetensors.torch import load as read

    try:
        state = dict(read(data))
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError("whole weights", f"a damaged file ({error})", "copy it again, or train again") from error
    if _weights_digest(state) != wanted:
        raise CheckpointError("weights that agree with their digest", "altered ones", "copy it again, or train again")
    return state


def _weights_digest(state: dict[str, Tensor]) -> str:
    import torch

    found = hashlib.sha256()
    for name, value in sorted(state.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _module(record: TrainingRecord, space: Space, task: Task, state: dict[str, Tensor]) -> Any:
    """The module with its weights; what it would need is measured before it is built."""
    import torch

    try:
        recipe = MODELS.find(record.recipe)(**_tuples(record.settings))
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            plan = new_module(recipe, space, task)
        size = sum(each.nbytes for each in (*plan.parameters(), *plan.buffers()))
        if size > LARGEST:
            raise CheckpointError(f"a model of at most {LARGEST} bytes", str(size), "choose the right file")
        shapes = {name: tuple(value.shape) for name, value in plan.state_dict().items()}
        if shapes != {name: tuple(value.shape) for name, value in state.items()}:
            raise CheckpointError(
                f"weights that fit the recipe {record.recipe}", "others", "train again with this version"
            )
        with torch.random.fork_rng(devices=[]):
            module = new_module(recipe, space, task)
        module.load_state_dict(state, strict=True)
    except CheckpointError:
        raise
    except (TiterError, RuntimeError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(
            f"settings that the recipe {record.recipe!r} accepts", f"{str(error).splitlines()[0]:.120}", "train again"
        ) from error
    return module.eval()


def _told(about: dict[str, Any], key: str) -> Any:
    if about.get(key) is None:
        raise CheckpointError(f"{key!r} in the header", "none", "train again with this version")
    return about[key]


def _fields(value: Any) -> dict[str, Any]:
    return asdict(value)


def _made(kind: type[Any], said: Any) -> Any:
    """A dataclass from what a header says of it, lists being tuples."""
    known = {each.name for each in fields(kind)}
    if not isinstance(said, dict) or set(said) - known:
        raise CheckpointError(f"a description of {kind.__name__}", repr(said)[:80], "train again with this version")
    try:
        return kind(**_tuples(said))
    except (TiterError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CheckpointError(f"a whole description of {kind.__name__}", str(error), "train again") from error


def _tuples(said: dict[str, Any]) -> dict[str, Any]:
    return {key: _tuple(value) for key, value in said.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(each) for each in value) if isinstance(value, list) else value


def _numbers(value: Any) -> float | tuple[float, ...]:
    try:
        return tuple(float(each) for each in value) if isinstance(value, list) else float(value)
    except (TypeError, ValueError) as error:
        raise CheckpointError("numbers for the normalization", repr(value)[:80], "train again") from error
