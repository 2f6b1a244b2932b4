"""Scores of given tokens under a causal language model: the body once per token, then the head where a loss is.

What the rows of a batch have in common is computed once: each distinct prompt in one pass, whose keys and values the
responses to it attend to in a second. Gradients of all responses flow back into their prompt's one computation.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicLayer

from pilothouse.core.requests import Tokens
from pilothouse.policies.head_scores import LogitShape, chunk_size, head_scores


@dataclass(frozen=True)
class TokenScores:
    """What a policy says of given tokens; every tensor is zero where the mask is False.

    Args:
        logprobs: [B, T] log-probability of each token.
        entropy: [B, T] entropy of the distribution each token was drawn from, in nats, if asked for.
        values: [B, T] value of the state each token was chosen in, if asked for.
        values_after: [B, T] value of the state after each token, if asked for.
    """

    logprobs: Float[Tensor, "B T"]
    entropy: Float[Tensor, "B T"] | None = None
    values: Float[Tensor, "B T"] | None = None
    values_after: Float[Tensor, "B T"] | None = None

    def cut(self, mask: Bool[Tensor, "B T"], *, values: bool) -> TokenScores:
        """Return these scores of T+1 tokens as those of T, where the value before a token is that after the one before.

        Args:
            mask: [B, T] the tokens wanted.
            values: whether values before tokens are wanted as well.
        """

        def kept(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else torch.where(mask, tensor[:, :-1], 0.0)

        assert self.values is not None
        after = torch.where(mask, self.values[:, 1:], 0.0)
        logprobs = torch.where(mask, self.logprobs[:, :-1], 0.0)
        return TokenScores(logprobs, kept(self.entropy), kept(self.values) if values else None, after)


def pack(
    prompts: Sequence[Tokens], tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
) -> tuple[Int[Tensor, "B L"], Int[Tensor, " M"]]:
    """Return prompt and response in one row, and where in the flattened rows each scored token is predicted.

    A causal model never looks right, so the padding needs no attention mask; tokens after the last scored one are
    left out.

    Args:
        prompts: B ragged token sequences, none empty.
        tokens: [B, T] response token ids.
        mask: [B, T] tokens to score.
    """
    reach = (mask * torch.arange(mask.shape[1], device=mask.device)).amax(1).tolist()
    rows = [[*prompt, *row[:count]] for prompt, row, count in zip(prompts, tokens.tolist(), reach, strict=True)]
    ids = pad(rows, tokens.device)
    starts = torch.tensor([len(prompt) for prompt in prompts], device=tokens.device)
    row, column = mask.nonzero(as_tuple=True)
    return ids, row * ids.shape[1] + starts[row] + column - 1


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "B L"]:
    """Return ragged rows as a rectangle, zeros on the right.

    Args:
        rows: B token sequences, none empty.
        device: where to put it.
    """
    if not all(rows):
        raise ValueError("a token sequence is empty; a causal model needs at least one token to predict from")
    width = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)


class SplitModel:
    """A causal language model taken apart into body and head, so that logits can be computed a few rows at a time.

    The first use checks that head(body(x)) is what the model itself returns; a model that does something else in
    between is used whole, with a warning.

    Args:
        model: a Hugging Face causal language model.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.head: Any = model.get_output_embeddings()
        self.shape = LogitShape.of(model.config.get_text_config())
        self._splits: bool | None = None
        self.recomputes = False  #: blocks recompute in the backward pass, where a kept cache would be lost
        self._shares: bool | None = None

    def hidden(self, ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Return the last hidden states.

        Args:
            ids: [B, L] right-padded rows.
        """
        return self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state

    def states(
        self, prompts: Sequence[Tokens], tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "M D"]:
        """Return the hidden state in which each masked token is chosen.

        Args:
            prompts: B ragged token sequences, none empty.
            tokens: [B, T] response token ids.
            mask: [B, T] the M tokens.
        """
        if 2 * len(set(prompts)) <= len(prompts) and not self.model.training and not self.recomputes and self.shares():
            return self._sharing(prompts, tokens, mask)
        ids, where = pack(prompts, tokens, mask)
        return self.hidden(ids).flatten(0, 1)[where]

    def scores(
        self,
        prompts: Sequence[Tokens],
        tokens: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        temperature: Float[Tensor, " M"],
        *,
        entropy: bool,
        chunk_tokens: int | None,
    ) -> tuple[Float[Tensor, " M"], Float[Tensor, " M"], Float[Tensor, "M D"]]:
        """Return log-probability, entropy and hidden state at each scored position.

        Args:
            prompts: B ragged token sequences, none empty.
            tokens: [B, T] response token ids.
            mask: [B, T] the M tokens to score.
            temperature: [M] softmax temperatures.
            entropy: whether to compute the entropy.
            chunk_tokens: rows of logits at a time.
        """
        targets = tokens[mask]
        if not self.splits():
            ids, where = pack(prompts, tokens, mask)
            hidden = self.hidden(ids).flatten(0, 1)[where]
            logits = self.model(input_ids=ids, use_cache=False).logits.flatten(0, 1)[where]
            logp = (logits.float() / temperature[:, None]).log_softmax(1)
            spread = -(logp.exp() * logp).sum(1) if entropy else torch.zeros_like(temperature)
            return logp.gather(1, targets[:, None])[:, 0], spread, hidden
        hidden = self.states(prompts, tokens, mask)
        weight, bias = self.head.weight, self.head.bias
        chunk = chunk_size(weight.shape[0], chunk_tokens)
        return *head_scores(hidden, weight, bias, targets, temperature, self.shape, chunk, entropy), hidden

    def _sharing(
        self, prompts: Sequence[Tokens], tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "M D"]:
        """Return the hidden state that predicts each scored token, each distinct prompt computed once."""
        stems = {prompt: at for at, prompt in enumerate(dict.fromkeys(prompts))}
        owner = torch.tensor([stems[prompt] for prompt in prompts], device=tokens.device)
        lengths = torch.tensor([len(stem) for stem in stems], device=tokens.device)
        output = self.model.base_model(input_ids=pad(list(stems), tokens.device), use_cache=True)
        first, cache = output.last_hidden_state, output.past_key_values
        row, column = mask.nonzero(as_tuple=True)
        last = owner[row] * first.shape[1] + lengths[owner[row]] - 1
        width = int(column.max())  # the last scored token is predicted, never read
        if not width:
            return first.flatten(0, 1).index_select(0, last)
        for layer in cache.layers:
            layer.keys, layer.values = layer.keys.index_select(0, owner), layer.values.index_select(0, owner)
        steps = torch.arange(first.shape[1] + width, device=tokens.device)
        starts = lengths[owner, None]
        second = self.model.base_model(
            input_ids=tokens[:, :width],
            attention_mask=((steps < starts) | (steps >= first.shape[1])).long(),
            position_ids=starts + steps[:width],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        inside = first.shape[0] * first.shape[1] + row * width + column - 1
        # Rows of a group share the state after their prompt: indexing would add its gradients in the order in which
        # threads come by, selecting adds them in the order of the rows, so that a step repeats bit for bit.
        states = torch.cat([first.flatten(0, 1), second.flatten(0, 1)])
        return states.index_select(0, torch.where(column > 0, inside, last))

    @torch.no_grad()
    def shares(self) -> bool:
        """Return whether responses can attend to a prompt computed before, measured once on a short input."""
        if self._shares is None:
            accepted = inspect.signature(self.model.base_model.forward).parameters
            self._shares = {"attention_mask", "position_ids", "past_key_values"} <= set(accepted) and self._continues()
        return self._shares

    def _continues(self) -> bool:
        """Compare two prompts of unlike length, followed by tokens, with the same rows in one pass."""
        size = min(4, self.head.weight.shape[0])
        tokens = torch.arange(size, device=self.model.device).expand(2, size)
        prompts = [(0,), (*range(size),)]
        probe = self.model.base_model(input_ids=tokens, use_cache=True).past_key_values
        if not all(type(layer) is DynamicLayer for layer in getattr(probe, "layers", [None])):
            return False
        ids, where = pack(prompts, tokens, torch.ones_like(tokens, dtype=torch.bool))
        whole = self.hidden(ids).flatten(0, 1)[where].float()
        parts = self._sharing(prompts, tokens, torch.ones_like(tokens, dtype=torch.bool)).float()
        tolerance = 1e-4 if self.model.dtype == torch.float32 else 5e-2
        return bool(torch.allclose(whole, parts, rtol=tolerance, atol=tolerance * float(whole.abs().max())))

    @torch.no_grad()
    def splits(self) -> bool:
        """Return whether head(body(x)) equals the model's own logits, measured once on a short input."""
        if self._splits is None:
            self._splits = isinstance(self.head, nn.Linear) and self._agrees()
            if not self._splits:
                warnings.warn(
                    f"{type(self.model).__name__} computes its logits in a way of its own: log-probabilities use its "
                    "full logits, which takes memory for tokens x vocabulary",
                    stacklevel=2,
                )
        return self._splits

    def _agrees(self) -> bool:
        size = min(8, self.head.weight.shape[0])
        ids = torch.arange(size, device=self.model.device)[None]
        own = self.model(input_ids=ids, use_cache=False).logits.float()
        ours = self.shape.apply(self.head(self.hidden(ids)).float())
        tolerance = 1e-4 if own.dtype == self.model.dtype else 2e-2
        return bool(torch.allclose(own, ours, rtol=tolerance, atol=tolerance * float(own.abs().max())))
