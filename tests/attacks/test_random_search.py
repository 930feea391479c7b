"""Random search: what labels alone allow."""

from __future__ import annotations

import numpy as np

from titer.attacks.engine import run
from titer.attacks.noise import Noise
from titer.attacks.random_search import RandomSearch
from titer.testing import models
from titer.threats.changes.additive import Additive
from titer.threats.changes.substitution import Substitution
from titer.threats.threat import ThreatModel


def test_it_stops_at_the_first_success_and_finds_no_less_than_noise() -> None:
    model, batch = models.network("image", 40)
    threat = ThreatModel(Additive(), 0.1, knowledge="labels")
    noise, search = (run(attack, model, batch, threat, seed="s") for attack in (Noise(), RandomSearch(queries=20)))
    assert (search.fooled >= noise.fooled).all()
    assert search.fooled.sum() > noise.fooled.sum()
    assert (search.queries[~search.fooled] == 20).all()
    assert search.queries[search.fooled].max() <= 20
    assert search.queries[search.fooled].min() == 1


def test_every_kind_of_edit_can_be_drawn() -> None:
    for kind, change, limit in (("image", Additive("l0"), 5), ("tokens", Substitution(), 3)):
        model, batch = models.network(kind, 30)  # type: ignore[arg-type]
        table = models.choices(model.space) if kind == "tokens" else None
        threat = ThreatModel(change, limit, knowledge="labels", queries=6)
        outcome = run(RandomSearch(), model, batch, threat, seed="s", choices=table)
        assert not outcome.violated.any()
        assert outcome.queries.max() <= 6
        assert outcome.fooled.any()
        np.testing.assert_array_equal(outcome.cost[~outcome.fooled], 0)
