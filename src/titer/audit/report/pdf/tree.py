"""What the document shows, section by section, as plain data: the same tables, numbers and charts as the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from titer.audit.report.formats import limit_text
from titer.audit.report.pdf.index import index_table
from titer.audit.report.pdf.parts import Files, Parts, bullets, code, pairs, target, text, title
from titer.audit.report.schema import Report
from titer.audit.report.view.page import Page, page
from titer.audit.report.view.requirements import LOOKS
from titer.audit.report.view.table import Column, Entry, Group, Table, shown
from titer.audit.report.vocabulary import GLOSSARY, leading

Tree = dict[str, Any]
ROOM = 2_500_000
"""Bytes of pictures of single cases."""

WIDE = {"R7", "R13", "R18"}


def tree_of(report: Report, attached: tuple[tuple[str, str, str], ...]) -> tuple[Tree, dict[str, bytes]]:
    """The document as data, and its pictures by name.

    Arguments
        report: the report. attached: name, type and description of each file that will stand inside.
    """
    files = Files()
    laid = page(report, room=ROOM)
    made = _Sections(report, laid, Parts(files), attached)
    totals = report.summary.totals
    state = "good" if report.passed else "bad" if totals.rules_broken else "warn"
    word = {"good": "Limits held", "bad": "Limits broken"}.get(state, "Not judged" if totals.rules else "No limits set")
    identity = report.identity
    return {
        "title": identity.title,
        "created": identity.created,
        "version": identity.titer_version,
        "plan": identity.plan.name,
        "digest": identity.plan.digest[:16],
        "verdict": {"look": state, "word": word, "text": report.summary.headline.text},
        "sections": [
            {
                "id": row.id,
                "title": row.title,
                "state": row.state,
                "look": LOOKS.get(row.state, "other"),
                "reason": row.reason,
                "wide": row.id in WIDE,
                "blocks": made.blocks(row.id),
            }
            for row in report.index.sections
        ],
    }, files.found


class _Sections:
    """The blocks of each section."""

    def __init__(self, report: Report, laid: Page, parts: Parts, attached: tuple[tuple[str, str, str], ...]) -> None:
        self.report, self.laid, self.parts, self.attached = report, laid, parts, attached

    def blocks(self, name: str) -> list[Tree]:
        """What stands in a section; the reason alone where nothing does."""
        make: Callable[[], list[Tree]] | None = getattr(self, f"_{name.lower()}", None)
        return [] if make is None else make()

    def _r1(self) -> list[Tree]:
        words = self.report.summary
        return [
            self.parts.table(self.laid.glance),
            title("In one sentence each"),
            bullets([sentence.text for sentence in words.findings]),
            text(words.untested.text),
            title("For the clinician"),
            *[text(paragraph.text) for paragraph in words.clinician],
            title("For the engineer"),
            *[text(paragraph.text) for paragraph in words.engineer],
            title("For the assessor"),
            *[text(paragraph.text) for paragraph in words.assessor],
        ]

    def _r2(self) -> list[Tree]:
        bom = text("The bill of materials of models and environment is attached: bom.json (CycloneDX).")
        there = any(name == "bom.json" for name, _, _ in self.attached)
        return [self.parts.table(self.laid.models), *([bom] if there else [])]

    def _r3(self) -> list[Tree]:
        facts = []
        for card in self.report.datasets:
            groups = f" Subgroups by {', '.join(card.groups)}." if card.groups else ""
            said = (
                f"Leakage check {card.leakage.status}: {card.leakage.sentence} {card.title}. {card.citation}.{groups}"
            )
            facts.append([card.name, f"{said} {card.note}".strip()])
        gate = self.report.gate
        made = [self.parts.table(self.laid.datasets), pairs(facts)]
        if gate is not None:
            told = ", ".join(f"{kind} ({times})" for kind, times in gate.withheld.items() if times) or "nothing"
            made.append(text(f"Texts looked through for identifiers: {gate.checked}. Withheld: {told}."))
        return made

    def _r4(self) -> list[Tree]:
        facts = []
        for threat in self.report.threats:
            named = f" Identifiers: {', '.join(threat.taxonomy)}." if threat.taxonomy else ""
            limits = ", ".join(limit.label for limit in threat.limits)
            facts.append([threat.id, f"{threat.sentence} Limits ({threat.limits[0].unit}): {limits}.{named}"])
        coverage = [index_table(part, target) for part in self.laid.index.coverage]
        return [pairs(facts), self.parts.table(self.laid.attacks), title("Coverage of the taxonomies"), *coverage]

    def _r5(self) -> list[Tree]:
        identity = self.report.identity
        seeds = ", ".join(str(seed) for seed in identity.seeds)
        made = [pairs([["Plan", identity.plan.name], ["Digest", identity.plan.digest], ["Seeds", seeds]])]
        made.append(
            self.parts.table(self.laid.rules)
            if self.laid.rules
            else text("The plan sets no limits (fail_if), so there is nothing to hold or to break.")
        )
        if identity.plan.source:
            made += [title("The plan as written"), code(identity.plan.source)]
        return made

    def _r6(self) -> list[Tree]:
        where = "The clean numbers of every model stand in its table of results (R7), in the rows that say ‘no attack’."
        return [text(where), *[self.parts.table(table) for table in self.laid.groups]]

    def _r7(self) -> list[Tree]:
        made: list[Tree] = []
        for figure in (self.laid.curves, self.laid.bars):
            made += [self.parts.figure(figure)] if figure else []
        made += [self.parts.table(self.laid.drops)] if self.laid.drops else []
        made += [self.parts.table(block.table) for block in self.laid.results]
        if self.laid.cases:
            made.append(title("Single cases"))
            made.append(text("Chosen to show what a change looks like, not how often it works."))
            made += [part for case in self.laid.cases for part in self.parts.case(case)]
        if self.laid.cases_left_out:
            made.append(text(f"Further cases stand in report.json: {self.laid.cases_left_out}."))
        return made

    def _r11(self) -> list[Tree]:
        return [part for name, table in self.laid.comparisons for part in (title(name), self.parts.table(table))]

    def _r12(self) -> list[Tree]:
        made: list[Tree] = []
        for trap in self.report.traps:
            said = [trap.question, trap.evidence]
            if trap.status == "failed":
                said += [f"What it means: {trap.meaning}", f"What to do: {trap.remedy}"]
                said += [f"The plan explains: {trap.explanation}"] if trap.explanation else []
            look = {"passed": "good", "failed": "bad"}.get(trap.status, "other")
            place = self.laid.trap_places[trap.id]
            made.append(
                {"kind": "check", "title": trap.name, "state": trap.status, "look": look, "text": " ".join(said),
                 "label": f"trap-{place}"}
            )  # fmt: skip
        return made

    def _r13(self) -> list[Tree]:
        return [self.parts.table(self.laid.shifts)] if self.laid.shifts else []

    def _r16(self) -> list[Tree]:
        identity, found = self.report.identity, self.report.identity.environment
        packages = ", ".join(f"{name} {version}" for name, version in sorted(found.packages.items()))
        machine = f"{found.platform}, {found.device}, threads per trial: {found.threads}"
        made: list[Tree] = [part for one in identity.commands for part in (title(one.purpose), code(one.command))]
        made.append(pairs([["Python", found.python], ["Machine", machine], ["Packages", packages]]))
        made += [title("Attached to this document")] if self.attached else []
        made += [pairs([[name, about] for name, _, about in self.attached])] if self.attached else []
        check = "Whether what is attached is what was signed, this command says:"
        made += [text(check), code("titer report verify report.pdf --key PUBLIC.pem")]
        rows = tuple(
            (
                Entry(cell.id, small="suspect" if cell.suspect else "", header=True, flag=f"cell-{position}"),
                Entry(limit_text(cell.limit)),
                *(shown(measure, with_n=True) for measure in leading(cell)),
                Entry(cell.rerun),
            )
            for position, cell in enumerate(self.report.cells)
        )
        columns = (Column("Result"), Column("Limit"), Column("No attack", numeric=True),
                   Column("Under attack", numeric=True), Column("Command"))  # fmt: skip
        caption = "Every result and the command that runs it, and it alone, again."
        return [*made, self.parts.table(Table("again", caption, columns, (Group(rows),)), labeled=True)]

    def _r17(self) -> list[Tree]:
        return [bullets(list(self.report.limitations))]

    def _r18(self) -> list[Tree]:
        index, view = self.report.index, self.laid.index
        tally = ", ".join(f"{count} {state}" for state, _, count in view.tally)
        intro = (
            f"What laws, guidance and standards ask, and how far this report answers: {tally}. It supports an "
            f"assessment and replaces none; it is no legal advice. Table of requirements {index.version}."
        )
        made = [text(intro)]
        made += [bullets([f"Old status. {warning}" for warning in index.warnings])] if index.warnings else []
        made += [index_table(region, target) for region in view.regions]
        made += [index_table(view.items, target), index_table(view.claims, target)]
        if self.report.records:
            made.append(title("Attached records"))
            for position, record in enumerate(self.report.records):
                said = f"{record.sentence} {record.file} {record.sha256 or ''}".strip()
                made.append(
                    {"kind": "anchor", "label": f"record-{position}", "text": f"{record.item} {record.id}: {said}"}
                )
        words = [[word, meaning] for word, meaning in GLOSSARY]
        return [*made, title("Glossary"), pairs(words)]
