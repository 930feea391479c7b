"""Words that give way to other words."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.errors import ThreatError
from titer.threats.change import Field
from titer.threats.changes.substitution import Substitution, choices_table
from titer.threats.random import CaseRandom

SYNONYMS = {1: (2, 3), 2: (1,), 4: (5, 6, 7)}
TABLE = torch.from_numpy(choices_table(SYNONYMS, 9))


def notes(*rows: list[int]) -> Field:
    clean = torch.tensor(rows)
    return Field(clean, None, None, torch.tensor(1.0), (clean != 0).float(), TABLE)


def test_the_table_is_padded_with_the_word_itself() -> None:
    assert TABLE.tolist()[:5] == [[0, 0, 0], [2, 3, 1], [1, 2, 2], [3, 3, 3], [5, 6, 7]]
    assert choices_table({}, 3).tolist() == [[0], [1], [2]]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 8), min_size=5, max_size=5), min_size=1, max_size=4),
    limit=st.integers(0, 6),
    draw=st.integers(0, 99),
)
def test_samples_are_valid_and_within_the_limit(rows: list[list[int]], limit: int, draw: int) -> None:
    change, field = Substitution(), notes(*rows)
    rng = CaseRandom.of("words", map(str, range(len(rows))))
    drawn = change.sample(field, torch.full((len(rows),), float(limit)), rng, draw)
    open_words = torch.tensor([[word in SYNONYMS for word in row] for row in rows]).sum(dim=1)
    assert bool(change.valid(field, drawn).all())
    assert change.cost(field, drawn).tolist() == open_words.clamp(max=limit).tolist()
    assert not bool(((drawn != field.clean) & (field.clean == 0)).any())


def test_choices_are_those_of_the_clean_word() -> None:
    change, field = Substitution(), notes([1, 4, 0])
    assert change.edits(field, torch.tensor([[2, 7, 0]])).tolist() == [[[2, 3, 1], [5, 6, 7], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("words", "fine"),
    [([1, 4, 0], True), ([3, 6, 0], True), ([8, 4, 0], False), ([1, 4, 2], False), ([2, 5, 1], False)],
)
def test_only_listed_words_are_valid(words: list[int], fine: bool) -> None:
    assert Substitution().valid(notes([1, 4, 0]), torch.tensor([words])).tolist() == [fine]


def test_doing_nothing_is_free_and_its_own_copy() -> None:
    change, field = Substitution(), notes([1, 4, 0])
    nothing = change.nothing(field)
    assert change.cost(field, nothing).tolist() == [0.0]
    nothing[0, 0] = 8
    assert field.clean[0, 0] == 1


def test_without_a_list_it_is_refused() -> None:
    bare = Field(torch.tensor([[1]]), None, None, torch.tensor(1.0))
    with pytest.raises(ThreatError, match="a list of words"):
        Substitution().check(bare)
    with pytest.raises(ThreatError, match="token numbers of 0 to 2"):
        choices_table({1: (5,)}, 3)
