"""D3S, DOT and HBPO: their experiments run and can fail, their parts mix from the command line, nonsense is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pilothouse.core.cards import Verdict
from pilothouse.core.episodes import Episode
from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Score
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.d3s import D3S
from pilothouse.credit.grpo import GRPO
from pilothouse.methods.base import configured, find_method
from pilothouse.methods.experiments import arms
from pilothouse.methods.experiments.d3s import toy_claims
from pilothouse.methods.experiments.d3s.designs import TASK, TRIAL, shown
from pilothouse.methods.experiments.d3s.random_choice import RandomChoice
from pilothouse.methods.experiments.dot import network_claims as dot_claims
from pilothouse.methods.experiments.dot import twin_claims
from pilothouse.methods.experiments.dot.twin import learn as stop_early
from pilothouse.methods.experiments.hbpo import budget_claims
from pilothouse.methods.experiments.hbpo.designs import BUDGETS, LETTERS, BudgetedSums, demonstrations
from pilothouse.methods.experiments.hbpo.twin import ARMS, learn
from pilothouse.methods.experiments.stopping import StopTable
from pilothouse.programs.budgeted import BudgetedGroup
from pilothouse.reports.progress import Progress
from pilothouse.training.config import nested, read_overrides

pytestmark = pytest.mark.usefixtures("fresh_cache")


@pytest.mark.parametrize(("name", "claims"), [("d3s", 4), ("dot", 3), ("hbpo", 7)])
def test_smoke_reproduction_runs_and_continues(
    name: str, claims: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = find_method(name)
    evidence = method.reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert len(evidence.claims) == claims
    assert (tmp_path / evidence.figure).is_file()
    json.dumps(evidence.to_dict(), default=str)

    def forbidden(*_: Any) -> None:
        raise AssertionError("a finished run was run again")

    monkeypatch.setattr(arms, "_run", forbidden)
    again = method.reproduce("smoke", tmp_path, Progress())
    assert [claim.statement for claim in again.claims] == [claim.statement for claim in evidence.claims]
    assert json.dumps(again.tables) == json.dumps(evidence.tables)


def mixed(*options: str, method: str = "grpo") -> Any:
    return configured(method, None, nested([("task", "check-chain"), *read_overrides(options)]))


def test_parts_mix_from_the_command_line() -> None:
    d3s = mixed("--select", "d3s", "--select.n", "[0.3, 0.6]", "--credit", "lite-ppo")
    assert d3s.needs == {"entropies"}
    assert d3s.select.n(0.5) == pytest.approx(0.45)
    both = mixed("--select", "zero-variance + d3s", "--training.refill", "3")
    assert both.needs == {"entropies"}
    dot = mixed("--select", "outlier-truncation + zero-variance + predictive-sampling", "--program.n", "32")
    assert [part.name for part in dot.select.parts] == ["outlier-truncation", "zero-variance", "predictive-sampling"]
    assert mixed("--objective", "kl-cov").needs == {"marks"}
    assert mixed("--credit", "budget-reward").credit.of.name == "grpo"
    budgets = ["--program", "budgeted-group", "--program.budgets", "[8, 16]"]
    assert mixed(*budgets, "--credit", "hierarchical", "--credit.w_intra", "2").credit.w_intra == 2
    assert mixed(*budgets).credit.name == "grpo"
    assert mixed("--select", "d3s", method="ppo").credit.name == "gae"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--select", "outlier-truncation"), r"group of 8 nothing lies more than 2\.47 standard deviations.*--group"),
        (("--select", "predictive-sampling"), "nothing silences any"),
        (("--select", "zero-variance + predictive-sampling", "--training.refill", "2"), "would draw again"),
        (("--select", "d3s", "--training.refill", "2"), "silences none"),
        (("--credit", "hierarchical"), "announces none: use --program budgeted-group"),
        (("--program", "budgeted-group", "--program.n", "6"), "use --group 8"),
        (("--objective", "kl-cov + kl-cov"), "two terms single out tokens"),
        (("--select", "d3s", "--select.n", "[0.0, 1.0]"), "greater than 0"),
    ],
)
def test_nonsense_is_refused_when_configuring(options: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        mixed(*options)


def curves(accuracy: float, tokens: float = 100.0, early: float = 0.3) -> list[arms.Curve]:
    steps = {"0": (0.2, 0.0), "50": (early, tokens / 2), "150": (accuracy, tokens)}
    figures = {k: {"accuracy": a, "trained_tokens": t} for k, (a, t) in steps.items()}
    return [{**figures, "last": figures["150"]}] * 3


def test_bars_of_d3s_can_be_missed() -> None:
    for ahead, share, expected in ((0.75, 39.9, [True] * 4), (0.69, 41.0, [False, False, False, False])):
        found = {
            "full batch": curves(0.73, 100.0, 0.6),
            "D3S strong": curves(ahead, share, 0.36 if expected[0] else 0.34),
            "random strong": curves(0.70 if expected[0] else 0.66, share, 0.3),
        }
        assert [claim.passed for claim in toy_claims(found, 50, 150)] == expected


def test_bars_of_dot_can_be_missed() -> None:
    for length, hard, expected in ((6.9, 0.79, [True, True]), (7.1, 0.77, [False, False])):
        runs = {
            name: [{k: {"easy_length": e, "hard_accuracy": h} for k in ("0", "last")}] * 3
            for name, e, h in (("GRPO", 10.0, 0.8), ("DOT, alpha 1.5", length, hard))
        }
        assert [claim.passed for claim in dot_claims(runs)] == expected
    table = {
        name: [{"easy_length": x, "hard_accuracy": 1.0}] * 3 for name, x in (("GRPO", 10), ("DOT, alpha 1.5", 6.1))
    }
    assert [claim.passed for claim in twin_claims(table)] == [False]


def test_bars_of_hbpo_can_be_missed() -> None:
    def arm(std: float, hard: float, easy: float) -> list[dict[str, float]]:
        return [{"length_std": std, "hard_accuracy": hard, "easy_length": easy, "easy_length, budget 8": easy / 2}] * 3

    for factor, expected in ((1.0, [True] * 3), (0.5, [False] * 3)):
        runs = {
            "classic": arm(5, 0.9, 20 * factor),
            "cosine": arm(1, 0.8, 4),
            "HBPO": arm(6 * factor, 0.8 + 0.05 * factor, 20),
        }
        assert [claim.passed for claim in budget_claims("x", runs, 5.0, 4.0, 0.6)] == expected


def test_the_table_shows_what_truncation_does() -> None:
    cut, plain = stop_early(1.5, 250, 0), stop_early(0.0, 250, 0)
    assert cut["easy_length"] < 0.6 * plain["easy_length"]
    assert cut["hard_accuracy"] > 0.97


def test_told_lengths_grow_with_the_budget() -> None:
    found = learn(ARMS["HBPO"], 250, 1)
    lengths = torch.tensor([found[f"easy_length, budget {budget}"] for budget in BUDGETS])
    ranks = lengths.argsort().argsort().double()
    centred = ranks - ranks.mean()
    steps = torch.arange(4).double() - 1.5
    assert float((centred * steps).sum() / steps.square().sum()) >= 0.8  # Spearman's; 8 and 16 may change places
    assert lengths[-1] > 2 * lengths[0]
    cosine = learn(ARMS["cosine"], 250, 1)
    assert found["length_std"] > 3 * cosine["length_std"]


def test_a_stop_table_samples_what_its_logits_say() -> None:
    table = StopTable(positions=5, classes=2, marks=1, logit=-30.0)
    with torch.no_grad():
        table.tables[1][1, 2] = 60.0
        table.tables[2][1, 0] = 60.0
    kinds, marks = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    found = table.sample(kinds, marks, torch.Generator().manual_seed(0))
    assert found.lengths.tolist() == [5, 3, 1, 1]
    assert found.stopped.tolist() == [False, True, True, True]
    batch = table.rollouts(found, torch.ones(4), kinds)
    assert batch.tokens.sum(1).tolist() == [0, 1, 1, 1]
    assert batch.train_mask.sum(1).tolist() == [5, 3, 1, 1]


def test_demonstrations_are_as_noisy_as_they_say() -> None:
    lessons = shown(0)
    right = sum(TASK.score(problem, problem.solution).correct is True for problem in lessons) / len(lessons)
    assert right == pytest.approx(0.55, abs=0.03)
    task = BudgetedSums()
    letters = [problem.solution[0] for problem in demonstrations(0, 800) if problem.solution[0] in LETTERS]
    assert len(letters) / 800 == pytest.approx(0.5, abs=0.06)
    problem = task.problems("test")[0]
    assert task.score(problem, "c" + problem.solution).correct
    assert task.score(problem, "c" + problem.solution).parts["format"] == 1


def test_control_draws_as_many_tokens_as_d3s() -> None:
    rewards = [float(i % 3 == 0) for i in range(24)]
    episodes = [Episode((1,), (1, 2), (True, True), (0.0, 0.0), score=Score(r)) for r in rewards]
    batch = Rollouts.from_episodes(episodes, [i // 6 for i in range(24)])
    batch = batch.replace(entropies=torch.rand(24, 2, generator=torch.Generator().manual_seed(0)) + 0.1)
    weights = GRPO()(batch)
    for progress in (0.0, 0.5, 0.9):
        ours, lot = (kind(n=[0.3, 0.6], k=[0.5, 1.0]).narrow(batch, weights, progress) for kind in (D3S, RandomChoice))
        assert ours.train_mask.sum() == lot.train_mask.sum() > 0
        assert not torch.equal(ours.train_mask, lot.train_mask)


def test_arms_share_everything_but_their_switch() -> None:
    ours, lot = (TRIAL.config(name, 1).model_dump(mode="json") for name in ("D3S strong", "random strong"))
    assert ours["select"].pop("name") == "d3s"
    assert lot["select"].pop("name").endswith("RandomChoice")
    assert ours == lot
    assert ours["seed"] == 1


def test_budgets_of_the_experiment_fit_its_letters() -> None:
    program = BudgetedGroup(n=16, budgets=BUDGETS, announcements=LETTERS)
    assert [program.announcement(i) for i in range(4)] == list(LETTERS)
