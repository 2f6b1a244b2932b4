"""A Hugging Face causal language model over the row cache: every forward pass of the local engine goes through here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicLayer

from pilothouse.core.errors import EngineError
from pilothouse.core.requests import Codec, Tokens
from pilothouse.engines.blocks import ShortPass
from pilothouse.engines.kv import KVPool

PASS_TOKENS = 8192  #: most tokens in one forward pass, padding included
PASS_LOGITS = 1 << 26  #: most logits in memory when every position is scored
SPARE_TOKENS = 256  #: padding worth more than a forward pass of its own


class LanguagePolicy(Protocol):
    """What the engine needs of a policy."""

    @property
    def model(self) -> PreTrainedModel:
        """The model; its weights are used in place."""
        ...

    @property
    def codec(self) -> Codec:
        """Text to token ids and back."""
        ...

    @property
    def eos_ids(self) -> frozenset[int]:
        """Ids that end a continuation."""
        ...

    @property
    def context(self) -> int:
        """Longest sequence, in tokens."""
        ...


class ValuePolicy(LanguagePolicy, Protocol):
    """A policy with a value head."""

    @property
    def value_head(self) -> Callable[[Float[Tensor, "B D"]], Float[Tensor, " B"]]:
        """The value of each state, from its last hidden state."""
        ...

    def value_of_prefixes(self, prefixes: Sequence[Tokens]) -> list[float]:
        """Return the value of each state, from a pass over all of it."""
        ...


def buckets(lengths: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last + 1) of runs of rows that run well together, shortest first.

    Args:
        lengths: tokens of each row, ascending.
        most: most tokens of a run, padding included; a single row may have more.
    """
    first, padding = 0, 0
    for row in range(1, len(lengths)):
        padding += (row - first) * (lengths[row] - lengths[row - 1])
        if padding > SPARE_TOKENS or (row + 1 - first) * lengths[row] > most:
            yield first, row
            first, padding = row, 0
    if lengths:
        yield first, len(lengths)


def _training(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules in training mode; ``modules()`` takes several times as long, which shows with small models."""
    if module.training:
        yield module
    for child in module._modules.values():
        if child is not None:
            yield from _training(child)


class Decoder:
    """Runs a model on consecutive rows of the cache.

    Args:
        policy: the policy; its weights are neither copied nor changed.

    Raises:
        EngineError: the model keeps something else than keys and values, or cannot be told positions and masks.
    """

    def __init__(self, policy: LanguagePolicy) -> None:
        self.policy = policy
        self.config: Any = policy.model.config.get_text_config()
        self.vocabulary = int(self.config.vocab_size)
        model: Any = policy.model
        accepted = inspect.signature(model.forward).parameters
        missing = {"attention_mask", "position_ids", "past_key_values"} - set(accepted)
        attention = getattr(model.config, "_attn_implementation", "sdpa")
        kinds = set(getattr(self.config, "layer_types", None) or ())
        name = type(model).__name__
        if missing or kinds - {"full_attention", "sliding_attention"}:
            reason = f"no {' or '.join(sorted(missing))}" if missing else f"layers of type {', '.join(sorted(kinds))}"
            raise EngineError(f"{name} has {reason}; the local engine needs plain attention, use another engine for it")
        if attention not in {"sdpa", "eager"}:
            raise EngineError(f"{name} was loaded with {attention}; load it with attn_implementation='sdpa'")
        self._last_only = "logits_to_keep" in accepted
        self._by_kind = "sliding_attention" in kinds
        sliding = self._by_kind or (not kinds and getattr(self.config, "use_sliding_window", True))
        self._window = int(getattr(self.config, "sliding_window", None) or 0) if sliding else 0
        self._pool: KVPool | None = None
        self._short = ShortPass(policy.model) if ShortPass.fits(policy.model) else None
        self._compared = set[bool]()  # kinds of pass, of one token or of several, in which the short way agreed

    @contextmanager
    def session(self) -> Iterator[None]:
        """Inference and evaluation mode, with every module's own mode put back at the end."""
        training = list(_training(self.policy.model))
        for module in training:
            module.training = False
        try:
            with torch.inference_mode():
                yield
        finally:
            for module in training:
                module.training = True

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.policy.model.device

    def release(self) -> None:
        """Drop the cache and its memory."""
        self._pool = None

    def weights_changed(self) -> None:
        """Drop what was made of earlier weights."""
        if self._short:
            self._short.forget()

    @property
    def pool(self) -> KVPool:
        """The cache; its shapes are learnt from a pass over a single token."""
        if self._pool is None:
            token = torch.zeros(1, 1, dtype=torch.long, device=self.device)
            layers = self.policy.model(input_ids=token, use_cache=True).past_key_values.layers
            if not all(isinstance(layer, DynamicLayer) for layer in layers):
                name = type(self.policy.model).__name__
                raise EngineError(f"{name} caches something else than keys and values; use another engine for it")
            planes = [plane for layer in layers for plane in (layer.keys, layer.values)]
            self._pool = KVPool([(plane.shape[1], plane.shape[3]) for plane in planes], planes[0])
        return self._pool

    def logits(
        self, first: int, tokens: Int[Tensor, "B S"], positions: Int[Tensor, "B S"], columns: int, keep: int
    ) -> Float[Tensor, "B keep V"]:
        """Run new tokens through the model, caching them, and return the logits of the last ``keep`` positions.

        Args:
            first: the first of B consecutive rows.
            tokens: [B, S] new tokens.
            positions: [B, S] their positions.
            columns: one past the largest position.
            keep: positions to return logits of.
        """
        self.pool.open(first, positions, columns)
        mask = self._mask(positions, columns)
        several = tokens.shape[1] > 1
        if self._short and several in self._compared:
            assert isinstance(mask, Tensor)
            return self._short(tokens, positions, mask, self.pool, keep)
        extra = {"logits_to_keep": keep} if self._last_only else {}
        output = self.policy.model(
            input_ids=tokens,
            attention_mask=mask,  # pyright: ignore[reportArgumentType]
            position_ids=positions,
            past_key_values=self.pool,
            use_cache=True,
            **extra,
        )
        if self._short:
            assert isinstance(mask, Tensor)
            short = self._short(tokens, positions, mask, self.pool, keep)
            if torch.allclose(short, output.logits[:, -keep:], rtol=1e-4, atol=1e-4):
                self._compared.add(several)
                return short  # so that a continued run's first pass has the bits of the run that went on
            self._short = None
        return output.logits[:, -keep:]

    @cached_property
    def shows_states(self) -> bool:
        """Whether the model's body can be run on the row cache by itself, for its hidden states."""
        accepted = inspect.signature(self.policy.model.base_model.forward).parameters
        return {"attention_mask", "position_ids", "past_key_values"} <= set(accepted)

    def states(
        self, first: int, tokens: Int[Tensor, "B S"], positions: Int[Tensor, "B S"], columns: int
    ) -> Float[Tensor, "B S D"]:
        """Run new tokens through the model's body, caching them, and return the last hidden states.

        Args:
            first: the first of B consecutive rows.
            tokens: [B, S] new tokens.
            positions: [B, S] their positions.
            columns: one past the largest position.
        """
        self.pool.open(first, positions, columns)
        output = self.policy.model.base_model(
            input_ids=tokens,
            attention_mask=self._mask(positions, columns),
            position_ids=positions,
            past_key_values=self.pool,
            use_cache=True,
        )
        return output.last_hidden_state

    def _mask(self, positions: Int[Tensor, "B S"], columns: int) -> Tensor | dict[str, Tensor]:
        """Return the additive mask [B, 1, S, columns]: a row sees its own positions so far, never what lies beyond."""
        column = torch.arange(columns, device=positions.device)
        ahead = (column > positions[..., None])[:, None]
        lowest = torch.finfo(self.pool.buffer.dtype).min
        blank = self.pool.buffer.new_zeros(())
        full = blank.masked_fill(ahead, lowest) if not self._window or self._by_kind else None
        if not self._window:
            assert full is not None
            return full
        near = blank.masked_fill(ahead | (column <= positions[..., None] - self._window)[:, None], lowest)
        return near if full is None else {"full_attention": full, "sliding_attention": near}

    def extend(
        self,
        first: int,
        sequences: Sequence[Tokens],
        starts: Sequence[int],
        *,
        every: bool = False,
        states: bool = False,
    ) -> Iterator[tuple[int, int, Float[Tensor, "B S V"]]]:
        """Cache the rest of each sequence, yielding (row, offset from its start, logits) of each pass.

        Rows are padded by repeating their last token at its own position, which writes what is there already; so the
        last column of the last pass is each row's last token.

        Args:
            first: the row of the cache of the first sequence.
            sequences: token ids, in order of the number of tokens still to cache.
            starts: tokens of each sequence that its row holds already; at least one is left.
            every: yield the logits of every position instead of only the last one.
            states: yield hidden states instead of logits, of every position of the pass.
        """
        rest = [len(sequence) - start for sequence, start in zip(sequences, starts, strict=True)]
        most = min(PASS_TOKENS, max(1, PASS_LOGITS // self.vocabulary)) if every else PASS_TOKENS
        for low, high in buckets(rest, most):
            width, step = rest[high - 1], max(1, most // (high - low))
            ids = np.array([[*s[t:], *s[-1:] * (width - len(s) + t)] for s, t in _pairs(sequences, starts, low, high)])
            ends = np.array([len(sequence) for sequence in sequences[low:high]])[:, None]
            places = np.minimum(np.array(starts[low:high])[:, None] + np.arange(width), ends - 1)
            tokens, positions = torch.from_numpy(ids).to(self.device), torch.from_numpy(places).to(self.device)
            for offset in range(0, width, step):
                part = slice(offset, offset + step)
                columns = int(places[:, part].max()) + 1
                keep = min(step, width - offset) if every else 1
                where = (first + low, tokens[:, part], positions[:, part], columns)
                found = self.states(*where) if states else self.logits(*where, keep)
                if every or offset + step >= width:
                    yield low, offset, found


def _pairs(sequences: Sequence[Tokens], starts: Sequence[int], low: int, high: int) -> Iterator[tuple[Tokens, int]]:
    return zip(sequences[low:high], starts[low:high], strict=True)
