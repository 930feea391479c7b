"""Which audit this is: plan, program, machine, seeds, commands."""

from __future__ import annotations

from pydantic import Field, JsonValue

from titer.audit.report.schema.base import Block, Text


class PlanRecord(Block):
    """The plan of the audit, as written and as understood."""

    name: Text = Field(description="Name of the plan, without any folder.")
    digest: Text = Field(description="Digest of the resolved plan; trials and random numbers derive from it.")
    source: str = Field(description="Text of the plan as its author wrote it; empty for a plan made in Python.")
    resolved: dict[str, JsonValue] = Field(description="The plan with every default filled in.")


class Environment(Block):
    """The programs and the machine that produced the numbers."""

    python: Text = Field(description="Version of Python.")
    platform: Text = Field(description="Operating system and processor architecture, without the host's name.")
    threads: int = Field(ge=1, description="Number of threads one trial computed with.")
    device: Text = Field(default="cpu", description="Device that ran the models.")
    packages: dict[str, str] = Field(description="Version of each package that can influence a number.")


class Command(Block):
    """One command line and what it is good for."""

    purpose: Text = Field(description="What the command does, such as 'run this audit again'.")
    command: Text = Field(description="The command line.")


class Identity(Block):
    """Which audit this is and how to run it again."""

    title: Text = Field(description="Title of the report.")
    titer_version: Text = Field(description="Version of Titer.")
    created: Text = Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})$",
        description="When the report was made (ISO 8601, UTC): the only field two equal runs differ in.",
    )
    plan: PlanRecord = Field(description="The plan.")
    environment: Environment = Field(description="Programs and machine.")
    seeds: tuple[int, ...] = Field(min_length=1, description="Seeds of the trials.")
    commands: tuple[Command, ...] = Field(min_length=1, description="Commands that repeat the audit or parts of it.")
