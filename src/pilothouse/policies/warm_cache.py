"""Warm starts on disk: trained once for the same problems, weights, settings and seed."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pilothouse.core.cache import cache_root
from pilothouse.core.problems import Problem
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.warm_start import History, Progress, WarmStart, warm_start

RECIPE = 1  #: raise when a change to the training makes different weights from the same input
_WEIGHTS, _RECORD = "weights.safetensors", "record.json"


def cached_warm_start(
    policy: CausalPolicy,
    problems: Sequence[Problem],
    settings: WarmStart,
    *,
    seed: int,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> History:
    """Warm-start a policy in place, or load the weights that the same warm start gave before.

    A damaged entry is made again; a folder that cannot be written costs a warning, not the training.

    Args:
        policy: the policy; its trainable weights change.
        problems: problems with a ``solution``.
        settings: how to train.
        seed: seed of the training.
        cache: folder; by default ``$PILOTHOUSE_CACHE`` or ``~/.cache/pilothouse``.
        progress: called after every update; never when the weights come from the cache.
    """
    root = cache_root(cache)
    entry = root / "warm-start" / content_key(policy, problems, settings, seed)
    found = _load(entry, policy)
    if found is not None:
        return found
    history = warm_start(policy, problems, settings, seed=seed, progress=progress)
    try:
        _store(entry, policy, history)
    except OSError as error:
        warnings.warn(
            f"the warm start cannot be kept in '{root}' ({error}) and will be trained again next time; "
            "set PILOTHOUSE_CACHE to a folder that can be written",
            stacklevel=2,
        )
    return history


def content_key(policy: CausalPolicy, problems: Sequence[Problem], settings: WarmStart, seed: int) -> str:
    """Return the name of an entry: a hash of all that decides what the training gives.

    Args:
        policy: its architecture, vocabulary and present weights count.
        problems: their prompts and solutions count, in order.
        settings: how to train.
        seed: seed of the training.
    """
    digest = hashlib.blake2b(digest_size=16)
    config = {name: entry for name, entry in policy.model.config.to_dict().items() if name != "transformers_version"}
    lessons = [[problem.prompt, problem.solution] for problem in problems]
    facts = [RECIPE, seed, settings.model_dump(), config, sorted(policy.tokenizer.get_vocab().items()), lessons]
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    for name, weight in policy.modules().named_parameters():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)} {weight.requires_grad}".encode())
        digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _load(entry: Path, policy: CausalPolicy) -> History | None:
    """Copy an entry's weights into the policy; ``None``, and nothing copied, where it is absent or damaged."""
    try:
        record = json.loads((entry / _RECORD).read_text())
        if _checksum(entry / _WEIGHTS) != record["weights"]:
            return None
        saved, history = load_file(entry / _WEIGHTS), History(**record["history"])
    except (OSError, ValueError, TypeError, KeyError, SafetensorError):
        return None
    weights = policy.trainable_parameters()
    if {n: w.shape for n, w in saved.items()} != {n: w.shape for n, w in weights.items()}:
        return None
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(saved[name])
    return replace(history, cached=True)


def _store(entry: Path, policy: CausalPolicy, history: History) -> None:
    """Write an entry beside its place and rename it there, so that nobody ever reads half of one."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=entry.parent))
    try:
        save_file({n: w.detach().contiguous() for n, w in policy.trainable_parameters().items()}, draft / _WEIGHTS)
        record = {"weights": _checksum(draft / _WEIGHTS), "history": history.to_dict()}
        (draft / _RECORD).write_text(json.dumps(record))
        shutil.rmtree(entry, ignore_errors=True)
        draft.rename(entry)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _checksum(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
