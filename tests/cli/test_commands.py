"""Every command of the contract, run as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from pilothouse.methods.base import methods
from pilothouse.reports.runs import RunStore

SCORES = """
def score(response, answer):
    print("a reward function that talks")
    return float(answer in response) + 0.1 * len(response)
"""


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def data(folder: Path, count: int = 12) -> Path:
    path = folder / "my.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{i}+2=", "answer": str(i + 2)}) + "\n" for i in range(count)))
    return path


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pilothouse", *(str(a) for a in arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120
    )


def test_methods_lists_all_and_explains_each(cli: Any) -> None:
    listed = cli("methods").out
    assert all(name in listed for name in methods())
    for name in ("grpo", "lite-ppo"):
        shown = cli("methods", name).out
        assert methods()[name].card.paper.split()[0] in shown
        assert "aggregation" in shown, "every setting with its default"
    assert "measured here  partly reproduced, 7 of 9 bars reached" in cli("methods", "lite-ppo").out


def test_methods_as_json(cli: Any) -> None:
    every = cli("methods", "--json").json()
    assert [entry["name"] for entry in every] == sorted(methods())
    one = cli("methods", "lite-ppo", "--json").json()
    assert one in every
    assert one["recipe"]["credit"]["name"] == "lite-ppo"


def test_tasks_are_listed_and_validated(cli: Any) -> None:
    assert "gsm8k-calc" in cli("tasks").out
    assert "chain-arithmetic" in cli("tasks", "--json").json()
    said = cli("tasks", "validate", "chain-arithmetic", "--train-size", "50", "--test_size=20")
    assert said.status == 0
    assert "50 train and 20 test problems" in said.out
    assert cli("tasks", "validate", "sorting", "--json").json()["fit"] is True


def test_doctor(cli: Any) -> None:
    assert "a small policy samples and trains" in cli("doctor").out
    assert cli("doctor", "--json").json()["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    "command", [[], ["train"], ["eval"], ["methods"], ["reproduce"], ["show"], ["tasks"], ["doctor"]]
)
def test_every_command_has_help(cli: Any, command: list[str]) -> None:
    shown = cli(*command, "--help")
    assert shown.status == 0
    assert shown.out.startswith("Usage: pilothouse")
    assert max(map(len, shown.out.splitlines())) <= 80


def test_help_of_train_names_every_option_and_shows_examples(cli: Any) -> None:
    shown = cli("train", "--help").out
    options = "task data reward model steps seed out prompts group program select credit objective config lora resume"
    assert all(f"--{option} " in shown for option in [*options.split(), "json"])
    assert "pilothouse train grpo --task gsm8k-calc" in shown


def test_a_run_leaves_everything(finished: Path) -> None:
    config = tomllib.loads((finished / "config.toml").read_text())
    assert (config["method"], config["training"]["prompts"], config["program"]["n"]) == ("grpo", 2, 2)
    assert {"pilothouse", "python", "torch", "transformers"} <= config["versions"].keys()
    assert [row["step"] for row in rows(finished / "metrics.jsonl")] == [1, 2]
    assert [row["step"] for row in rows(finished / "rollouts.jsonl")] == [1] * 4 + [2] * 4
    assert list((finished / "checkpoints").glob("step-*"))
    assert (finished / "figures" / "training.png").stat().st_size > 1000
    result = json.loads((finished / "result.json").read_text())
    for when in ("before", "after"):
        figures = result[when]["sampled"]
        assert 0 <= figures["low"] <= figures["accuracy"] <= figures["high"] <= 1
    assert result["cost"]["tokens_sampled"] > 0
    assert result["gain"]["sampled"].keys() >= {"estimate", "low", "high"}


def test_the_trained_model_is_an_ordinary_one(finished: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    model = AutoModelForCausalLM.from_pretrained(finished / "model")
    prompt = tokenizer("4+7*3:", return_tensors="pt", add_special_tokens=False)
    written = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert written.shape[1] > prompt["input_ids"].shape[1]


def test_train_and_json_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(SCORES)
    task = ["--task", "jsonl", "--data", data(tmp_path), "--reward", "my_module:score"]
    small = ["--steps", 1, "--prompts", 2, "--group", 2, "--training.eval_problems", 2, "--task.max_tokens", 4]
    trained = process(
        "train",
        "grpo",
        "--task",
        "sorting",
        "--policy.size",
        "nano",
        "--policy.warm_start.epochs",
        0.1,
        *small,
        "--out",
        "first",
        "--json",
    )
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["finished"] is True
    assert "step 1/1" in trained.stderr
    talking = process("train", "grpo", *task, "--model", "first", *small, "--out", "own", "--json")
    assert talking.returncode == 0, talking.stderr
    assert json.loads(talking.stdout)["run"] == "own"
    assert "a reward function that talks" in talking.stderr


def test_the_closing_table_names_figure_and_run(cli: Any) -> None:
    said = cli.train("--out", "run")
    assert said.status == 0, said.err
    assert "held-out accuracy" in said.out
    assert "run/figures/training.png" in said.out


def test_every_short_option_reaches_its_setting(cli: Any, tmp_path: Path) -> None:
    options = ["--steps", 1, "--prompts", 3, "--group", 4, "--seed", 7, "--credit", "rloo", "--select", "zero-variance"]
    said = cli.train(
        *options, "--program", "group", "--objective", "clipped + 0.05*kl", "--lora", "--out", "run", "--json"
    )
    assert said.status == 0, said.err
    config = RunStore.open(tmp_path / "run").read_config()
    assert config["training"]["steps"] == 1
    assert config["training"]["prompts"] == 3
    assert (config["program"]["n"], config["seed"]) == (4, 7)
    assert (config["credit"]["name"], config["select"]["name"]) == ("rloo", "zero-variance")
    assert [term["weight"] for term in config["objective"]["terms"]] == [1.0, 0.05]
    assert config["policy"]["lora"]["r"] == 16
    assert len(rows(tmp_path / "run" / "rollouts.jsonl")) == 12


@pytest.mark.parametrize(
    "options",
    [
        ["--credit", "0.5*grpo + 0.5*rloo"],
        ["--objective", "clipped + 0.05*kl"],
        ["--select", "zero-variance + overlong"],
        ["--credit", "gae", "--objective", "clipped + 0.5*value"],
        ["--credit", "normalized", "--credit.mean", "batch", "--credit.std=group"],
    ],
)
def test_parts_by_expression_train(cli: Any, options: list[str]) -> None:
    said = cli.train(*options, "--steps", 1, "--out", "run", "--json")
    assert said.status == 0, said.err
    assert said.json()["finished"] is True


@pytest.mark.parametrize(
    "options",
    [
        ["--credit", "riskpo", "--select", "d3s", "--program", "treepo", "--program.width", "4"],
        ["--credit", "adora", "--credit.of", "progrpo", "--select", "zero-variance + predictive-sampling"],
    ],
)
def test_what_several_methods_brought_trains_together(cli: Any, options: list[str]) -> None:
    said = cli.train(*options, "--out", "run", "--json", without="--group")
    assert said.status == 0, said.err
    assert said.json()["finished"] is True


def test_command_line_wins_over_file_and_file_over_method(cli: Any, tmp_path: Path) -> None:
    Path("mine.toml").write_text(
        'task = "sorting"\npolicy.size = "nano"\n[training]\nprompts = 3\nsteps = 1\n[credit]\nname = "rloo"\n'
    )
    options = [
        "--config",
        "mine.toml",
        "--prompts",
        2,
        "--group",
        2,
        "--training.eval_problems",
        4,
        "--task.max_tokens",
        6,
    ]
    assert cli("train", "grpo", *options, "--out", "run").status == 0
    config = RunStore.open(tmp_path / "run").read_config()
    assert (config["training"]["prompts"], config["training"]["steps"]) == (2, 1)
    assert (config["credit"]["name"], config["task"]["name"]) == ("rloo", "sorting")


def test_a_runs_own_settings_repeat_it(cli: Any, finished: Path, tmp_path: Path) -> None:
    again = cli("train", "--config", finished / "config.toml", "--out", "again", "--json")
    assert again.status == 0, again.err
    one, other = (load_file(run / "model" / "model.safetensors") for run in (finished, tmp_path / "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_own_data_own_reward_own_model(cli: Any, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "my_scores.py").write_text(SCORES)
    own = ["--task", "jsonl", "--data", data(tmp_path), "--reward", "my_scores:score", "--model", finished / "model"]
    small = ["--steps", 2, "--prompts", 2, "--group", 2, "--training.eval_problems", 2, "--task.max_tokens", 5]
    before = load_file(finished / "model" / "model.safetensors")
    for extra in ([], ["--lora"], ["--policy.lora.r", 4]):
        said = cli("train", "lite-ppo", *own, *small, *extra, "--out", f"run{len(extra)}", "--json")
        assert said.status == 0, said.err
        assert said.json()["task"] == "jsonl"
        after = load_file(tmp_path / f"run{len(extra)}" / "model" / "model.safetensors")
        assert before.keys() == after.keys()
        assert any(not torch.equal(before[name], after[name]) for name in before), "nothing was learnt"
    assert RunStore.open(tmp_path / "run2").read_config()["policy"]["lora"]["r"] == 4


def test_eval_of_a_run_repeats_its_closing_figures(cli: Any, finished: Path) -> None:
    greedy = cli("eval", finished, "--n", 8, "--json").json()
    closing = json.loads((finished / "result.json").read_text())["after"]["greedy"]
    assert greedy["problems"] == 8
    assert greedy["task"] == "chain-arithmetic"
    assert greedy["length"] <= 12, "the run's own length limit holds"
    assert greedy["level"] == closing["level"]


def test_eval_of_a_model_folder(cli: Any, finished: Path) -> None:
    said = cli("eval", finished / "model", "--task", "chain-arithmetic", "--n", 4, "--samples", 2, "--temperature", 1)
    assert said.status == 0, said.err
    assert said.out.startswith("chain-arithmetic: accuracy ")
    assert len(said.out.splitlines()) == 1
    found = cli(
        "eval", finished / "model", "--task", "chain-arithmetic", "--task.chain_steps", 4, "--n", 4, "--json"
    ).json()
    assert found["attempts"] == 4


def test_show(cli: Any, finished: Path) -> None:
    assert "grpo on chain-arithmetic" in cli("show", finished).out
    shown = cli("show", finished, "--json").json()
    assert (shown["steps"], shown["result"]["finished"]) == (2, True)


def test_reproduce_at_smoke_scale(cli: Any, tmp_path: Path) -> None:
    evidence = cli("reproduce", "grpo", "--scale", "smoke", "--json").json()
    assert evidence["verdict"] == "smoke run, no verdict"
    folder = tmp_path / "runs" / "reproduce-grpo-smoke"
    assert json.loads((folder / "grpo-smoke.json").read_text())["method"] == "grpo"
    assert (folder / evidence["figure"]).is_file()
    results = {path: path.stat().st_mtime_ns for path in folder.glob("seed-*/result.json")}
    assert len(results) == 2
    again = cli("reproduce", "grpo", "--scale", "smoke", "--json").json()
    assert {path: path.stat().st_mtime_ns for path in folder.glob("seed-*/result.json")} == results, "read back"
    assert again["claims"] == evidence["claims"]


def test_resume_of_a_finished_run_trains_further(cli: Any, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    assert cli("train", "--resume", "run", "--steps", 3, "--json").json()["steps"] == 3
    assert [row["step"] for row in rows(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3]


@pytest.mark.parametrize("sinks", ["tensorboard", '["tensorboard"]'])
def test_tensorboard_receives_every_row(cli: Any, tmp_path: Path, sinks: str) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert cli.train("--sinks", sinks, "--out", "run").status == 0
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("reward")] == [1, 2]


def test_ablate_compares_values_and_reads_finished_runs_back(cli: Any, tmp_path: Path) -> None:
    small = {
        "--task": "chain-arithmetic",
        "--policy.size": "nano",
        "--policy.warm_start.epochs": "0.2",
        "--steps": "2",
        "--training.prompts": "2",
        "--training.eval_problems": "8",
        "--program.n": "2",
        "--program.sampling.max_tokens": "12",
        "--switch": "credit.std",
        "--values": "none",
        "--seeds": "1",
        "--out": str(tmp_path / "runs"),
    }
    small = [word for pair in small.items() for word in pair]
    first = cli("ablate", "lite-ppo", *small, "--json").json()
    assert [row["value"] for row in first["rows"]] == ["batch", "none"]
    assert first["rows"][0]["base"]
    again = cli("ablate", "lite-ppo", *small)
    assert again.status == 0
    assert "credit.std" in again.out
    assert "step " not in again.err, "a finished run was run again"


def test_ablate_refuses_an_unknown_switch(cli: Any) -> None:
    refused = cli("ablate", "lite-ppo", "--task", "chain-arithmetic", "--switch", "credit.stdd", "--values", "none")
    assert "did you mean 'std'" in refused.refusal()
