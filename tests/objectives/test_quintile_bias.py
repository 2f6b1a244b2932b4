from __future__ import annotations

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.objectives.quintile_bias import QuintileBiasMSE

Y = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])


def test_by_hand() -> None:
    loss = QuintileBiasMSE(Y, lambda_b=5.0)
    assert loss.cuts.tolist() == pytest.approx([1.8, 3.6, 5.4, 7.2])
    error = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0])
    # fifths of two: their mean errors are 0.5, 0, 0, 0, 2
    assert loss(Y + error, Y).item() == pytest.approx(9 / 10 + 5 * 4)
    assert QuintileBiasMSE(Y, 0.0)(Y + error, Y).item() == pytest.approx(0.9)


def test_a_shrunk_prediction_is_pushed_outwards() -> None:
    pred = (0.5 * Y + 2.25).requires_grad_()
    QuintileBiasMSE(Y, 50.0)(pred, Y).backward()
    assert pred.grad is not None
    assert pred.grad[0] > 0 > pred.grad[-1]


def test_cuts_are_saved_and_an_empty_fifth_has_no_bias() -> None:
    loss = QuintileBiasMSE(Y)
    assert "cuts" in loss.state_dict()
    assert loss(torch.tensor([9.5]), torch.tensor([9.0])).item() == pytest.approx(0.25 + 5 * 0.25)
    with pytest.raises(ConfigError, match="lambda_b=-1"):
        QuintileBiasMSE(Y, -1.0)
