"""What a plan says of a model: the keys of `model:`, checked."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from titer.errors import PlanError
from titer.faults import expectation, hint_for, worst
from titer.models.model import Access


def _number(raw: Any) -> Any:
    """Fractions such as 1/255 as numbers."""
    if isinstance(raw, str) and "/" in raw:
        try:
            return float(Fraction(raw.replace(" ", "")))
        except (ValueError, ZeroDivisionError):
            return raw
    return [_number(each) for each in raw] if isinstance(raw, (list, tuple)) else raw


Normal = Annotated[float | tuple[float, ...], BeforeValidator(_number)]


class ReferenceSpec(BaseModel):
    """The `model:` part of a plan, for a reference model that Titer trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zoo: str = Field(description="A reference model; `titer list` names them.")
    options: dict[str, Any] = Field(default_factory=dict, description="Settings of the reference model.")
    epochs: int | None = Field(None, ge=1, description="Most passes over the training cases; the model's own number.")
    name: str = Field("", description="Name in reports.")


class ModelSpec(BaseModel):
    """The `model:` part of a plan, for models that Titer does not train itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    path: Path | None = Field(None, description="A model file: .onnx, .skops, .safetensors, .pt, .pth, .ts or .pt2.")
    python: str | None = Field(None, description="module:name of a function, module, estimator, or what makes one.")
    url: str | None = Field(None, description="Address of an endpoint.")
    object: Any = Field(None, description="In Python only: the model itself.")

    name: str = Field("", description="Name in reports.")
    mean: Normal = Field(
        0.0, description="Normalization: (x - mean) / std, per channel or feature, in the data's unit."
    )
    std: Normal = Field(1.0, description="See mean; fractions such as 1/255 are read.")
    layout: str | None = Field(None, description="channels-first, channels-last, squeezed, flat or text.")
    channels: int | None = Field(None, description="Repeat a single channel this many times.")
    probabilities: bool | None = Field(None, description="Whether answers are probabilities; found if left out.")
    classes: list[str | None] | dict[str | int, str | None] | None = Field(
        None, description="The data's class for each output of the model; null leaves an output out."
    )
    output: str | int | None = Field(None, description="Which output, method or entry to use.")
    access: Access | None = Field(None, description="gradients, scores or labels; as much as there is if left out.")
    tolerance: float | None = Field(None, description="Regression: an answer further off than this is wrong.")
    batch: int | None = Field(None, ge=1, description="Cases per question; for files a fixed number.")

    factory: str | None = Field(None, description="path to weights: module:function that makes the untrained module.")
    trusted: bool | tuple[str, ...] = Field(
        False, description="TorchScript, torch.export: the file may run code; skops: further types that may be made."
    )
    embedding: str | None = Field(None, description="Torch: name of the submodule that embeds tokens.")

    backward: dict[str, Any] | None = Field(
        None, description="Torch: submodule -> identity, or module:function that stands in for it backwards (BPDA)."
    )

    protocol: str = Field("kserve", description="url: kserve (Triton too) or json.")
    input: str | None = Field(None, description="url: name of the input tensor.")
    binary: bool = Field(False, description="url: send tensors as bytes (kserve).")
    request_key: str = Field("instances", description="url: word for the cases (json).")
    answer_key: str = Field("predictions", description="url: word for the answers (json).")
    token_env: str | None = Field(None, description="url: environment variable that holds the access token.")
    token_header: str = Field("Authorization", description="url: header that carries the token.")
    rate: float | None = Field(None, description="url: requests per second.")
    timeout: float = Field(30.0, description="url: seconds for one request.")
    retries: int = Field(4, description="url: attempts after the first.")
    max_queries: int | None = Field(
        None,
        description="url: most cases that an audit may send, in all processes and resumed runs, repeats included.",
    )
    max_bytes: int = Field(64 * 2**20, description="url: largest answer.")
    ca: Path | None = Field(None, description="url: file of certificates to trust.")
    plain_http: bool = Field(False, description="url: allow http:// to another machine, without a token.")


_SOURCES = ("path", "python", "url", "object")
_SHARED = (
    "name", "mean", "std", "layout", "channels", "probabilities", "classes", "output", "access", "tolerance", "batch",
)  # fmt: skip
_OWN = {
    "path": ("factory", "trusted", "embedding", "backward"),
    "python": ("embedding", "backward"),
    "object": ("embedding", "backward"),
    "url": (
        "protocol", "input", "binary", "request_key", "answer_key", "token_env", "token_header", "rate", "timeout",
        "retries", "max_queries", "max_bytes", "ca", "plain_http",
    ),
}  # fmt: skip


def read_spec(raw: Mapping[str, Any]) -> ModelSpec:
    """The checked form of `model:`; an unknown key is refused with the nearest known one (`PlanError`).

    >>> read_spec({"path": "chest.onnx", "std": "1/255"}).std == 1 / 255
    True
    >>> read_spec({"path": "chest.onnx", "maen": 0.5})
    Traceback (most recent call last):
    titer.errors.PlanError: expected a known key of 'model', got 'maen'; did you mean 'mean'?
    """
    named = [key for key in _SOURCES if raw.get(key) is not None]
    if len(named) != 1:
        raise PlanError(
            "exactly one of zoo, path, python or url in 'model'",
            " and ".join(named) or "none",
            "say where the model is",
        )
    allowed = (*_SOURCES, *_SHARED, *_OWN[named[0]])
    for key in raw:
        if key in allowed:
            continue
        if key in ModelSpec.model_fields:
            place = " or ".join(source for source, keys in _OWN.items() if key in keys and source != "object")
            raise PlanError(f"a key that goes with {named[0]!r}", repr(key), f"leave it out; it goes with {place!r}")
        known = tuple(each for each in allowed if each != "object")
        raise PlanError("a known key of 'model'", repr(key), hint_for(key, known))
    return _made(ModelSpec, raw)


def read_reference(raw: Mapping[str, Any]) -> ReferenceSpec:
    """The checked form of a `model:` part with `zoo`; an unknown key is refused with the nearest known one.

    >>> read_reference({"zoo": "t_cnn", "epoch": 3})
    Traceback (most recent call last):
    titer.errors.PlanError: expected a known key of 'model' with 'zoo', got 'epoch'; did you mean 'epochs'? ...
    """
    known = tuple(ReferenceSpec.model_fields)
    for key in raw:
        if key not in known:
            raise PlanError("a known key of 'model' with 'zoo'", repr(key), hint_for(key, known))
    return _made(ReferenceSpec, raw)


def check_model(raw: Mapping[str, Any]) -> None:
    """Refuse a `model:` part that can be none, of either kind (`PlanError`); nothing is opened."""
    if raw.get("zoo") is not None:
        read_reference(raw)
    else:
        read_spec(raw)


def model_schema() -> dict[str, Any]:
    """JSON schema of the `model:` part of a plan."""
    own = ModelSpec.model_json_schema()
    # An object can be handed over in Python only.
    own["properties"].pop("object")
    return {"anyOf": [ReferenceSpec.model_json_schema(), own]}


_Spec = TypeVar("_Spec", ModelSpec, ReferenceSpec)


def _made(kind: type[_Spec], raw: Mapping[str, Any]) -> _Spec:
    try:
        return kind.model_validate(dict(raw))
    except ValidationError as error:
        faults = worst(error.errors(include_url=False))
        where = str(faults[0]["loc"][0])
        told = kind.model_fields[where].description or ""
        raise PlanError(
            f"{expectation(faults)} for {where!r} in 'model'", f"{raw.get(where)!r:.80}", f"correct it: {told}"
        ) from error
