"""ADORA: GRPO with one number a prompt, found anew at each step from the prompt's own attempts.

A_i <- w_s A_i with A_i GRPO's and
w_s = 1 if the longest right response is longer than the mean of the wrong ones, or none is right; else 0.1
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.adora import ADORA
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.adora import reproduce
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient

METHOD = Method(
    card=Card(
        name="adora",
        title="GRPO that weighs each prompt by whether long answers pay on it now",
        paper="ADORA: Training Reasoning Models with Dynamic Advantage Estimation on Reinforcement Learning",
        source="arXiv 2602.10019",
        year=2026,
        family="credit",
        formula="A_i times w of its group: 1 with a length advantage, 0.1 without",
        settings="the attenuating rule of the vision-language runs and of the released code; --credit adora-amplify is "
        "the text runs' rule (2 or 1), --credit adora-logic the released text code's",
        departures="64 x 8 episodes a step instead of 128 x 8; truncated responses are told by their flag instead of a "
        "length near the limit; no KL term (0.001 in the paper: --objective 'clipped + 0.001*kl')",
        claim="3.5 % above GRPO on mathematics; longer responses without instability",
        when="longer, more worked-out answers are wanted, best as a first stage (--credit.end 100); not where concise "
        "right answers are wanted: it rewards length",
    ),
    recipe=PolicyGradient(program=Group(n=8), credit=ADORA(), objective=Clipped(aggregation="sequence-mean")),
    reproduce=reproduce,
)
