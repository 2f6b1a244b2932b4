"""Beam search and DVTS on scripted replies."""

import pytest

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.requests import Continuation, StopReason
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.beam import DVTS, BeamSearch
from pilothouse.programs.stepping import Stepping

LINES, HOW = Stepping(delimiter=";"), Sampling(max_tokens=40, stop=(".",))


def beam(n: int = 4, m: int = 2, kind=BeamSearch, **settings):
    return kind(**{"n": n, "m": m, "stepping": LINES, "sampling": HOW} | settings)


def say(text: str) -> list[Continuation]:
    return [Continuation(tuple(t.encode()), t, (0.0,) * len(t), StopReason.STOP) for t in text.split()]


def digit(text: str) -> float:
    """Worth its last digit, in tenths."""
    return int(text[-2]) / 10


def texts(found) -> list[str]:
    return [episode.text for episode in found.episodes]


def test_beam_keeps_the_best_and_expands_each(run):
    found = run(beam(), say("1; 4; 3; 2;  5; 1; 2; 6;  7. 1. 2. 3."), worth=digit)
    first, second, last = found.trace["rounds"]
    assert first["kept"] == [2, 3]  # 4; and 3;
    assert second["kept"] == [8, 5]  # 3;6; and 4;5;
    assert [found.trace["nodes"][at]["parent"] for at in (5, 6, 7, 8)] == [2, 2, 3, 3]
    assert texts(found) == ["3;6;7.", "3;6;1.", "4;5;2.", "4;5;3."]
    assert found.answer == "3;6;7."
    assert (second["first_steps"], last["first_steps"]) == (2, 2)
    states = [node["state"] for node in found.trace["nodes"]]
    assert states[1] == "pruned"
    assert found.cost.tokens_sampled == 24


def test_a_finished_answer_keeps_its_place_while_its_score_does(run):
    found = run(beam(), say("9. 4; 3; 2;  5; 1;  8. 7."), worth=digit)
    assert found.answer == "9."
    assert texts(found) == ["9.", "4;5;8.", "4;5;7."]
    found = run(beam(), say("3. 4; 1; 2;  5; 6;  8. 7. 9. 1."), worth=digit)
    assert found.answer == "4;5;9." if found.trace["rounds"][1]["kept"][0] == 5 else "4;6;9."
    assert "3." in texts(found)


def test_dvts_keeps_one_a_subtree(run):
    found = run(beam(kind=DVTS), say("8; 9; 1; 2;  5; 4; 3; 7;  1. 2. 4. 3."), worth=digit)
    first, second, last = found.trace["rounds"]
    assert first["kept"] == [2, 4]  # the best of 8; 9; and of 1; 2;
    assert second["kept"] == [5, 8]
    assert found.answer == "2;7;4."
    assert last["first_steps"] == 2
    heavy = run(beam(kind=DVTS, select="vote"), say("8. 9. 1. 2."), worth=digit)
    assert heavy.answer == "9."


def test_equal_texts_can_be_kept_once(run):
    script = "5; 5; 4; 3;  1. 1. 1. 1."
    assert run(beam(), say(script), worth=digit).trace["rounds"][0]["kept"] == [1, 2]
    assert run(beam(distinct=True), say(script), worth=digit).trace["rounds"][0]["kept"] == [1, 3]


def test_beam_of_one_is_greedy_and_constant_scores_keep_the_earliest(run, tree):
    greedy = run(beam(3, 3), say("1; 3; 2;  4. 6. 5."), worth=digit)
    assert greedy.answer == "3;6."
    engine = ScriptedEngine(tree(lambda text: ["a;", "b;"] if not text else ["e."]))
    even = run(beam(), engine=engine, worth=lambda _: 0.5)
    assert even.trace["rounds"][0]["kept"] == [1, 2]


def test_bad_scores_and_empty_responses_are_named(run):
    with pytest.raises(DataError, match=r"beam 3 the score 1\.3"):
        run(beam(), say("1; 1; 1; 2;"), worth=lambda text: 1.3 if text == "2;" else 0.5)
    with pytest.raises(DataError, match="ended at once and is empty"):
        run(beam(kind=DVTS), ["", "", "", ""], worth=lambda _: 0.5)


def test_budgets_must_divide():
    assert BeamSearch().sized(16).n == 16
    assert DVTS(m=2).sized(6).n == 6
    with pytest.raises(
        ConfigError, match=r"beam with m = 4 .* a budget of 6 responses evenly: give 4-samples or 8-samp"
    ):
        BeamSearch().sized(6)
    with pytest.raises(ConfigError, match=r"dvts .* give 4-samples"):
        DVTS().sized(1)
    with pytest.raises(ConfigError, match="a budget of 6 responses evenly"):
        Program.build({"name": "beam", "n": 6})
