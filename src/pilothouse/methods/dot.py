"""DOT: shorter answers without a length reward. Groups that are all right cut their freakishly long members.

in a group with every r_i = 1: T = floor(mean(L) + 3 std(L)); a response with L_i >= T + 32 keeps T tokens, judged anew
groups whose new rewards are all equal are dropped; A_i = (r_i - mean(r_group)) / std(r_group)
L = mean_i mean_t (-A rho + 1.0 |log rho| on the 0.2 % of tokens of largest covariance of A and log pi)
prompts drawn = P (1 / mean p) (1 + std p) over the kept shares p of the last 20 steps, between 1.2 P and 5 P
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.outlier_truncation import OutlierTruncation
from pilothouse.credit.predictive_sampling import PredictiveSampling
from pilothouse.credit.zero_variance import ZeroVariance
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.dot import reproduce
from pilothouse.objectives.kl_cov import KLCov
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="dot",
        title="cuts the longest answers of prompts that are always solved, so that only hard prompts lengthen",
        paper="Anti-Length Shift: Dynamic Outlier Truncation for Training Efficient Reasoning Models",
        source="arXiv 2601.03969",
        year=2026,
        family="credit",
        formula="all-right groups: cut at floor(mean + 3 std) of the lengths and judge anew; GRPO's A; KL-Cov loss; "
        "predictive oversampling",
        settings="the authors' code: 32 responses, alpha 3, margin 32, ratio 0.002, coef 1, 4 x 32 prompts a step",
        departures="covariances are those of the whole minibatch, not of a micro-batch; the surplus of a step is "
        "silenced and a shortfall leaves the batch smaller instead of padded with copies that carry no loss",
        claim="AIME 2024 with a 1.5B model: 43.1 % in 3,342 tokens after, 30.0 % in 15,498 before; MATH-500 89.2 % "
        "in 1,249 after, 84.0 % in 5,483 before",
        when="answers grow on prompts that are solved anyway; needs large groups (12 or more for alpha 3), short "
        "answers want --select.alpha about 1.5 and a margin of a few tokens",
    ),
    recipe=PolicyGradient(
        program=Group(n=32),
        select=OutlierTruncation() + ZeroVariance() + PredictiveSampling(),
        credit=GRPO(eps=1e-6),
        objective=KLCov(),
        training=TrainingSettings(prompts=128, minibatches=4),
    ),
    reproduce=reproduce,
)
