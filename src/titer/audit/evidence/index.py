"""The index of requirements, computed from the content of a report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from titer.audit.evidence.claims import claims
from titer.audit.evidence.found import looks
from titer.audit.evidence.seen import Seen, attacked, cells, listed
from titer.audit.evidence.table import Requirement, Requirements, Section, items, requirements, sections
from titer.audit.evidence.taxonomy import taxonomies
from titer.audit.report.schema import Draft, Link
from titer.audit.report.schema.index import Index, ItemState, RequirementState, SectionState, State, Technique

STALE = 180
"""Days after which the status of a document must be looked up again."""

MOST_NAMES = 6
"""Kinds of evidence that a reason names in words; more are named by their ids."""

STATES: tuple[State, ...] = ("evidence", "partial", "not tested", "not applicable", "owner elsewhere")


def index_of(draft: Draft, table: Requirements | None = None) -> Index:
    """Every requirement, kind of evidence, section, claim and technique with its state. None is silent.

    Arguments
        draft: the facts of a report; its date decides which statuses are too old.
        table: the requirements; those that come along if left out.
    """
    table = table or requirements()
    seen = {name: look_at(name, draft) for name in looks()}
    made = tuple(_requirement(row, seen) for row in table.rows)
    return Index(
        version=table.version,
        sections=tuple(_section(row, seen) for row in sections().values()),
        items=tuple(
            ItemState(
                id=row.id, name=row.name, maker=row.maker, form=row.form, state=seen[row.id].state,
                reason=seen[row.id].reason, links=seen[row.id].links,
            )
            for row in items().values()
        ),
        requirements=made,
        claims=claims(draft, seen),
        coverage=tuple(_coverage(draft)),
        counts={state: sum(row.state == state for row in made) for state in STATES},
        warnings=tuple(_stale(table, date.fromisoformat(draft.identity.created[:10]))),
    )  # fmt: skip


def look_at(name: str, draft: Draft) -> Seen:
    """How far one kind of evidence is there: what the report itself shows, or the records attached to it."""
    attached = [record for record in draft.records if record.item == name]
    if not attached:
        return looks()[name](draft)
    best = min((record.state for record in attached), key=STATES.index)
    links = tuple(Link(to="record", name=record.id) for record in attached)
    return Seen(best, " ".join(record.sentence for record in attached), links)


def _requirement(row: Requirement, seen: dict[str, Seen]) -> RequirementState:
    state, reason = _answer(row.evidence, row.needs, row.also, seen, owner=row.owner)
    links = _links(seen[name] for name in row.evidence)
    shown = row.model_dump(exclude={"needs", "also", "owner", "checked"})
    return RequirementState(**shown, checked=row.checked.isoformat(), state=state, reason=reason, links=links)


def _section(row: Section, seen: dict[str, Seen]) -> SectionState:
    """A section; those that list no kinds of evidence are always written."""
    if not row.items:
        own: dict[str, tuple[Link, ...]] = {"R1": (Link(to="block", name="summary"),)}
        links = own.get(row.id, (Link(to="block", name="index"),))
        return SectionState(
            id=row.id,
            title=row.title,
            content=row.content,
            state="evidence",
            reason="Part of every report.",
            links=links,
        )
    state, reason = _answer(row.items, (), (), seen)
    links = _links(seen[name] for name in row.items)
    extra: dict[str, tuple[str, ...]] = {"R6": ("cells",), "R17": ("limitations",)}
    links += tuple(Link(to="block", name=name) for name in extra.get(row.id, ()))
    return SectionState(id=row.id, title=row.title, content=row.content, state=state, reason=reason, links=links)


def _answer(
    evidence: tuple[str, ...],
    needs: tuple[str, ...],
    also: tuple[str, ...],
    seen: dict[str, Seen],
    *,
    owner: bool = False,
) -> tuple[State, str]:
    """The state of a question from the kinds of evidence that answer it, and why."""
    if owner:
        return "owner elsewhere", "A process document of the manufacturer answers this; no audit can produce it."
    apt = [name for name in evidence if seen[name].state != "not applicable"]
    if not apt and not also:
        return "not applicable", _why(evidence, seen)
    gone = [name for name in apt if seen[name].state in ("not tested", "owner elsewhere")]
    vital = [name for name in gone if name in needs]
    there = [name for name in apt if name not in gone]
    shown = f" There is: {listed(_names(there))}." if there else ""
    if vital or not there:
        said = _why(vital or gone, seen) or f"Missing: {listed(also)}."
        elsewhere = all(seen[name].state == "owner elsewhere" for name in (vital or gone)) and not also
        return ("owner elsewhere" if elsewhere else "not tested"), said + shown
    part = [name for name in there if seen[name].state == "partial"]
    missing = [*_names(gone), *also]
    if not part and not missing:
        return "evidence", f"Shown: {listed(_names(there))}."
    said = f"Missing: {listed(missing)}." if missing else ""
    halves = f" In part: {listed(_names(part))}." if part else ""
    whole = [name for name in there if name not in part]
    return "partial", (said + halves + (f" Shown: {listed(_names(whole))}." if whole else "")).strip()


def _names(ids: Iterable[str]) -> list[str]:
    """Kinds of evidence by id and name; of many, by id alone."""
    every = list(ids)
    return every if len(every) > MOST_NAMES else [f"{name} {items()[name].name}" for name in every]


def _why(ids: Iterable[str], seen: dict[str, Seen]) -> str:
    return " ".join(dict.fromkeys(seen[name].reason for name in ids))


def _links(found: Iterable[Seen]) -> tuple[Link, ...]:
    """All links once; many results of one kind are led to through the first of each."""
    links: dict[tuple[str, str], Link] = {}
    for each in found:
        for link in each.links:
            links.setdefault((link.to, link.name), link)
    return tuple(links.values())


def _coverage(draft: Draft) -> Iterable[Technique]:
    """Each stored technique, with the threats whose results belong to it."""
    for taxonomy in taxonomies():
        for identifier, name in taxonomy.techniques.items():
            under = [threat.id for threat in draft.threats if identifier in threat.taxonomy]
            found = cells(cell for cell in attacked(draft) if cell.threat in under)
            yield Technique(
                taxonomy=f"{taxonomy.title} ({taxonomy.version})",
                id=identifier,
                name=name,
                state="tested" if found else "not tested",
                threats=tuple(under),
                links=found,
            )


def _stale(table: Requirements, today: date) -> Iterable[str]:
    """A warning per document whose status was looked up too long before the report was made."""
    old: dict[str, date] = {}
    for row in table.rows:
        if (today - row.checked).days > STALE:
            old.setdefault(row.source, row.checked)
    for source, checked in old.items():
        yield (
            f"The status of {source!r} was looked up on {checked.isoformat()}, more than {STALE} days before this "
            "report: look it up again before you rely on it."
        )
