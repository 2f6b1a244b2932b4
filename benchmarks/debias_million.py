"""Time and peak memory of a million corrected predictions, through the commands and in Python.

Each row is measured in processes of its own; peak memory is their highest resident memory, imports included. The
Python rows leave out starting Python and its imports; the commands count everything. Processor seconds are given beside
those of the clock: on a machine that is shared they are what a free core would take.

    python benchmarks/debias_million.py [--rows 1000000] [--calibration 100000] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORRECTORS = ("linear", "tweedie", "tweedie, target density")


def make(folder: Path, rows: int, calibration: int) -> None:
    """Write the calibration split and the trial, each as CSV and Parquet."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    pred = rng.gamma(3, size=calibration)
    split = pd.DataFrame({"yhat": pred, "y": pred + rng.normal(size=calibration)})
    t = rng.integers(0, 2, rows)
    trial = pd.DataFrame({"yhat": rng.gamma(3, size=rows) + 0.3 * t, "t": t, "e": rng.uniform(0.3, 0.7, rows)})
    for name, table in (("split", split), ("trial", trial)):
        table.to_csv(folder / f"{name}.csv", index=False)
        table.to_parquet(folder / f"{name}.parquet", index=False)


def point(folder: Path, corrector: str) -> None:
    """Fit, transform and estimate in this process; print seconds and peak memory as JSON."""
    import warnings

    from pilothouse.decisions.linear_calibration import LinearCalibration
    from pilothouse.decisions.tables import read_table
    from pilothouse.decisions.tweedie import TweedieCorrection

    split, trial = read_table(folder / "split.parquet"), read_table(folder / "trial.parquet")
    found = {
        "linear": LinearCalibration(),
        "tweedie": TweedieCorrection(),
        "tweedie, target density": TweedieCorrection(density="target"),
    }[corrector]
    before, row = peak_mib(), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, work in (
            ("fit", lambda: found.fit(split.yhat, split.y)),
            ("transform", lambda: found.transform(trial.yhat)),
            (
                "effect",
                lambda: found.effect(trial.yhat, trial.t, trial.e, None, "hajek", calibration=(split.yhat, split.y)),
            ),
        ):
            start, busy = time.perf_counter(), time.process_time()
            work()
            row |= {name: time.perf_counter() - start, f"{name}_cpu": time.process_time() - busy}
    print(json.dumps({**row, "mib": peak_mib(), "mib_above_tables": peak_mib() - before}))


def peak_mib() -> float:
    """Return the highest resident memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def command(*arguments: object) -> tuple[float, float, float]:
    """Return seconds, processor seconds and peak memory of a command of ours."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "pilothouse", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    assert status == 0, arguments
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--calibration", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.point:
        point(Path(given.point[0]), given.point[1])
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, given.rows, given.calibration)
        table = {f"Python: {name}": child(folder, name) for name in CORRECTORS}
        correction = folder / "map.json"
        for kind in ("parquet", "csv"):
            split, trial = folder / f"split.{kind}", folder / f"trial.{kind}"
            steps = {
                "fit": ("fit", split, "--pred", "yhat", "--truth", "y", "--out", correction),
                "transform": ("transform", correction, trial, "--pred", "yhat", "--out", folder / f"out.{kind}"),
                "effect": ("effect", correction, trial, "--pred", "yhat", "--treatment", "t", "--propensity", "e"),
            }
            row = {}
            for name, step in steps.items():
                seconds, busy, mib = command("debias", *step)
                row |= {name: seconds, f"{name}_cpu": busy, "mib": max(mib, row.get("mib", 0))}
            table[f"commands, {kind}: tweedie"] = row
    if given.json:
        print(json.dumps({"rows": given.rows, "calibration": given.calibration, "table": table}, indent=2))
        return
    print(f"{given.rows:,} rows, {given.calibration:,} calibration pairs; seconds by the clock (of the processor)")
    print(f"{'':34} {'fit':>14} {'transform':>14} {'effect':>14} {'all':>14} {'peak, MiB':>9} {'above tables':>12}")
    for name, row in table.items():
        steps = [(row[step], row[f"{step}_cpu"]) for step in ("fit", "transform", "effect")]
        steps.append((sum(clock for clock, _ in steps), sum(busy for _, busy in steps)))
        shown = " ".join(f"{f'{clock:.2f} ({busy:.2f})':>14}" for clock, busy in steps)
        above = f"{row['mib_above_tables']:.0f}" if "mib_above_tables" in row else ""
        print(f"{name:34} {shown} {row['mib']:>9.0f} {above:>12}")


def child(folder: Path, corrector: str) -> dict[str, float]:
    """Return the figures of one corrector, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--point", str(folder), corrector], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
