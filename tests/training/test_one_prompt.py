"""A search on one prompt with a bare model and a plain function."""

import pytest

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.best_of_n import BestOfN
from pilothouse.programs.particles import Particles
from pilothouse.training.one_prompt import search_prompt

POLICY = tiny_policy("0123456789+=\n", 0, "nano")
MODEL, TOKENIZER = POLICY.model, POLICY.tokenizer


def test_a_search_on_one_prompt_returns_text_and_weighted_set():
    asked: list[tuple[str, str]] = []

    def worth(prompt: str, response: str) -> float:
        asked.append((prompt, response))
        return 0.1 + 0.8 * response.count("7") / (len(response) or 1)

    settings = {"max_tokens": 12, "step_end": "\n"}
    found = search_prompt(Particles(n=4), MODEL, TOKENIZER, "3+4=", worth, **settings)
    assert {prompt for prompt, _ in asked} == {"3+4="}
    assert found.answer in [episode.text for episode in found.episodes]
    assert len(found.episodes) == 4
    assert all(len(episode.tokens) <= 12 for episode in found.episodes)
    final = found.trace["rounds"][-1]
    assert max(range(4), key=final["weights"].__getitem__) == [e.text for e in found.episodes].index(found.answer)
    again = search_prompt(Particles(n=4), MODEL, TOKENIZER, "3+4=", worth, **settings)
    assert again.episodes == found.episodes
    other = search_prompt(Particles(n=4), MODEL, TOKENIZER, "3+4=", worth, seed=1, **settings)
    assert other.episodes != found.episodes


def test_a_program_that_needs_no_scorer_runs_without_one():
    found = search_prompt(BestOfN(n=3, select="majority"), MODEL, TOKENIZER, "3+4=", max_tokens=4)
    assert len(found.episodes) == 3
    with pytest.raises(ConfigError, match="asks for scorer or engine 'value'"):
        search_prompt(Particles(n=2), MODEL, TOKENIZER, "3+4=", max_tokens=4, step_end="\n")
    with pytest.raises(DataError, match="particle 0 the score 2"):
        search_prompt(Particles(n=2), MODEL, TOKENIZER, "3+4=", lambda *_: 2.0, max_tokens=4, step_end="\n")
