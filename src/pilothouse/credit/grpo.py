"""GRPO: rewards standardised within the group of attempts at one prompt."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.credit.normalize import Mean, Std
from pilothouse.credit.normalized import Normalized


class GRPO(Normalized):
    """``A = (r - mean_group) / (std_group + eps)`` (Shao et al. 2024, arXiv 2402.03300, section 4.1.2).

    The paper names no eps and no ddof; 1e-4 and the sample std are those of TRL's GRPOTrainer.
    """

    name: ClassVar[str] = "grpo"
    mean: Mean = "group"
    std: Std = "group"
    eps: Annotated[float, Field(ge=0)] = 1e-4
