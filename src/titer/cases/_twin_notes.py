"""Near-identical notes: exact set-similarity join over three-word phrases."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.cases.case import Array
from titer.cases.space import Space

_BLOCK = 512


def alike_notes(tokens: Array, space: Space, part: Array, limit: float) -> Array:
    """[m, 2] notes of different parts that share at least `limit` of their phrases (Jaccard index).

    Two sets with a Jaccard index of t or more share one of the |x| - ceil(t |x|) + 1 rarest elements of either, so
    only pairs that share a rare phrase are compared in full.

    Source: prefix filter of Chaudhuri, Ganti, Kaushik, "A primitive operator for similarity joins in data cleaning",
    ICDE 2006, doi 10.1109/ICDE.2006.9.

    Arguments
        tokens: [n, L] token numbers. space: with padding and vocabulary. part: [n] part numbers. limit: t.
    """
    phrases = _phrases(tokens, space)
    sizes = np.asarray(phrases.sum(axis=1)).reshape(-1)
    rare = _rarest(phrases, sizes, limit)
    found = []
    for earlier in (0, 1):
        left, right = np.flatnonzero(part == earlier), np.flatnonzero(part > earlier)
        if not len(left) or not len(right):
            continue
        columns = rare[right].T.tocsc()
        for start in range(0, len(left), _BLOCK):
            mine = left[start : start + _BLOCK]
            near = (rare[mine] @ columns).tocoo()
            a, b = mine[near.row], right[near.col]
            shared = np.asarray(phrases[a].multiply(phrases[b]).sum(axis=1)).reshape(-1)
            found.append(np.column_stack([a, b])[shared >= limit * (sizes[a] + sizes[b] - shared)])
    return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)


def _phrases(tokens: Array, space: Space) -> Any:
    """[n, S] sparse 0/1: which three-word phrases a note holds; a shorter note counts as one phrase."""
    from scipy.sparse import csr_matrix

    words, base = tokens.astype(np.int64), len(space.vocabulary)
    while words.shape[1] < 3:
        words = np.column_stack([words, np.full(len(words), space.padding)])
    codes = (words[:, :-2] * base + words[:, 1:-1]) * base + words[:, 2:]
    real = words[:, 2:] != space.padding
    real[:, 0] = True
    rows = np.repeat(np.arange(len(words)), real.sum(axis=1))
    _, columns = np.unique(codes[real], return_inverse=True)
    columns = columns.reshape(-1)
    phrases = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)))
    phrases.sum_duplicates()
    phrases.data[:] = 1
    return phrases


def _rarest(phrases: Any, sizes: Array, limit: float) -> Any:
    """The rarest phrases of each note, as many as the prefix filter asks for."""
    from scipy.sparse import csr_matrix

    often = np.asarray(phrases.sum(axis=0)).reshape(-1)
    rows = np.repeat(np.arange(phrases.shape[0]), np.diff(phrases.indptr))
    # One order of phrases for all notes: by how often they occur, then by number.
    order = np.lexsort((phrases.indices, often[phrases.indices], rows))
    rank = np.arange(len(order)) - phrases.indptr[rows[order]]
    wanted = (sizes - np.ceil(limit * sizes - 1e-9) + 1)[rows[order]]
    kept = order[rank < wanted]
    return csr_matrix((phrases.data[kept], (rows[kept], phrases.indices[kept])), shape=phrases.shape)
