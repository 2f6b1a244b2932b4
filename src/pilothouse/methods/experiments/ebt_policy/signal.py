"""What an energy says: whether it falls, whether the situation is like training, whether the plan is wrong."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from pilothouse.control.chunks import ChunkDataset
from pilothouse.control.energy_descent import Descended, EnergyDescent
from pilothouse.control.samplers import Draws
from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.adaptive_compute import adaptive_compute
from pilothouse.policies.energy_chunk import EnergyChunkPolicy
from pilothouse.reports.statistics import auc, spearman
from pilothouse.tasks.control import ControlTask

STEPS = 6  #: of the descents whose energies are compared
SHIFT, NOISE = 0.8, 0.15  #: of the thing's height, out of the range of training; of every observed number


def signal_figures(
    policy: EnergyChunkPolicy, task: ControlTask, demonstrations: int, states: int, seed: int
) -> dict[str, Any]:
    """Return what the energies of a policy's plans tell, on states of demonstrators that it never saw.

    Args:
        policy: the energy.
        task: pick and lift.
        demonstrations: episodes that the policy learnt from.
        states: states of each kind.
        seed: of the training.
    """
    from pilothouse.decisions.energy_gate import EnergyGate  # needs scikit-learn, which the catalogue does not

    seeds = SeedTree(seed)
    shape = policy.horizon, policy.model.observation_steps
    fresh = ChunkDataset(task.demonstrations(max(demonstrations // 2, 2), seeds / "signal" / "episodes"), *shape)
    known = ChunkDataset(task.demonstrations(demonstrations, seeds / "demonstrations"), *shape)
    draw = (seeds / "signal" / "states").torch()
    batch, trained = fresh.draw(states, draw), known.draw(states, draw)
    shifted, noisy = batch.observations.clone(), batch.observations.clone()
    shifted[..., 3] += SHIFT
    noisy += NOISE * torch.randn(noisy.shape, generator=draw)

    def descend(observations: Tensor, sampler: EnergyDescent) -> Descended:
        draws = Draws(len(observations), (policy.horizon, policy.action_dim), (seeds / "signal" / "noise").torch())
        with torch.no_grad():
            return sampler.descents(policy, policy.condition(observations), draws, torch.arange(len(observations)))

    fixed, adaptive = EnergyDescent(max_steps=STEPS, g_min=0.0), EnergyDescent()
    inside = descend(batch.observations, fixed)
    outside = {"shifted": descend(shifted, fixed).energy, "noisy": descend(noisy, fixed).energy}
    error = (inside.chunk.clamp(-1, 1) - policy.actions(batch.actions)).square().mean(dim=2)
    wrong = (error * batch.mask).sum(dim=1) / batch.mask.sum(dim=1)
    gate = EnergyGate(0.95).fit(descend(trained.observations, fixed).energy)
    stopped = descend(batch.observations, adaptive)
    return {
        "fell": adaptive_compute(inside.steps, inside.energies, STEPS).fell,
        "energies": inside.energies.mean(dim=1).tolist(),
        "gradient_norms": inside.gradient_norms.mean(dim=1).tolist(),
        "final": {"inside": float(inside.energy.mean())} | {name: float(e.mean()) for name, e in outside.items()},
        "auc": {name: auc(e.tolist(), inside.energy.tolist()) for name, e in outside.items()},
        "flagged": {name: float(gate.predict(e).mean()) for name, e in {"inside": inside.energy, **outside}.items()},
        "rank": spearman(inside.energy.tolist(), wrong.tolist()),
        "adaptive": asdict(adaptive_compute(stopped.steps, stopped.energies, adaptive.max_steps)),
    }
