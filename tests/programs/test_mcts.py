"""Tree search on scripted steps: what is backed up, what ends the tree, what it answers and what it leaves."""

import math

import pytest

from pilothouse.core.errors import DataError
from pilothouse.core.requests import Continuation, Sample, StopReason, Value
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.mcts import MCTS
from pilothouse.programs.stepping import Stepping
from pilothouse.tasks.base import Task

CODEC = ByteCodec()
LINES = Stepping(delimiter="\n", max_steps=3)
HOW = Sampling(max_tokens=20, stop=(".",))


def step(text: str, reason: StopReason = StopReason.STOP, chance: float = 0.5) -> Continuation:
    tokens = CODEC.encode(text)
    return Continuation(tokens, text, (math.log(chance),) * len(tokens), reason)


@pytest.fixture
def search(posed):
    """Run a search on a script; ``worth`` values partial responses, ``verdict`` whole ones."""

    def go(program, script, worth=lambda text: 0.0, verdict=lambda text: float("right" in text)):
        asked: list[Value] = []

        def judge(rule):
            def answer(request: Value) -> float:
                asked.append(request)
                return rule(CODEC.decode(request.prefix[request.start :]))

            return answer

        engine = script if isinstance(script, ScriptedEngine) else ScriptedEngine(script)
        runner = Runner(engine, scorers={"value": judge(worth), "outcome": judge(verdict)})
        [result] = runner.run([Job(program, posed, SeedTree(0))])
        return result, asked, engine.requests

    return go


def small(**changes) -> MCTS:
    return MCTS(**{"n_sims": 4, "n_children": 2, "sampling": HOW, "stepping": LINES, **changes})


def test_one_step_tree_is_exhausted_at_once(search):
    result, asked, requests = search(small(terminals="outcome"), [step("right."), step("wrong.")])
    root = result.trace["nodes"][0]
    assert (root["visits"], root["q"], root["value"]) == (3, 0.0, 0.0)
    assert len(requests) == 1  # three of four simulations are left: nothing to explore
    assert [request.policy for request in asked] == ["value", "outcome", "outcome"]
    assert result.answer == "right."
    assert [e.text for e in result.episodes] == ["right.", "wrong."]
    assert [s.value for e in result.episodes for s in e.segments] == [1.0, -1.0]


def test_q_of_every_step_is_the_segments_value(search):
    # Simulation 1 expands the root to "a" and "b"; 2 expands "a", the likelier one; 3 expands "b".
    script = [step("a\n", chance=0.9), step("b\n", chance=0.1), step("right."), step("wrong.")]
    script += [step("wrong!."), step("wrong?.")]
    result, _, _ = search(small(n_sims=3, terminals="outcome"), script, worth=lambda text: {"a\n": 0.5}.get(text, 0.0))
    nodes = {node["text"]: node for node in result.trace["nodes"]}
    assert nodes["a\n"]["prior"] == pytest.approx(0.9)
    assert (nodes["a\n"]["visits"], nodes["a\n"]["q"]) == (3, pytest.approx(0.5 / 3))  # +1, -1 and its own 0.5
    assert (nodes["b\n"]["visits"], nodes["b\n"]["q"]) == (3, pytest.approx(-2 / 3))
    assert (nodes[""]["visits"], nodes[""]["q"]) == (7, pytest.approx(-1.5 / 7))
    found = {e.text: [s.value for s in e.segments] for e in result.episodes}
    assert found["a\nright."] == [pytest.approx(0.5 / 3), 1.0]
    assert found["a\nwrong."] == [pytest.approx(0.5 / 3), -1.0]
    assert found["b\nwrong!."] == [pytest.approx(-2 / 3), -1.0]
    assert result.answer == "a\nright."
    assert result.episodes[0].segments[0].stop == len("a\n")


def test_without_an_answer_a_response_is_worth_minus_one_and_is_never_the_answer(search):
    cut = step("cut", StopReason.LENGTH)
    result, asked, _ = search(small(n_sims=1), [cut, step("right.")], worth=lambda text: -1.0 if text else 0.9)
    assert result.answer == "right."
    assert [r.policy for r in asked] == ["value", "value"]  # the root and the whole response, by the value function
    assert [e.segments[-1].value for e in result.episodes] == [-1.0, -1.0]
    result, asked, _ = search(small(n_sims=1), [cut, step("cut too", StopReason.LENGTH)])
    assert result.answer == ""
    assert "no response ended with an answer" in result.trace["notes"]
    assert result.trace["nodes"][0]["visits"] == 3


def test_depth_is_capped_and_counts_as_wrong(search):
    result, _, requests = search(small(n_sims=10, n_children=1), lambda request: step("x\n"))
    assert len(requests) == 3
    assert [e.text for e in result.episodes] == ["x\nx\nx\n"]
    assert result.episodes[0].stop_reason is StopReason.LENGTH
    assert result.episodes[0].segments[-1].value == -1.0


def test_inference_asks_no_verifier_and_decodes_by_q(search):
    script = [step("right."), step("wrong.")]
    result, asked, _ = search(small(), script, worth=lambda text: {"right.": -0.2, "wrong.": 0.7}.get(text, 0.0))
    assert {request.policy for request in asked} == {"value"}
    assert result.answer == "wrong."  # the value function is believed
    with pytest.raises(DataError, match="score nan"):
        search(small(), script, worth=lambda text: math.nan)


def test_a_verifier_that_fails_teaches_nothing(search):
    result, _, _ = search(
        small(terminals="outcome"),
        [step("right."), step("odd.")],
        verdict=lambda text: math.nan if "odd" in text else 1.0,
    )
    assert result.trace["nodes"][0]["visits"] == 2
    assert math.isnan(result.episodes[1].segments[-1].value)


def test_duplicates_are_kept_or_merged(search):
    twins = [step("same\n"), step("same\n")]
    kept, _, _ = search(small(n_sims=1), twins)
    merged, _, _ = search(small(n_sims=1, duplicates="remove"), twins)
    assert [len(found.trace["nodes"]) for found in (kept, merged)] == [3, 2]


def test_steps_that_fail_are_left_out(search):
    broken = Continuation((), "", (), StopReason.ERROR, "out of memory")
    result, _, _ = search(small(n_sims=2), [broken, step("right.")])
    assert result.answer == "right."
    assert any("out of memory" in note for note in result.trace["notes"])
    result, _, _ = search(small(n_sims=2), [broken, broken])
    assert (result.answer, result.episodes) == ("", ())
    assert result.trace["nodes"][0]["q"] == -1.0


@pytest.mark.parametrize("seed", range(20))
def test_decode_never_returns_a_response_without_an_answer(search, posed, seed):
    """Random steps: cut off, endless, ended without words, or answered; the value likes what has no answer."""
    rng = SeedTree(seed).numpy()

    def line(request: Sample) -> Continuation:
        kind = int(rng.integers(5))
        if kind == 0:
            return step("cut", StopReason.LENGTH)
        if kind == 1:
            return step("", StopReason.EOS)
        return step("7.", StopReason.STOP) if kind == 2 else step(f"{int(rng.integers(9))}\n")

    result, _, _ = search(small(n_sims=8, keep=1 + seed % 3), line, worth=lambda text: -0.5 if "." in text else 0.9)
    assert result.answer == "" or result.answer.endswith(("7.", "\n"))
    if result.answer:
        chosen = [node for node in result.trace["nodes"] if node["state"] == "chosen"]
        assert chosen[-1]["answer"]
        assert not any(node["state"] == "finished" and not node["answer"] for node in result.trace["nodes"])


def test_the_tree_is_a_program_like_any_other():
    assert Program.build({"name": "mcts", "n_sims": 3}) == MCTS(n_sims=3)
    assert MCTS().needs_scorer()
    assert MCTS(n_children=4).sized(6).n_sims == 12
    fitted = MCTS().fitted(limit=50, stop=(".",), step_end=Task.step_end)
    assert (fitted.stepping.delimiter, fitted.stepping.max_steps, fitted.sampling.max_tokens) == ("\n", 8, 50)
