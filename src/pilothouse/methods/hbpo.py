"""HBPO: keep long answers in every batch, by budgets that the policy announces and rewards that depend on them.

R = min(4 cos(pi n / 2L) - |n - b| / L, 4 cos(pi b / 2L)) if right within L tokens, else 0
A_ij = (R_ij - mean_group) / (std_group + 1e-6) + (mean_j R_ij - 4 cos(pi b_i / 2L))
L = -mean over tokens of min(rho A, clip(rho, 1 - 0.2, 1 + 0.28) A), at most 3 |A| where A < 0
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.hierarchical import Hierarchical
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.hbpo import reproduce
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.budgeted import BudgetedGroup
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="hbpo",
        title="subgroups that announce budgets, a reward capped by the budget, and credit at two levels",
        paper="Hierarchical Budget Policy Optimization for Adaptive Reasoning",
        source="arXiv 2507.15844",
        year=2025,
        family="credit",
        formula="R = min(beta cos(pi n/2L) - alpha |n - b|, beta cos(pi b/2L)); A = GRPO's + (mean_subgroup R - the "
        "most that b allows)",
        settings="the paper: 4 x 4 responses, budgets 512 to 2560, beta 4, alpha 1/L, 64 prompts in 4 minibatches, "
        "clip 0.2 and 0.28; dual clip 3 and token-mean from the framework it was made in",
        departures="the announcement is not the policy's choice and carries no loss (the authors' code trains on it: "
        "--program.learn_forced true); the subgroup's term counts once (twice in their code: --credit.w_intra 2)",
        claim="R1-Distill-Qwen-1.5B, four benchmarks: 59.4 % in 3,120 tokens after, 56.3 % in 7,921 before",
        when="a reasoning model should spend tokens where they help, without being told which problems are hard; "
        "alpha and budgets must be scaled with the length limit",
    ),
    recipe=PolicyGradient(
        program=BudgetedGroup(),
        credit=Hierarchical(),
        objective=Clipped(eps_high=0.28, dual_clip=3.0, aggregation="token-mean"),
        training=TrainingSettings(minibatches=4),
    ),
    reproduce=reproduce,
)
