"""Models of an audit before its work begins: trained here or given, examined or lent to an attack as a surrogate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.audit.plan import Subject
from titer.audit.run.job import Job
from titer.audit.subject import OBJECTS, Threatened, recipe_in, surrogates_of
from titer.cases.dataset import Dataset
from titer.digest import canonical, digest, digest_code
from titer.errors import ModelError, PlanError
from titer.models.recipe import Recipe

if TYPE_CHECKING:
    from titer.attacks.attack import Attack
    from titer.models.model import Model


@dataclass(frozen=True, eq=False)
class Training:
    """A reference model that one trial trains.

    Arguments
        recipe, dataset, rows, epochs, seed: as for `titer.models.training.train`. subject: whose tolerance holds.
    """

    recipe: Recipe
    dataset: Dataset
    rows: Any
    subject: Subject
    epochs: int | None
    seed: int

    @property
    def identity(self) -> str:
        """Name of the training."""
        from titer.models.training import training_key

        return training_key(self.recipe, self.dataset, self.rows, seed=self.seed, epochs=self.epochs)

    @property
    def made_by(self) -> str:
        """Digest of the code that decides its answers."""
        from titer.audit import work
        from titer.models.checkpoint import from_bytes
        from titer.models.training import train

        return digest_code(type(self.recipe), train, from_bytes, work.clean)

    def job(self, payload: Mapping[str, Any], label: str, version: str) -> Job:
        """The job that does it; equal trainings of one version of Titer are one job, whoever needs them."""
        key = digest(["train", version, self.identity, self.subject.tolerance, self.made_by])
        return Job(key, "titer.audit.work:train", payload, (), label)


@dataclass(frozen=True, eq=False)
class Loan:
    """One surrogate of one attack in one trial.

    Arguments
        name: digest of all that decides its answers. payload: for `titer.audit.work.attack`. job: its training, if any.
    """

    name: str
    payload: dict[str, Any]
    job: Job | None = None


@dataclass(frozen=True, eq=False)
class Loans:
    """The surrogates that the attacks of a subject work on, each opened once and found to fit its data.

    One that the plan names by `zoo` is trained on the training and validation cases of the trial, with the trial's
    seed; where the target or an earlier surrogate is of the same recipe, with another seed, for with equal first
    weights it would be their twin. So no attack is lent the model that it attacks, unless the plan names a file of it.
    """

    subject: Subject
    dataset: Dataset
    known: Mapping[str, Recipe | Model]
    out: Path | None

    @classmethod
    def of(cls, subject: Subject, dataset: Dataset, threats: tuple[Threatened, ...], out: Path | None) -> Loans:
        """Open what the threats' attacks work on; what cannot serve is refused."""
        known: dict[str, Recipe | Model] = {}
        for threat in threats:
            for attack in threat.attacks:
                words = surrogates_of(attack)
                for said in words:
                    if canonical(said) not in known:
                        known[canonical(said)] = _opened(said, subject, dataset, out)
                _check_lent(attack, [known[canonical(said)] for said in words])
        return cls(subject, dataset, known, out)

    def of_attack(
        self, attack: Attack, rows: Any, seed: int, target: Recipe | Model, payload: Mapping[str, Any], version: str
    ) -> tuple[Loan, ...]:
        """What one attack is lent in one trial.

        Arguments
            rows, seed: split and seed of the trial. target: what it attacks. payload, version: of the
                trial's jobs.
        """
        taken, loans = [target.name] if isinstance(target, Recipe) else [], []
        for said in surrogates_of(attack):
            who = self.known[canonical(said)]
            if not isinstance(who, Recipe):
                ledger = ledger_of(said, self.out)
                told = {"model": said, "ledger": None if ledger is None else str(ledger.absolute())}
                loans.append(Loan(digest(["given", who.digest, digest_code(type(who))]), told))
                continue
            _check_parts(attack, rows)
            again = taken.count(who.name)
            taken.append(who.name)
            other = int(digest(["surrogate", seed, again])[:8], 16) if again else seed
            training = Training(who, self.dataset, rows, self.subject, said.get("epochs"), other)
            about = f"{said.get('name') or who.name}: train for {self.subject.name}, trial {seed}"
            job = training.job({**payload, "model": said, "fit": other}, about, version)
            # How its threshold is fixed is part of the attack's question already.
            loans.append(Loan(digest(["trained", job.key]), {"model": said, "train": job.key}, job))
        return tuple(loans)


def searching(attack: Attack) -> list[type[Any]]:
    """The classes whose code an attack runs: its own and those of attacks among its settings."""
    from titer.attacks.attack import Attack as Base

    inner: list[Any] = [getattr(attack, field.name) for field in fields(attack)] if is_dataclass(attack) else []
    return [type(attack), *(type(each) for each in inner if isinstance(each, Base))]


def check_recipe(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse a reference model that cannot learn the data."""
    if not recipe.fits(dataset):
        raise ModelError(
            f"data that {recipe.name} can learn ({', '.join(recipe.kinds)})",
            f"{dataset.card.name}: {dataset.space.kind}, task {dataset.task}",
            "choose another reference model or data set",
        )


def ledger_of(model: Mapping[str, Any], out: Path | None) -> Path | None:
    """The file in which queries of an endpoint are counted; None where there is no budget to keep.

    Subjects and surrogates that ask the same address share it.
    """
    address = model.get("url")
    if address is None or model.get("max_queries") is None or out is None:
        return None
    return out / "queries" / digest(str(address))[:16]


def given_model(said: Mapping[str, Any], subject: Subject, dataset: Dataset, out: Path | None) -> Model:
    """A model that is there already, opened and asked about two cases."""
    from titer.atomic import made_folder
    from titer.models.averaged import FEW, steadied
    from titer.models.load import load_model

    held = said.get("object")
    ledger = ledger_of(said, out)
    if ledger is not None:
        made_folder(ledger.parent)
    model = OBJECTS[held] if held is not None else load_model(said, dataset, tolerance=subject.tolerance, ledger=ledger)
    if model.space.shape != dataset.space.shape:
        raise ModelError(
            f"a model for cases of shape {list(dataset.space.shape)}",
            f"{model.name} for {list(model.space.shape)}",
            "resize the cases (data.options) or choose the right model",
        )
    steady = steadied(model, dataset.cases.inputs[:FEW])
    steady.predict(dataset.cases.inputs[:2])
    return steady


def _opened(said: Mapping[str, Any], subject: Subject, dataset: Dataset, out: Path | None) -> Recipe | Model:
    recipe = recipe_in(said)
    if recipe is None:
        return given_model(said, subject, dataset, out)
    check_recipe(recipe, dataset)
    return recipe


def _check_lent(attack: Attack, lent: list[Recipe | Model]) -> None:
    """Refuse an attack that needs more than its surrogates give; those trained here give gradients."""
    from titer.attacks.attack import Attack as Base
    from titer.models.model import allows

    if not lent:
        return
    given = [model for model in lent if not isinstance(model, Recipe)]
    if given:
        attack.lent(given)
    inner = getattr(attack, "attack", None)
    if isinstance(inner, Base) and len(given) < len(lent) and not allows("gradients", inner.needs):
        raise PlanError(
            f"surrogates that give {inner.needs} for {inner.name}",
            "reference models, which give gradients",
            "choose another attack on the surrogates, or name a model of yours that gives more",
        )


def _check_parts(attack: Attack, rows: Any) -> None:
    empty = [part for part in ("train", "validation") if not len(np.asarray(getattr(rows, part)))]
    if empty:
        raise PlanError(
            f"{' and '.join(empty)} cases to train the surrogates of {attack.name} on",
            "none",
            "give these parts a share in 'fractions', or name surrogates that were trained already",
        )
