"""What the server counts, in the text format that Prometheus reads."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Histogram:
    """Counts of durations under fixed bounds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str) -> list[str]:
        """Return its lines."""
        lines, below = list[str](), 0
        for bound, count in zip((*map(str, SECONDS), "+Inf"), self.counts, strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*lines, f"{name}_sum {self.total:.6f}", f"{name}_count {below}"]


class Metrics:
    """The server's counters. Everything is counted on the event loop's thread.

    Args:
        gauges: what can be read at any time, by name.
    """

    def __init__(self, gauges: Mapping[str, Callable[[], float]]) -> None:
        self.gauges = dict(gauges)
        self.requests: Counter[tuple[str, int]] = Counter()  # by route and status
        self.tokens: Counter[str] = Counter()
        self.events: Counter[str] = Counter({"refused": 0, "cancelled": 0, "failed": 0})
        self.latency, self.first_token = Histogram(), Histogram()

    def text(self) -> str:
        """Return every figure."""
        lines = ["# HELP pilothouse_requests_total HTTP requests by route and status."]
        lines.append("# TYPE pilothouse_requests_total counter")
        for (route, status), count in sorted(self.requests.items()):
            lines.append(f'pilothouse_requests_total{{route="{route}",status="{status}"}} {count}')
        lines.append("# HELP pilothouse_tokens_total Tokens: prompt and completion as billed; the rest as spent.")
        lines.append("# TYPE pilothouse_tokens_total counter")
        lines += [f'pilothouse_tokens_total{{kind="{kind}"}} {count}' for kind, count in sorted(self.tokens.items())]
        for name, count in sorted(self.events.items()):
            lines += [f"# TYPE pilothouse_{name}_total counter", f"pilothouse_{name}_total {count}"]
        for name, histogram in (("latency_seconds", self.latency), ("first_token_seconds", self.first_token)):
            lines += [f"# TYPE pilothouse_{name} histogram", *histogram.lines(f"pilothouse_{name}")]
        for name, look in sorted(self.gauges.items()):
            lines += [f"# TYPE pilothouse_{name} gauge", f"pilothouse_{name} {look():g}"]
        return "\n".join(lines) + "\n"
