"""A U-Net over the time axis of a chunk of actions, conditioned by scale and shift (FiLM)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pilothouse.core.parts import LISTED
from pilothouse.policies.denoisers import Denoiser
from pilothouse.policies.film import sinusoids

_GROUPS = 8


class UNet(Denoiser):
    """Convolutions over time at falling resolution and back up, as in Diffusion Policy.

    Args:
        channels: at each resolution, the finest first; each level halves the time axis.
        kernel: of the convolutions.
        embedding: width of the noise level's embedding.
    """

    name: ClassVar[str] = "unet"

    channels: Annotated[tuple[int, ...], LISTED] = (64, 128)
    kernel: Annotated[int, Field(ge=1)] = 5
    embedding: Annotated[int, Field(ge=8)] = 64

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.channels or any(c < 1 or c % _GROUPS for c in self.channels) or self.kernel % 2 == 0:
            raise ValueError(
                f"a unet needs channels that are multiples of {_GROUPS} and an odd kernel, not {self.channels} and "
                f"{self.kernel}"
            )
        return self

    def network(self, horizon: int, actions: int, condition: int) -> nn.Module:
        """Return the network.

        Raises:
            ValueError: the horizon cannot be halved as often as there are levels.
        """
        if horizon % 2 ** (len(self.channels) - 1):
            raise ValueError(f"a horizon of {horizon} cannot be halved {len(self.channels) - 1} times")
        return _UNet(actions, condition, self.channels, self.kernel, self.embedding)


class _Block(nn.Module):
    """Two convolutions with a residual; the condition scales and shifts what is between them."""

    def __init__(self, inputs: int, outputs: int, condition: int, kernel: int) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Sequential(nn.Conv1d(i, outputs, kernel, padding=kernel // 2), nn.GroupNorm(_GROUPS, outputs), nn.SiLU())
            for i in (inputs, outputs)
        )
        self.film = nn.Sequential(nn.SiLU(), nn.Linear(condition, 2 * outputs))
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition)[..., None].chunk(2, dim=1)
        return self.second(self.first(hidden) * (1 + scale) + shift) + self.skip(hidden)


class _UNet(nn.Module):
    def __init__(self, actions: int, condition: int, channels: tuple[int, ...], kernel: int, embedding: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.read = nn.Sequential(nn.Linear(embedding, 4 * embedding), nn.SiLU(), nn.Linear(4 * embedding, embedding))
        known, last = embedding + condition, channels[-1]
        pairs = list(zip((actions, *channels[:-1]), channels, strict=True))
        self.down = nn.ModuleList(
            nn.ModuleList([_Block(i, o, known, kernel), _Block(o, o, known, kernel)]) for i, o in pairs
        )
        self.shrink = nn.ModuleList(nn.Conv1d(c, c, 3, stride=2, padding=1) for c in channels[:-1])
        self.middle = nn.ModuleList([_Block(last, last, known, kernel), _Block(last, last, known, kernel)])
        ups = list(zip(reversed(channels[1:]), reversed(channels[:-1]), strict=True))
        self.grow = nn.ModuleList(nn.ConvTranspose1d(i, i, 4, stride=2, padding=1) for i, _ in ups)
        self.up = nn.ModuleList(
            nn.ModuleList([_Block(i + o, o, known, kernel), _Block(o, o, known, kernel)]) for i, o in ups
        )
        first = channels[0]
        self.leave = nn.Sequential(
            nn.Conv1d(first, first, kernel, padding=kernel // 2),
            nn.GroupNorm(_GROUPS, first),
            nn.SiLU(),
            nn.Conv1d(first, actions, 1),
        )

    def forward(self, chunk: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        known = torch.cat([self.read(sinusoids(level, self.embedding)), condition], dim=-1)
        hidden, passed = chunk.transpose(1, 2), []
        for index, blocks in enumerate(self.down):
            hidden = _through(blocks, hidden, known)
            if index < len(self.shrink):
                passed.append(hidden)
                hidden = self.shrink[index](hidden)
        hidden = _through(self.middle, hidden, known)
        for grow, blocks in zip(self.grow, self.up, strict=True):
            hidden = _through(blocks, torch.cat([grow(hidden), passed.pop()], dim=1), known)
        return self.leave(hidden).transpose(1, 2)


def _through(blocks: nn.Module, hidden: Tensor, known: Tensor) -> Tensor:
    for block in blocks.children():
        hidden = block(hidden, known)
    return hidden
