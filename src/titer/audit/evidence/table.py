"""The tables of this folder, read and checked: requirements, kinds of evidence, sections of the report."""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from titer.errors import ReportError

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
ItemId = Annotated[str, StringConstraints(pattern=r"^E(0[1-9]|[12]\d|30)$")]
SectionId = Annotated[str, StringConstraints(pattern=r"^R([1-9]|1[0-8])$")]
ITEMS = tuple(f"E{number:02}" for number in range(1, 31))
SECTIONS = tuple(f"R{number}" for number in range(1, 19))
SEEN = {"T": "text read", "S": "secondary sources read", "N": "not read"}


class Row(BaseModel):
    """Any row of a table: frozen, closed to unknown columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")


RowT = TypeVar("RowT", bound=Row)


class Requirement(Row):
    """One question of a law, guidance or standard.

    Arguments
        region, source, section, year, status: which document asks; checked: when its status was looked up.
        question: what must be answered, in our words. evidence: ids of the items that answer it.
        needs: items without which it stays unanswered. also: evidence that no item covers.
        place: sections of the report. seen: T text read, S secondary sources, N not read.
        owner: whether a process document of the manufacturer answers it.
    """

    region: Text
    source: Text
    section: Text
    year: int
    status: Text
    checked: date
    question: Text
    evidence: tuple[ItemId, ...]
    needs: tuple[ItemId, ...] = ()
    also: tuple[Text, ...] = ()
    place: tuple[SectionId, ...]
    seen: tuple[Literal["T", "S", "N"], ...]
    owner: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if not (self.evidence or self.owner):
            raise ValueError("a row needs evidence, or owner: true")
        if not (self.place and self.seen):
            raise ValueError("a row needs its place and how it was seen")
        stray = sorted(set(self.needs) - set(self.evidence))
        if stray:
            raise ValueError(f"needs {stray[0]}, which its evidence does not name")
        return self


class Requirements(Row):
    """All requirements, under the version of their table."""

    version: Text
    rows: tuple[Requirement, ...]


class Item(Row):
    """One kind of evidence: what it is, what produces it, how it is shown."""

    id: ItemId
    name: Text
    maker: Text
    form: Text


class Section(Row):
    """One section that a report to assessors has."""

    id: SectionId
    title: Text
    content: Text
    items: tuple[ItemId, ...] = ()


@cache
def requirements() -> Requirements:
    """The table of requirements as it comes along.

    >>> len(requirements().rows), requirements().rows[0].place
    (68, ('R8', 'R3', 'R14'))
    """
    return read_requirements(text_of("requirements.yaml"))


def read_requirements(text: str) -> Requirements:
    """A table of requirements from its text; ReportError for a row that lacks a column or names what does not exist."""
    table = mapping(text, "requirements.yaml")
    version, checked = str(table.pop("version", "")), table.pop("checked", None)
    rows = []
    for region, found in table.items():
        for number, raw in enumerate(found, start=1):
            row = {"checked": checked, "region": region, **raw}
            row = {key: _all(key, value) for key, value in row.items()}
            rows.append(checked_row(Requirement, row, f"row {number} of {region!r}"))
    return checked_row(Requirements, {"version": version, "rows": rows}, "requirements.yaml")


@cache
def items() -> dict[str, Item]:
    """All kinds of evidence by id."""
    table = mapping(text_of("items.yaml"), "items.yaml")["items"]
    return {key: checked_row(Item, {"id": key, **row}, f"item {key}") for key, row in table.items()}


@cache
def sections() -> dict[str, Section]:
    """All sections by id."""
    table = mapping(text_of("items.yaml"), "items.yaml")["sections"]
    return {key: checked_row(Section, {"id": key, **row}, f"section {key}") for key, row in table.items()}


def text_of(name: str) -> str:
    """A data file of this folder."""
    return files("titer.audit.evidence").joinpath(name).read_text(encoding="utf-8")


def mapping(text: str, name: str) -> dict[str, Any]:
    """The mapping that a data file holds."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ReportError(f"a table in {name}", str(error).splitlines()[0], "correct the file") from error
    if not isinstance(found, dict):
        raise ReportError(f"a table in {name}", type(found).__name__, "correct the file")
    return found


def checked_row(kind: type[RowT], row: dict[str, Any], where: str) -> RowT:
    """A row of that kind, or a refusal that says which column is wrong."""
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        column = ".".join(str(part) for part in first["loc"]) or "the row"
        raise ReportError(f"a whole {where}", f"{column}: {first['msg']}", "correct the table") from error


def _all(key: str, value: Any) -> Any:
    """The word `all` as the ids that it stands for."""
    if value == "all":
        return {"evidence": ITEMS, "place": SECTIONS}.get(key, value)
    return value
