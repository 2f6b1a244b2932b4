"""The local engine beside ``model.generate`` and a plain cached loop: useful tokens per second on ragged requests.

All three answer the same requests with the same model in one process, in alternating runs. A useful token is one that a
request asked for; ``generate`` and the plain loop run every row to the longest length, as they can only do.

    python benchmarks/local_engine.py [--repeats 7] [--requests 256] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from pilothouse.core.requests import Sample, Tokens
from pilothouse.engines.local import LocalEngine


class LetterCodec:
    """One printable character per token."""

    def encode(self, text: str) -> Tokens:
        """Return token ids."""
        return tuple(ord(character) - 60 for character in text)

    def decode(self, tokens: Tokens) -> str:
        """Return text."""
        return "".join([chr(60 + token) for token in tokens])


@dataclass
class Policy:
    """What the engine needs of a policy; no end-of-sequence token, so that lengths are what the requests say."""

    model: PreTrainedModel
    codec: LetterCodec
    eos_ids: frozenset[int] = frozenset()
    context: int = 512

    engines: dict[int, LocalEngine] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def engine(self, rows: int) -> LocalEngine:
        """Return the engine with that many rows, always the same one."""
        if rows not in self.engines:
            self.engines[rows] = LocalEngine(self, max_rows=rows)
        return self.engines[rows]


def build(vocabulary: int = 40) -> Policy:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=128,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        intermediate_size=384,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = Qwen3ForCausalLM(config).eval()
    model.generation_config = GenerationConfig(pad_token_id=0)
    return Policy(model.to("cuda" if torch.cuda.is_available() else "cpu"), LetterCodec())


def ragged(count: int, prompts: tuple[int, int], lengths: tuple[int, int]) -> list[Sample]:
    rng = random.Random(0)
    return [
        Sample(
            tuple(rng.randrange(2, 40) for _ in range(rng.randint(*prompts))),
            max_tokens=rng.randint(*lengths),
            seed=rng.randrange(2**63),
        )
        for _ in range(count)
    ]


def left_padded(policy: Policy, requests: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(request.prefix) for request in requests)
    ids = [[0] * (width - len(request.prefix)) + list(request.prefix) for request in requests]
    mask = [[0] * (width - len(request.prefix)) + [1] * len(request.prefix) for request in requests]
    return torch.tensor(ids, device=policy.device), torch.tensor(mask, device=policy.device)


def with_generate(policy: Policy, requests: list[Sample], batch: int = 256) -> int:
    model: Any = policy.model
    with torch.inference_mode():
        for start in range(0, len(requests), batch):
            part = requests[start : start + batch]
            ids, mask = left_padded(policy, part)
            longest = max(request.max_tokens or 0 for request in part)
            model.generate(
                ids, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, temperature=1.0, max_new_tokens=longest
            ).tolist()
    return sum(request.max_tokens or 0 for request in requests)


def with_plain_loop(policy: Policy, requests: list[Sample], batch: int = 256) -> int:
    with torch.inference_mode():
        for start in range(0, len(requests), batch):
            part = requests[start : start + batch]
            ids, mask = left_padded(policy, part)
            longest = max(request.max_tokens or 0 for request in part)
            cache, drawn = DynamicCache(), []
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            for _ in range(longest):
                logits = policy.model(
                    input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
                ).logits
                ids = torch.multinomial(logits[:, -1].softmax(-1), 1)
                mask, positions = torch.cat([mask, torch.ones_like(ids)], 1), positions[:, -1:] + 1
                drawn.append(ids)
            torch.cat(drawn, 1).tolist()
    return sum(request.max_tokens or 0 for request in requests)


def with_engine(policy: Policy, requests: list[Sample], batch: int = 256) -> int:
    engine = policy.engine(batch)
    engine.policy_changed()  # as between two training steps: no run finds anything cached by the one before
    for ticket, request in enumerate(requests):
        engine.submit(ticket, request)
    tokens = 0
    while done := engine.poll():
        tokens += sum(cost.tokens_sampled for _, _, cost in done)
    return tokens


WAYS: dict[str, Callable[..., int]] = {
    "generate": with_generate,
    "plain loop": with_plain_loop,
    "engine": with_engine,
}


def measure(policy: Policy, requests: list[Sample], batch: int, repeats: int) -> dict[str, Any]:
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn in range(repeats + 1):
        for name, run in WAYS.items():
            start = time.perf_counter()
            tokens = run(policy, requests, batch)
            if turn:  # the first turn warms up
                speeds[name].append(tokens / (time.perf_counter() - start))
    pairs = zip(speeds["engine"], speeds["generate"], strict=True)
    ratios = [engine / generate for engine, generate in pairs]
    return {
        "requests": len(requests),
        "batch": batch,
        "tokens_per_second": {name: statistics.median(values) for name, values in speeds.items()},
        "spread": {name: [min(values), max(values)] for name, values in speeds.items()},
        "ratio": statistics.median(ratios),
        "ratio_spread": [min(ratios), max(ratios)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="measured runs of each way")
    parser.add_argument("--requests", type=int, default=256, help="requests a run")
    parser.add_argument("--batches", type=int, nargs="*", default=[256, 32, 4], help="rows of each way's batch")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    policy = build()
    rows = []
    for batch in options.batches:
        count = options.requests if batch >= 256 else batch
        rows.append(measure(policy, ragged(count, (8, 24), (8, 64)), batch, options.repeats))
    report = {
        "model": "Qwen3 architecture, 1 M parameters, float32, random weights",
        "lengths": "prompts uniform 8-24 tokens, outputs uniform 8-64 tokens",
        "device": str(policy.device),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "repeats": options.repeats,
        "results": rows,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(
        f"{report['model']}; {report['lengths']}; {report['device']}, {report['threads']} threads; {report['versions']}"
    )
    print(
        f"{'requests':>8} {'batch':>6}" + "".join(f"{name + ' tok/s':>20}" for name in WAYS) + f"{'ratio':>8} (min-max)"
    )
    for row in rows:
        cells = "".join(f"{row['tokens_per_second'][name]:>20,.0f}" for name in WAYS)
        low, high = row["ratio_spread"]
        print(f"{row['requests']:>8} {row['batch']:>6}{cells}{row['ratio']:>8.2f} ({low:.2f}-{high:.2f})")


if __name__ == "__main__":
    main()
