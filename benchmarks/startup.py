"""Seconds until ``import pilothouse`` and ``pilothouse --help`` are done, each in fresh processes."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import pilothouse": ["-c", "import pilothouse"],
    "pilothouse --help": ["-m", "pilothouse", "--help"],
    "pilothouse train --help": ["-m", "pilothouse", "train", "--help"],
}
BARS = {"import pilothouse": 0.3, "pilothouse --help": 0.5}


def seconds(arguments: list[str]) -> tuple[float, float]:
    """Return the wall-clock and the processor seconds of one process; a busy machine stretches the first alone."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median and range of each command; the first round only warms the disk cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds = [{name: seconds(arguments) for name, arguments in COMMANDS.items()} for _ in range(options.runs + 1)][1:]
    report = {
        name: {
            "median": statistics.median(times := [lap[name][0] for lap in rounds]),
            "least": min(times),
            "most": max(times),
            "processor": statistics.median(lap[name][1] for lap in rounds),
            "bar": BARS.get(name),
        }
        for name in COMMANDS
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for name, row in report.items():
        bar = f", bar {row['bar']} s" if row["bar"] else ""
        spread = f"({row['least']:.3f}-{row['most']:.3f})"
        print(f"{name:<26} median {row['median']:.3f} s {spread}, processor {row['processor']:.3f} s{bar}")


if __name__ == "__main__":
    main()
