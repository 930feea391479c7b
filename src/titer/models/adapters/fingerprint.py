"""Names for models that are held in memory: of modules by structure and weights, of objects by all they hold."""

from __future__ import annotations

import hashlib
import re
import types
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.digest import digest
from titer.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DEPTH = 200


def module_digest(module: nn.Module, settings: Any) -> str:
    """SHA-256 over a module's class, printed structure, weights and buffers, and the settings of its adapter.

    What a forward method does beyond its parts is not seen: two classes of one name, structure and weights get one
    digest.
    """
    import torch

    state = hashlib.sha256(digest([type(module).__qualname__, _ADDRESS.sub("", repr(module)), settings]).encode())
    held = {**dict(module.named_buffers()), **module.state_dict()}
    for key, value in sorted(held.items()):
        # Layers in int8 keep weights and biases packed together.
        for each in value if isinstance(value, tuple) else (value,):
            if not isinstance(each, torch.Tensor):
                continue
            state.update(f"{key}{each.dtype}{tuple(each.shape)}".encode())
            whole = each.detach().cpu()
            # Equal integers of other scales are other weights.
            plain = (whole.dequantize() if whole.is_quantized else whole).contiguous().reshape(-1)
            state.update(plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return state.hexdigest()


def object_digest(value: Any) -> str:
    """SHA-256 over everything an object holds: its class, and what it would hand to a copy of itself.

    Arrays count with type, shape and bytes; dictionaries in sorted order; functions by name and code. Nothing is
    pickled or unpickled.

    >>> object_digest({"b": [1.0], "a": np.zeros(2)}) == object_digest({"a": np.zeros(2), "b": [1.0]})
    True
    """
    return _name(value, {}, 0).hex()


def _name(value: Any, memo: dict[int, tuple[Any, bytes]], depth: int) -> bytes:
    """Digest of one object from those of its parts; `memo` keeps objects alive, so that an id stays theirs."""
    if depth > _DEPTH:
        raise ModelError(f"an object nested at most {_DEPTH} deep", type(value).__name__, "wrap it in a function")
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic)):
        return hashlib.sha256(f"{type(value).__name__}:{value!r}".encode()).digest()
    if id(value) in memo:
        return memo[id(value)][1]
    memo[id(value)] = (value, b"part of itself")
    state = hashlib.sha256(f"{type(value).__module__}.{type(value).__qualname__}".encode())
    if isinstance(value, (dict, types.MappingProxyType)):
        pairs = [(_name(key, memo, depth + 1), _name(held, memo, depth + 1)) for key, held in value.items()]
        parts = [part for pair in sorted(pairs) for part in pair]
    else:
        parts = [_name(part, memo, depth + 1) for part in _parts(state, value)]
        parts = sorted(parts) if isinstance(value, (set, frozenset)) else parts
    for part in parts:
        state.update(part)
    memo[id(value)] = (value, state.digest())
    return state.digest()


def _parts(state: Any, value: Any) -> list[Any]:
    """What is inside; plain contents go straight into the digest."""
    if isinstance(value, np.ndarray):
        state.update(f"{value.dtype.descr}{value.shape}".encode())
        if value.dtype.hasobject:
            return list(value.reshape(-1).tolist())
        state.update(np.ascontiguousarray(value).tobytes())
        return []
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
        used = {name: value.__globals__.get(name) for name in value.__code__.co_names}
        mine = {name: held for name, held in used.items() if getattr(held, "__module__", "") == value.__module__}
        data = {name: held for name, held in used.items() if not callable(held)}
        return [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, cells, mine, data]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, (type, types.BuiltinFunctionType, types.ModuleType, np.ufunc)):
        return [getattr(value, "__module__", ""), getattr(value, "__qualname__", getattr(value, "__name__", ""))]
    return _reduced(value)


def _reduced(value: Any) -> list[Any]:
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:
        # What cannot say how it is copied, such as a lock or a connection, counts by its class alone.
        return []
    if isinstance(reduced, str):
        return [reduced]
    made, arguments, *rest = reduced
    filled = rest[0] if rest else None
    listed = list(rest[1]) if len(rest) > 1 and rest[1] is not None else []
    paired = dict(rest[2]) if len(rest) > 2 and rest[2] is not None else {}
    return [getattr(made, "__qualname__", type(made).__qualname__), arguments, filled, listed, paired]


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
