"""``pilothouse engines`` as a user meets it; a check of a live server is in tests/serving/test_probe.py."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest


def test_list_and_filter(cli: Any) -> None:
    said = cli("engines").out
    assert "25 of 25 engines, as of 2025-05" in said
    found = cli("engines", "--device", "rocm", "--technique", "prefixc", "--json").json()["engines"]
    assert {engine["name"] for engine in found} == {"vLLM", "MAX", "MLC LLM", "PowerInfer"}
    assert cli("engines", "--technique", "cont,nano", "--json").json()["engines"][0]["name"] == "NanoFlow"


def test_compare_shows_sources_and_doubts(cli: Any) -> None:
    said = cli("engines", "compare", "vllm", "powerinfer").out
    assert "radar charts" not in said
    assert "arXiv 2505.01658" in said
    assert "doubtful: vattn of PowerInfer" in said
    rows = cli("engines", "compare", "vllm", "sglang", "--json").json()["rows"]
    assert rows[0] == {"field": "use", "vLLM": 1.0, "SGLang": 0.67}


def test_recommend_gives_reasons(cli: Any) -> None:
    said = cli("engines", "recommend", "--profile", "edge", "--device", "jetson", "--feasible-only").out
    assert said.startswith("1. ")
    assert "vLLM did not pass when it was run on jetson" in said
    ranked = cli("engines", "recommend", "--profile", "throughput", "--device", "cuda", "--multi-node", "--json").json()
    assert [row["name"] for row in ranked["ranking"]][:2] == ["TensorRT-LLM", "vLLM"]
    assert ranked["rejected"]["TGI"] == "does not span nodes"
    nothing = cli("engines", "recommend", "--device", "lpu", "--precision", "mxfp4").out
    assert nothing.startswith("no engine satisfies all of this:")


def test_a_file_of_ones_own(cli: Any) -> None:
    Path("mine.toml").write_text('[[engine]]\nname = "Mine"\ndevices = ["lpu"]\nscores = { latency = 1 }\n')
    said = cli("engines", "--device", "lpu", "--catalogue", "mine.toml").out
    assert "Mine" in said
    assert "2 of 26 engines" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("compare vlm", ["unknown engine 'vlm'", "did you mean 'vLLM'?"]),
        ("compare", ["which engines?"]),
        ("--device cudda", ["unknown device 'cudda'", "'cuda'"]),
        ("recommend --profile spede", ["unknown profile 'spede'"]),
        ("recommend --technique prefix-cache", ["unknown technique", "prefixc"]),
        ("--catalogue none.toml", ["cannot read the engines in none.toml"]),
        ("check nowhere", ["scheme and a host"]),
        ("check http://127.0.0.1:1 --concurrency many", ["--concurrency many", "whole numbers"]),
        ("check http://127.0.0.1:1 --seconds 0", ["greater than 0"]),
        ("check", ["URL", "pilothouse --help"]),
    ],
)
def test_one_sentence_names_cause_and_fix(cli: Any, arguments: str, words: list[str]) -> None:
    said = cli("engines", *arguments.split()).refusal()
    assert all(word in said for word in words), said


def test_a_server_that_is_not_there_is_one_sentence(cli: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = cli("engines", "check", f"http://127.0.0.1:{port}/v1").refusal()
    assert "cannot be reached" in said
    assert "start it or correct the address" in said
