"""Claims that reports of this kind are asked to make, and the least that carries each of them."""

from __future__ import annotations

from titer.audit.evidence.seen import Seen, attacked, listed
from titer.audit.report.schema import Draft, Link, Rule
from titer.audit.report.schema.index import ClaimState


def claims(draft: Draft, seen: dict[str, Seen]) -> tuple[ClaimState, ...]:
    """Every claim, whether made or not.

    Arguments
        draft: the facts of the report. seen: how far each kind of evidence is there.
    """
    return (_withstands(draft, seen), *_others(seen))


def _withstands(draft: Draft, seen: dict[str, Seen]) -> ClaimState:
    """A limit on robust performance that held, with proof that the attacks work."""
    claim = "The model withstands evasion within the limits of the plan."
    rules = [rule for rule in draft.limits.rules if _robust(rule)]
    if not rules:
        return ClaimState(claim=claim, state="not claimed", reason="The plan sets no limit on robust performance.")
    places = tuple(dict.fromkeys(rule.cell for rule in rules if rule.cell))
    links = tuple(Link(to="cell", name=name) for name in places)
    if any(rule.status == "broken" for rule in rules):
        broken = listed(rule.rule for rule in rules if rule.status == "broken")
        return ClaimState(claim=claim, state="refuted", reason=f"Broken: {broken}.", links=links)
    lacking = _lacking(draft, seen, rules)
    if lacking:
        return ClaimState(claim=claim, state="partial", reason=f"Missing: {listed(lacking)}.", links=links)
    why = "The limits held, by white box and black box together, and every check of the attacks passed."
    return ClaimState(claim=claim, state="carried", reason=why, links=links)


def _robust(rule: Rule) -> bool:
    """Whether a rule speaks of performance under attack."""
    words = rule.rule.casefold().replace("bound of", "").split()
    measure = next((word for word in words if word not in ("lower", "upper")), "")
    return not measure.startswith("clean") and not measure.endswith("_clean")


def _lacking(draft: Draft, seen: dict[str, Seen], rules: list[Rule]) -> list[str]:
    """What a limit that held lacks to carry the claim."""
    ran = {cell.attack for cell in attacked(draft)}
    cards = [card for card in draft.attacks if card.name in ran]
    white = {card.name for card in cards if card.needs in ("gradients", "structure")}
    black = {card.name for card in cards if card.needs in ("scores", "labels")}
    lacking = []
    if any(rule.status != "held" for rule in rules):
        lacking.append("a verdict on every limit")
    if seen["E01"].state != "evidence":
        lacking.append("robust performance over budget with intervals, by attacks that were shown to work")
    if seen["E02"].state != "evidence":
        lacking.append("the worst case over several attacks")
    if seen["E03"].state != "evidence":
        lacking.append("every check of attack validity passed")
    if len(white) < 2 and not any(card.proves for card in cards):
        lacking.append("several attacks that see gradients")
    if not black:
        lacking.append("an attack that sees answers alone")
    if not all(_beyond(draft, rule) for rule in rules if rule.status == "held"):
        lacking.append("so many cases that the interval leaves out the limit")
    return lacking


def _beyond(draft: Draft, rule: Rule) -> bool:
    """Whether the interval of what was measured lies wholly on one side of the limit."""
    from titer.audit.report.paths import resolve

    if not rule.path:
        return False
    if not rule.path.endswith(".value"):  # an end of the interval was compared itself
        return True
    measure = resolve(draft.model_dump(mode="json", include={"cells", "curves"}), rule.path.rpartition(".")[0])
    low, high = measure["low"], measure["high"]
    return low is not None and high is not None and not low < rule.limit < high


def _others(seen: dict[str, Seen]) -> tuple[ClaimState, ...]:
    """Claims that rest on one kind of evidence, or can never be made."""
    never = (
        "Never claimed: absence of known triggers proves nothing; what can be said is success and detection per dose."
    )
    poison = seen["E06"]
    return (
        ClaimState(
            claim="A defense is better than its baseline.",
            state="not claimed",
            reason=seen["E10"].reason,
        ),
        ClaimState(claim="The model cannot be poisoned.", state="not claimed", reason=never, links=poison.links),
        _rests_on("The inputs were genuine.", seen["E19"]),
        _safe_change(seen),
        _rests_on("No personal data leave with this report.", seen["E24"]),
    )


def _rests_on(claim: str, found: Seen) -> ClaimState:
    state = {"evidence": "carried", "partial": "partial"}.get(found.state, "not claimed")
    return ClaimState(claim=claim, state=state, reason=found.reason, links=found.links)


def _safe_change(seen: dict[str, Seen]) -> ClaimState:
    """A comparison alone does not do: its limits must have been fixed before."""
    claim = "The change from the earlier version was safe."
    compared, planned = seen["E25"], seen["E15"]
    if compared.state not in ("evidence", "partial"):
        return ClaimState(claim=claim, state="not claimed", reason=compared.reason)
    both = compared.state == planned.state == "evidence"
    reason = compared.reason if both else f"{compared.reason} {planned.reason}"
    links = (*compared.links, *planned.links)
    return ClaimState(claim=claim, state="carried" if both else "partial", reason=reason, links=links)
