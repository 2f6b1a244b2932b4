"""Particle Gibbs and parallel tempering: what happens to references, swaps, budgets."""

import math
from collections import Counter

import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.core.requests import Continuation, Sample, StopReason
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.parallel_tempering import ParallelTempering, swap_chance
from pilothouse.programs.particle_gibbs import ParticleGibbs
from pilothouse.programs.particles import Particles, up_to
from pilothouse.programs.paths import Path
from pilothouse.programs.resampling import logit
from pilothouse.programs.step_search import Board
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.trace import Trace

LINES, HOW = Stepping(delimiter=";"), Sampling(max_tokens=40, stop=(".",))
CODEC = ByteCodec()


def gibbs(n: int = 4, iters: int = 3, **settings) -> ParticleGibbs:
    return ParticleGibbs(**{"n": n, "iters": iters, "stepping": LINES, "sampling": HOW} | settings)


def steps(text: str) -> list[str]:
    """Responses of two to four steps."""
    return [f"{d};" for d in "abc"] if len(text) < 2 else ["x;", "e."] if len(text) < 6 else ["e."]


def worth(text: str) -> float:
    """Depends on the first step and on the length, so that a prefix is worth something else than the whole."""
    return {"a": 0.3, "b": 0.5, "c": 0.7}[text[0]] + len(text) / 50


def rounds(found, iteration: int) -> list[dict]:
    return [one for one in found.trace["rounds"] if one.get("iteration") == iteration]


def lineage(found, node: int) -> list[int]:
    """Nodes from the first step to this one."""
    nodes, path = found.trace["nodes"], [node]
    while nodes[path[0]]["parent"]:
        path.insert(0, nodes[path[0]]["parent"])
    return path


@pytest.mark.parametrize("seed", range(6))
def test_the_reference_survives_with_its_weight_of_each_step(run, tree, seed):
    found = run(gibbs(), engine=ScriptedEngine(tree(steps)), worth=worth, seed=seed)
    nodes = found.trace["nodes"]
    for iteration in (1, 2):
        before, here = rounds(found, iteration - 1)[-1], rounds(found, iteration)
        reference = here[-1]["particles"][-1]
        assert reference in before["particles"]
        path = lineage(found, reference)
        for step, one in enumerate(here[:-1]):
            expected = path[min(step, len(path) - 1)]
            assert one["particles"][-1] == expected
            assert one["weights"][-1] == nodes[expected]["weight"] == logit(nodes[expected]["score"])
            assert one["ancestors"][-1] == len(one["ancestors"]) - 1
        assert here[0]["weights"][-1] != nodes[reference]["weight"]
        assert here[-1]["weights"][-1] == nodes[reference]["weight"]


def test_a_copy_of_the_reference_is_cut_and_active_again(run, tree):
    """A script in which only the reference is worth anything: every fresh particle becomes a copy of it."""
    first = iter("wwwg")
    fresh: list[str] = []

    def answer(request: Sample) -> Continuation:
        text = CODEC.decode(request.prefix)[2:]
        begin = next(first, "w") if not text else "x" if len(text) < 6 else "e"
        fresh.append(text)
        piece = begin + (";" if begin != "e" else ".")
        return Continuation(CODEC.encode(piece), piece, (0.0,) * 2, StopReason.STOP)

    good = lambda text: 1.0 if text.startswith("g") else 0.0  # noqa: E731
    found = run(gibbs(iters=2), engine=ScriptedEngine(answer), worth=good)
    here = rounds(found, 1)
    assert here[0]["ancestors"] == [3, 3, 3, 3]
    assert here[0]["active"] == 4
    assert len(here) == 4
    assert fresh.count("g;") == 4 + 3  # each copy has exactly one step and goes on from there
    assert [e.text for e in found.episodes] == ["g;x;x;e."] * 7
    assert found.cost.tokens_sampled == 2 * 4 * (4 + 3)


def test_a_path_is_cut_at_the_traces_own_node():
    trace = Trace("x")
    path = Path()
    for at in range(3):
        node = trace.add(path.node, "ab", 2)
        path = path.grown(
            Continuation((1, 2), "ab", (), StopReason.STOP), StopReason.EOS if at == 2 else None, node=node
        )
    assert (up_to(trace, path, 1).node, up_to(trace, path, 2).node) == (1, 2)
    assert up_to(trace, path, 2).alive
    assert up_to(trace, path, 3) is path
    assert up_to(trace, path, 9) is path


def test_iterations_leave_the_target_as_it_is(run, tree):
    """The chain's stationary distribution is the posterior; two particles alone would be far from it."""
    odds = {"a": 1.0, "b": 8.0}
    engine = ScriptedEngine(tree(lambda text: ["a;", "b;"] if not text else ["e."]))

    def share(iters: int) -> float:
        program = gibbs(2, iters, select="sample", incremental=True)
        good = lambda text: odds[text[0]] / (1 + odds[text[0]])  # noqa: E731
        chosen = Counter(run(program, engine=engine, worth=good, seed=seed).answer[0] for seed in range(600))
        return chosen["b"] / 600

    alone, chained = share(1), share(8)
    assert alone == pytest.approx(3 / 4 - 1 / 36, abs=0.06)  # 1/4 + 1/2 * 8/9
    assert chained == pytest.approx(8 / 9, abs=0.045)


def test_one_iteration_is_the_particle_filter(run, tree):
    settings = {"n": 5, "stepping": LINES, "sampling": HOW}
    ones = [
        run(program, engine=ScriptedEngine(tree(steps)), worth=worth, seed=3)
        for program in (Particles(**settings), gibbs(5, 1), ParallelTempering(chains=1, temps=(1.0,), **settings))
    ]
    assert ones[0].episodes == ones[1].episodes == ones[2].episodes
    assert ones[0].answer == ones[1].answer == ones[2].answer


def test_the_answer_comes_from_the_last_iteration_or_from_all(run, tree):
    for seed in range(12):
        last, every = (
            run(gibbs(2, 4, answer_from=which), engine=ScriptedEngine(tree(steps)), worth=worth, seed=seed)
            for which in ("last", "all")
        )
        assert last.episodes == every.episodes
        assert len(last.episodes) == gibbs(2, 4).group_size == 5
        scores = {e.text: worth(e.text) for e in every.episodes}
        assert scores[every.answer] == max(scores.values())
        final = rounds(last, 3)[-1]
        assert scores[last.answer] == pytest.approx(max(1 / (1 + math.exp(-w)) for w in final["weights"]))


def test_swap_chances_by_hand():
    assert swap_chance((0.5, 2.0), (1.0, 2.0)) == 1
    assert swap_chance((2.0, 0.5), (1.0, 2.0)) == pytest.approx(0.4724, abs=1e-4)
    assert swap_chance((2.0, 0.5), (1.5, 1.5)) == 1
    assert swap_chance((0.5, 2.0), (2.0, 1.0)) == pytest.approx(0.4724, abs=1e-4)


def test_chains_resample_at_their_own_temperature_and_swap(run, tree):
    program = ParallelTempering(n=3, chains=3, temps=(4.0, 2.0, 1.0), iters=3, stepping=LINES, sampling=HOW)
    engine = ScriptedEngine(tree(steps))
    found = run(program, engine=engine, worth=worth)
    filters = [one for one in found.trace["rounds"] if "chain" in one]
    assert {(one["chain"], one["tau"]) for one in filters} == {(0, 4.0), (1, 2.0), (2, 1.0)}
    swaps = [one for one in found.trace["rounds"] if "swap" in one]
    assert [one["swap"] for one in swaps] == [[0, 1], [1, 2]] * 2
    for one in swaps:
        at = one["swap"][0]
        assert one["chance"] == swap_chance(one["weights"], program.temps[at : at + 2])
    assert len(found.episodes) == program.group_size == 3 * (3 + 2 + 2)
    assert found.cost.tokens_sampled == sum(node["tokens"] for node in found.trace["nodes"])
    # the chains' requests go out together: no more rounds of waiting than the longest response has steps
    assert worth(found.answer) == max(worth(e.text) for e in found.episodes if e.text in final_texts(found))


def final_texts(found) -> set[str]:
    """Texts of the particles that the last iteration left."""
    finals = {one["chain"]: one["particles"] for one in found.trace["rounds"] if one.get("iteration") == 2}
    nodes = found.trace["nodes"]
    return {
        "".join(nodes[at]["text"] for at in lineage(found, node)) for particles in finals.values() for node in particles
    }


def test_chains_run_side_by_side(run, tree):
    lists: list[int] = []

    class Watched(ScriptedEngine):
        def poll(self):
            done = super().poll()
            lists.append(len(done))
            return done

    program = ParallelTempering(n=4, stepping=LINES, sampling=HOW)
    run(program, engine=Watched(tree(lambda text: ["a;"] if len(text) < 4 else ["e."])), worth=lambda _: 0.5)
    assert lists == [8, 8, 8]


def test_accepted_swaps_exchange_references(posed):
    program = ParallelTempering(n=2, chains=2, temps=(2.0, 1.0))
    low, high = Path(scores=(0.1,)), Path(scores=(0.9,))
    references = [[high], [low]]  # the better one goes to the colder chain for sure
    board = Board(posed, Trace("x"))
    program._swap(board, references)
    assert references == [[low], [high]]
    assert board.trace.rounds[0]["swapped"] is True
    assert board.trace.rounds[0]["chance"] == 1
    back = sum(_swaps_back(program, low, high, posed) for _ in range(4000)) / 4000
    assert back == pytest.approx(math.exp(-(logit(0.9) - logit(0.1)) / 2), abs=0.02)


def _swaps_back(program, low, high, posed) -> bool:
    references = [[low], [high]]
    program._swap(Board(posed, Trace("x")), references)
    return references == [[high], [low]]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "particle-gibbs", "n": 1}, "give n = 2 or more"),
        ({"name": "particle-gibbs", "n": 3, "n_ref": 3}, "give n = 4 or more"),
        ({"name": "parallel-tempering", "chains": 3}, "3 chains need 3 temperatures"),
        ({"name": "parallel-tempering", "temps": [1.0, 2.0]}, "hottest first"),
        ({"name": "parallel-tempering", "n": 1, "iters": 2}, "give n = 2 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        Program.build(settings)


def test_budgets_must_divide_and_the_nearest_that_do_are_named():
    assert gibbs(iters=4).sized(32).n == 8
    assert ParallelTempering(iters=2).sized(16).n == 4
    with pytest.raises(ConfigError, match="a budget of 30 responses evenly: give 28-samples or 32-samples"):
        gibbs(iters=4).sized(30)
    with pytest.raises(ConfigError, match="a budget of 4 responses evenly: give 8-samples"):
        gibbs(iters=4).sized(4)
    with pytest.raises(
        ConfigError, match=r"2 chains and 1 iterations cannot spend a budget of 5 .* 4-samples or 6-samp"
    ):
        ParallelTempering().sized(5)
    with pytest.raises(ConfigError, match="give 2-samples"):
        ParallelTempering().sized(1)
