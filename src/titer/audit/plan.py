"""Plan: what an audit will do, checked before anything runs.

A plan is a short YAML file. One model on one data set stands at the top level; several stand under `subjects`,
and then what is said at the top holds for each subject that does not say otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from titer.audit.operating import read_rule
from titer.digest import digest
from titer.errors import PlanError
from titer.faults import Refused, passing
from titer.models.adapters.spec import check_model, model_schema

Limit = float | int | str
# Pictures that an attack keeps, so that more or fewer can be shown without attacking again.
MOST_PICTURES = 12


class Part(BaseModel):
    """Any part of a plan: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitSpec(Part):
    """How cases are divided."""

    by: Literal["patient", "official"] | None = Field(
        None,
        description="Split by patient, or as the source fixed it. Left out: by patient for models trained here; for a "
        "model of yours the source's parts where it fixes any, of which surrogates alone may use the train part.",
    )
    fractions: tuple[float, float, float] | None = Field(
        None,
        description="Shares of train, validation and test; 50/25/25 where a model or a surrogate is trained here, "
        "otherwise 0/50/50, or 0/0/100 where no threshold has to be fixed and no attack learns; given, they mean a "
        "split by patient.",
    )
    near_duplicates: Literal["refuse", "drop", "report"] = Field(
        "refuse", description="What happens to near-identical cases on both sides of the split."
    )
    explain: str = Field("", description="Why near-duplicates are accepted, for the report.")


class ReceiptsSpec(Part):
    """Which cases may take part: those that are what a ledger says was captured."""

    ledger: str = Field(description="Folder of the ledger.")
    site: str = Field(description="The site's private folder, whose index `titer capture cases` filled.")
    keys: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = Field(
        min_length=1, description="Public keys (hexadecimal) whose captures count."
    )
    cases: Literal["train", "all"] = Field(
        "train", description="train: only such cases are learned from; all: only such cases are examined as well."
    )
    otherwise: Literal["drop", "refuse"] = Field(
        "drop", description="What happens to cases without a valid receipt: left out, or the audit does not begin."
    )
    withheld: tuple[str, ...] = Field((), description="Names of the cases without; filled in when the plan is opened.")


class DataSpec(Part):
    """Which cases are examined."""

    name: str | None = Field(None, description="A registered data set, e.g. chest_phantom.")
    path: str | None = Field(None, description="A file or folder of yours.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the data set or reader.")
    split: SplitSpec = Field(default_factory=SplitSpec)
    cases: int | None = Field(None, ge=2, description="Attack at most this many test cases (stratified).")
    receipts: ReceiptsSpec | None = Field(None, description="Only cases with a valid receipt of a ledger take part.")

    @model_validator(mode="after")
    def _one_place(self) -> DataSpec:
        if (self.name is None) == (self.path is None):
            both = self.name is not None
            got = f"{self.name} and {self.path}" if both else "neither"
            raise Refused(PlanError("either 'name' or 'path' of the data", got, "say where the cases are"))
        return self


class RadiiSpec(Part):
    """The search for the smallest limit that each case falls at."""

    attack: str | dict[str, Any] = Field(
        "pgd", description="What searches: a name, or a name with settings. fmn, fab and deepfool need one run."
    )
    high: Limit | None = Field(
        None, description="The widest limit to try; the largest of the threat's limits if left out."
    )
    tolerance: Limit | None = Field(
        None, description="How far a radius may lie above the smallest limit; a thousandth of the widest if left out."
    )


class ThreatSpec(Part):
    """One family of changes with the limits to examine."""

    change: str = Field("additive", description="additive, lowpass, substitution, ... (`titer list`), or one of yours.")
    norm: str | None = Field(None, description="linf, l2, l1 or l0, for changes that have one.")
    limits: tuple[Limit, ...] = Field(min_length=1, description="Radii such as 4/255, '0.05 mV', '2 %' of values.")
    options: dict[str, Any] = Field(default_factory=dict, description="Further settings of the change.")
    goal: Literal["untargeted", "targeted", "raise", "lower"] = "untargeted"
    target: str | int | None = Field(None, description="Class for targeted attacks; the next class if left out.")
    knowledge: Literal["gradients", "structure", "scores", "labels"] | None = Field(
        None, description="What the attacker sees; as much as the model gives if left out. structure: its trees."
    )
    queries: int | None = Field(None, ge=1, description="Most questions per case.")
    where: Literal["all", "outside-mask", "inside-mask"] = Field(
        "all", description="What may change: all, never a known lesion, or only what the masks mark (brain tissue)."
    )
    attacks: tuple[str | dict[str, Any], ...] | None = Field(
        None, description="Attacks for this threat only, as above."
    )
    radii: RadiiSpec | None = Field(
        None, description="Also search the smallest limit for each case, and draw the whole curve from one run."
    )
    main: Limit | None = Field(None, description="The limit that the summary speaks of; the middle one if left out.")

    @field_validator("limits", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return value if isinstance(value, (list, tuple)) else [value]


class CostSpec(Part):
    """What errors cost, for the harm per 1,000 patients."""

    false_negative: float = Field(5.0, ge=0, description="Cost of one missed patient.")
    false_positive: float = Field(1.0, ge=0, description="Cost of one false alarm.")
    unit: str = Field("weighted errors", description="Unit of the costs, such as EUR or QALY.")
    prevalence: float | None = Field(None, ge=0, le=1, description="Share of diseased patients; as in the test set.")


class Subject(Part):
    """One model on one data set under its threats."""

    name: str = Field("", description="Name of the model in the report.")
    data: DataSpec
    model: Annotated[dict[str, Any], WithJsonSchema(model_schema())] = Field(
        description="zoo: a reference model, trained here; path, url or python: a model of yours."
    )
    threats: tuple[ThreatSpec, ...] = Field(min_length=1)
    attacks: tuple[str | dict[str, Any], ...] = Field(
        ("fgsm", "pgd", "noise"),
        min_length=1,
        description="Names, or {name: pgd, steps: 50} with settings and, if wanted, a label for the report: as.",
    )
    threshold: float | str | dict[str, float] | None = Field(
        None,
        description="default (the model's own rule); a number: a probability if the model gives probabilities, else a "
        "score; {probability: 0.5}, {score: 1.2}; or fixed on validation cases: youden, {sensitivity: 0.9}, "
        "{specificity: 0.95}, {percentile: 95} of normals. Left out: default for a model of yours, youden for "
        "two-sided models trained here, {percentile: 95} for anomalies.",
    )
    tolerance: float | None = Field(
        None,
        gt=0,
        description="Regression: an error above this is wrong. Segmentation: a map whose Dice is below this is wrong.",
    )
    costs: CostSpec = Field(default_factory=CostSpec)

    @field_validator("model", mode="after")
    @classmethod
    def _model_known(cls, value: dict[str, Any]) -> dict[str, Any]:
        with passing():
            check_model(value)
        return value

    @field_validator("threshold", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        if value is not None:
            with passing():
                read_rule(value)
        return value


class Plan(Part):
    """A whole audit."""

    titer: Literal[1] = Field(description="Version of the plan format.")
    name: str = Field("audit", min_length=1, description="Title of the report.")
    subjects: tuple[Subject, ...] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1, description="One trial per seed.")
    fail_if: tuple[str, ...] = Field((), description="Rules such as 'robust_accuracy < 0.5 at 4/255'.")
    explain: dict[str, str] = Field(default_factory=dict, description="Trap name: why its failure is understood.")
    gallery: int = Field(2, ge=0, le=MOST_PICTURES, description="Cases shown per model and threat.")
    resamples: int = Field(2000, ge=200, description="Bootstrap resamples.")
    margin: float = Field(2.0, gt=0, description="Equivalence margin for clean accuracy, in points.")

    @property
    def digest(self) -> str:
        """Name of all that decides the numbers."""
        return digest(self.model_dump(mode="json"))

    @field_validator("seeds")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise Refused(PlanError("every seed once", str(list(value)), "correct 'seeds'"))
        return value


SHARED = ("data", "model", "threats", "attacks", "threshold", "tolerance", "costs")


def spread(raw: dict[str, Any]) -> dict[str, Any]:
    """A plan's mapping with what stands at the top handed to each subject.

    >>> spread({"titer": 1, "data": 1, "model": 2, "threats": 3})["subjects"]
    [{'data': 1, 'model': 2, 'threats': 3}]
    """
    shared = {key: raw[key] for key in SHARED if key in raw}
    rest = {key: value for key, value in raw.items() if key not in SHARED}
    subjects = rest.get("subjects", [{}] if shared else [])
    if isinstance(subjects, list):
        rest["subjects"] = [{**shared, **each} if isinstance(each, dict) else each for each in subjects]
    return rest


def load_plan(path: Path, changes: tuple[str, ...] = ()) -> tuple[Plan, str]:
    """A plan and its text from a file; `changes` are `a.b=c` settings that override it."""
    from titer.audit.plan_file import read_plan

    return read_plan(path, changes)
