"""Requests to stop: heard, heard later, and left to others."""

from __future__ import annotations

import signal
import threading

import pytest

from titer.audit.run.signals import stoppable, undisturbed


def test_a_request_to_end_acts_like_ctrl_c_and_afterwards_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stoppable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_somebody_elses_handler_stays() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with stoppable():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_step_is_ended_before_a_request_is_heard(number: signal.Signals) -> None:
    steps: list[str] = []

    def work() -> None:
        with undisturbed():
            signal.raise_signal(number)
            steps.append("ended")
        steps.append("not reached")

    with stoppable(), pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["ended"]


def test_an_error_in_a_step_is_kept() -> None:
    def work() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("broken")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="broken"):
        work()
    assert signal.getsignal(signal.SIGINT) == before


def test_other_threads_are_left_alone() -> None:
    done: list[str] = []

    def work() -> None:
        with stoppable(), undisturbed():
            done.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["worked"]
