"""A causal language model as a policy: any ``AutoModelForCausalLM`` with its tokenizer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import pad as widen
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Problem
from pilothouse.core.requests import Tokens
from pilothouse.policies.heads import HeadSettings, ValueHead
from pilothouse.policies.loading import load_model, load_tokenizer, model_folder, place
from pilothouse.policies.lora import LoRA, attach, merged
from pilothouse.policies.scoring import SplitModel, TokenScores, pad

VALUE_FILE = "value_head.safetensors"


class TokenizerCodec:
    """A tokenizer as a ``Codec``: no special tokens added, none shown.

    Args:
        tokenizer: any Hugging Face tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def encode(self, text: str) -> Tokens:
        """Return the token ids of ``text``."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: Tokens) -> str:
        """Return the text of ``tokens``."""
        text = self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)


class CausalPolicy:
    """A causal language model that acts by choosing tokens.

    Args:
        model: a Hugging Face causal language model, already on its device.
        tokenizer: its tokenizer.
        lora: train a low-rank adapter instead of the model's own weights.
        value_head: add a value head on the last hidden states; settings make it more than a linear map.
        seed: seed of the adapter's weights.

    Attributes:
        model: the model; with LoRA, the same model with the adapter's layers in place.
        codec: text to token ids and back.
        eos_ids: token ids that end a response.
        context: longest sequence, in tokens.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        lora: LoRA | None = None,
        value_head: bool | HeadSettings = False,
        seed: int = 0,
    ) -> None:
        self.adapter: Any = attach(model, lora, seed) if lora else None
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.codec = TokenizerCodec(tokenizer)
        config: Any = model.config.get_text_config()
        self.eos_ids = _eos_ids(model, tokenizer)
        self.context = int(getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length)
        settings = value_head if isinstance(value_head, HeadSettings) else None
        self.value_head = ValueHead(config.hidden_size, settings).to(self.device) if value_head else None
        self.frozen = False
        self._split = SplitModel(self.model)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        lora: LoRA | None = None,
        value_head: bool | HeadSettings = False,
        seed: int = 0,
    ) -> Self:
        """Load a policy from a folder or the hub.

        Args:
            source: a folder with a model and its tokenizer, a run's folder, or a hub id.
            device: a torch device; "auto" takes the GPU if there is one.
            dtype: a torch dtype's name; "auto" means bfloat16 on a GPU and float32 elsewhere.
            lora: train a low-rank adapter instead of the model's own weights.
            value_head: add a value head; its weights and settings are read if the folder has them.
            seed: seed of a fresh adapter's weights.

        Raises:
            ConfigError: no model or no tokenizer there, a device or dtype that does not exist, or other settings of the
                value head than those its weights were trained with.
        """
        where, kind = place(device, dtype)
        source = model_folder(source)
        tokenizer = load_tokenizer(source)
        model = load_model(source, kind).to(where)  # pyright: ignore[reportArgumentType]
        saved = Path(source) / VALUE_FILE
        there = bool(value_head) and saved.is_file()
        if there:
            with safe_open(saved, "pt") as file:
                told = isinstance(value_head, HeadSettings)
                settings = value_head if isinstance(value_head, HeadSettings) else HeadSettings()
                value_head = settings.saved(file.metadata(), str(saved), told=told)
        policy = cls(model, tokenizer, lora=lora, value_head=value_head, seed=seed)
        if there and policy.value_head is not None:
            policy.value_head.load_state_dict(load_file(saved))
        return policy

    def save(self, folder: str | Path) -> None:
        """Write model and tokenizer so that ``from_pretrained(folder)`` loads them.

        With LoRA the folder holds the merged weights and ``folder/adapter`` the adapter; a value head goes to
        ``value_head.safetensors``.

        Args:
            folder: created if absent.
        """
        folder = Path(folder)
        model = self.model if self.adapter is None else merged(self.adapter)
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.adapter is not None:
            self.adapter.save_pretrained(folder / "adapter")
        if self.value_head is not None:
            metadata = self.value_head.settings.to_metadata()
            save_file(self.value_head.state_dict(), folder / VALUE_FILE, metadata=metadata)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.model.dtype

    @property
    def end(self) -> Tokens:
        """The token that ends a response in training text; empty if the tokenizer has none."""
        eos = self.tokenizer.eos_token_id
        return (eos,) if isinstance(eos, int) else ()

    def modules(self) -> nn.ModuleDict:
        """Return everything with weights, for optimisers and checkpoints."""
        parts: dict[str, nn.Module] = {"model": self.model}
        if self.value_head is not None:
            parts["value_head"] = self.value_head
        return nn.ModuleDict(parts)

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """Return the weights that training changes, by name: the adapter's with LoRA, and the value head's."""
        return {name: weight for name, weight in self.modules().named_parameters() if weight.requires_grad}

    def gradient_checkpointing(self, on: bool = True) -> None:
        """Trade time for memory: recompute the transformer's blocks in the backward pass.

        Blocks recompute only in training mode, which the policy as a whole never enters, so that dropout does not make
        it disagree with the sampler; the blocks' own flags are set, and what they contain stays as it is.

        Args:
            on: whether to.
        """
        if on:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.model.gradient_checkpointing_disable()
        for block in self.model.modules():
            if hasattr(block, "gradient_checkpointing") and block is not self.model:
                block.training = on
        self._split.recomputes = on

    def render(self, problem: Problem) -> Tokens:
        """Return the token ids of a problem's prompt, ready to continue.

        Args:
            problem: chat messages go through the chat template, text is taken as it is.

        Raises:
            ConfigError: messages without a chat template, an empty prompt, or one that fills the context.
        """
        if isinstance(problem.prompt, str):
            tokens = self.codec.encode(problem.prompt)
        elif not self.tokenizer.chat_template:
            raise ConfigError(
                f"problem '{problem.id}' has chat messages but the model's tokenizer has no chat template; "
                "give its prompt as text, or use a model tuned for chat"
            )
        else:
            messages = [dict(message) for message in problem.prompt]
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            tokens = self.codec.encode(str(text))
        if not 0 < len(tokens) < self.context:
            raise ConfigError(
                f"the prompt of problem '{problem.id}' has {len(tokens)} tokens and the model's context is "
                f"{self.context}; a prompt needs at least 1 and must leave room for a response"
            )
        return tokens

    def reference(self) -> CausalPolicy:
        """Return a frozen policy with the weights as they are now; with LoRA, the shared model without its adapter."""
        frozen = copy.copy(self)
        frozen.frozen = True
        frozen.value_head = None
        if self.adapter is None:
            frozen.model = copy.deepcopy(self.model).requires_grad_(False).eval()
            frozen._split = SplitModel(frozen.model)
        return frozen

    def value_network(self, settings: HeadSettings) -> CausalPolicy:
        """Return a policy of its own that begins with these weights and a fresh value head: what to train values in.

        Args:
            settings: the head's.
        """
        twin = copy.copy(self)
        twin.model, twin.adapter = copy.deepcopy((self.model, self.adapter))
        width = twin.model.config.get_text_config().hidden_size
        twin.value_head = ValueHead(width, settings).to(self.device)
        twin._split = SplitModel(twin.model)
        return twin

    def token_scores(
        self,
        prompts: Sequence[Tokens],
        tokens: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        *,
        temperature: Float[Tensor, " B"] | float = 1.0,
        entropy: bool = False,
        values: bool = False,
        values_after: bool = False,
        dropout: Int[Tensor, "B T+1"] | None = None,
        chunk_tokens: int | None = None,
    ) -> TokenScores:
        """Return the log-probability of each masked token, differentiable in the weights.

        Only positions with a loss reach the head, a chunk of them at a time; logits [B, T, V] never exist.

        Args:
            prompts: B ragged token sequences, none empty.
            tokens: [B, T] response token ids.
            mask: [B, T] tokens to score; everything else is 0 in the result.
            temperature: [B] softmax temperature of each row, or one for all.
            entropy: also return the entropy at each token.
            values: also return the value head's estimate of the state each token was chosen in.
            values_after: also return its estimate of the state after each token.
            dropout: [B, T+1] a number of its own for the state before each token and after the last, from which the
                value head's dropout is drawn; ``None`` drops nothing.
            chunk_tokens: tokens whose logits are in memory at a time; by default what fits 64 MiB.

        Raises:
            ConfigError: values are asked for and there is no value head.
        """
        if (values or values_after) and self.value_head is None:
            raise ConfigError("this policy has no value head; load it with value_head=True")
        mask = mask.to(self.device)
        if values_after:  # the state after a token is the one in which the next is chosen, one more at the end
            wide = self.token_scores(
                prompts,
                widen(tokens, (0, 1)),
                widen(mask, (0, 1)) | widen(mask, (1, 0)),
                temperature=temperature,
                entropy=entropy,
                values=True,
                dropout=dropout,
                chunk_tokens=chunk_tokens,
            )
            assert wide.values is not None
            return wide.cut(mask, values=values)

        def spread(flat: Tensor) -> Tensor:
            return torch.zeros(mask.shape, device=flat.device).masked_scatter(mask, flat)

        if not mask.any():
            nothing = torch.zeros(mask.shape, device=self.device)
            return TokenScores(nothing, nothing if entropy else None, nothing if values else None)
        tokens = tokens.to(self.device)
        heat = torch.as_tensor(temperature, dtype=torch.float32, device=self.device).expand(len(prompts))
        heat = heat[mask.nonzero(as_tuple=True)[0]]
        with self._mode():
            logprobs, spreads, hidden = self._split.scores(
                prompts, tokens, mask, heat, entropy=entropy, chunk_tokens=chunk_tokens
            )
            worth = None
            if values and self.value_head is not None:
                keys = None if dropout is None else dropout[:, : mask.shape[1]].to(self.device)[mask]
                worth = spread(self.value_head(hidden, keys))
            return TokenScores(spread(logprobs), spread(spreads) if entropy else None, worth)

    def state_values(
        self, prompts: Sequence[Tokens], tokens: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        """Return the value of the state each masked token was chosen in, differentiable; no logits are computed.

        Args:
            prompts: B ragged token sequences, none empty.
            tokens: [B, T] response token ids.
            mask: [B, T] tokens whose states are valued; everything else is 0 in the result.

        Raises:
            ConfigError: there is no value head.
        """
        if self.value_head is None:
            raise ConfigError("this policy has no value head; load it with value_head=True")
        mask, values = mask.to(self.device), torch.zeros(mask.shape, device=self.device)
        if not mask.any():
            return values
        with self._mode():
            hidden = self._split.states(prompts, tokens.to(self.device), mask)
            return values.masked_scatter(mask, self.value_head(hidden))

    @torch.no_grad()
    def value_of_prefixes(self, prefixes: Sequence[Tokens]) -> list[float]:
        """Return the value head's estimate of each state.

        Args:
            prefixes: B ragged token sequences, none empty.

        Raises:
            ConfigError: there is no value head.
        """
        if self.value_head is None:
            raise ConfigError("this policy has no value head; load it with value_head=True")
        return self.value_head(self.last_hidden(prefixes)).tolist()

    def last_hidden(self, prefixes: Sequence[Tokens]) -> Float[Tensor, "B D"]:
        """Return the last hidden state after each prefix, differentiable in the weights.

        Args:
            prefixes: B ragged token sequences, none empty.
        """
        hidden = self._split.hidden(pad(prefixes, self.device))
        last = torch.tensor([len(prefix) - 1 for prefix in prefixes], device=self.device)
        return hidden[torch.arange(len(prefixes), device=self.device), last]

    @contextmanager
    def _mode(self) -> Iterator[None]:
        """A frozen policy takes no gradients and, with LoRA, no adapter."""
        with ExitStack() as stack:
            if self.frozen:
                stack.enter_context(torch.no_grad())
                if self.adapter is not None:
                    stack.enter_context(self.adapter.disable_adapter())
            yield


def _eos_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids that end a response: the generation settings', the configuration's and the tokenizer's."""
    generation = model.generation_config.eos_token_id if model.generation_config else None
    listed = generation if isinstance(generation, list) else [generation]
    return frozenset(int(i) for i in (*listed, tokenizer.eos_token_id) if isinstance(i, int))
