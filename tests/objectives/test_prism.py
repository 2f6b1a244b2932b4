"""PRISM's loss by hand: each part, labels that are not known, and weights of events that were rarely shown."""

import math

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.objectives.prism import PrismLoss


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def tensors(*columns):
    return [torch.tensor(column, dtype=torch.float64) for column in columns]


NEED, ACC, Y_NEED, Y_ACC = [logit(0.5), logit(0.8)], [logit(0.9), logit(0.25)], [1.0, 0.0], [1.0, 0.0]


def test_every_part_by_hand() -> None:
    loss, parts = PrismLoss(c_fa=1, c_fn=1, delta=0.1)(*tensors(NEED, ACC, Y_NEED, Y_ACC))
    assert parts["prism_need"] == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2)
    assert parts["prism_accept"] == pytest.approx(-(math.log(0.9) + math.log(0.75)) / 2)
    away = [0.9 - 1 / 1.5, 0.25 - 1 / 1.8]
    step = 1 / (1 + math.exp(-away[1] / 0.05))  # only the second event is rejected
    assert parts["prism_rejected"] == pytest.approx(step / 2)
    near = [math.exp(-((gap / 0.1) ** 2)) for gap in away]
    assert parts["prism_near"] == pytest.approx(sum(near) / 2)
    expected = parts["prism_need"] + parts["prism_accept"] + 0.5 * step / 2 + 0.05 * sum(near) / 2
    assert float(loss) == pytest.approx(expected)


def test_what_was_not_shown_says_nothing_of_acceptance() -> None:
    shown = torch.tensor([1.0, 0.0], dtype=torch.float64)
    columns = tensors(NEED, ACC, Y_NEED, [1.0, math.nan])
    columns[1].requires_grad_()
    loss, parts = PrismLoss(lam_slow=0)(*columns, shown=shown)
    assert parts["prism_accept"] == pytest.approx(-math.log(0.9) / 2)
    assert parts["prism_rejected"] == 0
    loss.backward()
    assert columns[1].grad is not None
    assert columns[1].grad[1] == 0
    assert columns[1].grad[0] != 0


def test_inverse_propensities_are_bounded() -> None:
    shown, rare = tensors([1.0, 1.0], [0.5, 0.001])
    _, parts = PrismLoss()(*tensors(NEED, ACC, Y_NEED, Y_ACC), shown=shown, propensity=rare)
    assert parts["prism_accept"] == pytest.approx(-(2 * math.log(0.9) + 20 * math.log(0.75)) / 2)
    with pytest.raises(ConfigError, match="a propensity is not in"):
        PrismLoss()(*tensors(NEED, ACC, Y_NEED, Y_ACC), propensity=torch.zeros(2, dtype=torch.float64))


def test_without_burden_and_gaps_it_is_two_cross_entropies() -> None:
    loss, _ = PrismLoss(lam_fa=0, lam_slow=0)(*tensors(NEED, ACC, Y_NEED, Y_ACC))
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    need, acc, y_need, y_acc = tensors(NEED, ACC, Y_NEED, Y_ACC)
    assert float(loss) == pytest.approx(float(bce(need, y_need) + bce(acc, y_acc)))


def test_weighting_by_propensity_is_unbiased() -> None:
    # Labels are shown with chance 0.8 where accepted and 0.2 where not: only the weighted mean finds the true loss.
    generator = torch.Generator().manual_seed(0)
    y = (torch.rand(20_000, generator=generator) < 0.3).double()
    chance = torch.where(y == 1, 0.8, 0.2).double()
    shown = (torch.rand(20_000, generator=generator) < chance).double()
    need, acc = torch.zeros_like(y), torch.full_like(y, logit(0.3))
    full, found, plain = (
        PrismLoss()(need, acc, y, y, **how)[1]["prism_accept"]
        for how in ({}, {"shown": shown, "propensity": chance}, {"shown": shown})
    )
    assert found == pytest.approx(full, rel=0.03)
    assert plain < 0.7 * full
