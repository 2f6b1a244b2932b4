"""Step-level beam search on scripted steps, and against greedy decoding on a real policy."""

import math

import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Sample, StopReason
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.base import Sampling
from pilothouse.programs.group import Group
from pilothouse.programs.sbs import StepBeam
from pilothouse.programs.stepping import Stepping

CODEC = ByteCodec()
LINES = Stepping(delimiter="\n", max_steps=4)
HOW = Sampling(max_tokens=40, stop=(".",))


def step(text: str, reason: StopReason = StopReason.STOP) -> Continuation:
    return Continuation(CODEC.encode(text), text, (-1.0,) * len(text), reason)


def beam(beams: int, children: int) -> StepBeam:
    return StepBeam(beams=beams, children=children, sampling=HOW, stepping=LINES)


def test_the_first_expansion_samples_b1_times_b2_and_the_best_go_on(run):
    engine = ScriptedEngine([step(f"{k}\n") for k in range(6)] + [step(f"{k}.") for k in range(6)])
    result = run(beam(2, 3), None, worth=lambda text: float(text[-2]), engine=engine)
    asked = [(request.n, CODEC.decode(request.prefix)) for request in engine.requests if isinstance(request, Sample)]
    assert asked == [(6, "Q:"), (3, "Q:5\n"), (3, "Q:4\n")]
    # Children of "5": 0. 1. 2.; of "4": 3. 4. 5.; both places go to the two best, which are finished.
    assert result.answer == "4\n5."
    assert sorted(e.text for e in result.episodes) == sorted(["5\n0.", "5\n1.", "5\n2.", "4\n3.", "4\n4.", "4\n5."])
    assert [s.value for s in next(e for e in result.episodes if e.text == "4\n5.").segments] == [4.0, 5.0]
    assert [n["text"] for n in result.trace["nodes"] if n["state"] == "chosen"] == ["", "4\n", "5."]


def test_a_finished_path_leaves_the_beam_and_takes_its_place_with_it(run):
    engine = ScriptedEngine([step("9."), step("8\n"), step("1\n"), step("2\n"), step("3."), step("5.")])
    result = run(beam(2, 2), None, worth=lambda text: float(text[-2]), engine=engine)
    asked = [(request.n, CODEC.decode(request.prefix)) for request in engine.requests]
    assert asked == [(4, "Q:"), (2, "Q:8\n")]  # one place is left for one path
    assert result.answer == "9."


def test_an_invalid_path_lowers_the_beam_too_and_never_answers(run):
    cut = step("cut off", StopReason.LENGTH)
    engine = ScriptedEngine([cut, step("8\n"), step("again", StopReason.LENGTH), cut, step("5."), step("6.")])
    result = run(beam(2, 2), None, worth=lambda text: float(text[-2]), engine=engine)
    asked = [(request.n, CODEC.decode(request.prefix)) for request in engine.requests]
    assert asked == [(4, "Q:"), (2, "Q:8\n")]
    assert result.answer == "8\n6."
    found = run(beam(1, 2), [cut, cut])
    assert found.answer == ""
    assert "no response ended with an answer" in found.trace["notes"]
    assert [math.isnan(s.value) for s in found.episodes[0].segments] == [True]


def test_equal_steps_are_scored_once(run):
    asked: list[str] = []
    run(beam(1, 3), [step("7."), step("7."), step("8.")], worth=lambda text: asked.append(text) or 0.0)
    assert asked == ["7.", "8."]


def test_one_beam_one_child_at_temperature_0_is_greedy_decoding():
    policy = tiny_policy("0123456789+=\n.", 3, "nano")
    problem = policy.codec.encode("1+2=")
    posed = Posed("p", problem, "1+2=", SeedTree(0).numpy(), policy.codec)
    how = Sampling(temperature=0, max_tokens=24, stop=(".",))
    runner = Runner(LocalEngine(policy), scorers={"value": lambda request: 0.0})
    greedy, stepped = runner.run(
        [
            Job(Group(n=1, sampling=how), posed, SeedTree(0)),
            Job(StepBeam(children=1, sampling=how, stepping=Stepping(tokens=3, max_steps=40)), posed, SeedTree(1)),
        ]
    )
    assert len(stepped.episodes[0].segments) > 1
    assert stepped.episodes[0].tokens == greedy.episodes[0].tokens


@pytest.mark.parametrize("seed", range(20))
def test_with_the_true_value_a_right_path_that_was_sampled_is_never_lost(run, seed):
    """A path is right while all its digits are even; the value knows. Once one right path is sampled, one goes on."""
    rng = SeedTree(seed).numpy()
    engine = ScriptedEngine(
        lambda request: step(f"{int(rng.integers(10))}{'.' if len(request.prefix) >= 6 else chr(10)}")
    )

    def right(text: str) -> float:
        return float(all(int(digit) % 2 == 0 for digit in text if digit.isdigit()))

    result = run(beam(1 + seed % 3, 5), None, worth=right, engine=engine)
    depths: dict[int, list[float]] = {}
    nodes = result.trace["nodes"]

    def depth(node: int) -> int:
        return 0 if nodes[node]["parent"] is None else 1 + depth(nodes[node]["parent"])

    for node in nodes[1:]:
        depths.setdefault(depth(node["id"]), []).append(node["score"])
    reached = all(max(scores) == 1.0 for scores in depths.values())
    assert right(result.answer) == float(reached)


def test_sizes():
    assert beam(1, 5).sized(15) == beam(3, 5)
    assert beam(3, 5).sized(4) == beam(1, 4)
    with pytest.raises(ConfigError, match="give --budget 10-samples or 15-samples"):
        beam(1, 5).sized(12)
    assert beam(3, 5).needs_scorer()
