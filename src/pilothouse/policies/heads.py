"""Small heads on a language model's hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from pilothouse.core.counter import uniform
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import Settings


class HeadSettings(Settings):
    """What a value head does besides its linear map.

    Args:
        squash: "tanh" keeps values in (-1, 1), for returns that lie there; "none" leaves them as they are.
        dropout: share of the hidden state's features left out of each value in training; the rest is scaled up.
    """

    squash: Literal["none", "tanh"] = "none"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def to_metadata(self) -> dict[str, str]:
        """Return the settings as the texts that a weights file keeps beside its tensors."""
        return {name: str(value) for name, value in self.model_dump().items()}

    def saved(self, metadata: Mapping[str, str] | None, where: str, *, told: bool) -> HeadSettings:
        """Return the settings of a head that was saved: its own, or these where it is older than settings.

        Args:
            metadata: what the weights file keeps beside its tensors.
            where: the file, for the message.
            told: whether these settings were asked for, rather than being the defaults.

        Raises:
            ConfigError: another squash was asked for than the weights were trained with.
        """
        known = {name: text for name, text in (metadata or {}).items() if name in type(self).model_fields}
        found = HeadSettings.model_validate(known)
        if not told:
            return found
        if found.squash != self.squash:
            raise ConfigError(
                f"the value head in {where} was trained with squash '{found.squash}', not '{self.squash}': set "
                f"--value_head.squash {found.squash}, or remove the file to train a new one"
            )
        return self


class ValueHead(nn.Module):
    """A linear value estimate of each hidden state; starts at zero, so the first advantages are the plain returns.

    Args:
        width: hidden width D.
        settings: squash and dropout; none by default.
    """

    def __init__(self, width: int, settings: HeadSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or HeadSettings()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: Float[Tensor, "M D"], keys: Int[Tensor, " M"] | None = None) -> Float[Tensor, " M"]:
        """Return the value of each of M states, in float32.

        Args:
            hidden: [M, D] last hidden states.
            keys: [M] a number of its own for each state, from which its dropout is drawn; ``None`` drops nothing.
        """
        hidden = hidden.float()
        rate = self.settings.dropout
        if rate and keys is not None:
            features = torch.arange(hidden.shape[1], device=hidden.device)
            kept = uniform(keys[:, None], features) >= rate
            hidden = hidden * kept / (1 - rate)
        values = hidden @ self.weight + self.bias
        return values.tanh() if self.settings.squash == "tanh" else values
