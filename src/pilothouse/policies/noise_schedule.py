"""Noise levels of a diffusion, as diffusers defines them."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pilothouse.core.errors import ConfigError

Schedule: TypeAlias = Literal["squaredcos_cap_v2", "linear", "scaled_linear", "sigmoid"]


def alphas_cumprod(levels: int, schedule: Schedule) -> Tensor:
    """Return the share of signal variance that is left at each level, [K], from the least noise to the most.

    Args:
        levels: how many, K.
        schedule: how it falls, by diffusers' name.

    Raises:
        ConfigError: diffusers is not installed.
    """
    try:
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    except ImportError as error:
        raise ConfigError(f"diffusion policies need diffusers ({error}): pip install 'pilothouse[control]'") from error
    return DDPMScheduler(num_train_timesteps=levels, beta_schedule=schedule).alphas_cumprod.to(torch.float32)
