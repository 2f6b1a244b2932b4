"""PRISM's loss: two calibrated chances, learnt from labels that are known only where an offer was shown."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pilothouse.core.errors import ConfigError
from pilothouse.core.gates import threshold
from pilothouse.core.parts import Settings

FLOOR = 0.05  #: least propensity that is believed, so that no event weighs more than 20
SOFT = 0.05  #: width of the smooth step that stands for the gate's decision, in probability


class PrismLoss(Settings):
    """``L_need + L_acc + L_burden`` on the logits of need and acceptance.

    - ``L_need = BCE(p_need, y_need)``; soft targets are a teacher's chances.
    - ``L_acc = d / max(e, 0.05) BCE(p_acc, y_acc)``, d whether an offer was shown, e the chance that it was.
    - ``L_burden = lam_fa sig((p_acc - tau) / 0.05) (1 - y_acc) + lam_slow exp(-((p_acc - tau) / delta)^2)``: offers
      that are rejected, weighted as ``L_acc`` is, and events so near the threshold that they cost a second look.

    All are means over the batch. The paper names the three parts; their form is reconstructed. Cross-entropy on a
    record's text is the objective ``sft``.

    Args:
        c_fa: cost of an offer that is not accepted.
        c_fn: cost of silence where an offer was needed and would have been accepted.
        delta: distance from the threshold that goes to the slow estimate.
        lam_fa: weight of rejected offers.
        lam_slow: weight of second looks.

    Source: PRISM, arXiv 2602.01532.
    """

    c_fa: Annotated[float, Field(gt=0)] = 1.0
    c_fn: Annotated[float, Field(gt=0)] = 3.0
    delta: Annotated[float, Field(gt=0)] = 0.1
    lam_fa: Annotated[float, Field(ge=0)] = 0.5
    lam_slow: Annotated[float, Field(ge=0)] = 0.05

    def __call__(
        self,
        need: Float[Tensor, " B"],
        acc: Float[Tensor, " B"],
        y_need: Float[Tensor, " B"],
        y_acc: Float[Tensor, " B"],
        shown: Float[Tensor, " B"] | None = None,
        propensity: Float[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss and its parts.

        Args:
            need: [B] logits of need.
            acc: [B] logits of acceptance.
            y_need: [B] labels or soft targets of need.
            y_acc: [B] labels or soft targets of acceptance; anything, NaN included, where no offer was shown.
            shown: [B] 1 where an offer was shown, else 0; by default every candidate was judged.
            propensity: [B] the chance that it was shown, in (0, 1]; 1 by default.

        Raises:
            ConfigError: a propensity is not in (0, 1].
        """
        weight = torch.ones_like(acc) if shown is None else shown
        if propensity is not None:
            if not bool(((propensity > 0) & (propensity <= 1)).all()):
                raise ConfigError("a propensity is not in (0, 1]: it is the chance that an offer was shown")
            weight = weight / propensity.clamp(min=FLOOR)
        known = torch.where(weight > 0, y_acc, 0.0)
        away = acc.sigmoid() - threshold(need.sigmoid(), self.c_fa, self.c_fn)
        parts = {
            "need": binary_cross_entropy_with_logits(need, y_need),
            "accept": (weight * binary_cross_entropy_with_logits(acc, known, reduction="none")).mean(),
            "rejected": (weight * (away / SOFT).sigmoid() * (1 - known)).mean(),
            "near": (-((away / self.delta) ** 2)).exp().mean(),
        }
        loss = parts["need"] + parts["accept"] + self.lam_fa * parts["rejected"] + self.lam_slow * parts["near"]
        return loss, {f"prism_{name}": float(part.detach()) for name, part in parts.items()}
