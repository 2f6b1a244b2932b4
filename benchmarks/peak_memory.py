"""Peak memory of forward and backward through the head at a large vocabulary: chunked against whole logits.

Each point is a fresh process; the figure is its highest resident memory minus that before the step.

    python benchmarks/peak_memory.py [--vocabulary 150000] [--tokens 128 256 512 1024]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

ROUTES = ("chunked", "whole")


def resident_mib() -> float:
    """Return resident memory now, in MiB."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


def measure(route: str, vocabulary: int, length: int) -> None:
    """Run one step of two rows of ``length`` response tokens and print its memory as JSON."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from pilothouse.policies.causal_lm import CausalPolicy
    from pilothouse.policies.tiny import character_tokenizer

    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        intermediate_size=128,
        max_position_embeddings=length + 16,
        tie_word_embeddings=True,
    )
    policy = CausalPolicy(Qwen3ForCausalLM(config), character_tokenizer("0123456789", length + 16))
    prompts = [(3, 4, 5, 6)] * 2
    tokens = torch.randint(0, vocabulary, (2, length), generator=torch.Generator().manual_seed(0))

    def loss(tokens: torch.Tensor) -> torch.Tensor:
        if route == "chunked":
            mask = torch.ones_like(tokens, dtype=torch.bool)
            return policy.token_scores(prompts, tokens, mask).logprobs.sum()
        ids = torch.cat([torch.tensor(prompts), tokens], 1)
        logits = policy.model(input_ids=ids, use_cache=False).logits[:, 3:-1]
        return logits.log_softmax(-1).gather(2, tokens[..., None]).sum()

    loss(tokens[:, :2]).backward()
    before = resident_mib()
    loss(tokens).backward()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"mib": peak - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=150_000)
    parser.add_argument("--tokens", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.point:
        measure(given.point[0], given.vocabulary, int(given.point[1]))
        return
    table = [
        {"tokens": length, **{route: point(route, given.vocabulary, length) for route in ROUTES}}
        for length in given.tokens
    ]
    if given.json:
        print(json.dumps({"vocabulary": given.vocabulary, "rows": 2, "unit": "MiB", "table": table}))
        return
    print(f"Peak memory of one forward and backward in MiB, 2 rows of T response tokens, V = {given.vocabulary:,}")
    print(f"{'T':>6} {'chunked':>9} {'whole':>9} {'logits [2,T,V]':>15}")
    for row in table:
        logits = 2 * row["tokens"] * given.vocabulary * 4 / 2**20
        print(f"{row['tokens']:>6} {row['chunked']:>9.0f} {row['whole']:>9.0f} {logits:>15.0f}")


def point(route: str, vocabulary: int, length: int) -> float:
    """Return the memory of one point in MiB, measured in a process of its own."""
    command = [sys.executable, __file__, "--vocabulary", str(vocabulary), "--point", route, str(length)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(json.loads(output.splitlines()[-1])["mib"])


if __name__ == "__main__":
    main()
