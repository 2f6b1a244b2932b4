"""AlphaMath: a tree search over steps makes the data that teach policy and value, round by round.

Q(s) = mean of what was backed up through s: +1 or -1 where a response ended, V(s) where the tree did not reach an end
L    = -mean_t log pi(right responses) + beta sum_steps (V(s_t) - Q(s_t))^2 / number of steps,  V = tanh(w h + b)
Each round searches with the newest pair and trains again from the weights it began with.
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.imitation import Imitation
from pilothouse.credit.path_quota import PathQuota
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.alphamath import reproduce
from pilothouse.objectives.cross_entropy import WeightedCrossEntropy
from pilothouse.objectives.value import StepValueLoss
from pilothouse.policies.heads import HeadSettings
from pilothouse.programs.base import Sampling
from pilothouse.programs.mcts import MCTS
from pilothouse.programs.sbs import StepBeam
from pilothouse.tasks.scorer import ValueHead
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="alphamath",
        title="self-training on step-level tree search with a value head, then value-guided beam search",
        paper="AlphaMath Almost Zero: Process Supervision without Process",
        source="arXiv 2405.03553",
        year=2024,
        family="programs",
        formula="PUCT over steps; V regresses on the tree's Q, the policy imitates right paths; step-level beam search",
        settings="c 1.25, 40 simulations of 5 steps, depth 8, beta 0.1, tanh, dropout 0.1, 3 rounds, at most 4 right "
        "and 4 wrong paths a problem: the paper and its official implementation",
        departures="3 passes of 8 minibatches a round instead of 10 epochs of batch 1024, constant learning rate by "
        "model size; 1 tree a problem and round instead of 10, all at temperature 0.8 and without duplicates; no "
        "demonstrations in round 1; no code tool; each round starts from the first weights (the paper does not say)",
        claim="without annotated steps, DeepSeekMath-7B on MATH: 53.6 % greedy and 66.3 % with step-level beam search",
        when="answers can be checked, steps cannot, and a search at inference pays; costs a tree a problem to train",
    ),
    recipe=PolicyGradient(
        program=MCTS(terminals="outcome", duplicates="remove", sampling=Sampling(temperature=0.8)),
        select=PathQuota(right=4, wrong=4),
        credit=Imitation(),
        objective=WeightedCrossEntropy() + 0.1 * StepValueLoss(),
        scorer=ValueHead(),
        value_head=HeadSettings(squash="tanh", dropout=0.1),
        training=TrainingSettings(steps=3, prompts=400, epochs=3, minibatches=8, restart=True),
    ),
    reproduce=reproduce,
    search=StepBeam(beams=3, children=5),
)
