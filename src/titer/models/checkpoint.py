"""Checkpoints of reference models: safetensors with all that is needed to build the same model again, and no code.

The file holds the weights; its header says, as JSON, recipe, settings, space, task, normalization and the record of the
training. Nothing in it is executed, and a file that belongs to another model or data set is refused.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from titer.atomic import write_whole
from titer.cases.space import Space
from titer.digest import canonical, digest
from titer.errors import CheckpointError, TiterError
from titer.models.task import Task
from titer.models.training import TrainedModel, TrainingRecord, new_module
from titer.registry import MODELS

FORMAT = "titer-checkpoint-1"
LARGEST = 1 << 30
_HEADER = 1 << 26


def to_bytes(model: TrainedModel) -> bytes:
    """A trained model as the bytes of a safetensors file; equal models give equal bytes."""
    from safetensors.torch import save

    about = {
        "format": FORMAT,
        "name": model.name,
        "space": _fields(model.space),
        "task": _fields(model.task),
        "mean": model.mean,
        "std": model.std,
        "record": _fields(model.record),
    }
    state = {name: value.detach().cpu().contiguous() for name, value in model.module.state_dict().items()}
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
    try:
        built = MODELS.find(record.recipe)(**_tuples(record.settings))
        module = new_module(built, space, task)
        module.load_state_dict(_weights(data), strict=True)
    except TiterError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"weights that fit the recipe {record.recipe}", f"others: {str(error).splitlines()[0]:.120}", "train again"
        ) from error
    module.eval()
    return TrainedModel(
        module, space, task, record, mean=_numbers(about["mean"]), std=_numbers(about["std"]), name=str(about["name"])
    )


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


def _about(data: bytes) -> dict[str, Any]:
    """What the header says of the model, once its digest was found to agree."""
    try:
        (length,) = struct.unpack("<Q", data[:8])
        if not 0 < length <= min(_HEADER, len(data) - 8):
            raise ValueError("the header is longer than the file")
        said = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["titer"])
        about = said["about"]
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            "a checkpoint of a Titer model", f"{len(data)} bytes that are none", "choose the right file, or train again"
        ) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(f"a checkpoint in the format {FORMAT}", "another one", "train again with this version")
    if digest(about) != said.get("digest"):
        raise CheckpointError("a header that agrees with its digest", "an altered one", "train again")
    return about


def _weights(data: bytes) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load as read

    try:
        return dict(read(data))
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError("whole weights", f"a damaged file ({error})", "copy it again, or train again") from error


def _fields(value: Any) -> dict[str, Any]:
    return asdict(value)


def _made(kind: type[Any], said: Any) -> Any:
    """A dataclass from what a header says of it, lists being tuples."""
    known = {each.name for each in fields(kind)}
    if not isinstance(said, dict) or set(said) - known:
        raise CheckpointError(f"a description of {kind.__name__}", repr(said)[:80], "train again with this version")
    try:
        return kind(**_tuples(said))
    except TypeError as error:
        raise CheckpointError(f"a whole description of {kind.__name__}", str(error), "train again") from error


def _tuples(said: dict[str, Any]) -> dict[str, Any]:
    return {key: _tuple(value) for key, value in said.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(each) for each in value) if isinstance(value, list) else value


def _numbers(value: Any) -> float | tuple[float, ...]:
    return tuple(float(each) for each in value) if isinstance(value, list) else float(value)
