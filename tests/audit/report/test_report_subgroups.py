"""Small groups cannot be read, nor be had by subtraction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from titer.audit.report.schema import SMALLEST_GROUP, Measure, SubgroupRow, SubgroupTable, suppress_small

SIZES = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 60), min_size=1, max_size=6)


@given(SIZES)
def test_what_is_withheld_cannot_be_computed(sizes: dict[str, int]) -> None:
    rows = suppress_small({name: (n, {}) for name, n in sizes.items()})
    hidden = [row for row in rows if row.suppressed]
    shown = [row for row in rows if not row.suppressed]
    assert all(row.n is not None and row.n >= SMALLEST_GROUP for row in shown)
    assert all(row.n is None and not row.measures for row in hidden)
    assert len(hidden) != 1 or len(rows) == 1
    SubgroupTable(cell="c", column="sex", rows=rows)


@given(SIZES.filter(lambda sizes: all(n >= SMALLEST_GROUP for n in sizes.values())))
def test_large_groups_are_all_shown(sizes: dict[str, int]) -> None:
    rows = suppress_small({name: (n, {}) for name, n in sizes.items()})
    assert {row.value: row.n for row in rows} == sizes


def test_a_small_group_with_numbers_is_refused() -> None:
    with pytest.raises(ValidationError, match="fewer than 10"):
        SubgroupRow(value="under 18", n=SMALLEST_GROUP - 1)


def test_a_withheld_group_with_numbers_is_refused() -> None:
    measure = Measure(value=0.5, n=7, method="Wilson")
    with pytest.raises(ValidationError, match="neither n nor measures"):
        SubgroupRow(value="under 18", suppressed=True, measures={"accuracy": measure})


def test_one_withheld_group_beside_shown_ones_is_refused() -> None:
    rows = (SubgroupRow(value="a", suppressed=True), SubgroupRow(value="b", n=40))
    with pytest.raises(ValidationError, match="subtraction"):
        SubgroupTable(cell="c", column="age", rows=rows)
