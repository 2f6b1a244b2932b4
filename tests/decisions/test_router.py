"""The dual process: who is asked twice, once, and what happens when the second answer does not come."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from pilothouse.decisions.audit import AuditLog, faults
from pilothouse.decisions.gate import CostGate
from pilothouse.decisions.router import MarginRouter


class Slow:
    """Says (1, 1) of everything, and remembers what it was asked."""

    def __init__(self, fails: tuple[float, ...] = ()) -> None:
        self.asked: list[float] = []
        self.fails = fails

    def __call__(self, X):
        self.asked += list(X)
        if any(x in self.fails for x in X):
            raise TimeoutError("too late")
        return np.ones(len(X)), np.ones(len(X))


def half(X):
    """Need one half; acceptance is the event itself."""
    return np.full(len(X), 0.5), np.asarray(X, dtype=float)


def test_the_specification_by_hand() -> None:
    slow = Slow()
    router = MarginRouter(half, slow, CostGate(1, 1), delta=0.1)  # tau is 2/3
    found = router([0.60])
    assert slow.asked == [0.60]
    assert found.speak.tolist() == [True]  # the slow chances were kept
    assert router([0.55]).asked.tolist() == [False]  # |.55 - .667| > .1
    assert slow.asked == [0.60]


def test_every_event_near_the_threshold_is_asked_about_once() -> None:
    slow, X = Slow(), [0.55, 0.60, 0.70, 0.99, 0.64]
    found = MarginRouter(half, slow, CostGate(), delta=0.1, batch=2)(X)
    assert slow.asked == [0.60, 0.70, 0.64]
    assert found.asked.tolist() == [False, True, True, False, True]
    assert found.p_acc.tolist() == [0.55, 1.0, 1.0, 0.99, 1.0]
    assert not found.failed.any()


def test_no_margin_is_the_fast_estimate_and_a_margin_of_one_the_slow() -> None:
    X = list(np.random.default_rng(0).random(50))
    slow = Slow()
    found = MarginRouter(half, slow, CostGate(), delta=0)(X)
    assert not slow.asked
    assert (found.speak == CostGate().decide(*half(X))).all()
    found = MarginRouter(half, slow, CostGate(), delta=1)(X)
    assert len(slow.asked) == 50
    assert (found.p_acc == 1).all()
    assert not MarginRouter(half, None, CostGate(), delta=1)(X).asked.any()


def test_a_tie_is_asked_about_even_without_a_margin() -> None:
    gate, slow = CostGate(1, 1), Slow()
    MarginRouter(lambda X: (np.ones(len(X)), np.asarray(X)), slow, gate, delta=0)([0.5, 0.6])
    assert slow.asked == [0.5]


def test_what_fails_keeps_the_fast_estimate_and_says_so() -> None:
    router = MarginRouter(half, Slow(fails=(0.7,)), CostGate(), delta=0.1, batch=1)
    found = router([0.60, 0.70, 0.2])
    assert found.asked.tolist() == [True, True, False]
    assert found.failed.tolist() == [False, True, False]
    assert found.p_acc.tolist() == [1.0, 0.7, 0.2]
    unreadable = MarginRouter(half, lambda X: (np.ones(len(X)), [np.nan] * len(X)), CostGate(), delta=1)([0.6])
    assert unreadable.failed.tolist() == [True]
    assert unreadable.p_need.tolist() == [0.5]


def test_a_mistake_in_the_program_is_not_taken_for_a_failure() -> None:
    def broken(X):
        raise TypeError("not a timeout")

    with pytest.raises(TypeError):
        MarginRouter(half, broken, CostGate(), delta=1)([0.6])
    with pytest.raises(ValueError, match="must return two columns"):
        MarginRouter(half, lambda X: np.ones(3), CostGate(), delta=1)([0.6])
    with pytest.raises(ValueError, match="'p_need of the slow estimate' has 2 rows and 'X' has 1"):
        MarginRouter(half, lambda X: (np.ones(2), np.ones(2)), CostGate(), delta=1)([0.6])
    with pytest.raises(ValueError, match=r"'p_acc of the fast estimate' has 1 values outside \[0, 1\], in row 2"):
        MarginRouter(half, None, CostGate())([0.5, 1.5])


@pytest.mark.parametrize(("delta", "batch"), [(-0.1, None), (float("nan"), None), (0.1, 0)])
def test_settings_that_cannot_work(delta: float, batch: int | None) -> None:
    with pytest.raises(ValueError, match=r"delta is|batch counts"):
        MarginRouter(half, None, CostGate(), delta, batch=batch)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_events_of_any_form(kind) -> None:
    slow = Slow()
    MarginRouter(half, slow, CostGate(), delta=0.1)(kind([0.1, 0.6, 0.65]))
    assert slow.asked == [0.6, 0.65]


def test_the_audit_tells_every_decision_and_its_grounds() -> None:
    log = AuditLog()
    router = MarginRouter(half, Slow(fails=(0.7,)), CostGate([1, 1, 1], [1, 1, 1]), delta=0.1, batch=1, audit=log)
    router([0.60, 0.70, 0.2])
    router([0.2, 0.2, 0.2])
    assert [record["t"] for record in log.records] == [0, 1, 2, 3, 4, 5]
    first, second, third = log.records[:3]
    assert first["p_fast"] == [0.5, 0.6]
    assert first["p_slow"] == [1.0, 1.0]
    assert (first["tau"], first["margin"], first["decision"]) == (0.5, 1.0, "speak")
    assert (second["p_slow"], second["failed"], second["costs"]) == (None, True, [1.0, 1.0])
    assert second["margin"] == pytest.approx(0.5 * 0.7 - 0.3)
    assert (third["p_slow"], third["failed"], third["decision"]) == (None, False, "silent")
    assert all(record["latency"] >= 0 for record in log.records)
    assert faults(log.records) == []
    assert faults([{**third, "decision": "speak"}]) == [2]


def test_an_audit_in_a_stream_is_read_back() -> None:
    stream = io.StringIO()
    log = AuditLog(stream)
    MarginRouter(half, None, CostGate(), audit=log)([0.2, 0.9])
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [row["decision"] for row in rows] == ["silent", "speak"]
    assert not log.records
    assert faults(rows) == []
