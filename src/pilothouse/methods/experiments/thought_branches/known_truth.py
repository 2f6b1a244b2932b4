"""Part A: chains in which one sentence matters, a policy that learnt them, and whether the metrics find it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from pilothouse.core.branches import Branch
from pilothouse.core.embedders import Exact, Likeness
from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.importance import resampling_importance
from pilothouse.methods.branch_audit import audited
from pilothouse.methods.experiments.thought_branches.policies import (
    HOW,
    SENTENCES,
    Lab,
    Size,
    imitator,
    mean_known,
)
from pilothouse.programs.resample import Resample
from pilothouse.programs.resample_until import ResampleUntil
from pilothouse.programs.studies import read_branches
from pilothouse.reports.statistics import spearman
from pilothouse.tasks.plan_chain import PLAN, PlanChain

LIKENESS = Likeness(embedder=Exact(), threshold=1.0)
POINT = 7  #: the sentence that interventions replace; before it the plan was not made

#: Interventions, and how each finds what is said instead.
ARMS: dict[str, Literal["best", "random", "written"]] = {
    "on-policy": "best",
    "off-policy": "written",
    "random": "random",
}


def known_truth(size: Size, seed: int) -> dict[str, Any]:
    """Return what one policy shows, JSON-ready: importances of plan and fillers, and interventions.

    Args:
        size: how large.
        seed: root of the policy and of every draw.
    """
    task = PlanChain(train_size=size.lessons)
    seeds = SeedTree(seed) / "known-truth"
    lab = Lab(task, imitator(task, size, seed), seeds)
    prompts = [str(problem.prompt) for problem in task.problems("test")[:100]]
    drawn = lab.chains(prompts, max(2, size.chains * size.branches // 100))
    # A policy too little trained to write chains studies those of the causal model: smoke runs alone come to that.
    own = [(str(p.prompt), p.solution) for p in task.problems("test")]
    planned = [pair for pair in drawn + own if PLAN in pair[1]][: size.chains]
    late = [pair for pair in drawn + own if PLAN not in SENTENCES.split(pair[1])[: POINT - 1]][: size.chains]
    figures = _importances(lab, planned, size, seeds)
    return {**figures, **_interventions(lab, late, size, seeds), "sampled": len(drawn)}


def _importances(lab: Lab, chains: Sequence[tuple[str, str]], size: Size, seeds: SeedTree) -> dict[str, Any]:
    programs = [
        (Resample(n=size.branches, chain=chain, sentences=SENTENCES, sampling=HOW), prompt) for prompt, chain in chains
    ]
    rows: list[tuple[bool, float, float]] = []
    pairs: list[tuple[float, float, float]] = []
    for at, result in enumerate(lab.run(programs, "resample")):
        found = audited(result.trace, seeds / "audit" / at, LIKENESS, resamples=10)
        here = [(s.sentence == PLAN, s.counterfactual.value, s.strict.value) for s in found.sentences]
        rows += here
        # One filler a chain, so that truth is 1 for one half of the units and 0 for the other.
        fillers = [row for row in here if not row[0]]
        picked = fillers[int((seeds / "filler" / at).numpy().integers(len(fillers)))]
        pairs += [(float(plan), ci, strict) for plan, ci, strict in [next(r for r in here if r[0]), picked]]
    truth, plain, strict = (np.array(column) for column in zip(*pairs, strict=True))
    known = np.isfinite(strict) & np.isfinite(plain)
    figures = np.array([[plan, ci, pp] for plan, ci, pp in rows], dtype=float)
    plan = figures[:, 0] == 1
    return {
        "rho_strict": spearman(strict[known].tolist(), truth[known].tolist()),
        "rho_plain": spearman(plain[known].tolist(), truth[known].tolist()),
        "plan_plain": mean_known(figures[plan, 1]),
        "plan_strict": mean_known(figures[plan, 2]),
        "filler_plain": mean_known(figures[~plan, 1]),
        "filler_strict": mean_known(figures[~plan, 2]),
        "without_evidence": int(np.isnan(figures[:, 2]).sum()),
        "sentences": len(figures),
    }


def _interventions(lab: Lab, chains: Sequence[tuple[str, str]], size: Size, seeds: SeedTree) -> dict[str, Any]:
    strange = (seeds / "strange").numpy()
    arms: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for arm, pick in ARMS.items():
        programs = [
            (
                ResampleUntil(
                    index=POINT,
                    target=PLAN if arm == "on-policy" else f"{int(strange.integers(10))}.",
                    n=size.branches,
                    pick=pick,
                    likeness=LIKENESS,
                    chain=chain,
                    sentences=SENTENCES,
                    sampling=HOW,
                ),
                prompt,
            )
            for prompt, chain in chains
        ]
        for at, result in enumerate(lab.run(programs, arm)):
            changed, baseline = (_branches(result.trace, name) for name in ("changed", "baseline"))
            found = resampling_importance(changed, baseline, rng=(seeds / arm / at).numpy(), resamples=10)
            arms[arm].append(found.change.get("yes", np.nan))
    means = {f"shift {arm}": mean_known(values) for arm, values in arms.items()}
    return {**means, "interventions": len(chains)}


def _branches(trace: Any, arm: str) -> list[Branch]:
    return [branch for group in read_branches(trace, arm=arm).values() for branch in group]
