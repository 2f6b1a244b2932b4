"""TreePO's claim: what trees of samples save, what they lose, and whether training through them is as good."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.measured import over
from pilothouse.methods.experiments.treepo import claims
from pilothouse.methods.experiments.treepo.economy import VARIANTS, compare
from pilothouse.methods.experiments.treepo.stopper import Economy, Memoryless, stopper_economy
from pilothouse.methods.experiments.treepo.sums import SHAPE, LongSums, warm_policy
from pilothouse.methods.experiments.treepo.training import Design, Rows, at_step, run_design
from pilothouse.policies.warm_start import WarmStart
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress
from pilothouse.training.evaluate import held_out

JUDGED = "tree, 8 first branches"  #: the variant that the claims on economy at equal diversity are about


@dataclass(frozen=True)
class Scale:
    """The size of the experiments.

    Args:
        prompts: trees of a memoryless stopper a repetition, and problems of the comparison.
        repeats: times each problem is attempted.
        policies: warm starts, and repetitions of the stopper.
        design: the training experiment.
    """

    prompts: int = 64
    repeats: int = 3
    policies: int = 3
    design: Design = field(default_factory=Design)


_TINY = Design(
    task=LongSums(train_size=100, test_size=20),
    warm=WarmStart(epochs=0.02, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0),
    steps=1,
    most_steps=1,
    measure_every=1,
    prompts=2,
    seeds=2,
    problems=4,
)
SCALES = {"smoke": Scale(prompts=2, repeats=2, policies=2, design=_TINY), "small": Scale()}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiments on economy and on training; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (minutes of two cores).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment yet.
    """
    if scale not in SCALES:
        raise ConfigError("treepo has no experiment at GPU scale yet: use --scale small")
    started, size = time.perf_counter(), SCALES[scale]
    progress.phase("economy of a memoryless stopper")
    stopped = _stoppers(size)
    progress.phase("economy and variety of a small policy")
    sampled = [_economy(size, seed, out / "runs", progress) for seed in range(size.policies)]
    progress.phase("training")
    trained = run_design(size.design, out / "runs", progress)
    found = (
        *claims.stopper_claims(stopped),
        *claims.economy_claims(sampled, JUDGED),
        *claims.training_claims(trained, size.design.steps),
    )
    figure = panels_figure(_panels(sampled, trained, size.design.steps), out / "claims", title=f"TreePO, scale {scale}")
    return Evidence.of(
        "treepo",
        scale,
        found,
        {"stopper": [asdict(e) for e in stopped], "economy": sampled, "training": trained},
        figure.name,
        time.perf_counter() - started,
    )


def _stoppers(size: Scale) -> list[Economy]:
    seeds = SeedTree(0) / "stopper"
    return [stopper_economy(Memoryless(), 16, 16, 8, size.prompts, seeds / i) for i in range(size.policies)]


def _economy(size: Scale, seed: int, folder: Path, progress: Progress) -> dict[str, dict[str, float]]:
    """One policy's comparison of every variant."""
    progress.say(f"economy: policy {seed + 1} of {size.policies}")
    task, warm = size.design.task, size.design.warm
    facts = {
        "task": task.model_dump(mode="json"),
        "warm": warm.model_dump(),
        "shape": SHAPE.model_dump(),
        "variants": {name: program.model_dump(mode="json") for name, program in VARIANTS.items()},
        "size": [size.prompts, size.repeats],
    }

    def work() -> dict[str, dict[str, float]]:
        node = SeedTree(seed) / "economy"
        problems = held_out(task, size.prompts, node)
        return compare(warm_policy(task, warm, seed), task, problems, size.repeats, node)

    return kept(folder / f"economy-seed-{seed}.json", facts, work)


def _panels(
    sampled: Sequence[Mapping[str, Mapping[str, float]]], trained: Mapping[str, Sequence[Rows]], step: int
) -> list[Panel]:
    def panel(title: str, label: str, figure: str, bar: float) -> Panel:
        found = {name: over([run[name][figure] for run in sampled]) for name in sampled[0] if name != "independent"}
        return Panel(title, label, found, bar)

    ends = {arm: [100 * at_step(rows, step)["greedy"] for rows in runs] for arm, runs in trained.items()}
    tokens = {arm: [at_step(rows, step)["tokens"] / 1000 for rows in runs] for arm, runs in trained.items()}
    return [
        panel("Tokens computed for a response", "share of independent groups; bar 0.80", "computed_ratio", 0.8),
        panel("... at as many distinct responses", "share of independent groups", "cost_at_equal_distinct", 0.8),
        Panel(f"Accuracy after {step} updates", "held-out, greedy (%)", {k: over(v) for k, v in ends.items()}),
        Panel(f"Tokens decoded in {step} updates", "thousands", {k: over(v) for k, v in tokens.items()}),
    ]
