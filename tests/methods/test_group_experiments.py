"""The experiments of riskpo, adora and progrpo: bars are the claims', arms differ as said, and claims can fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.core.results import Cost
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.dr_grpo import DrGRPO
from pilothouse.credit.riskpo import RiskPO
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments import adora, progrpo, riskpo
from pilothouse.methods.experiments.adora.claims import common_claims, rare_claims
from pilothouse.methods.experiments.adora.designs import COMMON, CONTROLS, RARE
from pilothouse.methods.experiments.arms import Arm
from pilothouse.methods.experiments.expressions import NoisyExpressions
from pilothouse.methods.experiments.full_size import FullRun, full_size
from pilothouse.methods.experiments.progrpo.claims import diversity_claims
from pilothouse.methods.experiments.progrpo.designs import DIVERSITY
from pilothouse.methods.experiments.riskpo.bandit import risky_share
from pilothouse.methods.experiments.riskpo.claims import at_equal_accuracy, bandit_claims, entropy_claims
from pilothouse.methods.experiments.riskpo.designs import ENTROPY
from pilothouse.methods.experiments.toy_trials import ToyTrial
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import Interval
from pilothouse.training.config import resolve
from pilothouse.training.evaluate import Evaluation

START = {"accuracy": 0.3, "length": 3.3, "entropy": 0.7, "distinct": 3.0}


def runs(steps: dict[int, dict[str, float]], seeds: int = 2) -> list[dict[str, dict[str, float]]]:
    """The same figures for every seed."""
    return [{str(step): {**START, **figures} for step, figures in {0: {}, **steps}.items()}] * seeds


@pytest.mark.parametrize("name", ["riskpo", "adora", "progrpo"])
def test_finished_runs_are_read_back(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_CACHE", str(tmp_path / "cache"))
    first = find_method(name).reproduce("smoke", tmp_path / "out", Progress())

    def forbidden(*_: Any) -> None:
        raise AssertionError("a finished run was run again")

    monkeypatch.setattr("pilothouse.methods.experiments.arms._run", forbidden)
    monkeypatch.setattr("pilothouse.methods.experiments.riskpo.risky_share", forbidden)
    assert find_method(name).reproduce("smoke", tmp_path / "out", Progress()).claims == first.claims


def test_the_bandit_tells_risk_from_mean() -> None:
    """A quarter of the claim's steps, at which the two objectives have already parted."""
    mean = risky_share(DrGRPO(), 500, SeedTree(0))
    averse = risky_share(RiskPO(bundle_size=5, omega=2.0), 500, SeedTree(0))
    assert averse < 0.4 < 0.6 < mean


def test_bandit_bars() -> None:
    good = {"mean": [0.91] * 3, "MVaR, B=1": [0.14] * 3, "MVaR, B=5": [0.09] * 3}
    bad = {"mean": [0.89] * 3, "MVaR, B=1": [0.16] * 3, "MVaR, B=5": [0.11] * 3}
    assert [claim.passed for claim in bandit_claims(good)] == [True] * 3
    assert [claim.passed for claim in bandit_claims(bad)] == [False] * 3


def test_entropy_bars_and_equal_accuracy() -> None:
    grpo = runs({150: {"entropy": 0.1, "accuracy": 0.8}})
    for entropy, accuracy, passed in ((0.151, 0.551, True), (0.149, 0.549, False)):
        found = {"GRPO": grpo, "RiskPO": runs({150: {"entropy": entropy, "accuracy": accuracy}})}
        assert [claim.passed for claim in entropy_claims(found, 150)] == [passed, passed]
    equal = at_equal_accuracy({"GRPO": grpo}, 0.55)
    assert equal["GRPO"] == {"step": pytest.approx(75), "entropy": pytest.approx(0.4)}
    assert at_equal_accuracy({"GRPO": grpo}, 0.9)["GRPO"]["step"] is None


def test_diversity_bars() -> None:
    base = runs({150: {"distinct": 1.0, "entropy": 0.1, "accuracy": 0.9}})
    for figures, passed in (((1.21, 0.126, 0.861), True), ((1.19, 0.124, 0.859), False)):
        ours = runs({150: dict(zip(("distinct", "entropy", "accuracy"), figures, strict=True))})
        found = {"GRPO": base, "clip-higher": base, "ProGRPO": ours}
        assert [claim.passed for claim in diversity_claims(found, 150)] == [passed] * 3


def test_length_bars() -> None:
    grpo = runs({100: {"length": 3.0}, 300: {"length": 3.0, "accuracy": 0.80}})
    halved = {"GRPO, half advantages": runs({100: {"length": 3.1}})}

    def verdicts(length: float, end: float, accuracy: float, controls: Any = halved) -> list[bool]:
        staged = runs({100: {"length": length}, 300: {"length": end, "accuracy": accuracy}})
        found = {"GRPO": grpo, "ADORA, then GRPO": staged}
        return [claim.passed for claim in rare_claims(found, controls, 100, 300)]

    assert verdicts(5.0, 4.6, 0.785) == [True] * 4
    assert verdicts(4.4, 4.4, 0.775) == [False, True, False, False]  # and no seed had 5 at the switch
    assert verdicts(5.0, 4.4, 0.825) == [True, True, False, False]
    assert verdicts(5.0, 4.6, 0.785, {"GRPO, half advantages": runs({100: {"length": 3.6}})})[1] is False
    uneven = {"GRPO": grpo, "ADORA, then GRPO": [grpo[0], runs({100: {"length": 9.0}, 300: {}})[0]]}
    assert rare_claims(uneven, halved, 100, 300)[0].passed is False  # one seed did not move


def test_growth_bars() -> None:
    grpo = runs({20: {"length": 3.3}})
    found = {"GRPO": grpo, "ADORA": runs({20: {"length": 3.5}}), "ADORA, amplify": runs({20: {"length": 3.4}})}
    assert [claim.passed for claim in common_claims(found, 20)] == [True, False]


def full(length: float, entropy: float, figure: float) -> list[FullRun]:
    after = {name: {"accuracy": figure, "solved": figure} for name in ("greedy", "sampled")}
    return [FullRun(after, {}, ({"length": length, "entropy": entropy},) * 200)] * 3


def test_bars_at_full_size() -> None:
    good = {"GRPO": full(10, 0.2, 0.5), "RiskPO": full(10, 0.3, 0.5), "risk-seeking": full(10, 0.1, 0.4)}
    assert [claim.passed for claim in riskpo.gpu_claims(good)] == [True] * 3
    assert [claim.passed for claim in riskpo.gpu_claims({**good, "GRPO": full(10, 0.4, 0.6)})] == [True, False, False]
    longer = {"GRPO": full(10, 0.2, 0.5), "ADORA": full(11.6, 0.2, 0.48), "ADORA, then GRPO": full(9, 0.2, 0.48)}
    assert [claim.passed for claim in adora.gpu_claims(longer, 100)] == [True, True, False]
    wider = {"GRPO": full(10, 0.2, 0.5), "ProGRPO": full(10, 0.2, 0.52)}
    assert [claim.passed for claim in progrpo.gpu_claims(wider)] == [False, True]


@pytest.mark.parametrize("design", [ENTROPY, DIVERSITY, RARE, CONTROLS, COMMON], ids=lambda design: design.name)
def test_arms_share_everything_but_credit_and_loss(design: ToyTrial) -> None:
    tables = [design.config(arm, 1).model_dump(mode="json") for arm in design.arms]
    for table in tables:
        del table["credit"], table["objective"]
    assert all(table == tables[0] for table in tables)
    assert tables[0]["training"]["minibatches"] == 2


def test_full_size_runs_every_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_CACHE", str(tmp_path / "cache"))
    table = {
        "task": {"name": "chain-arithmetic"},
        "policy": {"size": "nano", "warm_start": {"epochs": 0.2}},
        "training": {"steps": 2, "prompts": 2, "eval_problems": 4, "eval_samples": 2},
        "program": {"n": 2, "sampling": {"max_tokens": 8}},
    }
    arms = {"GRPO": Arm("grpo"), "staged": Arm("adora", {"credit": {"end": 1}})}
    found = full_size(arms, table, 1, tmp_path / "runs", Progress())
    assert {name: len(many) for name, many in found.items()} == {"GRPO": 1, "staged": 1}
    assert len(found["staged"][0].curve("length")) == 2
    assert "group_favoured" in found["staged"][0].metrics[0]
    assert 0 <= found["GRPO"][0].after["sampled"]["solved"] <= 1


def test_solved_is_the_share_of_problems_with_a_right_attempt() -> None:
    correct = np.array([[1.0, 0.0], [0.0, np.nan], [0.0, 0.0], [1.0, 1.0]])
    found = Evaluation(Interval(0.5, 0, 1, 0.95, 4), correct, 0.5, 1.0, 0.0, 0.0, 0.0, {}, Cost())
    assert found.solved == found.to_dict()["solved"] == 0.5


def test_noisy_expressions_judge_their_own_demonstrations() -> None:
    task = NoisyExpressions(count=4000)
    shown = task.demonstrations(SeedTree(0))
    right = [task.score(problem, problem.solution).correct for problem in shown]
    assert sum(map(bool, right)) / len(right) == pytest.approx(0.7, abs=0.03)
    target = next(problem for problem in task.problems("train") if problem.answer == "24")
    assert target.prompt == "24="
    verdicts = {"4*5+4": True, "5*4+4": True, "4*5+3": False, "4*6+0": False, "24": False, "4*5+4+0": False}
    assert {text: task.score(target, text).correct for text in verdicts} == verdicts


def test_methods_mix_from_the_command_line() -> None:
    def credit(spec: Any, **training: int) -> Any:
        layers = {"task": {"name": "chain-arithmetic"}, "credit": spec, "training": training}
        return resolve("grpo", find_method("grpo").policy_gradient, layers).credit

    assert credit("riskpo").bundle_size == 5
    mixed = credit("0.5*grpo + 0.5*riskpo")
    assert [term.part.name for term in mixed.terms] == ["grpo", "riskpo"]
    assert credit({"name": "adora", "of": "progrpo"}).of.alpha == 0.3
    with pytest.raises(ConfigError, match=r"needs 5 prompts a step and training\.prompts is 4: raise --prompts"):
        credit({"name": "adora", "of": {"name": "riskpo", "drop_last": True}}, prompts=4)
