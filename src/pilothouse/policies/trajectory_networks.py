"""Networks over whole trajectories: convolutions along time, told the noise level; any number of rows goes in."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pilothouse.core.parts import Catalogue, Part

_GROUPS = 8  # of group normalisation; widths are multiples of it
_OCTAVES = 4  # of the level's sines


class TrajectoryNetwork(Part):
    """The shape of a network, by name."""

    catalogue: ClassVar[Catalogue] = Catalogue("trajectory network", "pilothouse.policies")

    def network(self, columns: int) -> nn.Module:
        """Return the network: called with rows [N, T, C] and noise embeddings [N] it returns [N, T, C].

        Its last layer starts at zero; other weights are drawn from the global generator.

        Args:
            columns: numbers C in a row.
        """
        raise NotImplementedError


class ResidualConv(TrajectoryNetwork):
    """Residual blocks of two convolutions at full resolution.

    Args:
        width: channels, a multiple of 8.
        blocks: how many; each sees two rows further to both sides.
    """

    name: ClassVar[str] = "residual-conv"

    width: Annotated[int, Field(ge=8, multiple_of=_GROUPS)] = 96
    blocks: Annotated[int, Field(ge=1)] = 5

    def network(self, columns: int) -> nn.Module:
        """Return the network."""
        return _ResidualConv(columns, self.width, self.blocks)


class TrajectoryUNet(TrajectoryNetwork):
    """Convolutions at falling resolution and back up, as in policy-guided diffusion.

    Args:
        width: channels at full resolution, a multiple of 8; each further level has twice as many. The paper's is 1024.
        levels: resolutions; trajectories are padded to a multiple of 2 to the power of ``levels - 1``.
    """

    name: ClassVar[str] = "trajectory-unet"

    width: Annotated[int, Field(ge=8, multiple_of=_GROUPS)] = 64
    levels: Annotated[int, Field(ge=1)] = 3

    def network(self, columns: int) -> nn.Module:
        """Return the network."""
        return _UNet(columns, [self.width * 2**level for level in range(self.levels)])


class _Level(nn.Module):
    """The noise level as a vector: sines of a few octaves, and two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * _OCTAVES + 1, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, level: Float[Tensor, " N"]) -> Float[Tensor, "N D"]:
        angles = level[:, None] * math.pi * 2.0 ** torch.arange(_OCTAVES)
        return self.layers(torch.cat([level[:, None], angles.sin(), angles.cos()], dim=1))


class _Block(nn.Module):
    """Two convolutions, the level added between them."""

    def __init__(self, into: int, out: int, level: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(into, out, 3, padding=1), nn.Conv1d(out, out, 3, padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(_GROUPS, out), nn.GroupNorm(_GROUPS, out)])
        self.told = nn.Linear(level, out)

    def forward(self, hidden: Tensor, level: Tensor) -> Tensor:
        hidden = functional.relu(self.norms[0](self.first(hidden))) + self.told(level)[..., None]
        return functional.relu(self.norms[1](self.second(hidden)))


def _zero(layer: nn.Conv1d) -> nn.Conv1d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class _ResidualConv(nn.Module):
    def __init__(self, columns: int, width: int, blocks: int) -> None:
        super().__init__()
        self.level = _Level(width)
        self.enter = nn.Conv1d(columns, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(width, width, width) for _ in range(blocks))
        self.leave = _zero(nn.Conv1d(width, columns, 1))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        told, hidden = self.level(level), self.enter(x.transpose(1, 2))
        for block in self.blocks:
            hidden = hidden + block(hidden, told)
        return self.leave(hidden).transpose(1, 2)


class _UNet(nn.Module):
    def __init__(self, columns: int, widths: list[int]) -> None:
        super().__init__()
        self.level = _Level(widths[0])
        self.down = nn.ModuleList(_Block(i, o, widths[0]) for i, o in zip([columns, *widths[:-1]], widths, strict=True))
        pairs = list(zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True))
        self.up = nn.ModuleList(_Block(i + o, o, widths[0]) for i, o in pairs)
        self.leave = _zero(nn.Conv1d(widths[0], columns, 1))
        self.multiple = 2 ** (len(widths) - 1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        told, rows = self.level(level), x.shape[1]
        hidden, passed = functional.pad(x.transpose(1, 2), (0, -rows % self.multiple), mode="replicate"), list[Tensor]()
        for index, block in enumerate(self.down):
            hidden = block(functional.max_pool1d(hidden, 2) if index else hidden, told)
            passed.append(hidden)
        passed.pop()
        for block in self.up:
            wider = functional.interpolate(hidden, scale_factor=2, mode="nearest")
            hidden = block(torch.cat([wider, passed.pop()], dim=1), told)
        return self.leave(hidden)[..., :rows].transpose(1, 2)
