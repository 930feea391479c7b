"""Metrics and log lines: bounded, of known words alone, and served to this machine."""

from __future__ import annotations

import ast
import io
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from guard_tools import Counting, Hospital
from prometheus_client.parser import text_string_to_metric_families
from trail_tools import A, decision, events

import titer.provenance
from titer.errors import GuardError, LedgerError
from titer.provenance.guard.stages import STAGES
from titer.provenance.guard.trail.codes import CODES
from titer.provenance.guard.trail.logs import FIELDS, JsonLines, Log, handler
from titer.provenance.guard.trail.metrics import Metrics
from titer.provenance.guard.trail.metrics_server import MetricsServer
from titer.provenance.guard.trail.outbox import Outbox


def _samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    text = prometheus_client.generate_latest(metrics.registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_decisions_are_counted_by_what_was_done() -> None:
    metrics = Metrics()
    for each in [decision()] * 3 + [decision("altered", "banner", reasons=("content.px", "content.rd"))]:
        metrics(each)
    metrics(decision("error", "pass", "observe", leaf_hash="", reasons=("MRN 4471920",)))
    told = _samples(metrics)
    assert told["titer_guard_decisions_total", ("flag", "pass", "verified")] == 3
    assert told["titer_guard_decisions_total", ("altered", "banner", "flag")] == 1
    assert told["titer_guard_reasons_total", ("content.rd",)] == 1
    assert told["titer_guard_reasons_total", ("other",)] == 1
    assert told["titer_guard_unnoted_total", ()] == 1
    assert told["titer_guard_stage_seconds_count", ("model",)] == 5
    assert told["titer_guard_stage_seconds_sum", ("model",)] == pytest.approx(0.1)


def test_series_are_bounded_whatever_is_told() -> None:
    metrics = Metrics()
    for number in range(2000):
        metrics(decision("error", "quarantine", "block", reasons=(f"limit.{number}", f"patient {number}")))
    for each in events():
        metrics(each)
    reasons = {labels for name, labels in _samples(metrics) if name == "titer_guard_reasons_total"}
    assert reasons <= {(code,) for code in CODES} | {("other",)}


def test_the_registry_is_its_own() -> None:
    before = prometheus_client.generate_latest(prometheus_client.REGISTRY)
    metrics = Metrics()
    metrics(decision())
    assert b"titer" not in prometheus_client.generate_latest(prometheus_client.REGISTRY)
    assert b"python_info" not in prometheus_client.generate_latest(metrics.registry)
    assert b"titer" not in before
    # Two guards in one process do not count each other's decisions.
    assert ("titer_guard_decisions_total", ("flag", "pass", "verified")) not in _samples(Metrics())


def test_log_queues_and_listeners_are_told(hospital: Hospital, tmp_path: Path) -> None:
    def away(messages: Any) -> None:
        raise OSError

    def fails(event: Any) -> None:
        raise ValueError

    made = hospital.point.capture(b"measured", "text")
    assert made.appended.index is not None
    age = (hospital.ledger.site.public / "checkpoint").stat().st_mtime
    with Outbox(tmp_path / "queue", away) as outbox:
        outbox.put(b"waits")
        metrics = Metrics(hospital.ledger, lambda: {"atna": outbox}, clock=lambda: age + 60)
        guarded = hospital.guarded(Counting(), listeners=[metrics, fails])
        metrics.watch(guarded.listeners)
        guarded(b"measured", "text")
        told = _samples(metrics)
    assert told["titer_ledger_up", ()] == 1
    assert told["titer_ledger_entries", ()] >= made.appended.index + 1
    assert told["titer_ledger_lag", ()] == told["titer_ledger_entries", ()] - told["titer_ledger_published", ()]
    assert told["titer_ledger_checkpoint_age_seconds", ()] <= 60
    assert told["titer_trail_waiting", ("atna",)] == 1
    assert told["titer_trail_refused", ("atna",)] == 0
    assert told["titer_trail_listener_failures_total", ("fails",)] == 1
    assert all(told["titer_guard_stage_seconds_count", (each,)] == 1 for each in STAGES)


def test_a_ledger_that_cannot_be_read_is_told_and_the_rest_goes_on(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise LedgerError("a database", "none", "start it", code="storage.failed")

    monkeypatch.setattr(hospital.ledger.store, "size", refuse)
    metrics = Metrics(hospital.ledger)
    metrics(decision())
    told = _samples(metrics)
    assert told["titer_ledger_up", ()] == 0
    assert ("titer_ledger_entries", ()) not in told
    assert told["titer_guard_decisions_total", ("flag", "pass", "verified")] == 1


def _asked(port: int, path: str = "/metrics", token: str = "") -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_numbers_are_served_on_this_machine() -> None:
    metrics = Metrics()
    metrics(decision())
    with MetricsServer(metrics.registry) as server:
        assert server.server_address[0] == "127.0.0.1"
        status, text = _asked(server.port)
        assert status == 200
        assert b'titer_guard_decisions_total{action="pass",mode="flag",verdict="verified"} 1.0' in text
        assert _asked(server.port, "/")[0] == 404
        with pytest.raises(GuardError, match="free"):
            MetricsServer(metrics.registry, port=server.port)


def test_others_need_a_token() -> None:
    registry, token = Metrics().registry, "a-token-of-some-length"
    for more in ({"host": "0.0.0.0"}, {"token": "short"}, {"host": ""}):
        with pytest.raises(GuardError, match="token"):
            MetricsServer(registry, **more)
    with MetricsServer(registry, token=token) as server:
        assert [_asked(server.port, token=each)[0] for each in ("", "wrong", "\xff", token)] == [401, 401, 401, 200]


# -- log lines --------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines() -> Iterator[Any]:
    stream = io.StringIO()
    mine = handler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(mine)
    root.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(mine)
    root.setLevel(level)


def test_events_are_lines_of_known_fields(lines: Any) -> None:
    told = events()
    for each in told:
        Log()(each)
    found = lines()
    assert len(found) == len(told)
    assert all(set(line) <= set(FIELDS) for line in found)
    first = next(line for line in found if line["kind"] == "decision")
    assert (first["message"], first["level"], first["signer"]) == ("decision: pass", "INFO", A)
    assert first["milliseconds"] == {"model": 20.0, "lookup": 1.0}
    assert {line["level"] for line, event in zip(found, told, strict=True) if not event.sound} == {"WARNING"}


@pytest.mark.parametrize(
    ("args", "message"),
    [(("altered", "content.px, content.rd"), "altered: content.px, content.rd"),
     (("Jane Roe", "x"), "withheld: withheld"),
     ((3, True), "3: True"), ((78051120, "/srv/Roe"), "withheld: withheld"), (("ab" * 32, None), f"{'ab' * 32}: None"),
     ((b"Roe", ["Roe"]), "withheld: withheld"), (("content.px, Roe", 1e9), "withheld: withheld"),
     (("OSError", "KeyError"), "OSError: KeyError"), (("", float("nan")), ": withheld")],
)  # fmt: skip
def test_only_known_words_get_into_a_message(lines: Any, args: tuple[Any, ...], message: str) -> None:
    logging.getLogger("titer.provenance.guard.test").warning("%s: %s", *args)
    assert [line["message"] for line in lines()] == [message]


def test_a_message_that_does_not_fit_its_template_is_told_without() -> None:
    record = logging.LogRecord("titer.provenance", logging.ERROR, "", 0, "%s: %s", ("Jane Roe",), None)
    assert json.loads(JsonLines().format(record))["message"] == "%s: %s"


def test_exceptions_are_told_by_type_and_place(lines: Any) -> None:
    log = logging.getLogger("titer.provenance.guard.test")
    for error in (ValueError("Jane Roe"), GuardError("a name", "Jane Roe", "none", code="index.damaged")):
        try:
            raise error
        except Exception:
            log.exception("a detector failed", extra={"patient": "Jane Roe"})
    found = lines()
    assert [(line["message"], line["error"]) for line in found] == [
        ("a detector failed", "ValueError"), ("a detector failed", "GuardError"),
    ]  # fmt: skip
    assert found[1]["code"] == "index.damaged"
    assert found[0]["where"][0].startswith("test_trail_metrics:")
    assert "Roe" not in json.dumps(found)


def test_other_loggers_and_strange_messages_are_left_out(lines: Any) -> None:
    logging.getLogger("pynetdicom.acse").warning("Jane Roe associates")
    logging.getLogger("titer.provenances").warning("Jane Roe")
    logging.getLogger("titer.provenance.x").warning(ValueError("Jane Roe"))
    logging.getLogger("titer.provenance.x").warning("%(who)s", {"who": "Jane Roe"})
    assert [line["message"] for line in lines()] == ["withheld", "withheld"]


def test_messages_of_the_guard_are_constants() -> None:
    """What the formatter takes for a template must be one: no text of ours is made from data."""
    names = {"debug", "info", "warning", "error", "exception", "critical", "log"}
    found = 0
    for path in Path(titer.provenance.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
                if getattr(node.func.value, "id", getattr(node.func.value, "attr", "")).lower() not in ("_log", "log"):
                    continue
                text = node.args[1 if node.func.attr == "log" else 0]
                assert isinstance(text, ast.Constant), f"{path.name}:{node.lineno}"
                found += 1
    assert found > 8
