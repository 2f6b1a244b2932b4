"""PRISM's claims: a stream of known chances, a teacher's records, real text where it is, and a tiny language model."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.methods.experiments.measured import over
from pilothouse.methods.experiments.prism import claims, texts
from pilothouse.methods.experiments.prism.answers import answers
from pilothouse.methods.experiments.prism.records import records
from pilothouse.methods.experiments.prism.stream import closed, stream
from pilothouse.methods.experiments.prism.tiny import Size, distilled
from pilothouse.methods.experiments.pubmedqa import FILE as QUESTIONS_FILE
from pilothouse.methods.experiments.pubmedqa import find_questions
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress


@dataclass(frozen=True)
class Scale:
    """How large the experiments are.

    Args:
        events: events of part A, on each side, and records of part B.
        streams: seeds of part A.
        teachers: seeds of part B.
        tiny: part D.
        text: seeds of the folds of real text, where it is; 0 measures none.
    """

    events: int
    streams: int
    teachers: int
    tiny: Size
    text: int


SCALES = {
    "smoke": Scale(400, 2, 2, Size(records=90, held_out=40, epochs=0.3, seeds=1), text=0),
    "small": Scale(6000, 5, 10, Size(records=3000, held_out=2000, epochs=4.0, seeds=4), text=5),
}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiments behind the claims; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (about ten minutes of one core).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment yet, or scikit-learn is not installed.
        DataError: a data file cannot be read.
    """
    if scale not in SCALES:
        raise ConfigError(f"prism has no experiment of scale '{scale}': use --scale small")
    if importlib.util.find_spec("sklearn") is None:
        raise ConfigError("these experiments need scikit-learn; install it with: pip install 'pilothouse[decisions]'")
    started, size = time.perf_counter(), SCALES[scale]

    def runs(name: str, seeds: int, facts: Mapping[str, Any], work: Callable[[int], Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for seed in range(seeds):
            progress.phase(f"{name}: {seed + 1} of {seeds}")
            path = out / "runs" / f"{name}-{seed}.json"
            found.append(kept(path, {**facts, "seed": seed}, lambda seed=seed: work(seed)))
        return found

    events = {"n": size.events}
    tables: dict[str, Any] = {
        "stream": runs("stream", size.streams, events, lambda seed: stream(size.events, seed)),
        "records": runs("records", size.teachers, events, lambda seed: records(size.events, seed)),
        "tiny": runs("tiny", size.tiny.seeds, asdict(size.tiny), lambda seed: distilled(size.tiny, seed)),
    }
    found = (
        *claims.stream_claims(tables["stream"]),
        claims.record_claim(tables["records"], "a logistic student"),
        claims.record_claim(tables["tiny"], "a tiny language model"),
    )
    if size.text:
        found += _real(tables, progress, lambda path: runs("answers", size.text, {}, partial(answers, path)))
    path = panels_figure(_panels(tables), out / "claims", title=f"PRISM, scale {scale}")
    return Evidence.of("prism", scale, found, tables, path.name, time.perf_counter() - started)


def _real(
    tables: dict[str, Any], progress: Progress, asked: Callable[[Path], list[dict[str, Any]]]
) -> tuple[Claim, ...]:
    """Measure real text where it is; the moderation samples have no bar."""
    found: tuple[Claim, ...] = ()
    if path := texts.find_moderation():
        progress.phase("moderation samples")
        tables["moderation"] = texts.moderation(path)
    else:
        tables["moderation"] = f"not measured: {texts.MODERATION_FILE} is not under PILOTHOUSE_DATA"
        progress.say(f"moderation samples {tables['moderation']}")
    if path := find_questions():
        tables["answers"] = asked(path)
        found += claims.answer_claims(tables["answers"])
    else:
        tables["answers"] = f"not measured: {QUESTIONS_FILE} of PubMedQA is not under PILOTHOUSE_DATA"
        progress.say(f"PubMedQA {tables['answers']}")
    if path := texts.find_bench():
        progress.phase("ProactiveBench")
        tables["bench"] = texts.bench(path)
        costs = [f"{fa:g}:{fn:g}" for fa, fn in texts.BENCH_COSTS]
        return (*found, claims.bench_claim(tables["bench"], costs))
    tables["bench"] = f"not measured: reward_data/{texts.BENCH_FILE} of ProactiveAgent is not under PILOTHOUSE_DATA"
    progress.say(f"ProactiveBench {tables['bench']}")
    return found


def _panels(tables: Mapping[str, Any]) -> list[Panel]:
    stream, arms = tables["stream"], ("always", "never", "accept only", "fast", "margin", "slow")

    def costs(name: str) -> Panel:
        runs = tables[name]
        found = {arm: over([run[arm]["cost"] for run in runs]) for arm in runs[0]}
        return Panel(f"{name.capitalize()}: costs 1:3", "realised cost an event", found)

    panels = [
        Panel("Stream: costs 1:3", "realised cost an event", {a: over([r["1:3"][a] for r in stream]) for a in arms}),
        Panel(
            "Stream: who is asked slowly",
            "share of the fast-to-slow gap closed",
            {
                f"{arm}, {at}": over([closed(r[at], arm) for r in stream])
                for at in stream[0]
                for arm in ("margin", "random")
            },
        ),
        costs("records"),
        costs("tiny"),
    ]
    if isinstance(tables.get("answers"), list):
        asked = [run["costs"]["2:1"] for run in tables["answers"]]
        found = {arm: over([run[arm] for run in asked]) for arm in ("always", "never", "fast", "margin", "slow")}
        panels.append(Panel("PubMedQA: costs 2:1", "realised cost a question", found))
    return panels
