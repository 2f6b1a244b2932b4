"""RLOO: the mean reward of the group's other attempts as the baseline."""

from __future__ import annotations

from typing import ClassVar

from pilothouse.credit.normalize import Mean, Std
from pilothouse.credit.normalized import Normalized


class RLOO(Normalized):
    """``A_i = r_i - mean_{j != i} r_j`` (Ahmadian et al. 2024, arXiv 2402.14740, equation 8).

    In a group of G it is Dr. GRPO times G / (G - 1).
    """

    name: ClassVar[str] = "rloo"
    mean: Mean = "loo"
    std: Std = "none"
