"""``pilothouse compare`` for what acts: equal data and steps, folders of all sorts, and a comparison that is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pilothouse.cli import main
from pilothouse.methods.base import configured, methods
from pilothouse.reports.locks import locked
from pilothouse.training.action_config import ActionConfig
from pilothouse.training.kinds import kind_of_recipe

PLANS = [
    *("--task", "reach", "--training.demonstrations", "5", "--training.batch", "8", "--training.eval_episodes", "3"),
    *("--policy.denoiser.width", "16", "--policy.denoiser.blocks", "1", "--sampler.steps", "3,1,0", "--jobs", "1"),
]
RTI = "diffusion-policy:sampler=rti"
LEARNS = [
    *("--task", "drift", "--training.batches", "2", "--training.episodes", "6", "--training.eval_episodes", "3"),
    *("--learner.hidden", "[8]", "--learner.batch", "16", "--jobs", "1"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison of one seed; copy it before changing anything."""
    out = tmp_path_factory.mktemp("whole") / "cmp"
    main(["compare", "rti-dp", RTI, *PLANS, "--budget", "6-steps", "--seeds", "1", "--out", str(out), "--json"])
    return out


@pytest.fixture
def again(whole: Path, cli: Any, tmp_path: Path) -> Any:
    """Call for that comparison once more, in a copy of its folder."""
    copy = shutil.copytree(whole, tmp_path / "cmp")

    def call(*words: object, names: tuple[str, ...] = ("rti-dp", RTI), budget: str = "6-steps") -> Any:
        given = words if "--seeds" in words else ("--seeds", 1, *words)
        return cli("compare", *names, *PLANS, "--budget", budget, "--out", copy, *given)

    return call


def kept(out: Path) -> dict[str, Any]:
    return json.loads((out / "comparison.json").read_text())


def test_the_same_data_steps_and_order(whole: Path) -> None:
    found = kept(whole)
    assert found["metric"] == {"name": "success", "share": True}
    assert found["budget"] == "6 optimiser steps"
    assert [row["method"] for row in found["standings"]] == ["rti-dp", RTI]
    for run in found["runs"]:
        assert run["costs"]["optimiser steps"] == 6
        assert run["costs"]["network calls an action"] > 0
        assert run["curve"] == [[*point] for point in sorted(run["curve"])]
        assert run["curve"][-1] == [6, run["figures"]["success"]]
    learnt = [(Path(run["folder"]) / "metrics.jsonl").read_text().splitlines() for run in found["runs"]]
    losses = [[json.loads(row)["loss"] for row in rows] for rows in learnt]
    assert losses[0] == losses[1], "the same windows in the same order: they differ in how they act only"
    page = (whole / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "sampler = " in page or "[sampler]" in page


def test_acting_methods_record_as_much_unless_told_otherwise() -> None:
    acting = [m for m in methods().values() if m.recipe and issubclass(kind_of_recipe(m.recipe), ActionConfig)]
    shared = {
        (config.training.demonstrations, config.training.eval_episodes)
        for method in acting
        if isinstance(config := configured(method.card.name, None, {"task": "reach"}), ActionConfig)
    }
    assert len(acting) >= 3
    assert len(shared) == 1


def test_offline_learners_are_compared_by_their_return(cli: Any) -> None:
    found = cli("compare", "td3-bc", "iql", *LEARNS, "--budget", "3-steps", "--seeds", 2, "--out", "cmp", "--json")
    assert found.status == 0, found.err
    table = found.json()
    assert table["metric"] == {"name": "return", "share": False}
    assert table["budget"] == "6 optimiser steps"
    assert {run["costs"]["optimiser steps"] for run in kept(Path("cmp"))["runs"]} == {6}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["td3-bc", "diffusion-policy"], "td3-bc makes an offline learner and diffusion-policy a policy that plans"),
        (["td3-bc", "iql", "--budget", "2k-tokens"], "'2k-tokens' is not a budget in steps: write it like 600-steps"),
        (["td3-bc", "iql", "--budget", "600"], "is not a budget in steps"),
        (["td3-bc", "iql", "--budget", "0.5-steps"], "is nothing: give at least 1-steps"),
        (["td3-bc", "iql:training.batches=3", "--budget", "3-steps"], "6 optimiser steps for td3-bc and 9"),
        (["td3-bc", "iql", "--prompts", "3"], "unknown setting"),
        (["td3-bc", "iql", "--task", "drift,reach"], "the tasks measure return (drift) and success (reach)"),
        (["td3-bc", "iql", "--task", "drift,"], "unknown control task ''"),
    ],
)
def test_refusals(cli: Any, words: list[str], reason: str) -> None:
    base = LEARNS[2:] if "--task" in words else LEARNS
    assert reason in cli("compare", *words, *base, "--out", "cmp").refusal()
    assert not Path("cmp").exists()


def test_a_comparison_may_grow(again: Any, tmp_path: Path) -> None:
    before = kept(tmp_path / "cmp")
    result = tmp_path / "cmp" / "runs"
    times = {path: path.stat().st_mtime_ns for path in result.glob("*/result.json")}
    found = again("--seeds", 2, "--json").json()
    assert found["seeds"] == [0, 1]
    assert {path: path.stat().st_mtime_ns for path in times} == times, "what had run is read back"
    assert kept(tmp_path / "cmp")["runs"][0]["figures"] == before["runs"][0]["figures"]


def test_the_folder_of_something_else_is_left_alone(again: Any, cli: Any, tmp_path: Path) -> None:
    out = tmp_path / "cmp"
    files = set(out.rglob("*"))
    for said in (again(budget="5-steps"), again("--sampler.steps", "3,0"), again(names=("rti-dp", f"{RTI},execute=4"))):
        assert f"{out} keeps another comparison (rti-dp, {RTI} on reach): give --out another" in said.refusal()
    mine = tmp_path / "documents"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    said = cli("compare", "td3-bc", "iql", *LEARNS, "--out", mine).refusal()
    assert "is not empty and keeps no comparison" in said
    with locked(out / ".lock", ""):
        assert f"{out} is in use by another comparison" in again().refusal()
    assert set(out.rglob("*")) == files


def test_results_that_are_no_use_are_told(again: Any, tmp_path: Path) -> None:
    first, second = sorted((tmp_path / "cmp" / "runs").glob("*/result.json"))
    text = first.read_text()
    first.write_text(text[: len(text) // 2])
    assert f"left a result that cannot be read (cannot read {first}" in again().refusal()
    first.write_text(json.dumps({k: v for k, v in json.loads(text).items() if k != "evaluation"}))
    said = again().refusal()
    assert f"the result in {first.parent} lacks 'evaluation': pilothouse " in said
    assert "delete that folder and call again" in said
    shutil.rmtree(first.parent)
    settings = second.with_name("config.toml")
    settings.write_text(settings.read_text().replace('pilothouse = "', 'pilothouse = "0.0.'))
    done = again()
    assert done.status == 0
    assert "not all runs were made with the same versions" in done.err


def test_names_with_spaces_and_tags(whole: Path, cli: Any, tmp_path: Path) -> None:
    out = tmp_path / "a <b>bold</b> $ 1$ folder"
    shutil.copytree(whole, out)
    said = cli("compare", "rti-dp", RTI, *PLANS, "--budget", "6-steps", "--seeds", 1, "--out", out)
    assert said.status == 0, said.err
    page = (out / "report.html").read_text()
    assert "<b>" not in page
    assert "a &lt;b&gt;bold&lt;/b&gt; $ 1$ folder" in page


def test_a_killed_comparison_continues(whole: Path, cli: Any, tmp_path: Path) -> None:
    """Killed within the second run: the first is read back, the second goes on from its checkpoint, nothing differs."""
    out = tmp_path / "cmp"
    words = ["compare", "rti-dp", RTI, *PLANS, "--budget", "6-steps", "--seeds", "1", "--out", str(out)]
    # each checkpoint waits, so that there is time to kill it after the first of the second run
    slow = (
        "import sys, time; from pilothouse.training import steps; save = steps.Loop.save; "
        "steps.Loop.save = lambda loop: (save(loop), time.sleep(60 * ('rti-dp' not in str(loop.store.path)))); "
        "from pilothouse.cli import main; main(sys.argv[1:])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", slow, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(400):
            if list(out.glob("runs/diffusion*/checkpoints/*/manifest.json")) or process.poll() is not None:
                break
            time.sleep(0.25)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "comparison.json").exists()
    assert len(list(out.glob("runs/*/checkpoints/*/manifest.json"))) >= 2
    done = cli(*words)
    assert done.status == 0, done.err
    assert "2 runs, 1 of them finished before" in done.err
    assert "continuing" in done.err
    for mine, theirs in zip(kept(out)["runs"], kept(whole)["runs"], strict=True):
        assert mine["figures"] == theirs["figures"]
        assert mine["curve"] == theirs["curve"]
