"""Finds the methods of a family in its folder and in installed packages: no list is kept by hand.

A family is a package (`titer.attacks`, `titer.cases.datasets`, ...). Each module in it whose name has no leading
underscore is one method, named like the module, and defines exactly one public class that derives from the
family's base class. Packages outside Titer add to a family through an entry point of the group
`titer.<family>`, for example `titer.attacks`; its name is the method's name and its object is the class. Nobody can
take the name of a method that is there: the method is then refused until one of the two has another name.
Nothing is imported until a method is asked for, so listing names costs no time.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from titer.errors import PlanError, did_you_mean


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
        outside = self._entry_points().get(name, [])
        if outside:
            if name in self._modules() or len(outside) > 1:
                places = [*(["titer itself"] if name in self._modules() else []), *map(_package, outside)]
                raise PlanError(
                    f"one method called {name!r} in {self.group}",
                    " and ".join(places),
                    f"rename the entry point of titer.{self.group} in the package that is yours, or uninstall one",
                )
            return self._checked(outside[0].load(), name)
        if name not in self._modules():
            hint = did_you_mean(name, self.names())
            raise PlanError(f"a name in {self.group}", repr(name), f"{hint}known: {', '.join(self.names())}")
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

    def origins(self) -> dict[str, str]:
        """Name -> the package it comes from; empty for those of Titer. A name that several claim names them all.

        >>> ATTACKS.origins()["pgd"]
        ''
        """
        found = dict.fromkeys(self._modules(), "")
        for name, points in self._entry_points().items():
            also = ["titer"] if name in found else []
            found[name] = " and ".join([*also, *map(_package, points)])
        return dict(sorted(found.items()))

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

    def _entry_points(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=f"titer.{self.group}"):
            # One package that is found twice on the path, as with editable installs, declares nothing twice.
            known = found.setdefault(point.name, [])
            if (point.value, _package(point)) not in [(each.value, _package(each)) for each in known]:
                known.append(point)
        return found

    def _checked(self, found: object, name: str) -> type[Any]:
        base = self._base()
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise PlanError(
                f"the entry point {name!r} of titer.{self.group} to be a subclass of {base.__name__}",
                repr(found),
                "correct the entry point in the package that declares it",
            )
        return found


def _package(point: EntryPoint) -> str:
    """The package that declares an entry point, with its version."""
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


ATTACKS = Family(
    "attacks", "titer.attacks", "titer.attacks.attack:Attack", ("attack", "engine", "losses", "problem", "radius")
)
CHANGES = Family("changes", "titer.threats.changes", "titer.threats.change:Change")
DATASETS = Family("datasets", "titer.cases.datasets", "titer.cases.dataset:DatasetSource")
READERS = Family("readers", "titer.cases.readers", "titer.cases.reader:Reader")
MODELS = Family("models", "titer.models.zoo", "titer.models.recipe:Recipe")
STATISTICS = Family("statistics", "titer.audit.findings", "titer.audit.statistic:Statistic")
TRAPS = Family("traps", "titer.audit.traps", "titer.audit.traps.check:Check", ("check",))
FAMILIES = (ATTACKS, CHANGES, DATASETS, READERS, MODELS, STATISTICS, TRAPS)
