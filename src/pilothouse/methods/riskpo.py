"""RiskPO: maximise a risk measure of the reward instead of its mean; what the policy still fails counts most.

S_j = sum of the rewards of bundle j, one response from each of B prompts
A_j = -(1 + omega) (q_alpha - S_j)^+ + clip(S_j, q_alpha, q_beta) - q_beta,   q_s += 0.1 (s - share of S below q_s)
L = -mean_i min(s_i A, clip(s_i, 1 - eps, 1 + eps) A),   s_i = exp(mean_t log(pi / pi_old))
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.riskpo import RiskPO
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.riskpo import reproduce
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="riskpo",
        title="a mixed value-at-risk of bundled rewards instead of their mean",
        paper="RiskPO: Risk-based Policy Optimization via Verifiable Reward for LLM Post-Training",
        source="arXiv 2510.00911",
        year=2025,
        family="credit",
        formula="A = -(1+omega) (q_alpha - S)^+ + clip(S, q_alpha, q_beta) - q_beta; clipped surrogate on the sequence",
        settings="alpha 0.2, beta 0.8, omega 0.5, bundles of 5, tracker step 0.1; two minibatches a batch as in the "
        "released scripts; eps 0.2 is assumed",
        departures="60 x 8 episodes a step instead of 1024 x 5 or 512 x 10; quantiles really persist over steps (the "
        "released trainer falls back to those of the batch: --credit.quantiles batch)",
        claim="slower entropy collapse and better pass@k than GRPO and DAPO, most on hard questions",
        when="a competent start whose failures should weigh more; not from a weak start, where every advantage pushes "
        "away, and not for speed: a bundle dilutes credit",
    ),
    recipe=PolicyGradient(
        program=Group(n=8),
        credit=RiskPO(),
        objective=Clipped(ratio="sequence", aggregation="sequence-mean"),
        training=TrainingSettings(prompts=60, minibatches=2),
    ),
    reproduce=reproduce,
)
