"""Warm start: supervised training on worked solutions until sampling is right some of the time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Annotated, Any, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from pilothouse.core.errors import ConfigError, DivergedError
from pilothouse.core.parts import Settings
from pilothouse.core.problems import Problem
from pilothouse.core.requests import Tokens
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.packing import length_buckets

HELD_OUT_LIMIT = 512  #: most problems kept back
EVALUATION_TOKENS = 8192  #: tokens at a time when measuring the held-out loss
CHECK_EVERY = 50  #: updates between checks for an early stop
Progress: TypeAlias = Callable[[float, float], None]  #: called with the share done, in [0, 1], and the loss


class WarmStart(Settings):
    """How to train on worked solutions.

    Args:
        epochs: passes over the problems.
        seconds: time limit; 0 sets none. The learning rate has decayed by whichever of the two comes first.
        batch_tokens: tokens in one update, padding included.
        lr: peak learning rate of AdamW, which trains embeddings, head and vectors.
        matrix_lr: peak learning rate of Muon, which trains the matrices of the body.
        weight_decay: of Muon.
        warmup: share of the run in which the learning rate rises.
        decay: share of the run, at its end, in which it falls to 0.
        clip: largest norm of the gradient.
        held_out: share of the problems kept back to measure the loss on.
        target_loss: stop early once the held-out loss, in nats per token, is at most this; 0 never stops early.
        solution_loss: stop early once the held-out loss of a whole solution, in nats, is at most this, so that there
            is something left to learn: at 1 a sampled response is that solution about e^-1 = 37 % of the time; 0
            never stops early.
    """

    epochs: Annotated[float, Field(gt=0)] = 1.0
    seconds: Annotated[float, Field(ge=0)] = 0.0
    batch_tokens: Annotated[int, Field(ge=1)] = 512
    lr: Annotated[float, Field(gt=0)] = 2e-3
    matrix_lr: Annotated[float, Field(gt=0)] = 6e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    decay: Annotated[float, Field(ge=0, le=1)] = 0.5
    clip: Annotated[float, Field(gt=0)] = 1.0
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.02
    target_loss: Annotated[float, Field(ge=0)] = 0.0
    solution_loss: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True)
class History:
    """What a warm start did.

    Args:
        losses: training loss of every update, in nats per token.
        held_out_loss: loss on the problems kept back, in nats per token; NaN if none were.
        problems: worked solutions trained on.
        skipped: worked solutions left out because they do not fit the context.
        tokens: tokens processed, prompts included.
        seconds: wall-clock seconds of training.
        cached: whether the weights came from the cache; the other figures are then those of the run that made them.
    """

    losses: list[float] = field(default_factory=list[float])
    held_out_loss: float = float("nan")
    problems: int = 0
    skipped: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cached: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Lessons:
    """Encoded problems: N prompts and their padded solutions.

    Args:
        prompts: N ragged prompts.
        tokens: [N, T] solutions, each ended by the end-of-sequence token.
        mask: [N, T] True on the solution.
    """

    prompts: list[Tokens]
    tokens: Int[Tensor, "N T"]
    mask: Bool[Tensor, "N T"]

    @cached_property
    def lengths(self) -> Int[Tensor, " N"]:
        return self.mask.sum(1) + torch.tensor([len(prompt) for prompt in self.prompts])

    def loss(self, policy: CausalPolicy, rows: Int[Tensor, " B"]) -> Float[Tensor, ""]:
        """Return the mean negative log-probability of the chosen rows' solution tokens."""
        prompts, mask = [self.prompts[i] for i in rows.tolist()], self.mask[rows]
        return -policy.token_scores(prompts, self.tokens[rows], mask).logprobs.sum() / mask.sum()

    @torch.no_grad()
    def mean_loss(self, policy: CausalPolicy, rows: Int[Tensor, " B"]) -> float:
        """Return the loss of all the chosen rows, NaN if there are none."""
        buckets = [rows[bucket] for bucket in length_buckets(self.lengths[rows], EVALUATION_TOKENS)]
        counts = [int(self.mask[bucket].sum()) for bucket in buckets]
        total = sum(float(self.loss(policy, b)) * count for b, count in zip(buckets, counts, strict=True))
        return total / sum(counts) if buckets else math.nan


def warm_start(
    policy: CausalPolicy,
    problems: Sequence[Problem],
    settings: WarmStart,
    *,
    seed: int,
    progress: Progress | None = None,
) -> History:
    """Train a policy in place on worked solutions: cross-entropy on the solution and its end, not on the prompt.

    Args:
        policy: the policy; its trainable weights change.
        problems: problems with a ``solution``; those without are not used.
        settings: how to train.
        seed: seed of the order and of what is held out.
        progress: called after every update.

    Raises:
        ConfigError: no problem has a worked solution that fits the context.
        DivergedError: the loss is not finite.
    """
    lessons, skipped = _encode(policy, problems)
    order = torch.randperm(len(lessons.prompts), generator=(SeedTree(seed) / "held-out").torch())
    kept_back = min(int(settings.held_out * len(order)), HELD_OUT_LIMIT)
    held_out, train = order[:kept_back], order[kept_back:]
    updates = _updates(lessons.lengths[train], settings, seed)
    optimiser = _Optimiser(policy, settings)
    losses, tokens, start = list[float](), 0, time.monotonic()
    for step, chosen in enumerate(updates):
        spent = (time.monotonic() - start) / settings.seconds if settings.seconds else 0.0
        done = max(step / len(updates), spent)
        if done >= 1.0 or _reached(policy, lessons, held_out, settings, step):
            break
        loss = lessons.loss(policy, train[chosen])
        loss.backward()
        optimiser.step(schedule(done, settings.warmup, settings.decay))
        losses.append(loss.item())
        tokens += int(lessons.lengths[train[chosen]].sum())
        if not math.isfinite(losses[-1]):
            raise DivergedError(
                f"warm start diverged at update {step}: the loss is {losses[-1]}; lower lr and matrix_lr"
            )
        if progress is not None:
            progress(done, losses[-1])
    seconds = time.monotonic() - start
    return History(losses, lessons.mean_loss(policy, held_out), len(train), skipped, tokens, seconds)


def _encode(policy: CausalPolicy, problems: Sequence[Problem]) -> tuple[_Lessons, int]:
    """Return what fits the context, and how many worked solutions do not."""
    pairs = [(policy.render(p), policy.codec.encode(p.solution) + policy.end) for p in problems if p.solution]
    fitting = [(prompt, solution) for prompt, solution in pairs if len(prompt) + len(solution) <= policy.context]
    if not fitting:
        raise ConfigError(
            f"none of {len(problems)} problems has a worked solution within the context of {policy.context} tokens; "
            "give a model that needs no warm start, or problems with a solution"
        )
    width = max(len(solution) for _, solution in fitting)
    tokens = torch.tensor([[*solution, *[0] * (width - len(solution))] for _, solution in fitting])
    lengths = torch.tensor([len(solution) for _, solution in fitting])
    mask = torch.arange(width) < lengths[:, None]
    return _Lessons([prompt for prompt, _ in fitting], tokens, mask), len(pairs) - len(fitting)


def _updates(lengths: Int[Tensor, " N"], settings: WarmStart, seed: int) -> list[Int[Tensor, " B"]]:
    """Return the rows of every update: each epoch is shuffled, cut into rows of like length, and shuffled again."""
    updates = list[Tensor]()
    for epoch in range(math.ceil(settings.epochs)):
        generator = (SeedTree(seed) / "epoch" / epoch).torch()
        order = torch.randperm(len(lengths), generator=generator)
        buckets = [order[bucket] for bucket in length_buckets(lengths[order], settings.batch_tokens)]
        shuffled = torch.randperm(len(buckets), generator=generator).tolist()
        share = min(1.0, settings.epochs - epoch)
        updates += [buckets[i] for i in shuffled[: math.ceil(share * len(buckets))]]
    return updates


class _Optimiser:
    """Muon on the matrices inside the body, AdamW on embeddings, head and vectors (Jordan et al. 2024)."""

    def __init__(self, policy: CausalPolicy, settings: WarmStart) -> None:
        self.weights = list(policy.trainable_parameters().values())
        ends = {id(m.weight) for m in policy.model.modules() if isinstance(m, nn.Embedding)}
        head = policy.model.get_output_embeddings()
        ends |= {id(weight) for weight in head.parameters()} if head is not None else set()
        inner = [w for w in self.weights if w.ndim == 2 and id(w) not in ends]
        taken = {id(weight) for weight in inner}
        outer = [w for w in self.weights if id(w) not in taken]
        decay = settings.weight_decay
        muon = torch.optim.Muon(inner, lr=settings.matrix_lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        adamw = torch.optim.AdamW(outer, lr=settings.lr, weight_decay=0.0, betas=(0.9, 0.98), fused=True)
        self.parts = ((adamw, settings.lr), (muon, settings.matrix_lr))
        self.clip = settings.clip

    def step(self, factor: float) -> None:
        """Clip, step at ``factor`` times the peak learning rates, and forget the gradients."""
        nn.utils.clip_grad_norm_(self.weights, self.clip)
        for optimiser, peak in self.parts:
            for group in optimiser.param_groups:
                group["lr"] = peak * factor
            optimiser.step()
            optimiser.zero_grad()


def _reached(policy: CausalPolicy, lessons: _Lessons, held_out: Tensor, settings: WarmStart, step: int) -> bool:
    if not (settings.target_loss or settings.solution_loss) or not step or step % CHECK_EVERY or not len(held_out):
        return False
    length = float(lessons.mask[held_out].sum()) / len(held_out)
    loss = lessons.mean_loss(policy, held_out)
    return loss <= settings.target_loss or loss * length <= settings.solution_loss


def schedule(done: float, warmup: float, decay: float) -> float:
    """Return the factor on the learning rate: a linear rise, a plateau, a linear fall (Hu et al. 2024, WSD).

    Args:
        done: share of the run that is over, in [0, 1].
        warmup: share of the run that rises.
        decay: share of the run that falls.
    """
    rise = (done + 1e-2 * warmup) / warmup if warmup else 1.0
    fall = (1.0 - done) / decay if decay else 1.0
    return min(1.0, rise, fall)
