"""Files of torch models: weights are data, programs are code.

Weights (safetensors, or a state dict that `torch.load(weights_only=True)` accepts) are poured into a module that the
user's own factory makes. TorchScript and torch.export files hold programs: their operators can read and write files,
and torch.export evaluates expressions it finds in them. They are opened only when the plan says `trusted: true`. An
export that holds pickled objects is refused in any case.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from titer.errors import CheckpointError, ModelError, TiterError
from titer.models.adapters.probe import first_line

Format = Literal["safetensors", "weights", "torchscript", "torch-export"]
_MAGIC_ZIP = b"PK\x03\x04"


def torch_format(path: Path) -> Format:
    """What a file of torch holds, judged by its content.

    Refuses files that cannot be read and files of another kind (`ModelError`).
    """
    if path.suffix == ".safetensors":
        return "safetensors"
    names = _members(path)
    if any(name.endswith("/archive_format") or "/models/" in name for name in names):
        return "torch-export"
    if "serialized_exported_program.json" in names:
        raise ModelError("a file of torch.export.save of torch 2.8 or newer", f"{path.name}, older", "export it again")
    if any("/code/" in name for name in names) or any(name.endswith("/constants.pkl") for name in names):
        return "torchscript"
    if any(name.endswith("/data.pkl") for name in names):
        return "weights"
    raise ModelError(
        "a file of torch (weights, TorchScript or torch.export)", path.name, "give an .onnx, .safetensors or .pt2 file"
    )


def load_torch(path: Path, *, factory: Callable[[], Any] | None = None, trusted: bool = False) -> nn.Module:
    """The module in a file.

    Arguments
        path: .safetensors, .pt, .pth, .ts or .pt2; the content decides.
        factory: makes the untrained module that weights belong to.
        trusted: whoever made the file may run code here; needed for programs.
    """
    kind = torch_format(path)
    if kind in ("safetensors", "weights"):
        if factory is None:
            raise ModelError(
                f"a factory that makes the module for the weights in {path.name}",
                "none",
                "set 'factory: module:function', a function without arguments that returns the untrained module",
            )
        return _poured(factory(), _safetensors(path) if kind == "safetensors" else _state_dict(path), path)
    if factory is not None:
        raise ModelError(f"no factory for a {kind} file", path.name, "leave 'factory' out: the file holds the module")
    if not trusted:
        raise ModelError(
            "a file that holds data",
            f"{path.name}, a {kind} file: it holds a program that could do anything this account may do",
            "set 'trusted: true' if you trust who made it, or give an ONNX file, or safetensors with a factory",
        )
    return _exported(path) if kind == "torch-export" else _scripted(path)


def _members(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            if stream.read(4) != _MAGIC_ZIP:
                raise ModelError(
                    "a zip archive as torch writes them", path.name, "save it again, best as ONNX or safetensors"
                )
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except OSError as error:
        raise ModelError("a model file that can be read", f"{path.name}: {error.strerror}", "check the path") from error
    except zipfile.BadZipFile as error:
        raise ModelError("a whole archive", f"{path.name}: {first_line(error)}", "copy the file again") from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise ModelError("a model file that can be read", f"{path.name}: no such file", "check the path") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            "a whole safetensors file", f"{path.name}: {first_line(error)}", "copy it again"
        ) from error


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            "a file that holds tensors and nothing else",
            f"{path.name}, which is damaged or holds other objects ({type(error).__name__})",
            "save module.state_dict() instead of the module, best with safetensors",
        ) from error
    if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]
    if not isinstance(held, Mapping) or not all(isinstance(value, Tensor) for value in held.values()):
        raise CheckpointError(
            "a state dict: names with tensors", f"{type(held).__name__} in {path.name}", "save module.state_dict()"
        )
    return dict(held)


def _poured(module: Any, weights: dict[str, Tensor], path: Path) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise ModelError("a factory that returns a torch module", type(module).__name__, "correct 'factory'")
    own = module.state_dict()
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    shaped = [key for key in own.keys() & weights.keys() if own[key].shape != weights[key].shape]
    if missing or extra or shaped:
        wrong = [f"no {key}" for key in missing] + [f"unknown {key}" for key in extra]
        wrong += [f"{key} of shape {list(weights[key].shape)}, not {list(own[key].shape)}" for key in sorted(shaped)]
        raise CheckpointError(
            f"the weights of {type(module).__name__}",
            f"{path.name} with {'; '.join(wrong[:4])}" + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""),
            "give the factory that made the file",
        )
    module.load_state_dict(weights)
    return module.eval()


def _exported(path: Path) -> nn.Module:
    try:
        _refuse_pickles(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path).module()
    except TiterError:
        raise
    except Exception as error:
        raise ModelError(
            "a file of torch.export.save", f"{path.name}: {first_line(error)}", "export it again with this torch"
        ) from error


def _scripted(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load: Callable[..., nn.Module] = torch.jit.load
            module = load(path, map_location="cpu")
    except Exception as error:
        raise ModelError("a TorchScript file", f"{path.name}: {first_line(error)}", "save it again") from error
    return module.eval()


def _refuse_pickles(path: Path) -> None:
    """Refuse an export whose weights, constants or sample inputs would be unpickled as objects."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            _, _, inside = name.partition("/")
            pickled = inside.startswith(("data/weights/", "data/constants/")) and inside.endswith(".pt")
            if inside.startswith("data/") and inside.endswith("_config.json"):
                entries = json.loads(archive.read(name)).get("config", {})
                pickled = any(entry.get("use_pickle") for entry in entries.values())
            if inside.startswith("data/sample_inputs/") and archive.getinfo(name).file_size:
                try:
                    torch.load(BytesIO(archive.read(name)), map_location="cpu", weights_only=True)
                except Exception:
                    pickled = True
            if pickled or "aotinductor" in inside:
                raise ModelError(
                    "an export that holds tensors and a graph",
                    f"{path.name} with other objects in {inside}",
                    "export a plain module of float tensors, or give an ONNX file",
                )
