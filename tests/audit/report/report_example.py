"""A realistic report made of formulas: four model families, three attacks and a control, every block filled."""

from __future__ import annotations

from functools import cache

import report_example_checks as checks
import report_example_results as results
from report_example_gallery import gallery
from report_example_parts import attacks, datasets, identity, models, other_tasks, threats

from titer.audit.report import schema as s
from titer.audit.report.summary import complete


@cache
def example_draft() -> s.Draft:
    cells = results.cells()
    cells += other_tasks()
    return s.Draft(
        identity=identity(),
        models=models(),
        datasets=datasets(),
        threats=threats(),
        attacks=attacks(),
        cells=cells,
        curves=results.curves(),
        error_shifts=results.error_shifts(),
        subgroups=checks.subgroups(),
        comparisons=checks.comparisons(),
        figure1=results.figure1(),
        table1=results.table1(),
        traps=checks.traps(cells),
        gallery=gallery(),
        limits=checks.limits(),
        limitations=(
            "Attacks were computed on stored inputs; no attack was carried out on a device.",
            "Five trials cannot show small differences between attacks.",
            "Twin data are generated; accuracy on patients may be lower.",
        ),
    )


@cache
def example_report() -> s.Report:
    return complete(example_draft())
