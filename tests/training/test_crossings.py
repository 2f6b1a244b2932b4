"""Mixing is the point: every part of one room meets every part of the others, and what cannot work says so at once.

The whole product selector x credit x objective x program is configured; each configuration stands or is refused with
a sentence that names what would work. Of those that stand, a covering design takes two training steps: every pair of
parts from different rooms is in one of its rows at least. Parts come from the catalogues, so a new one is covered as it
is; one that needs arguments, or does nothing with its defaults on so small a policy, has a row in ``SETTINGS``.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import Part, validated
from pilothouse.core.problems import Problem, Score
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.base import Credit, Select
from pilothouse.methods.experiments.arms import scratch_trainer
from pilothouse.objectives.base import Objective
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program
from pilothouse.reports.progress import Progress
from pilothouse.tasks.chain_arithmetic import ChainArithmetic
from pilothouse.training.config import RunConfig, resolve
from pilothouse.training.prepare import prepare_policy
from pilothouse.training.recipe import PolicyGradient
from pilothouse.training.update import Updater

ROOMS: dict[str, type[Part]] = {"select": Select, "credit": Credit, "objective": Objective, "program": Program}
SAMPLING = {"max_tokens": 14}
STEPS = {"max_steps": 3}

#: What a part is given: arguments it needs, a partner it cannot do without, or less to do.
SETTINGS: dict[str, dict[str, Any]] = {
    "select": {
        "chain": {"name": "chain", "parts": ["overlong", "difficulty-band"]},
        "outlier-truncation": {"name": "outlier-truncation", "alpha": 0.5, "margin": 1},
        "predictive-sampling": "zero-variance + predictive-sampling",
    },
    "credit": {
        "sum": "0.5*grpo + 0.5*riskpo",
        "riskpo": {"name": "riskpo", "bundle_size": 2},
        "reward-noise": {"name": "reward-noise", "std": 0.1},
    },
    "objective": {
        "sum": "clipped + 0.5*value",
        "step-value": "weighted-sft + 0.1*step-value",
        "entropy": "clipped + 0.01*entropy",
        "kl": "clipped + 0.01*kl",
        "sft": "clipped + 0.1*sft",
    },
    "program": {
        "beam": {"n": 4, "m": 2},
        "dvts": {"n": 4, "m": 2},
        "best-of-n": {"n": 4},
        "group": {"n": 4},
        "budgeted-group": {"n": 4, "budgets": [4, 8], "announcements": ["1", "2"]},
        "prism": {"n": 2, "delta": 1.0},  # so that it always looks twice, and what it samples is there to learn from
        "prefixed-group": {"n": 4, "prefix": "1"},
        "forced-answer": {"n": 4, "force": "="},
        "mcts": {"n_sims": 4, "n_children": 3, "stepping": STEPS},
        "particles": {"n": 4},
        "particle-gibbs": {"n": 3, "iters": 2},
        "parallel-tempering": {"n": 2, "chains": 2, "iters": 2},
        "resample": {"n": 2},
        "resample-until": {"n": 2, "target": "1", "candidates": 2, "continuations": 2, "iters": 2},
        "resilience": {"n": 2},
        "step-beam": {"beams": 2, "children": 3, "stepping": STEPS},
        "transplant": {"n": 2, "hint": "1"},
        "treepo": {"width": 4},
    },
}

#: What a part asks of another room, by the names there that have it; all other pairs are meant to work.
PARTNERS: list[tuple[str, str, str, tuple[str, ...]]] = [
    ("credit", "gae", "objective", ("sum", "value")),
    ("credit", "hierarchical", "program", ("budgeted-group",)),
    ("credit", "deduplicated", "program", ("treepo",)),
    ("credit", "tree-segment", "program", ("treepo",)),
    ("credit", "tree-subgroup", "program", ("treepo",)),
    ("program", "prism", "credit", ("gae", "imitation", "reinforce-pp", "riskpo", "sum")),  # these compare problems
    ("select", "zero-variance", "program", tuple(set(Program.catalogue.classes()) - {"prism"})),
    ("select", "predictive-sampling", "program", tuple(set(Program.catalogue.classes()) - {"prism"})),
    ("objective", "value", "credit", ("gae",)),
    ("objective", "sum", "credit", ("gae",)),
    ("objective", "step-value", "credit", ("imitation",)),
    ("objective", "step-value", "program", ("mcts", "step-beam")),
    ("objective", "dpo", "program", ()),
    ("objective", "dpo", "credit", ()),
    ("objective", "dpo", "select", ()),
]

Point = tuple[str, ...]  #: names of selector, credit, objective and program
Named = tuple[str, str]  #: room and name
WAY_OUT = re.compile(r": (use|drop|keep|raise|add|'value' goes with) ")


def parts(presets: bool = True) -> dict[str, dict[str, Part]]:
    """Return every part by room and name.

    Args:
        presets: also those that are another part with other defaults, and nothing else.
    """
    found: dict[str, dict[str, Part]] = {}
    for room, kind in ROOMS.items():
        classes = kind.catalogue.classes()
        names = [name for name, part in classes.items() if presets or not preset(part, classes)]
        given = SETTINGS[room]
        if room == "program":
            given = {name: {"name": name, "sampling": SAMPLING, **given.get(name, {})} for name in names}
        found[room] = {name: kind.build(given.get(name, name)) for name in names}
    return found


def preset(part: type[Part], classes: dict[str, type[Part]]) -> bool:
    """Whether a part inherits all that it does from another one of the room."""
    functions = [value for value in vars(part).values() if inspect.isfunction(value)]
    return part.__mro__[1] in classes.values() and not any(f.__module__ == part.__module__ for f in functions)


def judged(rooms: dict[str, dict[str, Part]]) -> dict[Point, str]:
    """Return why each combination is refused; empty for those that stand."""
    found: dict[Point, str] = {}
    for point in product(*(rooms[room] for room in ROOMS)):
        chosen = {room: rooms[room][name] for room, name in zip(ROOMS, point, strict=True)}
        try:
            validated(PolicyGradient, chosen, "the configuration")
            found[point] = ""
        except ConfigError as error:
            found[point] = str(error)
    return found


def pairs(point: Point) -> list[frozenset[Named]]:
    return [frozenset(pair) for pair in combinations(zip(ROOMS, point, strict=True), 2)]


def covering(points: Sequence[Point]) -> list[Point]:
    """Return some of the points that hold every pair which any of them holds, chosen greedily."""
    holders: dict[frozenset[Named], list[Point]] = {}
    for point in points:
        for pair in pairs(point):
            holders.setdefault(pair, []).append(point)
    chosen, missing = list[Point](), dict.fromkeys(sorted(holders, key=lambda pair: len(holders[pair])))
    while missing:
        pair = next(iter(missing))
        best = max(holders[pair], key=lambda point: sum(other in missing for other in pairs(point)))
        chosen.append(best)
        for other in pairs(best):
            missing.pop(other, None)
    return chosen


@pytest.fixture(scope="module")
def verdicts() -> dict[Point, str]:
    return judged(parts())


def test_every_combination_stands_or_is_refused_with_a_way_out(verdicts: dict[Point, str]) -> None:
    reasons = {reason for reason in verdicts.values() if reason}
    assert reasons
    assert not [reason for reason in reasons if not WAY_OUT.search(reason)]


def test_every_pair_works_but_those_that_ask_for_a_partner(verdicts: dict[Point, str]) -> None:
    works = {pair for point, reason in verdicts.items() if not reason for pair in pairs(point)}
    refused = {pair for point in verdicts for pair in pairs(point)} - works
    assert refused == {
        frozenset({(room, part), (other, name)})
        for room, part, other, partners in PARTNERS
        for name in ROOMS[other].catalogue.classes()
        if name not in partners
    }


@pytest.mark.parametrize(
    ("room", "spec", "way_out"),
    [
        ("objective", "dpo", "use --objective clipped"),
        ("objective", "clipped + 0.1*dpo", "use --objective clipped"),
        ("objective", "entropy", "clipped + 0.01"),
        ("objective", "0.5*kl + 0.01*entropy", "clipped + 0.01"),
        ("objective", "sft", "weighted-sft"),
        ("objective", "value", "--credit gae"),
        ("objective", "step-value", "--credit imitation"),
        ("credit", "gae", "clipped + 0.5*value"),
        ("credit", "tree-subgroup", "--program treepo"),
        ("credit", "hierarchical", "--program budgeted-group"),
        ("select", "predictive-sampling", "zero-variance + predictive-sampling"),
        ("select", "outlier-truncation", "larger --group"),
        ("program", "prism", "use --credit reinforce-pp"),
    ],
)
def test_a_part_that_cannot_do_its_work_in_grpo_says_what_would_help(room: str, spec: str, way_out: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(way_out)):
        resolve("grpo", PolicyGradient(), {room: spec, "task": "chain-arithmetic"})


@pytest.mark.parametrize("credit", ["rloo", "grpo + rloo", "0.5*lite-ppo"])
def test_a_program_of_one_decision_has_nothing_to_compare_within_a_problem(credit: str) -> None:
    given = {"program": "prism", "credit": credit, "task": "chain-arithmetic"}
    with pytest.raises(ConfigError, match="one decision and share its reward: use --credit reinforce-pp"):
        resolve("grpo", PolicyGradient(), given)
    resolve("grpo", PolicyGradient(), given | {"credit": f"{credit} + 0.5*reinforce-pp"})
    with pytest.raises(
        ConfigError, match=r"'chain' silences problems whose rewards are all equal.*--select everything"
    ):
        resolve("grpo", PolicyGradient(), given | {"credit": "reinforce-pp", "select": "overlong + zero-variance"})


class Parity(ChainArithmetic):
    """Chains whose response is right if its digits add up to an even number: a poor policy is right half the time."""

    def score(self, problem: Problem, response: str) -> Score:
        """Return reward 1 for an even sum of digits."""
        right = sum(map(int, re.findall(r"\d", response))) % 2 == 0
        return Score(float(right), right)


TASK = Parity(train_size=400, test_size=20, chain_steps=2)


class Watched(Updater):
    """Checks what reaches the optimiser."""

    def update(self, rollouts: Rollouts, weights: Float[Tensor, "N T"], step: int, seeds: SeedTree) -> dict[str, float]:
        """Refuse losses on tokens that the policy did not choose, and weights that are not numbers."""
        assert not (rollouts.train_mask & ~rollouts.action_mask).any()
        assert not weights[~rollouts.train_mask].any()
        assert weights.isfinite().all()
        return super().update(rollouts, weights, step, seeds)


@pytest.fixture(scope="module")
def policy() -> Callable[[RunConfig], CausalPolicy]:
    """Return the policy of a configuration as warm-started, with the value head that it needs."""
    made: dict[str, tuple[CausalPolicy, dict[str, Tensor]]] = {}

    def fresh(config: RunConfig) -> CausalPolicy:
        key = repr(config.head)
        if key not in made:
            policy = prepare_policy(config.policy, config.task, 0, Progress(), value_head=config.head)
            made[key] = policy, {name: w.detach().clone() for name, w in policy.trainable_parameters().items()}
        policy, start = made[key]
        with torch.no_grad():
            for name, weight in policy.trainable_parameters().items():
                weight.copy_(start[name])
        return policy

    return fresh


def two_steps(point: Point, rooms: dict[str, dict[str, Part]], fresh: Callable[[RunConfig], CausalPolicy]) -> bool:
    """Take two training steps and return whether any weight moved."""
    chosen: dict[str, Any] = {r: rooms[r][name].model_copy(deep=True) for r, name in zip(ROOMS, point, strict=True)}
    settings: Any = {"steps": 2, "prompts": 2, "learning_rate": 1e-3, "record": "text"}
    nano: Any = {"size": "nano", "warm_start": {"epochs": 4}}
    config = RunConfig(method="grpo", task=TASK, policy=nano, training=settings, **chosen)
    policy = fresh(config)
    before = {name: weight.detach().clone() for name, weight in policy.trainable_parameters().items()}
    with scratch_trainer(config, policy, Progress()) as trainer:
        trainer.updater = Watched(config, policy, trainer.optimizer, trainer.updater.reference)
        rows = [trainer.step(step) for step in range(2)]
    moved = any(not torch.equal(w.detach(), before[name]) for name, w in policy.trainable_parameters().items())
    # rewards that happen to be equal are no gradient, and no gradient moves nothing
    assert moved or not any(row["updated"] and row["grad_norm"] for row in rows)
    assert all(math.isfinite(row["loss"]) for row in rows if row["updated"])
    return moved


def test_every_pair_trains_two_steps(verdicts: dict[Point, str], policy: Callable[[RunConfig], CausalPolicy]) -> None:
    """A part that only sets another one's defaults is left out here, and not in the test below."""
    check(parts(presets=False), verdicts, policy)


@pytest.mark.slow
def test_every_pair_of_all_parts_trains_two_steps(
    verdicts: dict[Point, str], policy: Callable[[RunConfig], CausalPolicy]
) -> None:
    check(parts(), verdicts, policy)


def check(
    rooms: dict[str, dict[str, Part]], verdicts: dict[Point, str], policy: Callable[[RunConfig], CausalPolicy]
) -> None:
    stand = [point for point, reason in verdicts.items() if not reason]
    points = covering([p for p in stand if all(name in rooms[room] for room, name in zip(ROOMS, p, strict=True))])
    assert points
    moved = [two_steps(point, rooms, policy) for point in points]
    assert sum(moved) > 0.9 * len(points)
