"""The audit finds what moves a known causal model; the experiments' bars are theirs; mistakes are one sentence."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pilothouse.core.embedders import Exact, Likeness
from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.requests import Sample
from pilothouse.core.seeds import SeedTree
from pilothouse.core.sentences import Sentences
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments import thought_branches as experiment
from pilothouse.methods.experiments.thought_branches.claims import hint_claims, published_claims, truth_claims
from pilothouse.methods.experiments.thought_branches.hints import agreement
from pilothouse.methods.experiments.thought_branches.policies import HINT, Leanings, Size
from pilothouse.methods.experiments.thought_branches.published import EXPECTED, FILE, summarise
from pilothouse.methods.thought_branches import audit
from pilothouse.policies.tiny import tiny_policy
from pilothouse.reports.progress import Progress
from pilothouse.tasks.plan_chain import PLAN, PlanChain

EXACT = Likeness(embedder=Exact(), threshold=1.0)
MARKED = Sentences(mark=". ")


def causal(task: PlanChain, seed: int = 0) -> ScriptedEngine:
    """The task's own causal model as an engine."""
    rng, codec = np.random.default_rng(seed), ByteCodec()

    def answer(request: Any) -> str:
        assert isinstance(request, Sample)
        return task.go_on(codec.decode(request.prefix).partition(":")[2], rng)

    return ScriptedEngine(answer)


def test_the_audit_of_a_known_model_finds_the_plan():
    task = PlanChain(length=3, first=0.5, restate=1 - math.sqrt(0.4))  # restated with chance 0.6 in two sentences
    engine = causal(task)
    found = audit(
        engine, "#00001:", "P. a. b. =yes\n", task.answer_of, n=2000, likeness=EXACT, sentences=MARKED, resamples=200
    )
    plan, *fillers = found.sentences
    assert [s.sentence for s in found.sentences] == [PLAN, "a.", "b."]
    assert plan.counterfactual.value == pytest.approx(0.3479, abs=0.08)
    assert plan.strict.value == pytest.approx(1.7578, abs=0.2)
    assert plan.strict.change["yes"] == pytest.approx(-0.8, abs=0.05)
    assert plan.strict.low < 1.7578 < plan.strict.high
    assert all(filler.strict.value < 0.01 for filler in fillers)
    assert len(engine.requests) == 4  # R_1 to R_4 serve every metric
    assert found.answer.endswith("=yes\n")
    assert found.cost.calls == 4


def test_other_thresholds_need_no_sampling():
    task, engine = PlanChain(), causal(PlanChain())
    chain = "a. P. b. c. d. e. f. g. =yes\n"
    found = audit(engine, "#00001:", chain, task.answer_of, n=30, sentences=MARKED, resamples=10)
    asked = len(engine.requests)
    # most replacements have nothing in common with what they replace, so the median keeps equal sentences alone
    assert [s.strict.n for s in found.at(EXACT, resamples=10).sentences] == [s.strict.n for s in found.sentences]
    every = found.at(Likeness(embedder=Exact(), threshold=-1.0), resamples=10)
    assert all(s.strict.n == 0 and math.isnan(s.strict.value) for s in every.sentences)
    assert every.rows()[0]["CI change"] == "no evidence"
    for quantile in (0.25, 0.75):
        assert 0 < found.at(quantile, resamples=10).threshold <= 1
    assert len(engine.requests) == asked
    assert found.to_dict()["sentences"][1]["sentence"] == PLAN


def test_a_policy_that_gives_no_outcome_abstains():
    policy = tiny_policy("ab. ", 0, "nano")
    found = audit(policy, "a", "aaaa bbbb aaaa. bbbb aaaa bbbb. abab", lambda said: None, n=3)
    assert [s.resampling.n for s in found.sentences] == [0]
    assert math.isnan(found.sentences[0].strict.value)


def test_mistakes_are_one_sentence():
    task, engine = PlanChain(), causal(PlanChain())
    with pytest.raises(DataError, match="a study needs at least 2: give a longer chain"):
        audit(engine, "#1:", "=yes", task.answer_of)
    with pytest.raises(DataError, match="'no' is not one of the classes maybe, yes"):
        audit(
            engine, "#1:", "P. a. =yes", task.answer_of, n=50, sentences=MARKED, classes=("yes", "maybe"), resamples=2
        )
    with pytest.raises(ConfigError, match="chat messages need a policy with a chat template"):
        audit(engine, ({"role": "user", "content": "hm"},), "P. a. =yes", task.answer_of)
    with pytest.raises(ConfigError, match="no experiment of scale 'gpu': use --scale small"):
        find_method("thought-branches").reproduce("gpu", Path("nowhere"), Progress())


def test_finished_policies_are_not_studied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []

    def work(size: Size, seed: int) -> dict[str, Any]:
        calls.append(seed)
        return {"figure": math.nan, "curve": [0.5, math.nan]}

    for _ in range(2):
        runs = experiment._runs("known truth", work, Size(1, 1.0, 1, 1, 2), tmp_path, Progress())
        assert math.isnan(runs[1]["figure"])
        assert math.isnan(runs[0]["curve"][1])
    assert calls == [0, 1]


TRUTH = {
    "rho_strict": 0.82,
    "rho_plain": 0.5,
    "plan_plain": 0.1,
    "plan_strict": 0.21,
    "filler_plain": 0.01,
    "filler_strict": 0.049,
    "without_evidence": 3,
    "sentences": 240,
    "shift on-policy": 0.15,
    "shift off-policy": -0.06,
    "shift random": 0.0,
}


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        ({}, [True, True, True, True]),
        ({"rho_strict": 0.79}, [False, True, True, True]),
        ({"rho_plain": 0.83}, [False, True, True, True]),
        ({"plan_strict": 0.19}, [True, False, True, True]),
        ({"filler_strict": 0.051}, [True, True, False, True]),
        ({"shift on-policy": 0.13}, [True, True, True, False]),
        ({name: math.nan for name in TRUTH if name not in ("without_evidence", "sentences")}, [False] * 4),
    ],
)
def test_bars_of_known_truth(change: dict[str, float], passed: list[bool]):
    assert [claim.passed for claim in truth_claims([{**TRUTH, **change}] * 3)] == passed


@pytest.mark.parametrize(
    ("total", "largest", "passed"),
    [(0.26, 0.15, [True, True]), (0.24, 0.1, [False, True]), (0.3, 0.19, [True, False]), (0.0, 0.1, [False, False])],
)
def test_bars_of_nudged_reasoning(total: float, largest: float, passed: list[bool]):
    run = {"total": total, "largest": largest, "curve": [0.5, 0.5 + total], "median_single_jump": 0.2, "agreement": 1.0}
    assert [claim.passed for claim in hint_claims([run] * 3)] == passed


def test_a_hint_nudges_every_choice():
    task, rng = Leanings(), np.random.default_rng(0)
    problems = [task.draw(rng) for _ in range(4000)]
    for hinted, share in ((True, 0.6), (False, 0.5)):
        chains = [p.solution for p in problems if str(p.prompt).startswith(HINT) is hinted]
        assert np.mean([chain.count("U") / 6 for chain in chains]) == pytest.approx(share, abs=0.02)
    for problem in problems[:200]:
        ups = problem.solution.count("U")
        assert f"{ups}. =" in problem.solution  # the last sentence's count
        assert ups == 3 or (problem.answer == "yes") == (ups > 3)
        assert set(str(problem.prompt) + problem.solution) <= set(task.character_set)
        assert task.score(problem, problem.solution).correct


def test_whether_a_policy_has_learnt_to_vote():
    task = Leanings()
    chains = ["U1. U2. U3. U4. D4. D4. =yes\n", "D0. D0. D0. D0. U1. U2. =yes\n", "U1. U2. U3. D3. D3. D3. =yes\n"]
    assert agreement(chains, task) == 0.5
    assert math.isnan(agreement(chains[2:], task))


def test_published_figures_from_a_file(tmp_path: Path):
    rows = ["pn,sentence,cue_p,cue_p_prev,sentence_num"]
    rows += [
        f"{pn},s,{p},{before},{at}" for pn, at, before, p in [(1, 0, 0.0, 0.1), (1, 1, 0.1, 0.5), (1, 2, 0.5, 0.5)]
    ]
    rows += ["2,s,1.0,0.4,1", "2,s,0.4,,0"]
    (tmp_path / FILE).write_text("\n".join(rows))
    found = summarise(tmp_path / FILE)
    assert found["problems"] == 2
    assert found["sentences"] == 5
    assert found["mean p, first two sentences"] == pytest.approx((0.1 + 0.5 + 0.4 + 1.0) / 4)
    assert found["mean p, last two sentences"] == pytest.approx((0.5 + 0.5 + 0.4 + 1.0) / 4)
    assert found["mean effect"] == pytest.approx((0.1 + 0.4 + 0.0 + 0.6) / 4)
    assert found["share of effects below 0.10"] == 0.25
    assert found["share of effects above 0.30"] == 0.5
    assert found["median largest jump"] == pytest.approx(0.5)
    assert not published_claims(found, EXPECTED)[0].passed
    assert published_claims(EXPECTED, EXPECTED)[0].passed
    (tmp_path / FILE).write_text("pn,p\n1,2\n")
    with pytest.raises(DataError, match="has no column 'sentence_num'"):
        summarise(tmp_path / FILE)


def test_published_transplants():
    folder = Path(os.environ.get("PILOTHOUSE_DATA", "../shared/data"))
    paths = sorted(folder.glob(f"**/{FILE}")) if folder.is_dir() else []
    if not paths:
        pytest.skip(f"{FILE} of interp-reasoning/thought-branches is not here; set PILOTHOUSE_DATA to its folder")
    (claim,) = published_claims(summarise(paths[0]), EXPECTED)
    assert claim.passed, claim.note


def test_the_report_of_a_search_is_a_row_a_sentence():
    task, engine = PlanChain(), causal(PlanChain())
    method = find_method("thought-branches")
    assert method.report is not None
    found = audit(engine, "#00001:", "a. P. b. =yes\n", task.answer_of, n=20, sentences=MARKED, resamples=10)
    nodes = [{"id": 0, "parent": None, "text": "", "tokens": 0, "state": "open"}]
    nodes += [{"text": s, "sentence": at} for at, s in enumerate(("a.", "P.", "b.", "=yes"), 1)]
    nodes += [
        {"text": "", "kept": kept, "sentences": list(b.sentences), "answer": b.outcome or ""}
        for kept, group in found.branches.items()
        for b in group
    ]
    rows = method.report({"nodes": nodes}, SeedTree(0))
    assert [row["sentence"] for row in rows] == ["a.", "P.", "b."]
    assert [row["CI n"] for row in rows] == [s.counterfactual.n for s in found.sentences]
