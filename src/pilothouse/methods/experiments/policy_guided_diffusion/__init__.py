"""Policy-guided diffusion's claim: what guidance does to made-up trajectories, and what these do for learners."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.methods.experiments.measured import over
from pilothouse.methods.experiments.policy_guided_diffusion import claims
from pilothouse.methods.experiments.policy_guided_diffusion.agents import AgentDesign, compare
from pilothouse.methods.experiments.policy_guided_diffusion.system import DESIGN, HARDER, TINY, SystemDesign, measure
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress


@dataclass(frozen=True)
class Scale:
    """The size of the experiments.

    Args:
        system: made-up trajectories of a known system.
        harder: the same with less data and longer windows.
        agents: what they do for learners.
        seeds: of the first two.
    """

    system: SystemDesign = DESIGN
    harder: SystemDesign = HARDER
    agents: AgentDesign = field(default_factory=AgentDesign)
    seeds: int = 3


def _tiny() -> Scale:
    synthetic = AgentDesign().synthetic.model_copy(
        update={"trajectories": 2, "refresh_every": 1, "sampler": TINY.sampler}
    )
    agents = AgentDesign({"drift": 2}, 200, TINY.diffusion, 2, synthetic, 2, 2)
    return Scale(TINY, TINY, agents, 2)


SCALES = {"smoke": _tiny, "small": Scale}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiments on a known system and on learners; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (half an hour of a core).
        out: folder for the evidence, its figure and every finished cell.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment yet.
    """
    if scale not in SCALES:
        raise ConfigError("policy-guided-diffusion has no experiment at GPU scale yet: use --scale small")
    started, size = time.perf_counter(), SCALES[scale]()
    system = _system(size.system, size.seeds, out, progress)
    agents = _agents(size.agents, out, progress)
    harder = _system(size.harder, size.seeds, out, progress)
    found_claims = (
        *claims.system_claims(system),
        *claims.harder_claims(harder),
        *claims.agent_claims(agents),
    )
    figure = panels_figure(_panels(system, agents), out / "claims", title=f"Policy-guided diffusion, scale {scale}")
    tables = {"system": system, "harder": harder, "agents": agents}
    return Evidence.of(
        "policy-guided-diffusion", scale, found_claims, tables, figure.name, time.perf_counter() - started
    )


def _agents(design: AgentDesign, out: Path, progress: Progress) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {world: [] for world in design.seeds}
    progress.phase("learners on recorded and made-up data")
    for world, seeds in design.seeds.items():
        for seed in range(seeds):
            progress.say(f"{world}: data set {seed + 1} of {seeds}")
            path = out / "cells" / f"agents-{world}-{seed}.json"
            found[world].append(kept(path, design.facts(), lambda w=world, s=seed: compare(design, w, s)))
    return found


def _system(design: SystemDesign, seeds: int, out: Path, progress: Progress) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    progress.phase(f"a known system: {design.name}")
    for seed in range(seeds):
        progress.say(f"{design.name}: seed {seed + 1} of {seeds}")
        path = out / "cells" / f"{design.name}-{seed}.json"
        found.append(kept(path, design.facts(), lambda s=seed: measure(design, s)))
    return found


def _panels(system: list[dict[str, Any]], agents: dict[str, list[dict[str, Any]]]) -> list[Panel]:
    names = [name for name in system[0] if name.replace(".", "").isdigit()]
    a = {f"λ {name}": over([run[name]["A"] for run in system]) for name in names}
    e = {f"λ {name}": over([1e4 * run[name]["E"] for run in system]) for name in names}
    e["world model"] = over([1e4 * run["world"]["E"] for run in system])
    panels = [Panel("Off-policyness A", "squared distance of actions", a), Panel("Dynamics error E", "1e-4", e)]
    for world, runs in agents.items():
        gains = {
            f"{learner}, {arm}": over([run[learner][arm] - run[learner]["recorded"] for run in runs])
            for learner in ("TD3+BC", "IQL")
            for arm in ("unguided", "guided")
        }
        panels.append(Panel(world, "return above recorded data alone", gains, 0.0))
    return panels
