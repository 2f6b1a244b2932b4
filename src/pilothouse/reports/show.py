"""What ``pilothouse show RUN`` prints, and the same as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pilothouse.core.errors import RunError
from pilothouse.reports.progress import figures
from pilothouse.reports.runs import RunStore
from pilothouse.reports.tables import print_result

if TYPE_CHECKING:
    from rich.console import Console

_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVES = ("reward", "accuracy", "entropy", "length", "truncated", "grad_norm")
_IMITATION = ("loss", "held_out", "grad_norm")
_PARTS = ("program", "select", "credit", "objective", "sampler", "execute", "learner")


def summary(store: RunStore, examples: int = 2) -> dict[str, Any]:
    """Return what there is to know of a run, JSON-ready.

    Args:
        store: the run.
        examples: rollouts to quote from each end of the newest step's rewards.

    Returns:
        ``path``, ``config``, ``steps`` done, ``last`` (metrics of the newest step), ``curves`` (figures by name, over
        the steps), ``result`` (``None`` before there is one), ``figure`` (its path or ``None``), ``best``, ``worst``.

    Raises:
        RunError: a file of the run is damaged.
    """
    rows = list(store.metrics())
    newest: list[dict[str, Any]] = []
    for row in store.rollouts():
        if newest and newest[-1]["step"] != row["step"]:
            newest.clear()
        newest.append(row)
    ranked = sorted((row for row in newest if row["reward"] is not None), key=lambda row: -row["reward"])
    result = _result(store)
    figure = store.path / (result or {}).get("figure", "figures/training.png")
    best = ranked[:examples]
    names = _CURVES if not rows or "reward" in rows[0] else _IMITATION
    return {
        "path": str(store.path),
        "config": store.read_config(),
        "steps": rows[-1]["step"] if rows else 0,
        "last": rows[-1] if rows else {},
        "curves": {name: [row.get(name) for row in rows] for name in names if any(name in row for row in rows)},
        "result": result,
        "figure": str(figure) if figure.is_file() else None,
        "best": best,
        "worst": ranked[len(best) :][-examples:][::-1],
    }


def print_run(store: RunStore, console: Console, examples: int = 2) -> None:
    """Print a run: what it is, how its figures went, its result, and a few of its rollouts.

    Args:
        store: the run.
        console: where to.
        examples: rollouts to quote from each end of the newest step's rewards.

    Raises:
        RunError: a file of the run is damaged.
    """
    facts = summary(store, examples)

    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    for line in describe(facts["config"]):
        say(line)
    wanted = (facts["config"].get("training") or {}).get("steps", "?")
    say(f"\n{facts['steps']} of {wanted} steps  {figures(facts['last'])}", "bold")
    for name, values in facts["curves"].items():
        known = [value for value in values if value is not None]
        if known:
            say(f"  {name:<10} {sparkline(values)}  {known[0]:.4g} -> {known[-1]:.4g}")
    if facts["result"]:
        say("")
        print_result({**facts["result"], "figure": None}, store.path, console)
    for advice in (facts["result"] or {}).get("advice", []):
        source = f"arXiv 2508.08221, takeaway {advice['takeaway']}"
        say(f"advice  --{advice['setting']} {advice['value']}: {advice['reason']} ({source})")
    if facts["figure"]:
        say(f"figure  {facts['figure']}")
    for kind in ("best", "worst"):
        for row in facts[kind]:
            say(f"\n{kind} of step {row['step']}: reward {row['reward']:g}, {row['length']} tokens", "bold")
            say(f"  {readable(row['prompt'])}")
            say(f"  -> {readable(row['response'])}")


def describe(config: Mapping[str, Any]) -> list[str]:
    """Return a configuration in a few lines.

    Args:
        config: the tables of ``config.toml``.
    """
    policy, training, found = (config.get(key) or {} for key in ("policy", "training", "versions"))
    first = f"{config.get('method', '?')} on {one_line(config.get('task', '?'))}"
    lines = [f"{first}, seed {config.get('seed', 0)}", f"policy     {one_line(policy)}"]
    lines += [f"{slot:<10} {one_line(config[slot])}" for slot in _PARTS if slot in config]
    lines.append(f"training   {one_line(training)}")
    lines.append(f"versions   {', '.join(f'{name} {version}' for name, version in found.items())}")
    return lines


def one_line(value: Any) -> str:
    """Return a configuration value in one line: a part as ``name(setting=value, ...)``."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}={one_line(item)}" for key, item in value.items() if key != "name")
        name = value.get("name", "")
        return f"{name}({inner})" if inner else str(name)
    if isinstance(value, list):
        return f"[{', '.join(one_line(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def sparkline(values: Sequence[float | None], width: int = 48) -> str:
    """Return a curve as a line of block characters, from its least to its greatest value.

    Args:
        values: figures in order; ``None`` and NaN leave a gap.
        width: characters at most; longer curves are averaged.
    """
    array = np.array([math.nan if value is None else value for value in values], dtype=float)
    means = [part[np.isfinite(part)] for part in np.array_split(array, min(width, len(array)) or 1)]
    points = [float(part.mean()) if len(part) else math.nan for part in means]
    known = [point for point in points if not math.isnan(point)]
    if not known:
        return ""
    low, spread = min(known), max(known) - min(known)
    levels = [math.nan if math.isnan(p) else (p - low) / spread if spread else 0.5 for p in points]
    top = len(_BLOCKS) - 1
    return "".join(" " if math.isnan(level) else _BLOCKS[round(level * top)] for level in levels)


def readable(text: str, limit: int = 400) -> str:
    """Return a model's text safe for a terminal, on one line: control characters are written out, long text is cut.

    Args:
        text: anything.
        limit: characters to show.
    """
    cut = text if len(text) <= limit else f"{text[:limit]} ... ({len(text) - limit} more characters)"
    shown = cut.replace("\n", "⏎ ")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _result(store: RunStore) -> dict[str, Any] | None:
    try:
        return store.read_result()
    except RunError:
        if (store.path / "result.json").exists():
            raise
        return None
