"""The ways to act that the claims of RTI-DP compare."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from pilothouse.control.samplers import DDIM, DDPM, Draws, Sampler
from pilothouse.control.warm_start import RTI, DiscreteSpec, WarmStartSampler
from pilothouse.methods.experiments.acting import Arm
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.diffusion import DiffusionChunk, DiffusionChunkPolicy

GRIPPER = 2  #: the action's channel that is open or closed
SEVEN = (12, 10, 8, 6, 4, 2, 0)
THIRTEEN = (24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0)

BASE, BASE_ONE, COLD_DDIM, COLD = "DDPM 100, Ta 8", "DDPM 100, Ta 1", "DDIM 3, Ta 1", "2,1,0 from noise, Ta 1"
RTI_3, RTI_7, RTI_13, CLIP_3, CLIP_13 = "RTI 2,1,0", "RTI 7 calls", "RTI 13 calls", "RTI clip 3", "RTI clip 13"


class FromNoise(Sampler):
    """The last steps of the reverse process from pure noise: what RTI does without its guess.

    Args:
        steps: noise levels at which the network is asked.
    """

    name: ClassVar[str] = "from-noise"
    model: ClassVar[type[ChunkModel]] = DiffusionChunk

    steps: Annotated[tuple[int, ...], Field(min_length=1)] = (2, 1, 0)

    def sample(self, policy: ChunkPolicy, condition: Tensor, draws: Draws, rows: Tensor) -> tuple[Tensor, int]:
        """Return noise after the last steps."""
        assert isinstance(policy, DiffusionChunkPolicy)
        warm = WarmStartSampler(policy, self.steps)
        warm.draws = draws
        return warm.polish(draws(rows), condition, rows), len(self.steps)


def _rti(steps: tuple[int, ...], mode: str) -> Arm:
    return Arm(RTI(steps=steps, discrete=DiscreteSpec.model_validate({"dims": (GRIPPER,), "mode": mode})))


ARMS = {
    BASE: Arm(DDPM(), 8),
    BASE_ONE: Arm(DDPM()),
    "DDIM 10, Ta 8": Arm(DDIM(steps=10), 8),
    COLD_DDIM: Arm(DDIM(steps=3)),
    COLD: Arm(FromNoise()),
    RTI_3: _rti((2, 1, 0), "none"),
    RTI_7: _rti(SEVEN, "none"),
    RTI_13: _rti(THIRTEEN, "none"),
    CLIP_3: _rti((2, 1, 0), "clip"),
    CLIP_13: _rti(THIRTEEN, "clip"),
}
