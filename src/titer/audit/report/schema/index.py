"""The index of requirements: what assessors ask, how far this report answers, and where."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from titer.audit.report.schema.base import Block, Text

State = Literal["evidence", "partial", "not tested", "not applicable", "owner elsewhere"]
Item = Annotated[str, StringConstraints(pattern=r"^E\d\d$")]
Section = Annotated[str, StringConstraints(pattern=r"^R\d{1,2}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Link(Block):
    """Where in this report something stands; a link that leads nowhere makes the report invalid."""

    to: Literal["cell", "trap", "block", "record"] = Field(description="What is named.")
    name: Text = Field(description="Identifier of a cell, trap or record, or name of a block of the report.")


class EvidenceRecord(Block):
    """Evidence that was made elsewhere and is attached: a receipt, a result of another suite, a process document."""

    id: Text = Field(description="Identifier that links refer to.")
    item: Item = Field(description="Kind of evidence.")
    state: Literal["evidence", "partial", "owner elsewhere"] = Field(description="How far it answers.")
    sentence: Text = Field(description="What it shows, in one sentence.")
    file: str = Field(default="", description="Name of the attached file, without any folder.")
    sha256: Digest | None = Field(default=None, description="Digest of that file.")


class Gate(Block):
    """What was looked through before the report was written, and what was withheld."""

    checked: int = Field(ge=0, description="Texts looked through.")
    withheld: dict[str, Annotated[int, Field(ge=0)]] = Field(description="What was withheld: kind -> how often.")
    pixels: bool = Field(description="Whether pictures of single cases are shown, whose pixels nobody read.")


class ItemState(Block):
    """How far one kind of evidence is there."""

    id: Item = Field(description="Identifier.")
    name: Text = Field(description="What it is.")
    maker: Text = Field(description="What produces it.")
    form: Text = Field(description="How it is shown.")
    state: State = Field(description="How far it is there.")
    reason: Text = Field(description="Why, in one sentence or two.")
    links: tuple[Link, ...] = Field(default=(), description="Where it stands.")


class SectionState(Block):
    """One section that assessors expect, and where this report has it."""

    id: Section = Field(description="Identifier.")
    title: Text = Field(description="Title.")
    content: Text = Field(description="What belongs there.")
    state: State = Field(description="How far it is filled.")
    reason: Text = Field(description="What fills it, or what is missing and why.")
    links: tuple[Link, ...] = Field(default=(), description="Where it stands.")


class RequirementState(Block):
    """One question of a law, guidance or standard, and how far this report answers it."""

    region: Text = Field(description="Where the document applies.")
    source: Text = Field(description="The document.")
    section: Text = Field(description="Its section.")
    year: int = Field(description="Its year.")
    status: Text = Field(description="Its status.")
    checked: Text = Field(description="When that status was looked up (ISO 8601).")
    question: Text = Field(description="What must be answered.")
    evidence: tuple[Item, ...] = Field(description="Kinds of evidence that answer.")
    place: tuple[Section, ...] = Field(description="Sections where they stand.")
    seen: tuple[Literal["T", "S", "N"], ...] = Field(
        min_length=1, description="T: the text itself was read, S: secondary sources were, N: not read."
    )
    note: str = Field(default="", description="A word to the reader.")
    state: State = Field(description="How far it is answered.")
    reason: Text = Field(description="What answers, what is missing and why.")
    links: tuple[Link, ...] = Field(default=(), description="Where the evidence stands.")


class ClaimState(Block):
    """A claim, and whether this report carries it."""

    claim: Text = Field(description="The claim.")
    state: Literal["carried", "partial", "refuted", "not claimed"] = Field(description="Whether it is carried.")
    reason: Text = Field(description="Why.")
    links: tuple[Link, ...] = Field(default=(), description="What it rests on.")


class Technique(Block):
    """One identifier of a taxonomy, and the results that belong to it."""

    taxonomy: Text = Field(description="Name and version of the taxonomy.")
    id: Text = Field(description="Identifier.")
    name: Text = Field(description="Short name.")
    state: Literal["tested", "not tested"] = Field(description="Whether a result of this report belongs to it.")
    threats: tuple[Text, ...] = Field(default=(), description="Identifiers of the threats.")
    links: tuple[Link, ...] = Field(default=(), description="The results; of many, the first of each attack.")


class Index(Block):
    """The requirement index with everything it rests on."""

    version: Text = Field(description="Version of the table of requirements.")
    sections: tuple[SectionState, ...] = Field(min_length=1, description="Sections, in order.")
    items: tuple[ItemState, ...] = Field(min_length=1, description="Kinds of evidence, in order.")
    requirements: tuple[RequirementState, ...] = Field(min_length=1, description="Requirements, in order.")
    claims: tuple[ClaimState, ...] = Field(min_length=1, description="Claims, in order.")
    coverage: tuple[Technique, ...] = Field(min_length=1, description="Techniques of the taxonomies.")
    counts: dict[State, int] = Field(description="Requirements per state.")
    warnings: tuple[Text, ...] = Field(default=(), description="Documents whose status was looked up too long ago.")
