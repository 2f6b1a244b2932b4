"""KL-Cov: covariances by hand, which tokens are held back, and where the loss falls back to others."""

from __future__ import annotations

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.objectives.base import Batch, Objective, Totals
from pilothouse.objectives.kl_cov import KLCov, covariances, top_covariances

A = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
LOGP = torch.tensor([[-0.1, -2.0], [-0.5, -3.0]])
ALL = torch.ones(2, 2, dtype=torch.bool)


def batch(logprobs, old, mask=ALL, marks=None, weights=A):
    return Batch(logprobs, old, weights, mask, Totals.of(mask), marks=marks if marks is not None else ~mask & False)


def test_covariances_by_hand():
    torch.testing.assert_close(covariances(LOGP, A, ALL), torch.tensor([[1.3, -0.6], [-0.9, 1.6]]))
    assert top_covariances(LOGP, A, ALL, 0.25).tolist() == [[False, False], [False, True]]
    assert top_covariances(LOGP, A, ALL, 0.01).sum() == 1
    assert not top_covariances(LOGP, A, ~ALL, 0.25).any()
    assert not covariances(LOGP, A, ~ALL).any()


def test_only_marked_tokens_pay():
    marks = KLCov(ratio=0.25).mark(LOGP, A, ALL)
    loss, figures = KLCov(ratio=0.25)(batch(LOGP, LOGP - 0.5, marks=marks))
    plain = -(A * torch.tensor(0.5).exp()).mean()
    torch.testing.assert_close(loss, plain + 0.5 / 4)
    assert figures["held_back"] == pytest.approx(0.25)


def test_without_a_coefficient_it_is_the_policy_gradient():
    logprobs = LOGP.clone().requires_grad_()
    loss, _ = KLCov(coef=0.0)(batch(logprobs, LOGP - 0.1, marks=ALL))
    torch.testing.assert_close(loss, -(A * torch.tensor(0.1).exp()).mean())


def test_at_the_old_policy_the_gradient_is_that_of_reinforce():
    logprobs = LOGP.clone().requires_grad_()
    loss, _ = KLCov()(batch(logprobs, LOGP, marks=ALL))
    (gradient,) = torch.autograd.grad(loss, logprobs)
    torch.testing.assert_close(gradient, -A / 4)


def test_groups_without_loss_change_nothing():
    mask = torch.tensor([[1, 1], [1, 1], [0, 0]]).bool()
    weights, logp = torch.cat([A, A[:1]]), torch.cat([LOGP, LOGP[:1]])
    padded, plain = (
        KLCov(ratio=0.25)(batch(lp, lp.detach() - 0.3, m, KLCov(ratio=0.25).mark(lp, w, m), w))[0]
        for lp, w, m in ((logp, weights, mask), (LOGP, A, ALL))
    )
    torch.testing.assert_close(padded, plain)


def test_nothing_reaches_tokens_that_were_cut_off():
    mask = torch.tensor([[1, 0], [1, 1]]).bool()
    logprobs = LOGP.clone().requires_grad_()
    objective = KLCov(ratio=1.0)
    loss, _ = objective(batch(logprobs, LOGP - 0.3, mask, objective.mark(LOGP, A, mask)))
    (gradient,) = torch.autograd.grad(loss, logprobs)
    assert gradient[0, 1] == 0
    assert gradient[mask].all()


def test_two_terms_that_mark_are_refused():
    with pytest.raises(ConfigError, match="two terms single out tokens"):
        Objective.build("kl-cov + 0.5*kl-cov")
    mixed = Objective.build("0.5*clipped + 0.5*kl-cov")
    assert mixed.requirements() == {"marks"}
    assert mixed.mark(LOGP, A, ALL).sum() == 1
