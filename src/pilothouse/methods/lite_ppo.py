"""Lite PPO: of all the tricks, two are enough: centre by the group, scale by the batch; average over tokens.

A_i = (r_i - mean(r_group)) / std(r_batch)
L = -sum_it min(rho_it A_i, clip(rho_it, 1 - eps, 1 + eps) A_i) / number of tokens
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.lite_ppo import LitePPO
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.lite_ppo import reproduce
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient

METHOD = Method(
    card=Card(
        name="lite-ppo",
        title="critic-free PPO with group mean, batch std and token-mean loss",
        paper="Part I: Tricks or Traps? A Deep Dive into RL for LLM Reasoning",
        source="arXiv 2508.08221",
        year=2025,
        family="credit",
        formula="A = (r - mean_group) / std_batch of the raw rewards; token-mean clipped surrogate, eps 0.2",
        settings="the paper's two techniques and eps 0.2; no KL, critic, entropy bonus or whitening",
        departures="64 x 8 episodes a step instead of 128 x 8; temperature 1 instead of 0.99",
        claim="two techniques beat GRPO and DAPO on base models over six mathematics benchmarks",
        when="the paper's robust choice when rewards are concentrated or groups are small; here it was level with GRPO",
    ),
    recipe=PolicyGradient(program=Group(n=8), credit=LitePPO(), objective=Clipped(aggregation="token-mean")),
    reproduce=reproduce,
)
