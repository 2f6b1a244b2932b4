"""``pilothouse eval``."""

from __future__ import annotations

from pilothouse.cli.app import Json, Settings, app, emit, line, plain_output


@app.command(name="eval")
def evaluate(
    source: str,
    /,
    *overrides: Settings,
    task: str | None = None,
    data: str | None = None,
    reward: str | None = None,
    n: int = 256,
    samples: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Measure a policy on held-out problems or in fresh episodes: accuracy or success with a 95 % interval, and cost.

    A run that learnt to act takes its settings too, such as --sampler ddpm, --sampler.steps 3 or --execute 1.

    Args:
        source: A run's folder, a model's folder, or a hub id.
        overrides: Any setting of the task, as --task.name_of_setting VALUE.
        task: The task; by default the one the run was trained on.
        data: Path of the task's data, or a hub id.
        reward: Python reward function as module:function, for --task jsonl.
        n: Held-out problems or episodes, 256 unless told.
        samples: Attempts at each; with several the interval respects that they are not independent.
        temperature: 0, the default, takes the most likely token.
        seed: Seed of the choice of problems and of sampling.
        as_json: Print the figures as one JSON document on standard output.
    """
    from pilothouse.reports.progress import make_progress
    from pilothouse.reports.tables import action_rows
    from pilothouse.training.config import nested, read_overrides
    from pilothouse.training.inspect import evaluate_source

    short = {"task": task, "task.data": data, "task.reward": reward}
    table = nested([(k, v) for k, v in short.items() if v is not None] + read_overrides(overrides))
    with plain_output(as_json):
        found = evaluate_source(source, table, n, samples, temperature, seed, make_progress())
    if as_json:
        emit(found)
        return
    if "picture" in found:
        line("; ".join(f"{name} {value}" for name, value in [("task", found["task"]), *action_rows(found)]))
        line(f"picture {found['picture']}")
        return
    line(
        f"{found['task']}: accuracy {found['accuracy']:.1%} [{found['low']:.1%}, {found['high']:.1%}] "
        f"over {found['problems']} problems x {samples}, {found['length']:.1f} tokens a response, "
        f"{found['truncated']:.1%} truncated, {sum(found['errors'].values())} verifier errors"
    )
