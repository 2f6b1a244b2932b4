"""The survey's claims at small scale: what each technique saves in our engine, and what the selector says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import PREFILL_CHUNK
from pilothouse.methods.experiments.inference_engines import claims
from pilothouse.methods.experiments.inference_engines.techniques import (
    arrival,
    batching,
    drafts,
    exactness,
    keys_and_values,
    network,
    prefixes,
)
from pilothouse.methods.experiments.measured import over
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import TinyShape
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import Interval

CHUNKS = (32, 64, PREFILL_CHUNK, 256)  #: sizes of a chunk; the engine's own is judged


@dataclass(frozen=True)
class Scale:
    """The size of the experiments.

    Args:
        width: of the network that engines are measured on, with 4 layers.
        repeats: repetitions of each measurement.
        size: tokens of the prompt, and drawn, with and without keys and values.
        requests: requests for 8 slots.
        prompts: prompts of ``size * 15 / 8`` tokens, four fifths of them shared.
        streams: sequences under way when a prompt of four times ``size`` arrives.
        problems: prompts continued with a draft.
        lessons: problems that target and draft have learnt from.
        pairs: pairs of tokens of the chi-square test.
    """

    width: int = 256
    repeats: int = 5
    size: int = 128
    requests: int = 64
    prompts: int = 16
    streams: int = 7
    problems: int = 24
    lessons: int = 6000
    pairs: int = 20_000


SCALES = {
    "smoke": Scale(width=16, repeats=2, size=32, requests=10, prompts=3, streams=2, problems=1, lessons=10, pairs=50),
    "small": Scale(),
}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the measurements; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (minutes of one core).
        out: folder for the evidence, its figure and every finished measurement.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu": measure servers there with ``pilothouse engines check``.
    """
    if scale not in SCALES:
        raise ConfigError(
            "inference-engines has no experiment at GPU scale: start the servers and run 'pilothouse engines check URL'"
        )
    started, size = time.perf_counter(), SCALES[scale]
    shape = TinyShape(
        width=size.width,
        layers=4,
        heads=4,
        kv_heads=2,
        head_dim=max(2, size.width // 4),
        mlp=4 * size.width,
        context=512,
    )
    whole = size.size * 15 // 8
    policy = network(shape, SeedTree(0) / "network")
    longer = network(shape.model_copy(update={"context": 1024}), SeedTree(0) / "network")

    def repeat(name: str, work: Callable[[SeedTree], Mapping[str, Any]]) -> list[dict[str, Any]]:
        progress.phase(f"inference engines: {name}")
        runs: list[dict[str, Any]] = []
        for at in range(size.repeats):
            facts = {"experiment": name, "seed": at, "size": asdict(size)}
            node = SeedTree(at) / name
            runs.append(kept(out / "runs" / f"{name}-{at}.json", facts, lambda node=node: work(node)))
        return runs

    values = repeat("values", lambda node: keys_and_values(policy, size.size, size.size, node.numpy()))
    batches = repeat("batching", lambda node: batching(policy, size.requests, 8, node.numpy()))
    shared = repeat("prefixes", lambda node: prefixes(policy, size.prompts, whole, whole * 4 // 5, node.numpy()))
    arrivals = {
        chunk: repeat(f"chunk-{chunk}", lambda node, most=chunk: _arrival(longer, size, most, node)) for chunk in CHUNKS
    }
    drafted = repeat("drafts", lambda node: drafts(node, size.problems, 48, size.lessons))
    exact = exactness(size.pairs, (SeedTree(0) / "exactness").torch())
    found = (
        *claims.technique_claims(values, batches, shared),
        claims.arrival_claim(arrivals[PREFILL_CHUNK]),
        *claims.draft_claims(drafted, exact),
        *claims.selector_claims(),
    )
    tables: dict[str, Any] = {
        "values": values,
        "batching": batches,
        "prefixes": shared,
        "arrivals": {str(chunk): runs for chunk, runs in arrivals.items()},
        "drafts": drafted,
        "exactness": exact,
    }
    figure = panels_figure([_panel(tables)], out / "claims", title=f"Inference engines, scale {scale}")
    return Evidence.of("inference-engines", scale, found, tables, figure.name, time.perf_counter() - started)


def _panel(tables: Mapping[str, Any]) -> Panel:
    def times(runs: list[dict[str, Any]], without: str, with_it: str) -> Interval:
        return over([run[without] / run[with_it] for run in runs])

    return Panel(
        "What each technique saves in our engine",
        "times; dashed: no gain",
        {
            "keys and values, seconds": times(tables["values"], "plain_s", "seconds"),
            "continuous batching, steps": times(tables["batching"], "static_steps", "steps"),
            "continuous batching, seconds": times(tables["batching"], "static_s", "seconds"),
            "prefix cache, seconds": times(tables["prefixes"], "plain_s", "seconds"),
            "chunked prefill, longest waits": times(tables["arrivals"][str(PREFILL_CHUNK)], "whole_p95_s", "p95_s"),
            "speculative, tokens a pass": over([run["per_call"] for run in tables["drafts"]]),
        },
        1.0,
    )


def _arrival(policy: CausalPolicy, size: Scale, chunk: int, node: SeedTree) -> dict[str, Any]:
    return arrival(policy, 4 * size.size, size.streams, chunk, node.numpy())
