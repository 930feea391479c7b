"""For whoever builds the model: what broke it, how fast, and whether to trust the search."""

from __future__ import annotations

from titer.audit.report.headlines import Headline
from titer.audit.report.schema import Paragraph
from titer.audit.report.sentences import Piece, Writer, paragraph
from titer.audit.report.vocabulary import LEADING, harm_done


def paragraphs(writer: Writer, found: tuple[Headline, ...]) -> tuple[Paragraph, ...]:
    """The strongest attack per model and threat, then the traps that failed."""
    closing = paragraph("Every result below carries the command that runs it, and it alone, again.")
    return (*(_result(writer, headline) for headline in found), *_traps(writer), closing)


def _result(writer: Writer, headline: Headline) -> Paragraph:
    cell = f"$.cells[{headline.cell}]"
    metrics = writer.draft.cells[headline.cell].metrics
    threat = writer.draft.cells[headline.cell].threat
    goal = next(each.goal for each in writer.draft.threats if each.id == threat)
    opening: tuple[Piece, ...] = (
        writer.word(f"{cell}.model"),
        ": the most damaging attack at ",
        *writer.limit(f"{cell}.limit"),
        " is ",
        writer.word(f"{cell}.attack"),
    )
    if metrics.kind == "classification":
        effect: tuple[Piece, ...] = (", which costs ", *writer.measure(f"{cell}.metrics.accuracy_drop", " of accuracy"))
    else:
        names = LEADING[metrics.kind]
        effect = (
            f", which moves the {names.name} from ",
            *writer.measure(f"{cell}.metrics.{names.clean}"),
            " to ",
            *writer.measure(f"{cell}.metrics.{names.attacked}"),
        )
    return paragraph(
        *opening,
        *effect,
        *_success(writer, cell, goal),
        ".",
        *_effort(writer, cell),
        *_envelope(writer, headline),
        *_radius(writer, headline),
        *_noise(writer, headline),
    )


def _success(writer: Writer, cell: str, goal: str) -> tuple[Piece, ...]:
    if not writer.has(f"{cell}.metrics.attack_success_rate"):
        return ()
    rate = f"{cell}.metrics.attack_success_rate"
    if writer.draft.cells[int(cell[len("$.cells[") : -1])].metrics.kind == "segmentation":
        return " and takes ", *writer.measure(rate), " of the maps that reached the tolerance below it"
    if goal == "untargeted":
        return " and turns ", *writer.measure(rate), " of the initially correct answers wrong"
    return " and gets what the attacker wants in ", *writer.measure(rate), " of the cases in which it was not so before"


def _effort(writer: Writer, cell: str) -> tuple[Piece, ...]:
    if not writer.has(f"{cell}.passes_per_case"):
        return ()
    passes = writer.number(f"{cell}.passes_per_case.value")
    noun = "pass" if passes.text == "1" else "passes"
    return " It takes ", passes, f" {noun} through the model per case."


def _envelope(writer: Writer, headline: Headline) -> tuple[Piece, ...]:
    if headline.envelope is None:
        return ()
    curve, point = headline.envelope
    measure = f"$.curves[{curve}].points[{point}].measure"
    return " Counting for each case the worst of all attacks leaves ", *writer.measure(measure), "."


def _radius(writer: Writer, headline: Headline) -> tuple[Piece, ...]:
    if headline.radius is None:
        return ()
    path = f"$.curves[{headline.radius}].median_minimal_radius"
    unit = writer.draft.cells[headline.cell].limit.unit
    return " Half of the cases fall at or below ", writer.number(f"{path}.value", unit), "."


def _noise(writer: Writer, headline: Headline) -> tuple[Piece, ...]:
    if headline.control is None:
        return ()
    noise, attack = writer.draft.cells[headline.control], writer.draft.cells[headline.cell]
    if attack.metrics.kind != "classification" or harm_done(attack) <= 0:
        return ()
    cost = writer.number(f"$.cells[{headline.control}].metrics.accuracy_drop.value", "points")
    control = writer.word(f"$.cells[{headline.control}].attack")
    if harm_done(noise) < harm_done(attack) / 4:
        return (
            " The control (",
            control,
            ") costs ",
            cost,
            " at the same limit: the loss comes from the direction of the change, not from its size alone.",
        )
    return (
        " The control (",
        control,
        ") already costs ",
        cost,
        " at the same limit: part of the loss is poor tolerance of noise rather than the work of an attack.",
    )


def _traps(writer: Writer) -> tuple[Paragraph, ...]:
    made = []
    for position, trap in enumerate(writer.draft.traps):
        if trap.status != "failed":
            continue
        path = f"$.traps[{position}]"
        pieces: list[Piece] = [
            "Trap failed: ",
            writer.word(f"{path}.name"),
            ". ",
            writer.word(f"{path}.evidence"),
            " ",
            writer.word(f"{path}.meaning"),
            " ",
            writer.word(f"{path}.remedy"),
        ]
        if trap.explanation is not None:
            pieces += [" The plan explains: ", writer.word(f"{path}.explanation")]
        made.append(paragraph(*pieces))
    return tuple(made)
