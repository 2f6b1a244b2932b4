"""Finding a model and its tokenizer: every way it can fail is one sentence with the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from pilothouse.core.errors import ConfigError


def place(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """Return device and type of the weights.

    Args:
        device: a torch device; "auto" takes the GPU if there is one.
        dtype: a torch dtype's name; "auto" means bfloat16 on a GPU and float32 elsewhere.

    Raises:
        ConfigError: no such device here, or no such dtype.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"unknown device '{device}'; use auto, cpu or cuda") from None
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device '{device}' asked for but PyTorch finds no GPU; use --device cpu")
    if dtype == "auto":
        return where, torch.bfloat16 if where.type == "cuda" else torch.float32
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise ConfigError(f"unknown dtype '{dtype}'; use auto, float32, bfloat16 or float16")
    return where, kind


def model_folder(source: str | Path) -> str:
    """Return the folder or hub id to load: a run's folder stands for the model inside it.

    Args:
        source: what the user gave.

    Raises:
        ConfigError: it looks like a path and there is no model there.
    """
    folder = Path(source).expanduser()
    for place in (folder, folder / "model"):
        if (place / "config.json").is_file():
            return str(place)
    if folder.exists():
        raise ConfigError(f"'{source}' holds no model (no config.json); give a folder written by save_pretrained")
    name = str(source)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ConfigError(f"no model at '{source}': the folder does not exist; check the path, or give a hub id")
    _reach_hub(name)
    return name


def _reach_hub(name: str) -> None:
    """Fail at once when the hub cannot be reached: its own client would try for most of a minute."""
    if HF_HUB_OFFLINE or isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        urlopen(Request(ENDPOINT, method="HEAD"), timeout=10).close()
    except HTTPError:
        return  # it answers; what is wrong with the id, from_pretrained says better
    except OSError as error:
        raise ConfigError(
            f"no folder '{name}' here, and the hub cannot be reached for a model of that name ({error}); "
            "check path and network, or give a local folder"
        ) from error


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer at ``source``.

    Args:
        source: a folder or hub id.

    Raises:
        ConfigError: there is none.
    """
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*token*")) and not any(folder.glob("*vocab*")):
        raise ConfigError(f"'{source}' has a model but no tokenizer; save one there with tokenizer.save_pretrained")
    try:
        return AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(_reason("tokenizer", source, error)) from error


def load_model(source: str, dtype: torch.dtype) -> PreTrainedModel:
    """Return the causal language model at ``source``.

    Args:
        source: a folder or hub id.
        dtype: type of the weights.

    Raises:
        ConfigError: there is none, or it is not a causal language model.
    """
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(_reason("causal language model", source, error)) from error
    return model


def _reason(what: str, source: str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0].rstrip(".")
    if Path(source).is_dir():
        return f"the {what} in '{source}' cannot be read ({first}); save it again with save_pretrained"
    return f"cannot load the {what} '{source}' from the hub ({first}); check id and network, or give a local folder"
