"""Finds the methods of a family in its folder and in installed packages: no list is kept by hand.

A family is a package (`titer.attacks`, `titer.cases.datasets`, ...). Each module in it whose name has no leading
underscore is one method, named like the module, and defines exactly one public class that derives from the
family's base class. Packages outside Titer add to a family through an entry point of the group
`titer.<family>`, for example `titer.attacks`; its name is the method's name and its object is the class.
Nothing is imported until a method is asked for, so listing names costs no time.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from titer.errors import PlanError


@dataclass(frozen=True)
class Family:
    """All methods of one kind.

    Arguments
        group: name of the family and, after `titer.`, of its entry-point group, e.g. `"attacks"`.
        package: dotted name of the folder that holds the built-in methods.
        base: dotted name of the base class, `module:Class`.
        contracts: modules of the folder that are no methods (base classes and shared parts).

    >>> "pgd" in ATTACKS.names()
    True
    >>> ATTACKS.find("pdg")
    Traceback (most recent call last):
    titer.errors.PlanError: expected a name in attacks, got 'pdg'; did you mean 'pgd'? known: fgsm, jsma, noise, ...
    """

    group: str
    package: str
    base: str
    contracts: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Names of all methods, sorted; reads folder and metadata only."""
        return sorted({*self._modules(), *self._entry_points()})

    def find(self, name: str) -> type[Any]:
        """The class of one method; an unknown name is refused with the nearest known one."""
        outside = self._entry_points()
        if name in outside:
            found = outside[name].load()
            return self._checked(found, name)
        if name not in self._modules():
            near = get_close_matches(name, self.names(), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            known = ", ".join(self.names())
            raise PlanError(f"a name in {self.group}", repr(name), f"{hint}known: {known}")
        module = importlib.import_module(f"{self.package}.{name}")
        base = self._base()
        mine = [
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if value.__module__ == module.__name__ and issubclass(value, base) and not value.__name__.startswith("_")
        ]
        if len(mine) != 1:
            found_names = ", ".join(value.__name__ for value in mine) or "none"
            raise PlanError(
                f"exactly one public {base.__name__} in {module.__name__}", found_names, "keep one method in one file"
            )
        return mine[0]

    def _base(self) -> type[Any]:
        module, _, attribute = self.base.partition(":")
        base: type[Any] = getattr(importlib.import_module(module), attribute)
        return base

    def _modules(self) -> list[str]:
        folder = importlib.import_module(self.package).__path__
        return [
            info.name
            for info in pkgutil.iter_modules(folder)
            if not info.name.startswith("_") and info.name not in self.contracts
        ]

    def _entry_points(self) -> dict[str, Any]:
        return {point.name: point for point in entry_points(group=f"titer.{self.group}")}

    def _checked(self, found: object, name: str) -> type[Any]:
        base = self._base()
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise PlanError(
                f"the entry point {name!r} of titer.{self.group} to be a subclass of {base.__name__}",
                repr(found),
                "correct the entry point in the package that declares it",
            )
        return found


ATTACKS = Family(
    "attacks", "titer.attacks", "titer.attacks.attack:Attack", ("attack", "engine", "losses", "problem", "radius")
)
CHANGES = Family("changes", "titer.threats.changes", "titer.threats.change:Change")
DATASETS = Family("datasets", "titer.cases.datasets", "titer.cases.dataset:DatasetSource")
READERS = Family("readers", "titer.cases.readers", "titer.cases.reader:Reader")
MODELS = Family("models", "titer.models.zoo", "titer.models.recipe:Recipe")
STATISTICS = Family("statistics", "titer.audit.findings", "titer.audit.statistic:Statistic")
