"""Calibration metrics by hand, and what they say of inputs that are none."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from pilothouse.core.errors import PilothouseError
from pilothouse.decisions.calibration import brier, calibration, ece, nll, reliability
from pilothouse.reports.reliability import reliability_figure

SAID, CAME = [0.12, 0.18, 0.3, 1.0, 1.0], [0, 1, 0, 1, 0]


def test_reliability_by_hand() -> None:
    found = reliability(SAID, CAME)
    # An edge belongs to the bin above it, and 1 to the last: bins 1, 3 and 9.
    assert found.count.tolist() == [0, 2, 0, 1, 0, 0, 0, 0, 0, 2]
    assert found.said[[1, 3, 9]].tolist() == pytest.approx([0.15, 0.3, 1.0])
    assert found.rate[[1, 3, 9]].tolist() == pytest.approx([0.5, 0.0, 0.5])
    assert np.isnan(found.said[0])
    assert np.isnan(found.rate[0])
    assert found.points() == [(pytest.approx(0.15), 1, 2), (pytest.approx(0.3), 0, 1), (1.0, 1, 2)]
    # (2 * 0.35 + 1 * 0.3 + 2 * 0.5) / 5
    assert found.ece == pytest.approx(0.4)
    assert ece(SAID, CAME, bins=1) == pytest.approx(abs(2.6 / 5 - 2 / 5))


def test_brier_and_likelihood_by_hand() -> None:
    assert brier(SAID, CAME) == pytest.approx((0.12**2 + 0.82**2 + 0.3**2 + 0 + 1) / 5)
    assert nll([0.5, 0.25], [1, 0]) == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert nll(SAID, CAME) == math.inf  # a certainty was wrong
    found = calibration(SAID, CAME)
    assert (found.ece, found.n) == (pytest.approx(0.4), 5)


def test_perfect_and_worst_predictions() -> None:
    y = np.array([0, 1, 1, 0])
    assert (ece(y, y), brier(y, y), nll(y, y)) == (0, 0, 0)
    assert (ece(1 - y, y), brier(1 - y, y)) == (1, 1)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, pd.Series, tuple, lambda v: torch.tensor(v).half()])
def test_any_kind_of_column(kind) -> None:
    assert ece(kind([0.25, 0.75]), kind([0.0, 1.0])) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("p", "y", "says"),
    [
        ([0.2, math.nan, math.inf], [0, 1, 1], "'p' has 2 values that are NaN or infinite, in rows 2, 3"),
        ([0.2, 1.5], [0, 1], "'p' has 1 values outside [0, 1], in row 2 (the first is 1.5)"),
        ([-0.1] * 9, [0] * 9, "in rows 1, 2, 3, 4, 5 and 4 more"),
        ([0.2, 0.5], [0, 2], "'y' has labels other than 0 and 1, in row 2"),
        ([0.2, 0.5], [0], "'y' has 1 rows and 'p' has 2"),
        ([], [], "'p' has no rows"),
        ([[0.2, 0.5]], [1], "'p' has shape (1, 2)"),
        (["a", 0.5], [0, 1], "'p' is not a number in row 1: 'a'"),
        (pd.Series([0.5, None]), [0, 1], "'p' has 1 values that are NaN or infinite, in row 2"),
    ],
)
def test_bad_input_is_named_by_row(p, y, says: str) -> None:
    with pytest.raises(PilothouseError) as error:
        ece(p, y)
    assert says in str(error.value)
    assert isinstance(error.value, ValueError)


def test_no_bins() -> None:
    with pytest.raises(PilothouseError, match="bins counts from 1"):
        reliability(SAID, CAME, bins=0)


def test_the_figure_is_drawn(tmp_path) -> None:
    path = reliability_figure({"fast": reliability(SAID, CAME).points()}, tmp_path / "curve", title="Fast")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curve.svg").is_file()
