"""What the techniques of inference engines save in our own: keys and values, batches, prefixes, drafts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pilothouse.core.requests import Sample, Sampled, Tokens
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.speculative import NextToken, speculate
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import TinyShape, tiny_policy
from pilothouse.policies.warm_start import WarmStart, warm_start
from pilothouse.tasks.chain_arithmetic import ChainArithmetic

CHARACTERS = "0123456789+-*/=.%()$ \nabcdefghijklmnopqrstuvwxyz"
GAMMA = 4
BEFORE, WINDOW, ROUNDS = 8, 16, 3  #: tokens of a stream before a long prompt arrives and counted after it; repetitions


def network(shape: TinyShape, seeds: SeedTree) -> CausalPolicy:
    """Return a random policy that never ends by itself, so that lengths are those asked for."""
    policy = tiny_policy(CHARACTERS, seeds.integer(), shape)
    policy.eos_ids = frozenset()
    policy.model.eval()
    return policy


def prompt(size: int, rng: np.random.Generator) -> Tokens:
    """Return a random prompt."""
    return tuple(rng.integers(3, 3 + len(CHARACTERS) - 1, size=size).tolist())


def keys_and_values(policy: CausalPolicy, size: int, new: int, rng: np.random.Generator) -> dict[str, float]:
    """Return what keeping keys and values saves: token passes, and seconds of a greedy continuation.

    Args:
        policy: the network.
        size: tokens of the prompt.
        new: tokens to draw.
        rng: draws the prompt.
    """
    start = prompt(size, rng)
    tokens, passes, began = list(start), 0, time.perf_counter()
    with torch.inference_mode():
        for _ in range(new):
            logits = policy.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1]
            passes += len(tokens)
            tokens.append(int(logits.argmax()))
    plain = time.perf_counter() - began
    [(kept, cost)], taken = _answered(LocalEngine(policy), [Sample(start, max_tokens=new, temperature=0, seed=0)])
    same = kept == tuple(tokens[size:])
    return {"plain_passes": passes, "passes": cost, "plain_s": plain, "seconds": taken, "identical": float(same)}


def batching(policy: CausalPolicy, requests: int, slots: int, rng: np.random.Generator) -> dict[str, float]:
    """Return what letting a waiting request into a free slot saves against batches that end together.

    Args:
        policy: the network.
        requests: how many, of lengths min(Geom(1 / 48), 192).
        slots: sequences at once.
        rng: draws prompts and lengths.
    """
    lengths = np.minimum(rng.geometric(1 / 48, requests), 192).tolist()
    asked = [Sample(prompt(16, rng), max_tokens=n, temperature=0, seed=0) for n in lengths]
    whole, taken = _answered(LocalEngine(policy, max_rows=slots), asked)
    engine, parts, static = LocalEngine(policy, max_rows=slots), list[tuple[Tokens, int]](), 0.0
    for first in range(0, requests, slots):
        found, seconds = _answered(engine, asked[first : first + slots])
        parts, static = parts + found, static + seconds
    same = [a == b for (a, _), (b, _) in zip(whole, parts, strict=True)]
    steps = decode_steps(lengths, slots)
    return {
        "static_steps": steps[0],
        "steps": steps[1],
        "static_s": static,
        "seconds": taken,
        "tokens": float(sum(lengths)),
        "identical": float(np.mean(same)),
    }


def decode_steps(lengths: Sequence[int], slots: int) -> tuple[int, int]:
    """Return decoding steps of (batches that end together, slots that are filled again at once)."""
    together = sum(max(lengths[first : first + slots]) for first in range(0, len(lengths), slots))
    waiting, running, steps = list(lengths), list[int](), 0
    while waiting or running:
        while waiting and len(running) < slots:
            running.append(waiting.pop(0))
        running = [left - 1 for left in running if left > 1]
        steps += 1
    return together, steps


def prefixes(policy: CausalPolicy, count: int, size: int, shared: int, rng: np.random.Generator) -> dict[str, float]:
    """Return what computing a shared beginning once saves.

    Args:
        policy: the network.
        count: prompts.
        size: tokens of each.
        shared: of those, what all begin with.
        rng: draws them.
    """
    stem = prompt(shared, rng)
    asked = [Sample(stem + prompt(size - shared, rng), max_tokens=1, temperature=0, seed=0) for _ in range(count)]
    plain, plain_s = _answered(LocalEngine(policy, prefix_cache_tokens=0), asked)
    found, taken = _answered(LocalEngine(policy), asked)
    same = [a == b for (a, _), (b, _) in zip(plain, found, strict=True)]
    return {
        "plain_tokens": sum(cost for _, cost in plain),
        "tokens": sum(cost for _, cost in found),
        "plain_s": plain_s,
        "seconds": taken,
        "identical": float(np.mean(same)),
    }


def _answered(engine: LocalEngine, asked: Sequence[Sample]) -> tuple[list[tuple[Tokens, int]], float]:
    """The tokens of each request and how many were computed for it; seconds for all."""
    start, found = time.perf_counter(), dict[int, tuple[Tokens, int]]()
    for ticket, request in enumerate(asked):
        engine.submit(ticket, request)
    while len(found) < len(asked):
        for ticket, reply, cost in engine.poll():
            assert isinstance(reply, Sampled)
            found[ticket] = reply.continuations[0].tokens, cost.tokens_computed
    return [found[ticket] for ticket in range(len(asked))], time.perf_counter() - start


def arrival(policy: CausalPolicy, size: int, streams: int, chunk: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return what streams wait between tokens after a long prompt arrives, computed whole and in chunks.

    Every stream's next ``WINDOW`` gaps from the arrival on count, in seconds of the process's processor time, which a
    busy machine does not stretch. Both ways are taken in turns, ``ROUNDS`` times, on the same prompts and seeds.

    Args:
        policy: the network.
        size: tokens of the long prompt.
        streams: sequences under way.
        chunk: most tokens computed between two draws of the streams.
        rng: draws the prompts and seeds.
    """
    asked = [
        Sample(prompt(length, rng), max_tokens=most, seed=int(rng.integers(2**62)))
        for length, most in (*[(16, BEFORE + WINDOW + 8)] * streams, (size, 8))
    ]
    gaps, first, tokens = dict[int, list[float]](), dict[int, list[float]](), dict[int, list[Tokens]]()
    for _ in range(ROUNDS):
        for way in (0, chunk):
            waited, began, drawn = _interrupted(LocalEngine(policy, max_rows=streams + 1, prefill_chunk=way), asked)
            gaps.setdefault(way, []).extend(waited * streams)
            first.setdefault(way, []).append(began)
            tokens.setdefault(way, []).extend(drawn)
    whole, late = (float(np.quantile(gaps[way], 0.95)) for way in (0, chunk))
    return {
        "whole_p95_s": whole,
        "p95_s": late,
        "median_s": float(np.median(gaps[0])),
        "whole_first_s": float(np.median(first[0])),
        "first_s": float(np.median(first[chunk])),
        "identical": float(tokens[0] == tokens[chunk]),
    }


def _interrupted(engine: LocalEngine, asked: Sequence[Sample]) -> tuple[list[float], float, list[Tokens]]:
    """The streams' gaps after the last request arrived; seconds to its first token; what all drew."""
    newcomer, streams = len(asked) - 1, range(len(asked) - 1)
    for ticket in streams:
        engine.submit(ticket, asked[ticket])
    drawn, found = 0, dict[int, Tokens]()
    while drawn <= BEFORE:
        engine.step()
        drawn += bool(engine.progress(streams))
    gaps, first, begin = list[float](), math.nan, time.process_time()
    engine.submit(newcomer, asked[newcomer])
    last = begin
    while len(found) < len(asked):
        for ticket, reply, _ in engine.step():
            assert isinstance(reply, Sampled)
            found[ticket] = reply.continuations[0].tokens
        now = time.process_time()
        if engine.progress(streams) and len(gaps) < WINDOW:
            gaps.append(now - last)
            last = now
        if math.isnan(first) and engine.progress({newcomer}):
            first = now - begin
    return gaps, first, [found[ticket] for ticket in range(len(asked))]


def drafts(seeds: SeedTree, problems: int, limit: int, lessons: int) -> dict[str, float]:
    """Return how many tokens a pass of a target gives when a smaller network drafts that learnt from the same data.

    Args:
        seeds: node of weights, order and draws.
        problems: prompts that are continued.
        limit: tokens of each.
        lessons: problems that both have learnt from.
    """
    task = ChainArithmetic(train_size=lessons, test_size=max(problems, 16))
    settings = WarmStart(epochs=1.0, batch_tokens=2048, lr=3e-3, matrix_lr=1e-2, held_out=0.0)
    shapes = {
        "target": TinyShape(width=64, layers=3, heads=4, kv_heads=2, head_dim=16, mlp=192, context=192),
        "draft": TinyShape(width=32, layers=1, heads=2, kv_heads=1, head_dim=16, mlp=64, context=192),
    }
    nets: dict[str, CausalPolicy] = {}
    for name, shape in shapes.items():
        nets[name] = tiny_policy(task.character_set, (seeds / name).integer(), shape)
        warm_start(nets[name], task.problems("train"), settings, seed=(seeds / name / "order").integer())
        nets[name].model.eval()
    rng = (seeds / "draws").torch()
    found = [
        speculate(_next(nets["target"]), _next(nets["draft"]), nets["target"].render(problem), limit, GAMMA, rng)
        for problem in task.problems("test")[:problems]
    ]
    calls = sum(one.target_calls for one in found)
    return {"per_call": 1 + sum(one.accepted for one in found) / calls, "calls": calls}


def _next(policy: CausalPolicy) -> NextToken:
    def distributions(tokens: Tokens, count: int) -> torch.Tensor:
        with torch.inference_mode():
            logits = policy.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -count:]
        return logits.double().softmax(-1)

    return distributions


def exactness(samples: int, rng: torch.Generator) -> dict[str, Any]:
    """Return the chi-square test that pairs of tokens drawn with a draft have the target's distribution.

    Args:
        samples: pairs drawn.
        rng: draws them.
    """
    chain = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]], dtype=torch.float64)
    other = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3], [0.3, 0.3, 0.4]], dtype=torch.float64)

    def after(rows: torch.Tensor) -> NextToken:
        return lambda tokens, count: rows[list(tokens[len(tokens) - count :])]

    counts = np.zeros((3, 3))
    for _ in range(samples):
        first, second = speculate(after(chain), after(other), (0,), 2, 2, rng).tokens
        counts[first, second] += 1
    expected = samples * (chain[0][:, None] * chain).numpy()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    half = statistic / 2  # 8 degrees of freedom: the tail is a sum of four terms
    p = math.exp(-half) * sum(half**k / math.factorial(k) for k in range(4))
    return {"statistic": statistic, "p": p, "samples": samples}
