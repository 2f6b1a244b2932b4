"""Confidence and the shift it makes: by hand, by law, and what the shift does to a policy."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.credit.base import Credit
from pilothouse.credit.confidence import confidence
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.normalized import Normalized
from pilothouse.credit.progrpo import ProGRPO
from pilothouse.objectives.base import Batch, Totals
from pilothouse.objectives.clipped import Clipped

PROBABILITIES = torch.tensor([[0.9, 0.9, 0.5, 0.2, 0.95]])
EVERY = torch.ones(1, 5, dtype=torch.bool)
PLAIN = Normalized(std="group", eps=0.0, ddof=0)


def certain(make, rewards: list[float], answered: list[float], asked: float = 0.4, groups: list[int] | None = None):
    """Rollouts of one-token answers and two-token prompts, by their probabilities."""
    return make(
        rewards,
        groups,
        [[1]] * len(rewards),
        sampler_logprobs=torch.tensor(answered)[:, None].log(),
        prompt_logprobs=((torch.tensor(asked).log().item(),),) * len(rewards),
    )


def test_confidence_by_hand():
    found = [float(confidence(PROBABILITIES.log(), EVERY, rho)) for rho in (0.2, 0.4, 1.0)]
    assert found == pytest.approx([0.2, 0.31623, 0.5987], abs=1e-4)
    assert float(confidence(PROBABILITIES.log(), EVERY, threshold=0.9)) == pytest.approx(
        (0.9 * 0.9 * 0.5 * 0.2) ** 0.25, abs=1e-5
    )
    assert float(confidence(PROBABILITIES.log(), EVERY, threshold=0.1)) == pytest.approx(0.2)
    assert float(confidence(PROBABILITIES.log(), EVERY, 0.4, reduce="mean")) == pytest.approx(0.35)
    assert float(confidence(PROBABILITIES.log(), EVERY, 0.4, reduce="min")) == pytest.approx(0.2)


def test_confidence_at_its_edges():
    assert float(confidence(torch.tensor([[0.7]]).log(), EVERY[:, :1])) == pytest.approx(0.7)
    assert float(confidence(torch.tensor([[0.5, 0.0]]).log(), EVERY[:, :2])) == 0
    with pytest.raises(DataError, match="no tokens"):
        confidence(torch.zeros(2, 3), torch.tensor([[True, False, False], [False] * 3]))
    with pytest.raises(DataError, match="every token"):
        confidence(torch.tensor([[0.0, torch.nan]]), EVERY[:, :2])


@settings(deadline=None)
@given(
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12),
    st.floats(0.05, 1.0),
    st.integers(0, 4),
    st.data(),
)
def test_confidence_is_a_probability_blind_to_padding_and_grows_with_every_token(values, rho, padding, data):
    logprobs = torch.tensor([values], dtype=torch.double).log()
    mask = torch.ones(1, len(values), dtype=torch.bool)
    found = float(confidence(logprobs, mask, rho))
    assert 0 < found <= 1
    junk = torch.full((1, padding), -99.0, dtype=torch.double)
    padded = torch.cat([junk, logprobs, junk], 1), torch.cat([junk > 0, mask, junk > 0], 1)
    assert float(confidence(*padded, rho)) == pytest.approx(found)
    place = data.draw(st.integers(0, len(values) - 1))
    surer = logprobs.clone()
    surer[0, place] = surer[0, place] / 2
    assert float(confidence(surer, mask, rho)) >= found - 1e-12


def test_shift_by_hand(make):
    rollouts = certain(make, [1.0, 1, 0, 0], [0.8, 0.2, 0.5, 0.5])
    found = ProGRPO(of=PLAIN)(rollouts)[:, 0]
    assert found.tolist() == pytest.approx([0.88, 1.06, -1.03, -1.03])


def test_groups_without_a_right_answer_are_left_alone(make):
    assert not ProGRPO(of=PLAIN)(certain(make, [0.0, 0, 0], [0.8, 0.2, 0.5])).any()


def test_groups_without_a_wrong_answer_are_shifted_unless_told_not_to(make):
    rollouts = certain(make, [1.0, 1], [0.8, 0.2])
    assert ProGRPO(of=PLAIN)(rollouts)[:, 0].tolist() == pytest.approx([-0.12, 0.06])
    assert not ProGRPO(of=PLAIN, skip_all_correct=True)(rollouts).any()


def test_no_weight_is_plain_grpo_exactly(make):
    rollouts = certain(make, [1.0, 0, 0, 1, 1, 0], [0.8, 0.2, 0.5, 0.5, 0.1, 0.9], groups=[0, 0, 0, 1, 1, 1])
    assert torch.equal(ProGRPO(alpha=0.0)(rollouts), GRPO()(rollouts))


def test_the_prompt_shifts_all_of_its_group_alike(make):
    rewards, answered = [1.0, 1, 0], [0.8, 0.2, 0.5]
    low, high = (ProGRPO(of=PLAIN)(certain(make, rewards, answered, asked))[:, 0] for asked in (0.2, 0.6))
    assert (high - low).tolist() == pytest.approx([0.3 * 0.4] * 3)


def test_prompts_are_read_like_responses_or_whole(make):
    rollouts = make([1.0, 0], actions=[[1], [1]], prompt_logprobs=(tuple(PROBABILITIES[0].log().tolist()), ()))
    assert ProGRPO().prompt_confidence(rollouts).tolist() == pytest.approx([0.2, 1.0])
    assert ProGRPO(fraction=0.4).prompt_confidence(rollouts).tolist() == pytest.approx([0.31623, 1.0], abs=1e-4)
    assert ProGRPO(prompt_tokens="all").prompt_confidence(rollouts).tolist() == pytest.approx([0.5987, 1.0], abs=1e-4)


def test_what_nobody_chose_is_not_read_and_gets_no_weight(make):
    rollouts = make(
        [1.0, 0.0],
        actions=[[1, 0, 1], [1, 1, 0]],
        sampler_logprobs=torch.tensor([[0.5, 1e-9, 0.4], [0.5, 0.4, 1e-9]]).log(),
        prompt_logprobs=((), ()),
    )
    assert ProGRPO().response_confidence(rollouts).tolist() == pytest.approx([0.4, 0.4])
    weights = ProGRPO()(rollouts)
    assert not weights[~rollouts.train_mask].any()
    silent = rollouts.replace(train_mask=rollouts.train_mask & torch.tensor([[True], [False]]))
    assert not ProGRPO()(silent)[1].any()


def test_what_the_sampler_cannot_tell_the_trainer_can(make):
    unknown = torch.full((2, 2), torch.nan)
    rollouts = make([1.0, 0.0], sampler_logprobs=unknown, prompt_logprobs=((), ()))
    with pytest.raises(DataError, match="the engine did not give some"):
        ProGRPO()(rollouts)
    known = rollouts.replace(old_logprobs=torch.full((2, 2), 0.5).log())
    assert ProGRPO().response_confidence(known).tolist() == pytest.approx([0.5, 0.5])
    with pytest.raises(ConfigError, match="needs prompt_logprobs"):
        ProGRPO()(known.replace(prompt_logprobs=()))


def test_figures_tell_how_sure_right_answers_are(make):
    credit = ProGRPO()
    credit(certain(make, [1.0, 1, 0], [0.8, 0.2, 0.9]))
    figures = credit.figures()
    assert figures["confidence/prompt"] == pytest.approx(0.4)
    assert figures["confidence/right"] == pytest.approx(0.5)
    assert figures["confidence/right_spread"] == pytest.approx(0.6 / 2**0.5)


def expected_gradient(alpha: float) -> list[float]:
    """Exact gradient of the logits of two equally right answers with probabilities 0.8 and 0.2."""
    chances = torch.tensor([0.8, 0.2])
    shift = alpha * (0.4 - chances)  # both are right, so the base advantage is 0
    return (chances[:, None] * shift[:, None] * (torch.eye(2) - chances)).sum(0).tolist()


def test_two_right_answers_draw_together(make):
    rollouts = certain(make, [1.0, 1], [0.8, 0.2])
    weights = ProGRPO(of=PLAIN)(rollouts)[:, 0]
    assert weights.tolist() == pytest.approx([0.3 * (0.4 - 0.8), 0.3 * (0.4 - 0.2)])
    likely, rare = expected_gradient(0.3)
    assert likely < 0 < rare
    assert expected_gradient(0.0) == [0.0, 0.0]


def test_no_gradient_flows_through_confidence(make):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    taken = torch.tensor([0, 1, 2, 0])

    def gradient(constant: bool) -> torch.Tensor:
        logprobs = logits.log_softmax(1).gather(1, taken[:, None])
        seen = logprobs.detach() if constant else logprobs
        rollouts = make([1.0, 0, 1, 0], actions=[[1]] * 4, sampler_logprobs=seen, prompt_logprobs=((-0.5,),) * 4)
        mask = rollouts.train_mask
        loss, _ = Clipped()(Batch(logprobs, logprobs.detach(), ProGRPO()(rollouts), mask, Totals.of(mask)))
        return torch.autograd.grad(loss, logits)[0]

    assert torch.equal(gradient(True), gradient(False))


def test_whitening_it_is_refused():
    with pytest.raises(ConfigError, match="the other way round"):
        Credit.build({"name": "whitened", "of": "0.5*grpo + 0.5*progrpo"})
    assert Credit.build("0.5*grpo + 0.5*progrpo").requirements() == {"prompt_logprobs"}
