"""Result tables: what goes in comes out, and other bytes are refused."""

from __future__ import annotations

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from titer.audit.table import Table
from titer.errors import StoreError


@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=5)),
    st.dictionaries(st.text(max_size=5), st.integers()),
)
def test_round_trip(scores: np.ndarray, facts: dict[str, int]) -> None:
    table = Table({"scores": scores, "hit": scores[:, 0] > 0, "row": np.arange(len(scores))}, facts)
    back = Table.of_bytes(table.to_bytes())
    np.testing.assert_array_equal(back["scores"], scores)
    np.testing.assert_array_equal(back["hit"], table["hit"])
    assert back.facts == facts


def test_bytes_and_words_survive() -> None:
    pictures = np.array([b"\x00\x01", None, b""], dtype=object)
    back = Table.of_bytes(Table({"p": pictures, "g": np.array(["F", "M", "F"])}, {}).to_bytes())
    assert list(back["p"]) == [b"\x00\x01", None, b""]
    assert back["g"].tolist() == ["F", "M", "F"]


def test_any_tool_can_read_it() -> None:
    data = Table({"scores": np.eye(3)}, {"a": 1}).to_bytes()
    assert pq.read_table(io.BytesIO(data)).column_names == ["scores"]


def test_equal_tables_have_equal_bytes() -> None:
    def make() -> bytes:
        return Table({"scores": np.arange(6.0).reshape(3, 2)}, {"b": 1, "a": 2}).to_bytes()

    assert make() == make()


def test_cut_files_are_refused() -> None:
    data = Table({"scores": np.eye(3)}, {}).to_bytes()
    for end in (0, 4, len(data) // 2, len(data) - 1):
        with pytest.raises(StoreError, match="result table"):
            Table.of_bytes(data[:end])
