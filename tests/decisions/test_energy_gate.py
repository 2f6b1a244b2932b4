"""Gates on energies, and what descents cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pilothouse.decisions.adaptive_compute import adaptive_compute
from pilothouse.decisions.arrays import InputError
from pilothouse.decisions.energy_gate import Advice, EnergyGate
from pilothouse.decisions.estimators import clone


def test_the_threshold_is_a_quantile_of_training() -> None:
    gate = EnergyGate(quantile=0.75).fit(torch.tensor([-4.0, -3.0, -2.0, -1.0, 0.0]))
    assert gate.threshold_ == -1.0
    assert gate.n_ == 5
    assert gate.predict([-1.0, -0.99, -7]).tolist() == [False, True, False]
    assert EnergyGate(0.9).fit(np.arange(1000)).predict(np.arange(1000)).mean() == pytest.approx(0.1, abs=0.001)
    assert not hasattr(clone(gate), "threshold_")
    assert clone(gate).quantile == 0.75


def test_what_to_do_with_a_chunk() -> None:
    gate = EnergyGate(0.5).fit([0.0, 1.0, 2.0])
    advice = gate.advise([0.5, 3.0, 3.0], [6, 2, 6], max_steps=6)
    assert advice == [Advice.ACT, Advice.DESCEND, Advice.REPLAN]


def test_what_descents_cost() -> None:
    energies = [[3.0, 1.0, 5.0, 2.0], [2.0, math.nan, 6.0, 1.0], [1.0, math.nan, 7.0, math.nan]]
    found = adaptive_compute([3, 1, 3, 2], energies, max_steps=4)
    assert (found.chunks, found.mean_steps, found.at_limit) == (4, 2.25, 0.0)
    assert found.quartiles == (1.75, 2.5, 3.0)
    assert found.saved == pytest.approx(1 - 2.25 / 4)
    assert found.fell == pytest.approx(2 / 3), "3 to 1 and 2 to 1, not 5 to 7; one step cannot fall"
    assert adaptive_compute([1], [[1.0]], 1).at_limit == 1
    assert math.isnan(adaptive_compute([1], [[1.0]], 1).fell)


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="a share between 0 and 1, not 95"):
        EnergyGate(95).fit([1.0, 2.0])
    with pytest.raises(InputError, match="in row 2"):
        EnergyGate().fit([1.0, math.nan])
    with pytest.raises(InputError, match="'steps' has 1 rows and 'energies' has 2"):
        EnergyGate().fit([1.0]).advise([1.0, 2.0], [1], 3)
    with pytest.raises(InputError, match="give a row a step and a column a chunk"):
        adaptive_compute([1, 2], [[1.0, 1.0]], 2)
