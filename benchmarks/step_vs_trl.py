"""Seconds of a training step here and in TRL's GRPOTrainer: same model, prompts, batch, lengths, optimiser and reward.

Run with ``python benchmarks/step_vs_trl.py``; it needs the ``bench`` extra. Each round runs both sides one after the
other, each in a fresh process, and gives one ratio; their order changes from round to round. The first steps of a
process are not counted. "processor" is the time that the process spent on a processor, which a busy machine changes
far less than the wall clock.

Both sides do one GRPO step a batch (group-standardised rewards, sequence-mean loss, no KL, AdamW) in float32 on the
same weights. But for the last mode the reward is a hash of the response, so that no group's rewards are equal and no
episode can be skipped. In the mode "full" no token ends a response, so that every one has exactly ``--tokens`` tokens.
In "prescribed" every response has a length of its own, uniform from ``--shortest`` to ``--longest`` and the same on
both sides for the same sample of the same prompt: this library asks for that many tokens, TRL's sampler is given the
end token there by a vectorised logits processor, whose own time is listed as "forcing". In "ragged" a line break ends
a response; lengths then differ a little between the sides, so compare tokens/s too. "verified" is "ragged" with the
task's own verifier for the reward, as in training: this library then skips the episodes of groups whose rewards are
all equal, which add exactly nothing to the gradient, and TRL computes them (``--epochs 4`` gives the policy that the
demo starts from). TRL runs in one batch (``--trl-rows`` cuts it) with neither logging nor checkpoints. This library
records every episode and its log-probabilities as it always does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from pilothouse import __version__
from pilothouse.methods.base import find_method
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.warm_start import WarmStart
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.config import PolicySettings, resolve
from pilothouse.training.loop import Trainer
from pilothouse.training.prepare import prepare_policy
from step_trl import theirs
from step_work import BETAS, GROUP, MODES, RATE, SEED, HashReward, Prescribed, now, task_of


class Times(Progress):
    """Notes the moment at which each step is recorded and shown."""

    def __init__(self) -> None:
        self.moments, self.rows = [now()], list[dict[str, Any]]()

    def step(self, row: Any) -> None:
        """Note the step."""
        self.moments.append(now())
        self.rows.append(dict(row))


def ours(job: dict[str, Any], out: Path) -> list[dict[str, float]]:
    """Return seconds by phase, responses and tokens of every step of this library."""
    task = task_of(job)
    layer = {
        "seed": SEED,
        "task": {"name": "gsm8k-calc", "data": job["data"]},
        "program": {"n": GROUP, "sampling": {"max_tokens": job["tokens"]}},
        "policy": {"rows": job["prompts"] * GROUP},
        "training": {
            "steps": job["steps"],
            "prompts": job["prompts"],
            "learning_rate": RATE,
            "betas": BETAS,
            "checkpoint_every": 0,
            **({"micro_tokens": job["micro"]} if job["micro"] else {}),
        },
    }
    config = resolve("grpo", find_method("grpo").policy_gradient, layer).model_copy(update={"task": task})
    if job["mode"] == "prescribed":
        program = Prescribed(n=GROUP, shortest=job["shortest"], longest=job["longest"])
        config = config.model_copy(update={"program": program})
    policy = CausalPolicy.load(job["model"], device="cpu", dtype="float32")
    policy.eos_ids = frozenset(policy.codec.encode("\n") if job["mode"] in ("ragged", "verified") else ())
    times = Times()
    Trainer(config, policy, RunStore.create(out / "run", "grpo", "hash"), times).fit()
    steps = list[dict[str, float]]()
    for row, start, stop in zip(times.rows, times.moments, times.moments[1:], strict=False):
        computed = job["mode"] == "verified" or row["rows_computed"] == row["episodes"]
        assert computed, "an episode was skipped; the comparison would not be fair"
        whole, sample, train = stop[0] - start[0], row["seconds/sample"], row["seconds/update"]
        tokens = round(row["length"] * row["episodes"])
        steps.append(
            {"seconds": whole, "generate": sample, "train": train, "other": whole - sample - train}
            | {"processor": stop[1] - start[1], "responses": row["episodes"], "tokens": tokens, "forcing": 0.0}
        )
    return steps


SIDES = {"pilothouse": ours, "trl": theirs}


def measure(side: str, job: dict[str, Any]) -> dict[str, float]:
    """Run one side in a process of its own and return the medians of its counted steps.

    Raises:
        RuntimeError: the process failed, or the two sides would not do the same work.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(job["threads"]), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, "--job", json.dumps({**job, "side": side})]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"the {side} side failed:\n{done.stderr[-3000:]}")
    return summary(json.loads(done.stdout.splitlines()[-1]), job)


def summary(steps: list[dict[str, float]], job: dict[str, Any]) -> dict[str, float]:
    """Return the medians of the counted steps, once it is sure that each did the work it should.

    Raises:
        RuntimeError: a step had another number of responses or, in the mode "full", of tokens.
    """
    counted = steps[job["warm_up"] :]
    for step in counted:
        full = job["mode"] != "full" or step["tokens"] == step["responses"] * job["tokens"]
        if step["responses"] != job["prompts"] * GROUP or not full:
            raise RuntimeError(f"a step had {step['responses']} responses of {step['tokens']} tokens in all")
    middle = {name: statistics.median(step[name] for step in counted) for name in counted[0]}
    middle["tokens/s"] = sum(step["tokens"] for step in counted) / sum(step["seconds"] for step in counted)
    return middle


def prepare_model(data: str, size: str, epochs: float, folder: Path) -> None:
    """Write the model that both sides load: the tiny policy, warm-started so that lengths vary as in training."""
    settings = PolicySettings(size=size, device="cpu", dtype="float32", warm_start=WarmStart(epochs=epochs))
    prepare_policy(settings, HashReward(data=data), SEED, Progress()).save(folder)


def compare(job: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Return every run of both sides, the medians over the runs, and the ratios of the rounds."""
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for turn in range(rounds):
        for side in list(SIDES)[:: 1 if turn % 2 == 0 else -1]:
            runs[side].append(measure(side, job))
    pairs = list(zip(runs["pilothouse"], runs["trl"], strict=True))
    middle = {side: {k: statistics.median(r[k] for r in found) for k in found[0]} for side, found in runs.items()}
    return {
        **{name: job[name] for name in ("mode", "prompts", "tokens", "shortest", "longest", "threads")},
        "runs": runs,
        "median": middle,
        "seconds ratios": [b["seconds"] / a["seconds"] for a, b in pairs],
        "processor ratios": [b["processor"] / a["processor"] for a, b in pairs],
        "tokens/s ratios": [a["tokens/s"] / b["tokens/s"] for a, b in pairs],
    }


def table(found: dict[str, Any]) -> str:
    """Return a comparison as text, milliseconds a step."""
    lengths = f"{found['shortest']}-{found['longest']}" if found["mode"] == "prescribed" else f"up to {found['tokens']}"
    head = f"{found['mode']}: {found['prompts']} prompts x {GROUP}, {lengths} tokens"
    lines = [
        f"{head:<44}{'step':>8}{'generate':>10}{'train':>8}{'other':>8}{'forcing':>9}{'processor':>11}{'tokens':>9}{'tokens/s':>10}"
    ]
    for side, row in found["median"].items():
        columns = {"seconds": 8, "generate": 10, "train": 8, "other": 8, "forcing": 9, "processor": 11}
        ms = "".join(f"{1000 * row[name]:>{width}.0f}" for name, width in columns.items())
        lines.append(f"  {side:<42}{ms}{row['tokens']:>9.0f}{row['tokens/s']:>10.0f}")
    for name in ("seconds", "processor", "tokens/s"):
        ratios = found[f"{name} ratios"]
        lines.append(
            f"  {name + ' ratio':<20}{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, "
            f"{len(ratios)} rounds)"
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[16, 32], help="prompts a step, one setting each")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--tokens", type=int, default=32, help="length limit of a response")
    parser.add_argument("--shortest", type=int, default=8, help="shortest response of the mode 'prescribed'")
    parser.add_argument("--longest", type=int, default=64, help="its longest response")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="counted steps of a run")
    parser.add_argument("--warm-up", type=int, default=3, help="steps of a run before those")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="1m", help="size of the tiny policy")
    parser.add_argument("--epochs", type=float, default=0.3, help="of the policy's warm start")
    parser.add_argument("--micro", type=int, default=0, help="this library's micro_tokens; 0 leaves its default")
    parser.add_argument("--trl-rows", type=int, default=0, help="TRL's rows in a forward pass; 0 takes all")
    parser.add_argument("--json", type=Path, help="file for every figure")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.job:
        job = json.loads(given.job)
        torch.set_num_threads(job["threads"])
        warnings.simplefilter("ignore")
        with tempfile.TemporaryDirectory() as folder:
            print("\n" + json.dumps(SIDES[job["side"]](job, Path(folder))))
        return
    versions = {
        "pilothouse": __version__,
        **{name: metadata.version(name) for name in ("trl", "transformers", "torch")},
    }
    print(", ".join(f"{name} {version}" for name, version in versions.items()) + f", {given.threads} threads, float32")
    data, results = os.environ.get("PILOTHOUSE_DATA") or "generated", list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        prepare_model(data, given.size, given.epochs, Path(folder))
        print(HashReward(data=data).source())
        for mode in given.modes:
            for count in given.prompts:
                job = {"mode": mode, "prompts": count, "model": folder, "data": data, "tokens": given.tokens}
                job |= {"steps": given.warm_up + given.steps, "warm_up": given.warm_up, "threads": given.threads}
                job |= {"shortest": given.shortest, "longest": given.longest}
                results.append(compare(job | {"micro": given.micro, "trl_rows": given.trl_rows}, given.rounds))
                print("\n" + table(results[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"versions": versions, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
