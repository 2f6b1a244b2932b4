"""Lite PPO's credit: centred by the group, scaled by the batch."""

from __future__ import annotations

from typing import ClassVar

from pilothouse.credit.normalize import Mean, Std
from pilothouse.credit.normalized import Normalized


class LitePPO(Normalized):
    """``A = (r - mean_group) / (std_batch + eps)`` (Liu et al. 2025, arXiv 2508.08221, section 4).

    The std is that of the raw rewards of the whole batch, differences between prompts included; eps 1e-6 and the
    sample std are those of ROLL, in which the paper's runs were made.
    """

    name: ClassVar[str] = "lite-ppo"
    mean: Mean = "group"
    std: Std = "batch"
