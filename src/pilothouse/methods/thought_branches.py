"""Thought Branches: what a sentence of a chain of thought does is told by what happens when it is said differently.

R_i    = M continuations from the prefix S_{<i};  R_{i+1} keeps S_i
CI     = KL( p(A' | T_i not like S_i) || p(A | S_i) ),               A' from R_i, A from R_{i+1}
CI++   = KL( p(A' | no T_j, j >= i, like S_i) || p(A | S_i) )
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.grpo import GRPO
from pilothouse.methods.base import Method
from pilothouse.methods.branch_audit import HOW, Audit, audit, audited
from pilothouse.methods.experiments.thought_branches import reproduce
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.resample import Resample
from pilothouse.training.recipe import PolicyGradient

__all__ = ["METHOD", "Audit", "audit", "audited"]

METHOD = Method(
    card=Card(
        name="thought-branches",
        title="resamples a chain of thought from every prefix to measure what each sentence does to the outcome",
        paper="Thought Branches: Interpreting LLM Reasoning Requires Resampling",
        source="arXiv 2510.27484",
        year=2025,
        family="decisions",
        formula="CI = KL(p(A' | T_i not like S_i) || p(A | S_i)); CI++ asks that no later sentence is like S_i either",
        settings="M = 100, temperature 0.7, top-p 0.95, median similarity threshold, 20 removals, 50 rejections",
        departures="character n-grams by default instead of a sentence encoder; algorithm 1's control flow is "
        "reconstructed; for training M = 2 at temperature 1 with GRPO, which the paper does not do",
        claim="self-preservation sentences have the least resilience and a CI++ near 0; off-policy edits move "
        "outcomes little, on-policy ones up to 100 %; hints nudge reasoning gently",
        when="to audit why a policy decides as it does, with error bars; costs sentences x M continuations a chain "
        "and is no way to answer better",
    ),
    recipe=PolicyGradient(program=Resample(n=2), credit=GRPO(), objective=Clipped(aggregation="sequence-mean")),
    reproduce=reproduce,
    search=Resample(n=100, sampling=HOW),
    report=lambda trace, seeds: audited(trace, seeds).rows(),
)
