"""Results as columns: Parquet that any tool can read, with the settings that made them in its metadata."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titer.cases.case import Array
from titer.digest import canonical
from titer.errors import StoreError

__all__ = ["Array", "Table"]
_KEY = b"titer"


@dataclass(frozen=True, eq=False)
class Table:
    """Columns with one row per case, and what is true of all rows.

    Arguments
        columns: name -> [n] or [n, K] numbers, booleans or strings, or n byte strings (object array; None for none).
        facts: JSON-ready settings and findings of the job that made the table.

    >>> table = Table({"fooled": np.array([True, False])}, {"attack": "pgd"})
    >>> Table.of_bytes(table.to_bytes()).columns["fooled"].tolist()
    [True, False]
    """

    columns: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def to_bytes(self) -> bytes:
        """The table as a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = {name: _arrow(column) for name, column in self.columns.items()}
        table = pa.table(arrays).replace_schema_metadata({_KEY: canonical(self.facts).encode()})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        return sink.getvalue()

    @classmethod
    def of_bytes(cls, data: bytes) -> Table:
        """A table from the bytes of a Parquet file that Titer wrote."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(io.BytesIO(data))
            facts = json.loads((table.schema.metadata or {})[_KEY])
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            raise StoreError(
                "a result table", f"{len(data)} bytes that are none ({type(error).__name__})", "delete it and run again"
            ) from error
        return cls({name: _numpy(table.column(name).combine_chunks()) for name in table.column_names}, facts)


def _arrow(column: Array) -> Any:
    import pyarrow as pa

    if column.dtype == object:
        return pa.array(list(column), type=pa.binary())
    if column.ndim == 2:
        flat = pa.array(np.ascontiguousarray(column).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, column.shape[1])
    return pa.array(column)


def _numpy(column: Any) -> Array:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size))
    if pa.types.is_binary(column.type):
        return np.array(column.to_pylist(), dtype=object)
    return np.asarray(column.to_numpy(zero_copy_only=False))
