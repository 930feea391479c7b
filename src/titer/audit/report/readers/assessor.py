"""For whoever judges the evidence: design, soundness, limits and what is not shown."""

from __future__ import annotations

from titer.audit.report.headlines import Headline
from titer.audit.report.schema import Paragraph
from titer.audit.report.sentences import Piece, Writer, paragraph


def paragraphs(writer: Writer, found: tuple[Headline, ...]) -> tuple[Paragraph, ...]:
    """Design, separation of patients, soundness, statistics, limits of the plan."""
    return (
        _design(writer),
        _separation(writer),
        _soundness(writer),
        *_statistics(writer, found),
        *_rules(writer),
        _limitations(writer),
        *_published(writer),
    )


def _design(writer: Writer) -> Paragraph:
    totals = "$.summary.totals"

    def count(name: str, one: str, many: str) -> tuple[Piece, ...]:
        shown = writer.number(f"{totals}.{name}")
        return shown, f" {one if shown.text == '1' else many}"

    seeds: list[Piece] = []
    for position in range(len(writer.draft.identity.seeds)):
        seeds += [", " if position else "", writer.number(f"$.identity.seeds[{position}]")]
    # A seed is a name, not an amount: no thousands separator.
    seeds = [p if isinstance(p, str) else p.model_copy(update={"text": p.text.replace(",", "")}) for p in seeds]
    identity = "$.identity"
    return paragraph(
        *count("models", "model", "models"),
        ", ",
        *count("datasets", "data set", "data sets"),
        ", ",
        *count("attacks", "attack", "attacks"),
        " and ",
        *count("controls", "control", "controls"),
        " gave ",
        *count("cells", "result", "results"),
        " from ",
        *count("trials", "trial", "trials"),
        " (seeds ",
        *seeds,
        ").",
        " Plan ",
        writer.word(f"{identity}.plan.name"),
        ", digest ",
        writer.word(f"{identity}.plan.digest"),
        "; Titer ",
        writer.word(f"{identity}.titer_version"),
        ".",
    )


def _separation(writer: Writer) -> Paragraph:
    pieces: list[Piece] = ["Separation of patients. "]
    for position, card in enumerate(writer.draft.datasets):
        path = f"$.datasets[{position}]"
        verdict = {"passed": "", "failed": " (check failed)", "not applicable": " (check not applicable)"}
        pieces += [
            writer.word(f"{path}.name"),
            verdict[card.leakage.status],
            ": ",
            writer.word(f"{path}.leakage.sentence"),
            " ",
        ]
    return paragraph(*pieces[:-1])


def _soundness(writer: Writer) -> Paragraph:
    totals = "$.summary.totals"
    traps, passed, failed, explained, other = (
        writer.number(f"{totals}.{name}")
        for name in ("traps", "traps_passed", "traps_failed", "traps_explained", "traps_not_applicable")
    )
    return paragraph(
        "Soundness of the evaluation. Traps set: ",
        traps,
        "; passed: ",
        passed,
        "; failed: ",
        failed,
        " (explained in the plan: ",
        explained,
        "); not applicable: ",
        other,
        ". Results marked suspect: ",
        writer.number(f"{totals}.suspect_cells"),
        " of ",
        writer.number(f"{totals}.cells"),
        ".",
    )


def _statistics(writer: Writer, found: tuple[Headline, ...]) -> tuple[Paragraph, ...]:
    made = []
    for headline in found:
        cell = f"$.cells[{headline.cell}]"
        tests = writer.draft.cells[headline.cell].tests
        if tests:
            pieces: list[Piece] = [
                writer.word(f"{cell}.model"),
                ", ",
                writer.word(f"{cell}.attack"),
                " at ",
                *writer.limit(f"{cell}.limit"),
                ".",
            ]
            for position in range(len(tests)):
                pieces += [" ", writer.word(f"{cell}.tests[{position}].sentence")]
            made.append(paragraph(*pieces))
    return tuple(made)


def _rules(writer: Writer) -> tuple[Paragraph, ...]:
    made = []
    for position, rule in enumerate(writer.draft.limits.rules):
        path = f"$.limits.rules[{position}]"
        pieces: list[Piece] = ["Limit of the plan, stated as what must not happen: ", writer.word(f"{path}.rule"), ". "]
        if rule.measured is None:
            pieces += ["It could not be judged."]
        else:
            verdict = {"held": "The limit held.", "broken": "The limit is broken."}.get(
                rule.status, "It is not judged: what was measured would hold, but cannot be relied on."
            )
            pieces += ["Measured: ", writer.number(f"{path}.measured", rule.unit), ". ", verdict]
        for part in ("scope", "reason"):
            if getattr(rule, part):
                pieces += [" ", writer.word(f"{path}.{part}")]
        made.append(paragraph(*pieces))
    return tuple(made)


def _limitations(writer: Writer) -> Paragraph:
    pieces: list[Piece] = ["What this audit cannot say."]
    for position in range(len(writer.draft.limitations)):
        pieces += [" ", writer.word(f"$.limitations[{position}]")]
    return paragraph(*pieces)


def _published(writer: Writer) -> tuple[Paragraph, ...]:
    row = next((i for i, row in enumerate(writer.draft.table1) if row.published is not None), None)
    if row is None:
        return ()
    label = writer.word(f"$.table1[{row}].published.label")
    return (
        paragraph("Published figures stand beside ours as context, not as targets; they are labeled ‘", label, "’."),
    )
