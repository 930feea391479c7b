"""A budget of queries is one for all processes and all runs, whatever ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from adapter_examples import serve_model, serving

from titer.audit.driver import opened, run
from titer.audit.plan_file import parse_plan
from titer.audit.run import choose
from titer.errors import EndpointError, ExecutionError, StoreError, TiterError
from titer.models.adapters.ledger import Ledger

PLAN = """\
titer: 1
data: {{name: breast_biopsies, cases: 12}}
model: {{url: "{url}", classes: [malignant, benign], max_queries: {most}, retries: 0}}
threats:
  - {{change: additive, norm: linf, limits: [0.25, 0.5], queries: 20}}
attacks: [square, noise]
resamples: 200
"""
CHARGE = """
import sys
from pathlib import Path
from titer.models.adapters.ledger import Ledger
ledger, wins = Ledger(Path(sys.argv[1])), 0
for _ in range(100):
    wins += ledger.enter(3, most=450) is None
print(wins)
"""


def test_processes_that_count_at_once_lose_no_case_and_never_pass_the_budget(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CHARGE, str(tmp_path / "count")]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    won = sum(int(each.communicate(timeout=120)[0]) for each in running)
    assert won == 150
    assert Ledger(tmp_path / "count").sent() == 450


def test_a_killed_process_has_counted_what_it_sent(tmp_path: Path) -> None:
    code = CHARGE.replace("range(100)", "range(10**9)").replace("most=450", "most=10**9")
    running = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "count")])
    ledger, deadline = Ledger(tmp_path / "count"), time.monotonic() + 60
    while ledger.sent() < 30 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    sent = ledger.sent()
    assert sent >= 30
    assert ledger.enter(1, most=sent) == sent
    assert ledger.enter(1, most=sent + 1) is None


def test_a_count_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="scheduler inline"):
        Ledger(tmp_path / "no folder" / "count").enter(1, most=5)
    (tmp_path / "count").write_text("many")
    with pytest.raises(EndpointError, match="'many'"):
        Ledger(tmp_path / "count").sent()


def audited(server: Any, out: Path, most: int, executor: Any) -> None:
    text = PLAN.format(url=f"{server.address}/v2/models/biopsies", most=most)
    run(opened(parse_plan(text), None, out=out), out, executor)


def test_an_audit_that_is_stopped_by_its_budget_goes_on_with_the_rest_of_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with serving(serve_model.biopsies()) as server:
        with pytest.raises(ExecutionError, match="at most 150 queries"):
            audited(server, out, 150, choose("processes", 2))
        assert server.cases <= 150
        (count,) = (out / "queries").iterdir()
        assert Ledger(count).sent() == server.cases
        kept = server.cases
        with pytest.raises(TiterError, match="at most 150 queries"):
            audited(server, out, 150, choose("inline"))
        assert kept <= server.cases <= 150
        audited(server, out, 5000, choose("inline"))
        assert Ledger(count).sent() == server.cases
