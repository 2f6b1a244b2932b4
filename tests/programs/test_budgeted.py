"""Forced beginnings: what is asked for, what counts as a choice, and what cannot work."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Sample
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.budgeted import BudgetedGroup
from pilothouse.programs.prefixed import PrefixedGroup

CODEC = ByteCodec()
POSED = Posed("p", CODEC.encode("2+2="), "2+2=", np.random.default_rng(0), CODEC)


def attempt(program, lines):
    engine = ScriptedEngine(lines, codec=CODEC)
    (result,) = Runner(engine).run([Job(program, POSED, SeedTree(0))])
    return result, engine.requests


def test_each_budget_gets_its_share_in_order():
    program = BudgetedGroup(n=4, budgets=(8, 16), announcements=("a", "bb"), sampling=Sampling(max_tokens=9))
    result, requests = attempt(program, ["one", "two", "three", "four"])
    assert [e.text for e in result.episodes] == ["aone", "atwo", "bbthree", "bbfour"]
    assert [e.tags for e in result.episodes] == [("budget=8",)] * 2 + [("budget=16",)] * 2
    assert result.answer == "aone"
    assert [(r.prefix, r.n, r.max_tokens) for r in requests if isinstance(r, Sample)] == [
        (CODEC.encode("2+2=a"), 2, 8),
        (CODEC.encode("2+2=bb"), 2, 7),
    ]
    assert program.group_size == 4


def test_forced_tokens_are_counted_but_were_not_chosen():
    result, _ = attempt(BudgetedGroup(n=2, budgets=(8, 16), announcements=("a", "bb")), ["xy", "z"])
    long = result.episodes[1]
    assert long.prompt == POSED.prompt
    assert long.tokens == CODEC.encode("bbz")
    assert long.action_mask == (False, False, True)
    assert math.isnan(long.logprobs[0])
    assert long.logprobs[2] == 0.0
    assert [(s.start, s.stop, s.label) for s in long.segments] == [(0, 2, "forced"), (2, 3, "response")]


def test_forced_tokens_carry_a_loss_when_asked_to():
    result, _ = attempt(BudgetedGroup(n=1, budgets=(8,), announcements=("abc",), learn_forced=True), ["z"])
    assert result.episodes[0].action_mask == (True,) * 4
    assert [math.isnan(x) for x in result.episodes[0].logprobs] == [True, True, True, False]


def test_the_sentence_names_the_budget_and_equal_budgets_are_one_subgroup():
    result, _ = attempt(BudgetedGroup(n=2, budgets=(512, 512)), ["x", "y"])
    assert [e.text for e in result.episodes] == [
        "<think> I will answer the question with 512 tokens" + end for end in ("x", "y")
    ]
    assert {e.tags for e in result.episodes} == {("budget=512",)}


def test_without_a_budget_nothing_is_forced():
    result, requests = attempt(Program.build("group").model_copy(update={"n": 1}), ["x"])
    assert result.episodes[0].action_mask == (True,)
    assert requests[0].prefix == POSED.prompt


def test_one_prefix_for_all():
    result, requests = attempt(PrefixedGroup(n=2, prefix="so "), ["x", "y"])
    assert [e.text for e in result.episodes] == ["so x", "so y"]
    assert requests[0].prefix == CODEC.encode("2+2=so ")
    assert not any(e.tags for e in result.episodes)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"n": 6}, "6 cannot be shared equally by 4 budgets: use --group 8"),
        ({"n": 4, "sentence": "briefly"}, "where the number goes"),
        ({"n": 4, "announcements": "a,b"}, "4 budgets need 4 announcements, not 2"),
        ({"n": 4, "budgets": [0, 1, 2, 3]}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_work_is_refused(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        Program.build({"name": "budgeted-group", **settings})


def test_an_announcement_that_fills_the_limit_is_refused():
    with pytest.raises(ConfigError, match="has 5 tokens and the limit is 5"):
        attempt(PrefixedGroup(prefix="12345", sampling=Sampling(max_tokens=5)), [])


def test_a_budget_of_responses_sets_the_group():
    assert PrefixedGroup().sized(5).n == 5
    assert BudgetedGroup().sized(8).n == 8
    with pytest.raises(ConfigError, match="4 budgets cannot share 6 responses"):
        BudgetedGroup().sized(6)
