"""Direct preference optimisation: a logistic loss on pairs of responses."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from pilothouse.core.errors import ConfigError
from pilothouse.objectives.base import Batch, Objective


def dpo_margin(
    chosen: Float[Tensor, " pairs"],
    rejected: Float[Tensor, " pairs"],
    ref_chosen: Float[Tensor, " pairs"],
    ref_rejected: Float[Tensor, " pairs"],
    beta: float,
) -> Float[Tensor, " pairs"]:
    """Return the implicit reward of the chosen response less that of the rejected one; DPO's loss is ``-log sigmoid``.

    Args:
        chosen: log-probability of each pair's chosen response under the policy being trained.
        rejected: the same of the rejected response.
        ref_chosen: log-probability of the chosen response under the reference policy.
        ref_rejected: the same of the rejected response.
        beta: weight of the KL penalty whose optimum the loss encodes.

    Source: Rafailov et al. 2023, arXiv 2305.18290, equation 7.
    """
    return beta * ((chosen - ref_chosen) - (rejected - ref_rejected))


class DPO(Objective):
    """DPO on a batch of pairs: row 2i is the chosen response, row 2i + 1 the rejected one, to the same prompt.

    A micro-batch holds whole pairs. The loss is the mean over pairs, half the sequences of ``totals``; ``weights``
    and ``old_logprobs`` are not read.

    Args:
        beta: weight of the KL penalty whose optimum the loss encodes.
    """

    name: ClassVar[str] = "dpo"
    needs: ClassVar[frozenset[str]] = frozenset({"ref_logprobs"})
    reads_credit: ClassVar[bool] = False
    paired: ClassVar[bool] = True
    beta: Annotated[float, Field(gt=0)] = 0.1

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss, the share of pairs ranked rightly and the mean margin.

        Raises:
            ConfigError: the number of rows is odd.
        """
        reference = self.supplied(batch.ref_logprobs, "ref_logprobs")
        if len(batch.mask) % 2:
            raise ConfigError(
                f"objective 'dpo' reads pairs of rows but the micro-batch has {len(batch.mask)}; give it an even number"
            )
        policy, fixed = (torch.where(batch.mask, each, 0.0).sum(dim=1) for each in (batch.logprobs, reference))
        margin = dpo_margin(policy[0::2], policy[1::2], fixed[0::2], fixed[1::2], self.beta)
        pairs = max(batch.totals.sequences / 2, 1)
        figures = {
            "dpo_accuracy": float((margin > 0).sum()) / pairs,
            "dpo_margin": float(margin.detach().sum()) / pairs,
        }
        return -logsigmoid(margin).sum() / pairs, figures
