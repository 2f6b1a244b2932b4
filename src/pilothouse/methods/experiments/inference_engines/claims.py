"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilothouse.core.cards import Claim
from pilothouse.decisions.engine_catalogue import EngineCatalogue, Wanted
from pilothouse.decisions.engine_selector import select_engine
from pilothouse.methods.experiments.measured import claim, mean, over
from pilothouse.reports.statistics import Interval

Runs = Sequence[Mapping[str, float]]
_ALL = "identical outputs throughout"
_WAITS = ("p95_s", "first_s")


def technique_claims(kept: Runs, batched: Runs, shared: Runs) -> tuple[Claim, ...]:
    """Return the claims on keys and values, batching and prefixes; outputs that differ fail them.

    Args:
        kept: repetitions of the comparison with and without keys and values.
        batched: of batches against slots.
        shared: of shared beginnings.
    """
    faster = over([run["plain_s"] / run["seconds"] for run in kept])
    fewer = over([run["static_steps"] / run["steps"] for run in batched])
    quicker = over([run["static_s"] / run["seconds"] for run in batched])
    share = over([run["seconds"] / run["plain_s"] for run in shared])
    passes = (
        f"{mean([r['plain_passes'] for r in kept]):,.0f} token passes against {mean([r['passes'] for r in kept]):,.0f}"
    )
    steps = (
        f"{mean([r['static_steps'] for r in batched]):,.0f} steps against {mean([r['steps'] for r in batched]):,.0f}"
    )
    tokens = (
        f"{mean([r['plain_tokens'] for r in shared]):,.0f} tokens against {mean([r['tokens'] for r in shared]):,.0f}"
    )
    same = [min(run["identical"] for run in runs) == 1 for runs in (kept, batched, shared)]
    words = [_ALL if whole else "outputs DIFFER" for whole in same]
    return (
        claim(
            "keys and values kept: seconds without / with",
            "at least 3, identical tokens",
            faster,
            faster.estimate >= 3 and same[0],
            "times",
            f"{passes}; {words[0]}",
        ),
        claim(
            "continuous batching: decoding steps of batches that end together / of slots filled again",
            "at least 1.8",
            fewer,
            fewer.estimate >= 1.8,
            "times",
            steps,
        ),
        claim(
            "continuous batching: tokens a second, slots / batches",
            "at least 1.4, identical outputs",
            quicker,
            quicker.estimate >= 1.4 and same[1],
            "times",
            words[1],
        ),
        claim(
            "prefix cache: seconds of prefill with / without",
            "at most 0.6, identical outputs",
            share,
            share.estimate <= 0.6 and same[2],
            "share",
            f"{tokens}; {words[2]}",
        ),
    )


def arrival_claim(arrived: Runs) -> Claim:
    """Return the claim on a long prompt that arrives while others decode; outputs that differ fail it.

    Args:
        arrived: repetitions with the prompt computed whole and in chunks.
    """
    share = over([run["p95_s"] / run["whole_p95_s"] for run in arrived])
    same = min(run["identical"] for run in arrived) == 1
    late, first = ([1e3 * mean([run[head + name] for run in arrived]) for head in ("", "whole_")] for name in _WAITS)
    return claim(
        "chunked prefill, a prompt of 512 tokens arriving while 7 streams decode: 95th percentile of the time between "
        "their tokens, in chunks / whole",
        "at most 0.6, identical outputs",
        share,
        share.estimate <= 0.6 and same,
        "share",
        f"{late[0]:.1f} ms against {late[1]:.1f} ms of processor time; the newcomer's first token after "
        f"{first[0]:.0f} ms against {first[1]:.0f} ms; {_ALL if same else 'outputs DIFFER'}",
    )


def draft_claims(drafted: Runs, exact: Mapping[str, float]) -> tuple[Claim, ...]:
    """Return the claims on speculative sampling.

    Args:
        drafted: repetitions with a draft that learnt from the same data.
        exact: the chi-square test on three tokens.
    """
    gained = over([run["per_call"] for run in drafted])
    p, n = exact["p"], int(exact["samples"])
    return (
        claim(
            "speculative sampling, 4 drafted tokens: tokens a pass of the target",
            "at least 1.5",
            gained,
            gained.estimate >= 1.5,
            "tokens",
        ),
        claim(
            "speculative sampling: chi-square test of pairs of 3 tokens against the target's distribution, p",
            "above 0.01",
            Interval(p, p, p, 0, n),
            p > 0.01,
            "",
        ),
    )


def selector_claims() -> tuple[Claim, ...]:
    """Return the claims on the selector; they are exact."""
    catalogue = EngineCatalogue.load()

    def ranked(profile: str, **wanted: object) -> list[str]:
        chosen = select_engine(catalogue, Wanted(**wanted), profile)  # type: ignore[arg-type]
        return [row.name for row in chosen.ranking]

    presence = ranked("edge", device=("jetson",))
    feasible = ranked("edge", device=("jetson",), feasible_only=True)
    fast = ranked("throughput", device=("cuda",), multi_node=True)[:3]
    mac = [catalogue.find(name) for name in ranked("balanced", system=("macos",))]
    stranded = [engine.name for engine in mac if not engine.devices - {"cuda"}]
    rows = (
        (
            "edge profile on a Jetson, measured failures counted: the two engines that passed the survey's runs",
            set(feasible) == {"Ollama", "llama.cpp"},
            f"{', '.join(feasible)}; by presence of features alone: {', '.join(presence)}",
        ),
        (
            "throughput profile, CUDA, several nodes: TensorRT-LLM, vLLM, DeepSpeed-FastGen on top",
            fast == ["TensorRT-LLM", "vLLM", "DeepSpeed-FastGen"],
            ", ".join(fast),
        ),
        ("macOS host: no engine that runs on CUDA alone", not stranded, ", ".join(e.name for e in mac)),
    )
    return tuple(
        Claim(what, "exactly", float(holds), float(holds), float(holds), 0, holds, "", 1, note)
        for what, holds, note in rows
    )
