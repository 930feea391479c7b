"""Identifiers of attacks in two public taxonomies, as far as they are stored here; an unknown one is refused."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from titer.audit.evidence.table import mapping
from titer.errors import ReportError, did_you_mean


@dataclass(frozen=True)
class Taxonomy:
    """The identifiers of one version of a taxonomy, with short names of our own."""

    title: str
    version: str
    techniques: dict[str, str]
    mitigations: tuple[str, ...] = ()


@cache
def taxonomies() -> tuple[Taxonomy, ...]:
    """All stored taxonomies, one file each."""
    folder = files("titer.audit.evidence").joinpath("taxonomies")
    made = []
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".yaml"):
            raw = mapping(file.read_text(encoding="utf-8"), file.name)
            stray = [name for name in raw["techniques"] if not name.startswith(raw["prefix"])]
            if stray:
                raise ReportError(f"identifiers that begin with {raw['prefix']!r}", stray[0], f"correct {file.name}")
            made.append(
                Taxonomy(raw["title"], str(raw["version"]), raw["techniques"], tuple(raw.get("mitigations", ())))
            )
    return tuple(made)


def known(identifier: str) -> str:
    """The short name of an identifier.

    >>> known("NISTAML.022")
    'evasion'
    >>> known("AML.T9999")
    Traceback (most recent call last):
    titer.errors.ReportError: expected an identifier of a stored taxonomy, got 'AML.T9999'; ...
    """
    for taxonomy in taxonomies():
        if identifier in taxonomy.techniques:
            return taxonomy.techniques[identifier]
        if identifier in taxonomy.mitigations:
            return "mitigation"
    names = [name for taxonomy in taxonomies() for name in (*taxonomy.techniques, *taxonomy.mitigations)]
    raise ReportError(
        "an identifier of a stored taxonomy",
        repr(identifier),
        f"{did_you_mean(identifier, names)}stored: {', '.join(f'{t.title} {t.version}' for t in taxonomies())}",
    )


def evasion_identifiers(nature: str, knowledge: str, attacks: tuple[str, ...]) -> tuple[str, ...]:
    """The identifiers of a threat at the time of use.

    Arguments
        nature: what kind of change it is; `natural` names no attacker, and so nothing of a taxonomy.
        knowledge: what the attacker sees of the model. attacks: names of the attacks that were run.

    >>> evasion_identifiers("values", "scores", ("square",))
    ('NISTAML.022', 'AML.T0015', 'NISTAML.025', 'AML.T0040', 'AML.T0043.001')
    """
    if nature == "natural":
        return ()
    made = ["NISTAML.022", "AML.T0015"]
    if knowledge in ("gradients", "structure"):
        made.append("AML.T0043.000")
    else:
        made += ["NISTAML.025", "AML.T0040", "AML.T0043.001"]
    if "transfer" in attacks:
        made += ["AML.T0005", "AML.T0043.002"]
    return tuple(name for name in made if known(name))
