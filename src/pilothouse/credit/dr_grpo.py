"""Dr. GRPO: the group's mean as the baseline, and no scale."""

from __future__ import annotations

from typing import ClassVar

from pilothouse.credit.normalize import Mean, Std
from pilothouse.credit.normalized import Normalized


class DrGRPO(Normalized):
    """``A = r - mean_group`` (Liu et al. 2025, arXiv 2503.20783, section 3.1): GRPO without the division by the std."""

    name: ClassVar[str] = "dr-grpo"
    mean: Mean = "group"
    std: Std = "none"
