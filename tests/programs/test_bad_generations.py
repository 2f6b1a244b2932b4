"""Every program of the catalogue bears a policy that says nothing, and one that never ends a step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pilothouse.core.episodes import ASIDE
from pilothouse.core.errors import PilothouseError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Logprob, Request, Sample, Scored, StopReason, Value
from pilothouse.core.results import Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program

LIMIT = 12
#: Settings that a program asks for.
NEEDED: dict[str, dict[str, Any]] = {
    "budgeted-group": {"n": 2, "budgets": [4, 8], "announcements": ["a", "b"]},
    "prefixed-group": {"n": 2, "prefix": "x"},
    "forced-answer": {"n": 2, "force": "="},
    "resample-until": {"n": 2, "target": "x"},
    "transplant": {"n": 2, "hint": "x"},
}
PROGRAMS = sorted(Program.catalogue.classes())
STEPPED = ["beam", "dvts", "mcts", "parallel-tempering", "particle-gibbs", "particles", "step-beam"]


def outcome(name: str, script: Any, posed: Posed) -> Result | PilothouseError:
    """Run a program to its end; what it refuses must be a sentence."""
    program = Program.build({"name": name, **NEEDED.get(name, {})}).fitted(limit=LIMIT, stop=(".",), step_end="\n")
    runner = Runner(ScriptedEngine(script), scorers=dict.fromkeys(("value", "outcome"), half))
    try:
        [result] = runner.run([Job(program, replace(posed, rng=SeedTree(0).numpy()), SeedTree(0))])
    except PilothouseError as error:
        return error
    return result


def half(request: Value) -> float:
    return 0.5


def nothing(request: Request) -> Continuation | Scored:
    """The policy ends at once."""
    if isinstance(request, Logprob):
        return likely(request)
    return Continuation((), "", (), StopReason.EOS)


def likely(request: Logprob) -> Scored:
    """What is asked about is as likely as anything."""
    return Scored((-0.5,) * len(request.continuation))


def endless(request: Request) -> Continuation | Scored:
    """The policy talks until it is cut off."""
    if isinstance(request, Logprob):
        return likely(request)
    assert isinstance(request, Sample)
    assert request.max_tokens is not None, "nothing bounds this request"
    text = "x" * request.max_tokens
    return Continuation(tuple(text.encode()), text, (-0.5,) * len(text), StopReason.LENGTH)


@pytest.mark.parametrize("name", PROGRAMS)
def test_empty_generations_end_in_a_result_or_a_sentence(name: str, posed: Posed) -> None:
    found = outcome(name, nothing, posed)
    if isinstance(found, Result):
        assert found.answer.strip() in ("", "a", "=", "x")  # nothing but what was forced on it
    else:
        assert "problem 'q'" in str(found)


@pytest.mark.parametrize("name", PROGRAMS)
def test_responses_that_never_end_are_capped(name: str, posed: Posed) -> None:
    found = outcome(name, endless, posed)
    if isinstance(found, PilothouseError):
        assert name == "resilience"  # which resamples until a sentence differs, and all of these are alike
        return
    # an aside holds a question with what the policy answered: there only its own tokens are bounded
    lengths = [sum(e.action_mask) if ASIDE in e.tags else len(e.tokens) for e in found.episodes]
    assert all(length <= LIMIT for length in lengths)


@pytest.mark.parametrize("name", STEPPED)
def test_a_delimiter_that_never_occurs_is_told(name: str, posed: Posed) -> None:
    found = outcome(name, endless, posed)
    assert isinstance(found, Result)
    assert any(r"'\n' never occurred" in note for note in found.trace["notes"])
