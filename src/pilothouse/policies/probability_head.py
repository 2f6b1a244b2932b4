"""Two chances read off a causal language model's last token: whether help is needed, whether an offer is accepted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pilothouse.core.requests import Tokens
from pilothouse.policies.causal_lm import CausalPolicy


class ProbabilityHead(nn.Module):
    """Two linear maps on the last hidden state of a context; they start at zero, which says one half of everything.

    ``chances`` gives ``(p_need, p_acc)`` of texts, the form that gates and routers read.

    Args:
        policy: the language model; its weights are trained too where the loss reaches them.
        batch: contexts in one pass when it is called.

    Source: PRISM, arXiv 2602.01532 (two heads are one of the forms its schema can be read in; reconstructed).
    """

    def __init__(self, policy: CausalPolicy, batch: int = 64) -> None:
        super().__init__()
        self.policy, self.batch = policy, batch
        width = int(policy.model.config.get_text_config().hidden_size)
        self.linear = nn.Linear(width, 2, device=policy.device)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, contexts: Sequence[Tokens]) -> Float[Tensor, "B 2"]:
        """Return the logits of need and acceptance, differentiable in head and model.

        Args:
            contexts: B ragged token sequences, none empty.
        """
        return self.linear(self.policy.last_hidden(contexts).float())

    @torch.no_grad()
    def chances(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return [n] chances of need and [n] chances of acceptance.

        Args:
            texts: n contexts, none empty.
        """
        encoded = [self.policy.codec.encode(text) for text in texts]
        cut = range(0, len(encoded), self.batch)
        found = torch.cat([self(encoded[at : at + self.batch]) for at in cut]).sigmoid().cpu().double().numpy()
        return found[:, 0], found[:, 1]
