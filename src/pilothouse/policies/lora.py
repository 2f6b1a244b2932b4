"""Low-rank adapters through peft (Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import torch
from pydantic import Field
from transformers import PreTrainedModel

from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import Settings


class LoRA(Settings):
    """A low-rank adapter.

    Args:
        r: rank.
        alpha: scale; the update is ``alpha / r`` times the product of the two factors.
        dropout: dropout on the adapter's input, in [0, 1); anything above 0 makes trainer and sampler disagree.
        target_modules: names of the layers to adapt, or "all-linear".
    """

    r: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"


def attach(model: PreTrainedModel, lora: LoRA, seed: int) -> Any:
    """Put an adapter's layers into ``model``, freeze the rest, and return peft's handle on it.

    Args:
        model: changed in place.
        lora: the adapter.
        seed: seed of its weights.

    Raises:
        ConfigError: peft is not installed, or no layer has a name that was asked for.
    """
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError:
        raise ConfigError("LoRA needs the package peft; install it with `pip install 'pilothouse[lora]'`") from None
    target = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=lora.dropout,
        target_modules=target,
        task_type=TaskType.CAUSAL_LM,
    )
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise ConfigError(f"cannot add LoRA to {target}: {error}; name linear layers of this model") from error


def merged(adapter: Any) -> PreTrainedModel:
    """Return a copy of the model with the adapter added into its weights.

    Args:
        adapter: what ``attach`` returned.
    """
    return copy.deepcopy(adapter).merge_and_unload()
