"""The noisy process reward: its signal by hand, its noise by address, its ways to mislead."""

import math

import numpy as np
import pytest

from pilothouse.core.problems import Problem
from pilothouse.tasks.chain_arithmetic import ChainArithmetic
from pilothouse.tasks.countdown import Countdown
from pilothouse.tasks.noisy_scorer import NoisySteps
from pilothouse.tasks.scorer import Scorer

TASK = ChainArithmetic(chain_steps=2)
PROBLEM = Problem("4+7*3:", "4+7*3:", "3", "4+7=1\n1*3=3.")
RIGHT, WRONG = ("4+7=1\n", "4+7=1\n1*3=3."), ("4+7=2\n", "4+7=2\n2*3=6.")


def logit(scorer: NoisySteps, response: str, problem: Problem = PROBLEM) -> float:
    score = scorer(TASK, problem, response)
    return math.log(score / (1 - score))


def test_the_signal_grows_with_the_steps():
    quiet = NoisySteps(noise=0)
    assert [logit(quiet, text) for text in RIGHT] == pytest.approx([1, 2])
    assert [logit(quiet, text) for text in WRONG] == pytest.approx([-1, -2])
    assert logit(quiet, "4+7=1\n1*3=4.") == pytest.approx(-2)
    assert logit(quiet, "") == pytest.approx(0)
    assert logit(NoisySteps(noise=0, temperature=0.5), RIGHT[1]) == pytest.approx(4)
    assert logit(quiet, RIGHT[1] + "\n3+3=6\n6+1=7") == pytest.approx(-2)  # more steps than there are


def test_noise_is_standard_normal_and_belongs_to_the_text():
    def noise(seed: int, name: str = "p") -> float:
        problem = Problem(name, PROBLEM.prompt, "3", PROBLEM.solution)
        return logit(NoisySteps(seed=seed), RIGHT[1], problem) - 2

    assert noise(0) == noise(0)
    assert noise(0) != noise(1)
    assert noise(0) != noise(0, "q")
    drawn = np.array([noise(seed) for seed in range(1000)])
    assert drawn.mean() == pytest.approx(0, abs=0.12)
    assert drawn.std() == pytest.approx(1, abs=0.08)


def test_early_steps_of_some_openings_are_reversed():
    scorer = NoisySteps(noise=0, unreliable_steps=1, unreliable_share=1)
    assert [logit(scorer, text) for text in (*RIGHT, *WRONG)] == pytest.approx([-1, 2, 1, -2])
    wrong = NoisySteps(noise=0, unreliable_steps=1, unreliable_share=1, unreliable_of="wrong")
    assert [logit(wrong, text) for text in (RIGHT[0], WRONG[0])] == pytest.approx([1, 1])
    right = NoisySteps(noise=0, unreliable_steps=1, unreliable_share=1, unreliable_of="right")
    assert [logit(right, text) for text in (RIGHT[0], WRONG[0])] == pytest.approx([-1, -1])
    half = [
        logit(NoisySteps(noise=0, unreliable_steps=2, unreliable_share=0.3, seed=seed), RIGHT[0]) < 0
        for seed in range(500)
    ]
    assert np.mean(half) == pytest.approx(0.3, abs=0.07)
    both = NoisySteps(noise=0, unreliable_steps=2, unreliable_share=0.5, seed=3)
    assert (logit(both, RIGHT[0]) < 0) == (logit(both, RIGHT[1]) < 0)  # an opening is misjudged in all of its steps


def test_attractors_look_right_from_the_mistake_on():
    scorer = NoisySteps(noise=0, attractor_share=1)
    assert [logit(scorer, text) for text in WRONG] == pytest.approx([1, 2])
    some = [NoisySteps(noise=0, attractor_share=0.4, seed=seed) for seed in range(400)]
    caught = [[logit(scorer, text) > 0 for text in WRONG] for scorer in some]
    assert all(first == second for first, second in caught)
    assert np.mean(caught) == pytest.approx(0.4, abs=0.08)


def test_a_task_without_a_step_checker_is_refused():
    assert Scorer.build("noisy-steps").refusal(TASK) == ""
    assert "scorer 'noisy-steps' cannot judge" in NoisySteps().refusal(Countdown())
