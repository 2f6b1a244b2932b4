"""How fast our DDIM draws chunks beside a loop over diffusers' scheduler, on the same network.

Rounds take turns and the ratio is that of the medians. Both draw the same chunks, which is checked first.

    python benchmarks/ddim_vs_diffusers.py [rounds]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from pilothouse.control.samplers import DDIM, Draws
from pilothouse.core.columns import ColumnStatistics
from pilothouse.policies.denoisers import Denoiser, ResidualMLP
from pilothouse.policies.diffusion import DiffusionChunk, DiffusionChunkPolicy
from pilothouse.policies.unet import UNet

STEPS = 10


def network(denoiser: Denoiser) -> DiffusionChunkPolicy:
    seen, done = (ColumnStatistics.of(torch.tensor([[-1.0] * n, [1.0] * n])) for n in (5, 3))
    policy = DiffusionChunk(denoiser=denoiser).policy(seen, done, 0)
    assert isinstance(policy, DiffusionChunkPolicy)
    return policy.eval()


def ways(policy: DiffusionChunkPolicy, batch: int) -> dict[str, Callable[[], Tensor]]:
    sampler, theirs = (
        DDIM(steps=STEPS),
        DDIMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", timestep_spacing="trailing"),
    )
    condition, rows, shape = torch.zeros(batch, 10), torch.arange(batch), (policy.horizon, 3)

    def ours() -> Tensor:
        draws = Draws(batch, shape, torch.Generator().manual_seed(0))
        return sampler.sample(policy, condition, draws, rows)[0]

    def loop() -> Tensor:
        chunk = Draws(batch, shape, torch.Generator().manual_seed(0))(rows)
        theirs.set_timesteps(STEPS)
        for level in theirs.timesteps.tolist():
            noise = policy.eps(chunk, level, condition)
            chunk = theirs.step(noise, level, chunk, use_clipped_model_output=True, return_dict=False)[0]
        return chunk

    return {"ours": ours, "diffusers": loop}


@torch.no_grad()
def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    print(f"{STEPS} steps, chunks of 16 x 3, {torch.get_num_threads()} threads, medians of {rounds} rounds in turns")
    print(f"{'network':<14}{'batch':>6}{'ours, ms':>12}{'diffusers, ms':>16}{'throughput ratio':>18}")
    for name, denoiser in (("residual-mlp", ResidualMLP()), ("unet", UNet())):
        policy = network(denoiser)
        for batch in (1, 64):
            both = ways(policy, batch)
            assert torch.allclose(both["ours"](), both["diffusers"](), atol=1e-4), "they draw different chunks"
            taken: dict[str, list[float]] = {way: [] for way in both}
            for _ in range(rounds):
                for way, draw in both.items():
                    started = time.perf_counter()
                    draw()
                    taken[way].append(1000 * (time.perf_counter() - started))
            mine, other = (statistics.median(taken[way]) for way in both)
            print(f"{name:<14}{batch:>6}{mine:>12.2f}{other:>16.2f}{other / mine:>18.2f}")


if __name__ == "__main__":
    main()
