"""Every mistake a user can make: one sentence that names cause and fix, status 2, and nothing saved is lost."""

from __future__ import annotations

import errno
import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pilothouse.policies.causal_lm import CausalPolicy

SMALL = ["--steps", 1, "--prompts", 2, "--group", 2, "--training.eval_problems", 2, "--task.max_tokens", 5]


def jsonl(*lines: str) -> Path:
    path = Path("my.jsonl")
    path.write_text("".join(line + "\n" for line in lines))
    return path


def sums(count: int = 12) -> Path:
    return jsonl(*(json.dumps({"prompt": f"{i}+2=", "answer": str(i + 2)}) for i in range(count)))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that takes no file larger than ``size`` bytes: the kernel refuses the write, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train grop --task sorting", ["unknown method 'grop'", "did you mean 'grpo'?"]),
        ("train", ["which method?", "pilothouse train grpo --task"]),
        ("train grpo", ["no task", "--task NAME"]),
        ("train grpo --task sortign", ["unknown task 'sortign'", "did you mean 'sorting'?"]),
        ("train grpo --task sorting --credit grop", ["unknown credit 'grop'", "'grpo'"]),
        ("train grpo --task sorting --credit 0.5*grpo+x*rloo", ["cannot read 'x*rloo'", "0.5*a + 0.5*b"]),
        ("train grpo --task sorting --objective cliped", ["unknown objective 'cliped'", "'clipped'"]),
        ("train grpo --task sorting --select zero-varianec", ["unknown selector", "'zero-variance'"]),
        ("train grpo --task sorting --program grup", ["unknown program 'grup'", "'group'"]),
        ("train grpo --task sorting --credit.epps 1", ["unknown setting", "epps", "did you mean 'eps'?"]),
        ("train grpo --task sorting --trainning.steps 1", ["unknown setting 'trainning'", "did you mean 'training'?"]),
        ("train grpo --task sorting --training.stepz 1", ["'training.stepz'", "did you mean 'steps'?"]),
        ("train grpo --task sorting --task.sise 1", ["unknown setting 'sise'", "task 'sorting'"]),
        ("train grpo --task sorting --steps few", ["--steps", '"few"', "int"]),
        ("train grpo --task sorting --steps 0", ["'training.steps'", "0", "greater than or equal to 1"]),
        ("train grpo --task sorting --training.prompts many", ["'training.prompts'", "'many'", "valid integer"]),
        ("train grpo --task sorting --training.steps 3 --training.steps.x 4", ["--training.steps.x", "drop one"]),
        ("train grpo --task sorting --training.record video", ["'training.record'", "'video'", "'text' or 'tokens'"]),
        ("train grpo --task sorting loose", ["unexpected 'loose'", "--name.of.setting VALUE"]),
        ("train grpo --task sorting --group 1", ["credit 'grpo'", "group size of 1", "--group 2"]),
        ("train lite-ppo --task sorting --group 1", ["credit 'lite-ppo'", "--group 2"]),
        ("train grpo --task sorting --credit gae", ["value head", "--objective 'clipped + 0.5*value'"]),
        ("train grpo --task sorting --training.refill 2", ["refill", "--select zero-variance"]),
        ("train grpo --task sorting --sinks wandbb", ["unknown sink 'wandbb'", "'wandb'"]),
        ("train grpo --task sorting --model ./nowhere", ["no model at './nowhere'", "check the path"]),
        ("train grpo --task sorting --model nobody/nothing", ["nobody/nothing", "check id and network"]),
        ("train grpo --task sorting --policy.device warp", ["unknown device 'warp'", "auto, cpu or cuda"]),
        ("train grpo --task jsonl --data x --model y --reward nothing", ["'nothing'", "my_module:score"]),
        ("train grpo --task jsonl --data x --model y --reward json:no", ["'json:no'", "no attribute", "check"]),
        ("train grpo --task jsonl --data x --model y", ["cannot read 'x'", "UTF-8 file"]),
        ("train grpo --task sorting --policy.size huge", ["'huge'", "1m"]),
        ("train --credit.eps 3", ["which method?"]),
        ("train grpo --task sorting --config nowhere.toml", ["cannot read nowhere.toml", "existing TOML file"]),
        ("train --resume nowhere", ["no run folder nowhere", "give the path"]),
        ("train --resume .", [". is not a run", "config.toml"]),
        ("train --resume nowhere --group 3", ["drop --program.n", "new run"]),
        ("train --resume nowhere --lora", ["drop --policy.lora", "new run"]),
        ("train --resume nowhere --credit.eps 3", ["drop --credit.eps", "new run"]),
        ("train --resume nowhere --out other", ["drop --out", "new run"]),
        ("trian grpo", ["Unknown command", "train", "pilothouse --help"]),
        ("show nowhere", ["no run folder nowhere", "give the path"]),
        ("show --color", ["--color", "pilothouse --help"]),
        ("eval", ["SOURCE", "pilothouse --help"]),
        ("eval ./nowhere --task sorting", ["no model at './nowhere'", "check the path"]),
        ("eval .", ["which task?", "--task NAME"]),
        ("eval . --task sorting --n 0", ["--n", "at least one"]),
        ("eval . --task sorting --temperature -1", ["'temperature'", "-1.0", "greater than or equal to 0"]),
        ("methods grop", ["unknown method 'grop'", "did you mean 'grpo'?"]),
        ("reproduce grop", ["unknown method 'grop'", "did you mean 'grpo'?"]),
        ("reproduce grpo --scale smal", ["unknown scale 'smal'", "'small'"]),
        ("tasks validate sortign", ["unknown task 'sortign'", "'sorting'"]),
        ("tasks validate jsonl", ["needs a file", "path"]),
    ],
)
def test_one_sentence_names_cause_and_fix(cli: Any, arguments: str, words: list[str]) -> None:
    said = cli(*arguments.split()).refusal()
    assert all(word in said for word in words), said
    assert not any(Path("runs").glob("*")), "a run that could not begin left a folder"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training]\nsteps = 'ten'\n", ["'training.steps'", "'ten'", "valid integer"]),
        ("[training]\nsteps = 2.5\n", ["'training.steps'", "2.5"]),
        ("training = 3\n", ["'training'", "is 3"]),
        ("credit = 3\n", ["a credit is a name or a table", "3"]),
        ("[credit]\nname = 'grop'\n", ["unknown credit 'grop'", "'grpo'"]),
        ("[training]\nstep = 2\n", ["'training.step'", "did you mean 'steps'?"]),
        ("[training\nsteps = 2\n", ["mine.toml is not valid TOML", "line 1", "correct that line"]),
        ("seed = 1\nseed = 2\n", ["mine.toml is not valid TOML", "line 2"]),
        ("method = 'rloo'\n", ["configures method 'rloo', not 'grpo'", "drop one"]),
    ],
)
def test_broken_settings_file(cli: Any, text: str, words: list[str]) -> None:
    Path("mine.toml").write_text(text)
    said = cli("train", "grpo", "--task", "sorting", "--config", "mine.toml").refusal()
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ["my.jsonl' is empty", "at least one line"]),
        (['{"prompt": "1+1=", "answer": "2"}', "{prompt: 1}"], ["my.jsonl, line 2", "not JSON"]),
        (['{"prompt": "1+1=", "answer": "2"}', "", "[1, 2]"], ["my.jsonl, line 3", "not a JSON object"]),
        (['{"question": "1+1="}'], ["my.jsonl, line 1", "'prompt'", "prompt_field"]),
        (['{"prompt": "1+1="}'], ["my.jsonl, line 1", "'answer' is missing", "reward function"]),
    ],
)
def test_data_that_is_not_what_the_task_needs(cli: Any, finished: Path, lines: list[str], words: list[str]) -> None:
    path = jsonl(*lines)
    checked = cli("tasks", "validate", "jsonl", "--data", path).refusal()
    trained = cli("train", "grpo", "--task", "jsonl", "--data", path, "--model", finished / "model", *SMALL).refusal()
    assert checked == trained
    assert all(word in checked for word in words), checked


def test_the_tiny_model_refuses_text_it_cannot_write(cli: Any) -> None:
    assert "give --model" in cli("train", "grpo", "--task", "jsonl", "--data", sums()).refusal()


REWARDS = """
import math
calls = []

def raises(response):
    raise ValueError("boom")

def nan(response):
    return math.nan

def too_few(responses):
    return [1.0] * (len(responses) - 1)

def sometimes(response):
    calls.append(response)
    return math.nan if len(calls) % 2 else float(len(response))

def fails_later(response):
    calls.append(response)
    if len(calls) > 4:
        raise KeyError("gone")
    return 1.0
"""


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("raises", "the verifier raised ValueError: boom"),
        ("nan", "nan, which is not a finite number"),
        ("too_few", "returned 1 rewards for 2 responses"),
    ],
)
def test_a_reward_function_that_never_works_stops_the_run(cli: Any, finished: Path, function: str, reason: str) -> None:
    Path("rewards.py").write_text(REWARDS)
    options = ["--task", "jsonl", "--data", sums(20), "--reward", f"rewards:{function}", "--model", finished / "model"]
    said = cli("train", "grpo", *options, *SMALL).refusal()
    assert "could judge none of the 2 held-out responses" in said
    assert reason in said


def test_a_reward_function_that_fails_at_times_is_counted_and_never_rewards_zero(cli: Any, finished: Path) -> None:
    Path("rewards.py").write_text(REWARDS)
    options = ["--task", "jsonl", "--data", sums(20), "--reward", "rewards:sometimes", "--model", finished / "model"]
    done = cli("train", "grpo", *options, *SMALL, "--out", "run", "--json")
    assert done.status == 0, done.err
    assert "the verifier failed on 2 of 4 responses" in done.err
    rows = [json.loads(line) for line in Path("run/rollouts.jsonl").read_text().splitlines()]
    failed = [row for row in rows if row["status"] == "error"]
    assert len(failed) == 2
    assert all(row["reward"] is None and not row["trained"] for row in failed)
    (metrics,) = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    judged = [row["reward"] for row in rows if row["status"] == "ok"]
    assert metrics["verifier_errors"] == 2
    assert metrics["reward"] == pytest.approx(sum(judged) / len(judged))


def test_a_step_without_a_single_verdict_stops_and_can_be_continued(cli: Any, finished: Path) -> None:
    Path("rewards.py").write_text(REWARDS)
    options = ["--task", "jsonl", "--data", sums(20), "--reward", "rewards:fails_later", "--model", finished / "model"]
    said = cli("train", "grpo", *options, *SMALL, "--out", "run").refusal()
    assert "step 1: the verifier could judge none of the 4 responses" in said
    assert "KeyError: 'gone'" in said
    assert "pilothouse train --resume run" in said
    Path("rewards.py").write_text("def fails_later(response):\n    return float(len(response))\n")
    import sys

    del sys.modules["rewards"]
    assert cli("train", "--resume", "run", "--json").json()["finished"] is True


def test_model_without_tokenizer(cli: Any, finished: Path) -> None:
    shutil.copytree(finished / "model", "bare", ignore=shutil.ignore_patterns("*token*"))
    said = cli("train", "grpo", "--task", "sorting", "--model", "bare").refusal()
    assert "'bare' has a model but no tokenizer" in said
    assert "tokenizer.save_pretrained" in said


def test_model_with_damaged_weights(cli: Any, finished: Path) -> None:
    shutil.copytree(finished / "model", "torn")
    weights = Path("torn/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    said = cli("eval", "torn", "--task", "sorting").refusal()
    assert "torn" in said
    assert "save_pretrained" in said


def test_prompt_longer_than_the_context(cli: Any, finished: Path) -> None:
    long = jsonl(*(json.dumps({"prompt": "1+" * 4000 + f"{i}=", "answer": "1"}) for i in range(12)))
    said = cli("train", "grpo", "--task", "jsonl", "--data", long, "--model", finished / "model", *SMALL).refusal()
    assert "has 8002 tokens" in said
    assert "context is" in said
    assert "leave room" in said


@pytest.mark.parametrize("out", ["file/run", "file"])
def test_run_folder_that_cannot_be_made(cli: Any, out: str) -> None:
    Path("file").write_text("a file, not a folder")
    said = cli.train("--out", out).refusal()
    assert f"cannot write {out}" in said
    assert "--out" in said
    assert Path("file").read_text() == "a file, not a folder"


def test_runs_folder_that_is_a_file(cli: Any) -> None:
    Path("runs").write_text("mine")
    assert "cannot write runs" in cli.train().refusal()


def test_existing_folder_is_left_alone(cli: Any, finished: Path) -> None:
    shutil.copytree(finished, "run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    said = cli.train("--out", "run").refusal()
    assert "run is not empty" in said
    assert "--resume run" in said
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("size", "refused"), [(40_000, "checkpoint run/checkpoints/step-000003"), (80_000, "run/figures")]
)
def test_full_disk_keeps_what_was_saved(cli: Any, finished: Path, size: int, refused: str) -> None:
    """40 kB refuses the weights of a checkpoint, which another library writes; 80 kB only the figure at the end."""
    shutil.copytree(finished, "run")
    shutil.copytree(finished, "whole")
    with files_of_at_most(size):
        said = cli("train", "--resume", "run", "--steps", 3).refusal()
    assert f"cannot write {refused}" in said
    assert "free space" in said
    kept = {path.name for path in Path("run/checkpoints").iterdir()}
    assert "step-000002" in kept
    assert all(name.startswith("step-") for name in kept), "half a checkpoint"
    assert load_file("run/model/model.safetensors").keys() == load_file("whole/model/model.safetensors").keys()
    for run in ("run", "whole"):
        assert cli("train", "--resume", run, "--steps", 3).status == 0
    one, other = (load_file(f"{run}/model/model.safetensors") for run in ("run", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_disk_full_at_the_last_moment(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(policy: CausalPolicy, folder: Path) -> None:
        Path(folder).mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(CausalPolicy, "save", full)
        said = cli.train("--out", "run").refusal()
    assert "cannot write run/model: No space left on device" in said
    assert not list(Path("run").glob("*model*")), "half a model"
    assert cli("train", "--resume", "run", "--json").json()["finished"] is True


def test_no_whole_checkpoint(cli: Any, finished: Path) -> None:
    shutil.copytree(finished, "run")
    for path in Path("run/checkpoints").glob("*/state.pt"):
        path.write_bytes(b"torn")
    said = cli("train", "--resume", "run", "--steps", 3)
    assert "no whole checkpoint" in said.refusal()
    assert said.err.count("does not match its SHA-256") == 2
    assert load_file("run/model/model.safetensors"), "what was trained is still there"


def test_resume_refuses_another_method_and_damaged_settings(cli: Any, finished: Path) -> None:
    shutil.copytree(finished, "run")
    assert "is a run of method 'grpo', not 'rloo'" in cli("train", "rloo", "--resume", "run").refusal()
    Path("run/config.toml").write_text("method = \n")
    assert "cannot read run/config.toml" in cli("train", "--resume", "run").refusal()
    Path("run/config.toml").write_text('method = "grpo"\nseeds = 1\n')
    assert "run/config.toml" in cli("train", "--resume", "run").refusal()


def test_eval_of_a_run_that_is_not_finished(cli: Any, finished: Path) -> None:
    shutil.copytree(finished, "run", ignore=shutil.ignore_patterns("model"))
    assert "--resume run" in cli("eval", "run").refusal()


def test_missing_tracker_is_refused_before_any_work(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "trackio", None)
    said = cli.train("--sinks", "tensorboard,trackio", "--out", "run").refusal()
    assert "pip install 'pilothouse[trackers]'" in said
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which model? give --model"),
        (["grpo", "--model", "./nowhere"], "no model at './nowhere'"),
        (["--model", "x/y", "--active", "0"], "every bound counts from 1"),
        (["--model", "x/y", "--prefill-chunk", "-1"], "--queue and --prefill-chunk from 0"),
        (["--model", "x/y", "--key-file", "nowhere"], "cannot read the key in nowhere"),
        (["--model", "x/y", "--credit.eps", "1"], "unknown option '--credit'"),
    ],
)
def test_what_cannot_be_served(cli, arguments, message):
    assert message in cli("serve", *arguments).refusal()
