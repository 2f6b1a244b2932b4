"""TreePO: a group sampled as a tree of segments, each response compared with every subgroup that shares a beginning.

active <- the prompt, forked; each round decodes a segment of every active path, lets those that ended go, and forks the
rest so that w responses come out; too few: grow on from a cut of a finished response
A_i = mean_j (r_i - mean(r of the responses that share i's first j segments)), whitened over the batch's tokens
L = -sum_it min(rho_it A_i, clip(rho_it, 1 - 0.2, 1 + 0.28) A_i) / number of tokens
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.tree_subgroup import TreeSubgroup
from pilothouse.credit.zero_variance import ZeroVariance
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.treepo import reproduce
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.treepo import TreePO
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="treepo",
        title="groups sampled as trees of segments, with credit from nested subgroups",
        paper="TreePO: Bridging the Gap of Policy Optimization and Efficacy and Inference Efficiency with Heuristic "
        "Tree-based Modeling",
        source="arXiv 2508.17445",
        year=2025,
        family="programs",
        formula="A = mean over nested subgroups of (r - mean of the subgroup), whitened; eps 0.2 and 0.28",
        settings="width 16, 2 children, averaged sharing, random aligned fallback, group filter, dual clip 10; the "
        "whitening is the official code's (--credit.scale std is equation 5)",
        departures="segments of 8 tokens, as many as the task's limit holds, instead of 14 of 512; 32 x 16 episodes a "
        "step instead of 512 x 16, in one update instead of 16; refills at most 3 times instead of 10; no overlong "
        "shaping; learning rate by the size of the network, without warm-up and weight decay",
        claim="Maj@16 over five mathematics benchmarks: GRPO 46.6 %, with trees 54.6 %, with their credit 56.9 to "
        "58.2 %; 12 to 43 % fewer GPU hours to sample",
        when="sampling is the bottleneck and responses to a prompt begin alike; siblings carry less information than "
        "independent samples, and long responses are over-represented",
    ),
    recipe=PolicyGradient(
        program=TreePO(width=16),
        select=ZeroVariance(),
        credit=TreeSubgroup(),
        objective=Clipped(eps_high=0.28, dual_clip=10.0),
        training=TrainingSettings(prompts=32, refill=3),
    ),
    reproduce=reproduce,
)
