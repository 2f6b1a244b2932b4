"""Figures and times as the pages write them."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from pilothouse.reports.progress import duration
from pilothouse.reports.run_summary import Figure, RunSummary, number

#: What the figures of a run are; others go by their own name.
METRICS = {
    "held_out": ("Held-out", "measured on problems that are not trained on, with interval"),
    "reward": ("Reward", "mean over responses"),
    "accuracy": ("Accuracy", "right answers among this step's responses"),
    "loss": ("Loss", "mean over the step"),
    "length": ("Response length", "tokens, mean"),
    "entropy": ("Entropy", "nats a token"),
    "grad_norm": ("Gradient norm", "before clipping"),
    "truncated": ("Cut off", "share that hit the length limit"),
    "gap_mean": ("Log-prob gap", "sampler against trainer, nats, mean of the size"),
    "gap_max": ("Largest log-prob gap", "sampler against trainer, nats"),
    "dead_groups": ("Silent groups", "share whose rewards are all equal"),
    "learning_rate": ("Learning rate", ""),
    "reward_std": ("Reward spread", "standard deviation over responses"),
    "verifier_errors": ("Verifier errors", "responses nobody could judge"),
    "clip_fraction": ("Clipped", "share of tokens"),
    "tokens_computed": ("Tokens computed", "since the beginning"),
    "tokens_sampled": ("Tokens sampled", "since the beginning"),
    "seconds": ("Seconds", "a step"),
}
#: What templates may use of this file.
FILTERS = (
    *("plain", "short", "percent", "share", "metric", "figure", "gain"),
    *("age", "span", "headline", "cut", "visible"),
)
_SHARES = {"accuracy", "held_out", "truncated", "dead_groups", "slot_use"}


def plain(value: Any) -> str:
    """Return a number in four digits, whole numbers with commas; a dash for what is not known."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def short(value: float) -> str:
    """Return a count in three digits, such as ``"282k"``."""
    if not math.isfinite(value):
        return "–"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def percent(value: float) -> str:
    """Return a share in percent."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else "–"


def share(value: Any) -> str:
    """Return a share in percent, whatever a file holds in its place."""
    return percent(number(value))


def metric(name: str, value: float) -> str:
    """Return a figure of a run in its own form."""
    return percent(value) if name in _SHARES and 0 <= value <= 1 else plain(value)


def figure(found: Figure | None, ends: bool = True) -> str:
    """Return a measurement with its interval.

    Args:
        found: the measurement.
        ends: write the interval too.
    """
    if found is None:
        return "–"
    share = found.unit in ("accuracy", "success")
    form = percent if share else plain
    if not ends or not (math.isfinite(found.low) and math.isfinite(found.high)):
        return form(found.value)
    low, high = (f"{100 * end:.1f}" if share else plain(end) for end in (found.low, found.high))
    return f"{form(found.value)} [{low}, {high}]"


def gain(found: Figure) -> str:
    """Return a difference of shares in points, with its interval."""
    ends = ", ".join(f"{100 * end:+.1f}" if math.isfinite(end) else "?" for end in (found.low, found.high))
    return f"{100 * found.value:+.1f} [{ends}]"


def age(moment: float, now: float | None = None) -> Markup:
    """Return how long ago something was, with the moment itself behind it."""
    if not moment:
        return Markup("–")
    seconds = max(0.0, (time.time() if now is None else now) - moment)
    units = ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min"))
    said = next((f"{int(seconds // size)} {unit} ago" for size, unit in units if seconds >= size), "just now")
    at = datetime.fromtimestamp(moment, UTC)
    stamp, full = at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp, full, said)


def span(seconds: float) -> str:
    """Return seconds for reading."""
    if not (math.isfinite(seconds) and 0 <= seconds < 1e10):
        return "–"
    return duration(seconds) if seconds >= 10 else f"{seconds:.2g} s"


def headline(run: RunSummary) -> tuple[str, float]:
    """Return the figure of the newest step that says most of a run."""
    for name in ("accuracy", "reward", "held_out", "loss"):
        if math.isfinite(run.metric(name)):
            return name, run.metric(name)
    return "", math.nan


def cut(text: Any, limit: int = 120) -> str:
    """Return the beginning of a text on one line."""
    line = str(text)[: limit + 1].replace("\n", "⏎")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def visible(text: str) -> Markup:
    """Return text with its control characters made visible, safe in a page."""
    shown = (c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
    return escape("".join(shown))
