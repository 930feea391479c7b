"""Random numbers that belong to a case."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from titer.threats.random import CaseRandom, philox

ONES = 0xFFFFFFFF
# Random123 (Salmon et al. 2011), kat_vectors, philox4x32 with 10 rounds: counter, key, answer.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_known_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], answer: tuple[int, ...]
) -> None:
    a, b, c, d = (torch.tensor(word) for word in counter)
    words = philox((a, b, c, d), (torch.tensor(key[0]), torch.tensor(key[1])))
    assert tuple(int(word) for word in words) == answer


@settings(max_examples=30, deadline=None)
@given(
    ids=st.lists(st.text(max_size=4), min_size=1, max_size=6, unique=True),
    draw=st.integers(0, 2**32 - 1),
    count=st.integers(1, 9),
    data=st.data(),
)
def test_a_case_alone_draws_what_it_draws_in_a_batch(
    ids: list[str], draw: int, count: int, data: st.DataObject
) -> None:
    together = CaseRandom.of("plan", ids)
    row = data.draw(st.integers(0, len(ids) - 1))
    alone = CaseRandom.of("plan", [ids[row]])
    for name in ("uniform", "normal", "signs"):
        assert torch.equal(getattr(together, name)((count,), draw)[row], getattr(alone, name)((count,), draw)[0])
    assert torch.equal(together.rows(torch.tensor([row])).words(count, draw), alone.words(count, draw))


def test_more_numbers_begin_with_the_same_numbers() -> None:
    rng = CaseRandom.of("plan", ["a"])
    assert torch.equal(rng.uniform((100,), 3)[:, :10], rng.uniform((10,), 3))


def test_seeds_names_and_draws_give_other_numbers() -> None:
    drawn = [
        CaseRandom.of(seed, [name]).words(8, draw).tolist()
        for seed in ("a", "b")
        for name in ("a", "b")
        for draw in (0, 1)
    ]
    assert len({tuple(map(tuple, words)) for words in drawn}) == 8


def test_names_do_not_run_into_seeds() -> None:
    assert CaseRandom.of("a", ["bc"]).keys.tolist() != CaseRandom.of("ab", ["c"]).keys.tolist()


def test_distributions_are_what_they_say() -> None:
    rng = CaseRandom.of("plan", map(str, range(40)))
    uniform, normal = rng.uniform((500,), 0).flatten(), rng.normal((500,), 1).flatten()
    signs = rng.signs((500,), 2).flatten()
    assert stats.kstest(uniform.numpy(), "uniform").pvalue > 0.001
    assert stats.kstest(normal.numpy(), "norm").pvalue > 0.001
    assert 0 < uniform.min() < uniform.max() < 1
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 0.03


def test_positions_and_neighboring_draws_do_not_move_together() -> None:
    rng = CaseRandom.of("plan", map(str, range(2000)))
    table = torch.cat([rng.uniform((3,), 0), rng.uniform((3,), 1)], dim=1)
    off_diagonal = torch.corrcoef(table.T) - torch.eye(6)
    assert float(off_diagonal.abs().max()) < 0.1
