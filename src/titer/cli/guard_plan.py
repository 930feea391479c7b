"""What `titer guard run` is told: a file of settings, checked before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from titer.errors import PlanError
from titer.faults import expectation, field_at, hint_for, model_in, place_of, worst

_LARGEST = 1 << 20
_Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Port = Annotated[int, Field(ge=0, le=65535)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyPlan(_Part):
    """What the site asks of each input; see `titer.provenance.guard.policy.Policy`."""

    mode: Literal["observe", "flag", "block"] = "flag"
    captures: frozenset[_Key] = Field(min_length=1, description="public keys of capture points, 64 hexadecimal digits")
    derivers: frozenset[_Key] = frozenset()
    suspect: dict[_Key, Annotated[int, Field(ge=0)]] = {}
    identity: tuple[str, ...] | None = None
    patience: Annotated[float, Field(ge=0)] = 300.0
    detectors: tuple[Literal["text_oddities"], ...] = ()


class ModelPlan(_Part):
    """The model: an ONNX file, or an endpoint of the open inference protocol (KServe v2)."""

    onnx: Path | None = Field(None, description="path of an ONNX file")
    kserve: str | None = Field(None, description="address up to the model's name, such as https://host/v2/models/chest")
    command: tuple[str, ...] = Field((), description="program to start first, which serves the address")
    digest: _Key | None = Field(None, description="SHA-256 of an endpoint's weights, as its operator tells it")
    input: str | None = None
    output: str | None = None
    token_env: str | None = None
    ca: Path | None = None
    timeout: Annotated[float, Field(gt=0)] = 30.0

    @model_validator(mode="after")
    def _one(self) -> ModelPlan:
        if (self.onnx is None) == (self.kserve is None):
            raise ValueError("either 'onnx' or 'kserve'")
        if self.kserve is not None and self.digest is None:
            raise ValueError("'digest' beside 'kserve': a decision names the weights that were asked")
        if self.command and self.kserve is None:
            raise ValueError("'command' beside 'kserve' alone")
        return self


class PreparePlan(_Part):
    """How an object becomes the model's input; see `titer.cli.guard_prepare`."""

    kind: Literal["image", "signal", "row", "text"] = Field(description="image, signal, row or text")
    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    color: Literal["grey", "rgb"] | None = None
    window: tuple[float, Annotated[float, Field(gt=0)]] | None = None
    channels: tuple[str, ...] | None = None
    rate: Annotated[float, Field(gt=0)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    columns: tuple[str, ...] | None = None
    mean: float = 0.0
    std: Annotated[float, Field(gt=0)] = 1.0
    layout: Literal["channels-first", "channels-last"] = "channels-first"


class DicomPath(_Part):
    """A C-STORE server."""

    host: str = "127.0.0.1"
    port: _Port = 11112
    title: Annotated[str, StringConstraints(min_length=1, max_length=16)] = "TITER"
    callers: tuple[str, ...] = Field((), description="titles of those who may send; empty for all")
    associations: Annotated[int, Field(ge=1)] = 16
    results: Path | None = Field(None, description="private folder for what the model says, a file for each decision")
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    open: bool = Field(False, description="true to serve other machines without TLS")


class HttpPath(_Part):
    """A web server for JSON, text, signals and STOW-RS."""

    host: str = "127.0.0.1"
    port: _Port = 8443
    tokens: Path | None = Field(None, description="file that `titer guard token` makes")
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    open: bool = Field(False, description="true to let everybody on this machine ask without a token")
    connections: Annotated[int, Field(ge=1)] = 64


class PathsPlan(_Part):
    """Which ways in are open."""

    dicom: DicomPath | None = None
    http: HttpPath | None = None

    @model_validator(mode="after")
    def _some(self) -> PathsPlan:
        if self.dicom is None and self.http is None:
            raise ValueError("at least one of 'dicom' and 'http'")
        return self


class TrailPlan(_Part):
    """What other systems are told; see `titer.provenance.guard.trail.site.Settings`."""

    source: str = Field(description="name of this guard for others, which names no person and no host")
    folder: Path | None = Field(None, description="for queues and files; default: the folder 'trail' of the site")
    files: bool = True
    fhir: str | None = Field(None, description="base address of a FHIR server")
    syslog: str | None = Field(None, description="receiver of ATNA messages")
    syslog_port: _Port = 6514
    farewell: bool = True
    metrics_port: _Port | None = None
    metrics_host: str = "127.0.0.1"
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    fhir_token: Path | None = None
    metrics_token: Path | None = None


class LimitsPlan(_Part):
    """How much, and how often."""

    object_bytes: Annotated[int, Field(ge=1)] = 1 << 28
    rate: Annotated[float, Field(gt=0)] = 100.0
    burst: Annotated[int, Field(ge=1)] = 1000


class GuardPlan(_Part):
    """All settings of a guard."""

    ledger: Path = Field(description="folder of the ledger")
    site: Path = Field(description="private folder that `titer guard init` makes")
    policy: PolicyPlan
    model: ModelPlan
    prepare: PreparePlan
    paths: PathsPlan
    limits: LimitsPlan = LimitsPlan()
    trail: TrailPlan | None = None


def read_plan(path: Path) -> GuardPlan:
    """The settings in a file, with paths relative to its folder; PlanError names the first mistake and its line."""
    try:
        if path.stat().st_size > _LARGEST:
            raise PlanError("settings of at most 1 MiB", f"{path.stat().st_size} bytes", "give the right file")
        text = path.read_text(encoding="utf-8")
        node, raw = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"readable settings at {path.name}", type(error).__name__, "correct the path") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise PlanError("valid YAML", f"{getattr(error, 'problem', error)} at {path.name}{line}", "mend it") from error
    if not isinstance(raw, dict):
        raise PlanError("a mapping of settings", type(raw).__name__, "begin with 'ledger:', see docs/guard.md")
    try:
        found: GuardPlan = _placed(GuardPlan.model_validate(raw), path.resolve().parent)
        return found
    except ValidationError as error:
        raise _refusal(worst(error.errors(include_url=False)), path.name, node) from error


def _placed(part: Any, folder: Path) -> Any:
    """The same settings with each path in its folder."""
    if isinstance(part, Path):
        return folder / part
    if isinstance(part, BaseModel):
        found = {name: _placed(getattr(part, name), folder) for name in type(part).model_fields}
        return part.model_copy(update=found)
    return part


def _refusal(faults: list[Any], where: str, node: Any) -> PlanError:
    first, place = faults[0], list(place_of(faults[0]))
    line = _line(node, place)
    at = f" at {where} line {line}" if line else f" in {where}"
    path = ".".join(map(str, place))
    if first["type"] == "extra_forbidden":
        field = field_at(GuardPlan, place[:-1])
        inner = GuardPlan if len(place) == 1 else model_in(field.annotation) if field is not None else None
        return PlanError(
            "a known key", f"{place[-1]!r}{at}", hint_for(place[-1], list(inner.model_fields if inner else ()))
        )
    if first["type"] == "missing":
        return PlanError(f"the key {path!r}", f"none{at}", "add it, see docs/guard.md")
    if first["type"] == "value_error":
        return PlanError(str(first["ctx"]["error"]), f"other settings for {path!r}{at}", "see docs/guard.md")
    field = field_at(GuardPlan, place)
    remedy = f"correct it: {field.description}" if field is not None and field.description else "correct the value"
    return PlanError(f"{expectation(faults)} for {path!r}", f"{first['input']!r:.80}{at}", remedy)


def _line(node: Any, place: list[Any]) -> int | None:
    """Line of the deepest part of the place that stands in the text."""
    line: int | None = None
    for part in place:
        found = [pair for pair in getattr(node, "value", ()) if isinstance(pair, tuple) and pair[0].value == str(part)]
        if not found:
            break
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return line
