"""The cost gate: the specification's hand-worked thresholds, its invariances, and what realised costs are."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.errors import PilothouseError
from pilothouse.decisions.gate import CostGate
from pilothouse.decisions.sweep import audbc, fared, gate_sweep

COST = st.floats(0.1, 50)
CHANCE = st.floats(0, 1)


@pytest.mark.parametrize(
    ("p_need", "c_fa", "c_fn", "tau"),
    [(1, 1, 1, 0.5), (0.5, 1, 1, 2 / 3), (0, 7, 3, 1), (0.8, 1, 5, 0.2), (1, 3, 1, 0.75)],
)
def test_thresholds_by_hand(p_need: float, c_fa: float, c_fn: float, tau: float) -> None:
    assert CostGate(c_fa, c_fn).tau([p_need]) == pytest.approx([tau])


def test_the_rule_is_that_of_expected_costs() -> None:
    rng = np.random.default_rng(0)
    need, acc = rng.random((2, 10_000))
    gate = CostGate(*rng.uniform(0.1, 10, (2, 10_000)))
    utility = gate.expected_utility(need, acc)
    clear = np.abs(utility) > 1e-9
    assert clear.mean() > 0.99
    assert (gate.decide(need, acc) == (utility >= 0))[clear].all()
    assert utility[:2] == pytest.approx((gate.c_fn * need * acc - gate.c_fa * (1 - acc))[:2])


@given(need=CHANCE, acc=CHANCE, c_fa=COST, c_fn=COST, scale=st.sampled_from([0.25, 2.0, 1024.0]))
@settings(max_examples=60, deadline=None)
def test_only_the_ratio_of_costs_decides(need: float, acc: float, c_fa: float, c_fn: float, scale: float) -> None:
    here, there = CostGate(c_fa, c_fn), CostGate(scale * c_fa, scale * c_fn)
    assert here.decide([need], [acc]) == there.decide([need], [acc])


@given(low=CHANCE, high=CHANCE, acc=CHANCE, c_fa=COST, dearer=COST, c_fn=COST)
@settings(max_examples=60, deadline=None)
def test_more_need_never_silences_and_dearer_alarms_never_speak(low, high, acc, c_fa, dearer, c_fn) -> None:
    low, high, c_fa, dearer = *sorted((low, high)), *sorted((c_fa, dearer))
    assert CostGate(c_fa, c_fn).decide([low], [acc]) <= CostGate(c_fa, c_fn).decide([high], [acc])
    assert CostGate(dearer, c_fn).decide([low], [acc]) <= CostGate(c_fa, c_fn).decide([low], [acc])


def test_certain_need_gives_the_classical_threshold_and_a_tie_speaks() -> None:
    gate = CostGate(3, 1)
    assert gate.tau([1.0]) == pytest.approx([3 / (3 + 1)])
    assert gate.decide([1.0, 1.0], [0.75, 0.75 - 1e-12]).tolist() == [True, False]
    assert gate.decide([0.0, 0.0], [1.0, 0.999]).tolist() == [True, False]  # tau(0) is 1


def test_every_kind_answers_in_kind() -> None:
    gate, need, acc = CostGate(1, 3), [0.2, 0.9], [0.5, 0.5]
    expected = gate.decide(need, acc).tolist()
    assert expected == [False, True]  # 1 / (1 + .6) = .625 and 1 / (1 + 2.7) = .27
    table = pd.DataFrame({"n": need, "a": acc}, index=["x", "y"])
    assert gate.decide(table["n"], table["a"]).to_dict() == {"x": False, "y": True}
    found = gate.tau(torch.tensor(need))
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float32
    assert gate.decide(torch.tensor(need), torch.tensor(acc)).dtype == torch.bool


def test_costs_may_differ_by_event() -> None:
    gate = CostGate([1.0, 3.0], [1.0, 1.0])
    assert gate.tau([1.0, 1.0]) == pytest.approx([0.5, 0.75])
    with pytest.raises(PilothouseError, match="'c_fa' has 2 rows and 'p_need' has 3"):
        gate.tau([1.0, 1.0, 1.0])
    rows = gate.realised([1, 0], [1, 1], [0, 1])
    assert rows.tolist() == [1.0, 1.0]  # a rejected offer at 1, a missed one at 1


@pytest.mark.parametrize(
    ("costs", "says"),
    [
        ((0, 1), "'c_fa' is 0: it must be greater than 0"),
        ((1, -2), "'c_fn' is -2: it must be greater than 0"),
        (([1, 1, 0], 1), "'c_fa' is 0, in row 3"),
        ((math.nan, 1), "'c_fa' has 1 values that are NaN or infinite"),
        (("x", 1), "'c_fa' is not a number"),
    ],
)
def test_costs_that_are_none(costs, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        CostGate(*costs)


def test_chances_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"'p_acc' has 1 values outside \[0, 1\], in row 2"):
        CostGate().decide([0.5, 0.5], [0.5, 1.01])
    with pytest.raises(ValueError, match="'p_need' has 1 values that are NaN or infinite, in row 1"):
        CostGate().margin([math.nan, 0.5], [0.5, 1])


def test_how_decisions_fared_by_hand() -> None:
    shown, need, acc = [1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 0], [1, 1, 0, 1, 0, 1]
    found = fared(shown, need, acc, CostGate(2, 5))
    # Two of three offers were accepted; of two events that wanted one, the fourth was missed.
    assert found.cost == pytest.approx((2 + 5) / 6)
    assert (found.precision, found.false_alarm) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (found.recall, found.f1) == (pytest.approx(2 / 3), pytest.approx(4 / 6))
    assert (found.benefit, found.burden, found.offers) == (pytest.approx(1 / 2), pytest.approx(1 / 6), 0.5)


def test_false_alarm_and_precision_add_up_and_no_offer_is_no_alarm() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        shown, need, acc = rng.integers(0, 2, (3, 7))
        found = fared(shown, need, acc, CostGate())
        if shown.any():
            assert found.false_alarm + found.precision == pytest.approx(1)
    silent = fared([0, 0], [1, 0], [1, 1], CostGate())
    assert math.isnan(silent.precision)
    assert (silent.false_alarm, silent.recall, silent.f1) == (0, 0, 0)


def test_a_sweep_by_hand() -> None:
    need, acc = [1.0, 1.0, 1.0], [0.6, 0.4, 0.1]
    rows = gate_sweep(need, acc, [1, 1, 1], [1, 0, 0], [(1, 1), (1, 3), (3, 1)])
    assert [row["offers"] for row in rows] == pytest.approx([1 / 3, 2 / 3, 0])  # thresholds 1/2, 1/4, 3/4
    assert [row["cost"] for row in rows] == pytest.approx([0, 1 / 3, 1 / 3])
    assert [row["always"] for row in rows] == pytest.approx([2 / 3, 2 / 3, 2])
    assert [row["never"] for row in rows] == pytest.approx([1 / 3, 1, 1 / 3])
    slow = ([1.0] * 3, [0.9, 0.1, 0.9])
    rows = gate_sweep(need, acc, [1, 1, 1], [1, 0, 0], [(1, 1)], slow=slow, deltas=(0, 0.15, 1))
    assert [row["slow_share"] for row in rows] == pytest.approx([0, 2 / 3, 1])
    assert [row["offers"] for row in rows] == pytest.approx([1 / 3, 1 / 3, 2 / 3])


def test_audbc_of_perfect_useless_and_hopeless_chances() -> None:
    y = np.array([1, 1, 0, 0])
    assert audbc(y, y, y, y) == pytest.approx(1.0)
    assert audbc([0.5] * 4, [0.5] * 4, y, y) == pytest.approx(0.5)
    assert audbc([1.0] * 4, 1 - y, y, y) == pytest.approx(0.0)
    assert math.isnan(audbc(y, y, [1, 1, 1, 1], [1, 1, 1, 1]))


def test_audbc_is_the_area_under_a_sweep() -> None:
    rng = np.random.default_rng(2)
    need, acc = rng.random((2, 200))
    y_need, y_acc = rng.integers(0, 2, (2, 200))
    rows = gate_sweep(need, acc, y_need, y_acc, [(ratio, 1.0) for ratio in np.geomspace(1 / 32, 32, 101)])
    most = np.mean(y_acc == 0)
    benefit = [0, *(row["benefit"] for row in reversed(rows)), 1]
    burden = [0, *(row["burden"] / most for row in reversed(rows)), 1]
    assert audbc(need, acc, y_need, y_acc) == pytest.approx(np.trapezoid(benefit, burden))
