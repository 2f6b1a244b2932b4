"""The hint variant: a hint that nudges each of six choices, and how the hinted answer grows along the chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.transplant import transplant_curve
from pilothouse.methods.experiments.thought_branches.policies import (
    HINT,
    HOW,
    SENTENCES,
    Lab,
    Leanings,
    Size,
    imitator,
    mean_known,
)
from pilothouse.programs.studies import read_branches
from pilothouse.programs.transplant import Transplant


def nudged(size: Size, seed: int) -> dict[str, Any]:
    """Return the mean curve of p_i over hinted chains that gave the hinted answer, JSON-ready.

    Args:
        size: how large.
        seed: root of the policy and of every draw.
    """
    task = Leanings(train_size=size.lessons)
    seeds = SeedTree(seed) / "hints"
    lab = Lab(task, imitator(task, size, seed), seeds)
    problems = [p for p in task.problems("test") if str(p.prompt).startswith(HINT)]
    drawn = lab.chains([str(p.prompt) for p in problems[:60]], 4)
    own = [(str(p.prompt), p.solution) for p in problems]
    hinted: dict[str, str] = {}  # every chain from a case of its own, so that chains are independent
    for prompt, chain in drawn + own:
        if task.answer_of(chain) == "yes":
            hinted.setdefault(prompt, chain)
    chosen = list(hinted.items())[: size.chains]
    programs = [
        (
            Transplant(hint=HINT, n=size.branches, chain=chain, sentences=SENTENCES, sampling=HOW),
            prompt.removeprefix(HINT),
        )
        for prompt, chain in chosen
    ]
    curves = [
        transplant_curve(list(read_branches(result.trace).values()), "yes", rng=seeds.numpy(), resamples=10)
        for result in lab.run(programs, "transplant")
    ]
    shares = np.array([curve.shares for curve in curves])
    mean = np.array([mean_known(point) for point in shares.T])
    return {
        "curve": mean.tolist(),
        "total": float(mean[-1] - mean[0]),
        "largest": float(np.diff(mean).max()),
        "median_single_jump": float(np.median([curve.largest for curve in curves])),
        "chains": len(curves),
        "sampled": len(drawn),
        "agreement": agreement([chain for _, chain in drawn], task),
    }


def agreement(chains: Sequence[str], task: Leanings) -> float:
    """Return how often the answer is what most choices say, over chains without a tie: 1 if the policy can vote."""
    votes = [(chain.count("U"), task.answer_of(chain)) for chain in chains]
    clear = [(answer == "yes") == (ups > task.length / 2) for ups, answer in votes if ups != task.length / 2]
    return mean_known(clear)
