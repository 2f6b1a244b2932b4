"""The survey as data: its counts, filters, ranking by hand, costs, and a file of one's own laid over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.decisions.engine_catalogue import CRITERIA, EngineCatalogue, Wanted
from pilothouse.decisions.engine_costs import CostModel
from pilothouse.decisions.engine_selector import PROFILES, Measured, select_engine

ALL = EngineCatalogue.load()
COUNTS = {"quant": 22, "kv": 20, "sparse": 20, "cont": 17, "tp": 17, "spec": 16, "lora": 16, "guided": 15, "flash": 12}
COUNTS |= {"pp": 12, "chunk": 11, "paged": 10, "dp": 10, "prune": 10, "prefixc": 9}


def names(**wanted) -> set[str]:
    return {engine.name for engine in ALL.where(Wanted(**wanted))}


def scores(profile, **wanted) -> dict[str, float]:
    return {row.name: round(row.score, 3) for row in select_engine(ALL, Wanted(**wanted), profile).ranking}


def test_it_is_the_survey() -> None:
    assert len(ALL.engines) == 25
    assert {engine.name for engine in ALL.engines if engine.open == "no"} == names(system=("api",))
    assert len(names(system=("api",))) == 4
    assert {code: len(ALL.with_technique(code)) for code in COUNTS} == COUNTS
    assert {(engine.nodes, engine.mix) for engine in ALL.engines} == {
        (nodes, mix) for nodes in ("single", "multi") for mix in ("heterogeneous", "homogeneous")
    }
    for engine in ALL.engines:
        assert set(engine.scores) == set(CRITERIA)
        assert all(0 <= score <= 1 for score in engine.scores.values())
        assert engine.techniques | engine.undisclosed <= set(ALL.techniques)
        assert not engine.techniques & engine.undisclosed
        assert engine.licence
        assert engine.upkeep


def test_every_field_has_a_source_with_a_date() -> None:
    covered = {name for source in ALL.sources.values() for name in source["fields"]}
    assert covered >= set(ALL.engines[0].to_dict()) - {"name"}
    assert all(source["dated"] and source["confidence"] and source["where"] for source in ALL.sources.values())


def test_filters_by_hand() -> None:
    assert names(device=("rocm",), technique=("prefixc",)) == {"vLLM", "MAX", "MLC LLM", "PowerInfer"}
    assert names(technique=("nano",)) == {"NanoFlow"}
    assert names(precision=("mxfp4",)) == {"TensorRT-LLM"}
    everything = ("cont", "chunk", "prefixc", "spec", "guided")
    assert names(technique=everything, system=("macos",), device=("cuda",)) == {"MAX", "MLC LLM"}
    assert names(technique=("paged",), system=("api",)) == set()
    assert names(technique=("paged",), system=("api",), allow_unknown=True) == {
        "Friendli",
        "Fireworks",
        "GroqCloud",
        "Together",
    }
    assert names(open=True, multi_node=True, offline=True) >= {"vLLM", "SGLang", "DistServe"}
    assert "TensorRT-LLM" not in names(open=True)
    assert not names(system=("macos",)) & {"vLLM", "TensorRT-LLM", "SGLang"}


def test_scores_by_hand() -> None:
    balanced = scores("balanced")
    assert balanced["vLLM"] == 0.865
    assert balanced["llama2.c"] == 0.150
    found = list(scores("throughput", device=("cuda",), multi_node=True).items())[:3]
    assert [name for name, _ in found] == ["TensorRT-LLM", "vLLM", "DeepSpeed-FastGen"]
    assert [score for _, score in found] == pytest.approx([0.919, 0.885, 0.842], abs=1.1e-3)
    assert list(scores("edge", device=("jetson",)).items()) == [
        ("vLLM", 0.807),
        ("Ollama", 0.676),
        ("TensorRT-LLM", 0.650),
        ("SGLang", 0.637),
        ("LMDeploy", 0.547),
    ]


def test_what_was_measured_to_fail_is_not_recommended() -> None:
    found = select_engine(ALL, Wanted(device=("jetson",), feasible_only=True), "edge")
    assert {row.name for row in found.ranking} == {"Ollama", "llama.cpp"}
    assert found.rejected["vLLM"] == "did not pass when it was run on jetson"
    assert found.rejected["Unsloth"] == "did not pass when it was run on jetson"


def test_reasons_and_the_pareto_front() -> None:
    found = select_engine(ALL, Wanted(device=("cuda",), technique=("vattn",)), "latency")
    assert found.rejected["GroqCloud"] == "does not run on cuda"
    assert found.rejected["vLLM"] == "has no vAttention"
    doubted = {row.name: row.doubts for row in found.ranking}
    assert "does not build on it" in doubted["PowerInfer"][0]
    everyone = select_engine(ALL)
    front = {row.name for row in everyone.ranking if row.pareto}
    assert front >= {"vLLM", "TensorRT-LLM"}
    assert "llama2.c" not in front
    assert everyone.ranking[0].reason.startswith("strong in ")
    hosted = next(row for row in everyone.ranking if row.name == "Fireworks")
    assert hosted.penalty == pytest.approx(0.1 * 11 / 23)
    assert everyone.to_dict()["ranking"][0]["name"] == "vLLM"


@given(st.floats(0.01, 100), st.sampled_from(sorted(PROFILES)))
def test_only_the_proportions_of_weights_matter(factor: float, name: str) -> None:
    scaled = {key: factor * weight for key, weight in PROFILES[name].items()}
    plain = [row.name for row in select_engine(ALL, profile=name).ranking]
    assert [row.name for row in select_engine(ALL, profile=scaled).ranking] == plain


@given(st.sets(st.sampled_from(sorted(ALL.techniques))), st.sampled_from(["cuda", "rocm", "tpu"]), st.booleans())
def test_a_further_constraint_never_adds_an_engine(techniques: set[str], device: str, is_open: bool) -> None:
    fewer = names(technique=tuple(techniques), open=is_open)
    assert names(technique=tuple(techniques), open=is_open, device=(device,)) <= fewer <= names()


def test_profiles_sum_to_one() -> None:
    assert all(sum(weights.values()) == pytest.approx(1) for weights in PROFILES.values())


def test_figures_of_ones_own_win_over_presence() -> None:
    own = [Measured("vllm", 100, 0.5), Measured("SGLang", 300, 0.1), Measured("TGI", 200, 0.3)]
    found = {row.name: row.shares for row in select_engine(ALL, profile={"throughput": 1}, measured=own).ranking}
    assert [found[name]["throughput"] for name in ("vLLM", "SGLang", "TGI")] == pytest.approx([0, 1, 0.5])
    assert found["LMDeploy"]["throughput"] == pytest.approx(4 / 6)


def test_costs_by_hand() -> None:
    model = CostModel(ALL)
    costs = model.per_engine("llama-3.1-8b", 1e6, 1e6)
    assert costs == pytest.approx({"GroqCloud": 0.13, "Friendli": 0.20, "Together": 0.36})
    assert model.break_even("llama-3.1-8b", "Together", 3.6) == pytest.approx(3.6 / 0.18 * 1e6)
    for wrong in (
        lambda: model.per_engine("llama-3-8b", 1, 1),
        lambda: model.per_engine("llama-3.1-8b", -1, 1),
        lambda: model.break_even("llama-3.1-8b", "Together", 0),
        lambda: model.break_even("llama-3.1-8b", "Fireworks", 1),
    ):
        with pytest.raises(ConfigError):
            wrong()


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: ALL.find("vlm"), "unknown engine 'vlm'; did you mean 'vLLM'"),
        (lambda: ALL.find("xxxxxxxx"), "known: DeepSpeed"),
        (lambda: names(device=("cudda",)), "unknown device 'cudda'; did you mean 'cuda'"),
        (lambda: names(technique=("prefix",)), "did you mean 'prefixc'"),
        (lambda: names(precision=("int5",)), "did you mean 'int4'"),
        (lambda: names(system=("mac",)), "did you mean 'macos'"),
        (lambda: select_engine(ALL, profile="latncy"), "did you mean 'latency'"),
        (lambda: select_engine(ALL, profile={"use": -1}), "weight of use is -1"),
        (lambda: select_engine(ALL, profile={"use": 0}), "sum to 0"),
        (lambda: select_engine(ALL, profile={"usse": 1}), "did you mean 'use'"),
    ],
)
def test_unknown_names_offer_the_nearest(ask, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ask()


def test_a_file_of_ones_own_corrects_and_adds(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[[engine]]\nname = "TGI"\nupkeep = "gone"\nscores = { latency = 0.1 }\n'
        '[[engine]]\nname = "Mine"\ndevices = ["cuda"]\nscores = { throughput = 1.0 }\n'
        "[feasible]\ncuda = ['Mine']\n"
    )
    found = EngineCatalogue.load(mine)
    assert len(found.engines) == 26
    assert found.find("tgi").upkeep == "gone"
    assert found.find("tgi").scores["latency"] == 0.1
    assert found.find("tgi").scores["throughput"] == pytest.approx(0.5)
    assert found.changed == ("TGI", "Mine")
    assert [e.name for e in found.where(Wanted(device=("cuda",), feasible_only=True))] == ["Mine"]
    assert len(EngineCatalogue.load().engines) == 25
    for text, words in (
        ('[[engine]]\nname = "X"\nlicense = "MIT"\n', "did you mean 'licence'"),
        ("[[engine]]\n", "has no name"),
        ('[[engine]]\nname = "X"\nscores = { use = 2 }\n', "score use = 2"),
        ('[[engine]]\nname = "X"\ndevices = "cuda"\n', "devices = 'cuda': write it as"),
        ('[[engine]]\nname = "X"\ntechniques = ["contt"]\n', "did you mean 'cont'"),
        ("engine = [3]\n", "has no name"),
        ("[[engine]\n", "not valid TOML"),
    ):
        mine.write_text(text)
        with pytest.raises(DataError, match=words):
            EngineCatalogue.load(mine)
    with pytest.raises(DataError, match="cannot read"):
        EngineCatalogue.load(tmp_path / "none.toml")


def test_compared_and_printed() -> None:
    rows = {row["field"]: row for row in ALL.compare("vllm", "SGLang")}
    assert rows["throughput"] == {"field": "throughput", "vLLM": 0.83, "SGLang": 0.67}
    assert "radix" in rows["techniques"]["SGLang"]
    assert rows["openai"]["vLLM"] == "yes"
    assert ALL.to_markdown().count("\n") == 26
