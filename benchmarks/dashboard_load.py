"""Seconds that each page of the dashboard takes with 500 runs and a rollouts file of 200 MB, asked of a real server."""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tomli_w

BAR = 1.0  #: seconds a page may take
FIGURES = ("reward", "reward_std", "accuracy", "length", "length_correct", "length_wrong", "length_max", "truncated")
FIGURES += ("entropy", "group_std", "dead_groups", "verifier_errors", "loss", "grad_norm", "clip_fraction", "gap_mean")
FIGURES += ("gap_max", "gap_kl", "gap_unknown", "learning_rate", "tokens_sampled", "tokens_computed", "seconds")
FIGURES += tuple(f"seconds/{phase}" for phase in ("sample", "verify", "credit", "update", "record", "checkpoint"))
BIG = "big-run"


def make_run(folder: Path, at: int, steps: int, figures: list[dict[str, float]]) -> None:
    """A finished run with as many settings and figures as training leaves."""
    folder.mkdir()
    parts = {part: {"name": "some-part", **{f"setting_{i}": i for i in range(8)}} for part in ("program", "credit")}
    config = {"method": ("grpo", "ppo", "dapo", "rloo")[at % 4], "seed": at, "task": {"name": f"task-{at % 7}"}}
    training = {"steps": steps, **{f"setting_{i}": i for i in range(24)}}
    versions = dict.fromkeys(("pilothouse", "python", "torch", "numpy"), "1.2.3")
    (folder / "config.toml").write_text(tomli_w.dumps({**config, **parts, "training": training, "versions": versions}))
    rows = [json.dumps({"step": step, **figures[step % len(figures)]}) for step in range(1, steps + 1)]
    (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    measured = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "reward": 0.5, "length": 30.0}
    result = {"finished": True, "before": {"sampled": measured}, "after": {"sampled": measured}}
    (folder / "result.json").write_text(json.dumps(result))


def make_rollouts(path: Path, size: int, draw: random.Random) -> int:
    """Rollouts of 512 tokens, 128 a step, until the file is as large as it shall be; return the last step."""
    tails = [tail(draw) for _ in range(64)]
    step = 0
    with path.open("w") as stream:
        while stream.tell() < size:
            step += 1
            for row in range(128):
                record = {"step": step, "group": row // 8, "problem": f"problem-{step}-{row // 8}", "prompt": "p" * 200}
                record |= {"response": "word " * 512, "reward": float(row % 2), "correct": row % 2 == 1, "parts": {}}
                record |= {"status": "ok", "detail": "", "stop": "eos", "length": 512, "trained": True}
                stream.write(json.dumps(record)[:-1] + tails[draw.randrange(64)])
    return step


def tail(draw: random.Random) -> str:
    """What a row holds for every token."""
    tokens = [draw.randrange(150_000) for _ in range(512)]
    record = {"tokens": tokens, "actions": "1" * 512, "logprobs": [round(-draw.random(), 4) for _ in tokens]}
    record |= {"gap": 0.0, "credit": [round(draw.random(), 5) for _ in tokens], "widths": [5] * 512}
    return ", " + json.dumps(record)[1:] + "\n"


def fetch(port: int, path: str) -> tuple[float, str]:
    """Return the seconds of one page, and the page."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, f"{path}: {answer.status}"
    return time.perf_counter() - started, text


def pages(port: int, last: int) -> dict[str, str]:
    """The pages by name; those of single rollouts are found through the lists."""
    found = fetch(port, f"/rollouts/{BIG}?step={last // 2}")[1]
    middle = re.findall(rf"/rollout/{BIG}\?at=\d+", found)[20]
    return {
        "runs": "/",
        "runs, searched and sorted": "/?q=task-3+ppo&sort=-result",
        "runs, fifth page": "/?page=5",
        "a run": "/run/run-0123",
        "a run of 5,000 steps": f"/run/{BIG}",
        "its live figures": f"/live/{BIG}",
        "rollouts, newest step": f"/rollouts/{BIG}",
        "rollouts, a step in the middle": f"/rollouts/{BIG}?step={last // 2}&verdict=wrong",
        "rollouts of the last problem": f"/rollouts/{BIG}?problem=problem-{last}-15",
        "a rollout of 512 tokens": middle,
        "its log-probabilities": f"{middle}&show=logprob",
        "methods": "/methods",
        "a method": "/method/grpo",
        "claims": "/claims",
        "comparisons": "/comparisons",
    }


def main() -> None:
    """Make the folder, start the dashboard, ask for every page in turn, and print how long each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "runs"
        root.mkdir()
        figures = [{name: draw.random() for name in FIGURES} for _ in range(200)]
        for at in range(options.runs - 1):
            make_run(root / f"run-{at:04}", at, 200, figures)
        make_run(root / BIG, 0, 5000, figures)
        last = make_rollouts(root / BIG / "rollouts.jsonl", options.megabytes * 10**6, draw)
        command = [sys.executable, "-m", "pilothouse", "dashboard", str(root), "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
        try:
            assert server.stdout is not None
            port = int(re.search(r":(\d+)/", server.stdout.readline())[1])  # type: ignore[index]
            began, cold = time.perf_counter(), fetch(port, "/")[0]
            fetch(port, "/methods")  # waits until PyTorch and all methods are loaded
            ready = time.perf_counter() - began
            asked = pages(port, last)
            times = {name: [fetch(port, path)[0] for _ in range(options.rounds)] for name, path in asked.items()}
        finally:
            server.terminate()
            server.wait(30)
    report(options, cold, ready, times)


def report(options: argparse.Namespace, cold: float, ready: float, times: dict[str, list[float]]) -> None:
    """Print the first, the median and the 99th percentile of each page, and what was waited for at the start."""
    rows = {
        name: {
            "first": taken[0],
            "p50": statistics.median(taken),
            "p99": statistics.quantiles(taken, n=100, method="inclusive")[98],
        }
        for name, taken in times.items()
    }
    if options.json:
        print(json.dumps({"cold": cold, "ready": ready, "pages": rows}, indent=2))
        return
    print(f"first page after the start: {cold:.2f} s; methods loaded after {ready:.1f} s")
    for name, row in rows.items():
        mark = "" if row["p99"] < BAR else f"  over the bar of {BAR:g} s"
        print(f"{name:<34} first {row['first']:.3f}  p50 {row['p50']:.3f}  p99 {row['p99']:.3f} s{mark}")


if __name__ == "__main__":
    main()
