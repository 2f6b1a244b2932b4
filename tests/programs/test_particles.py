"""The particle filter on scripted replies: its weights, its target, what it never does, and bad input."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from pilothouse.core.budgets import Budget
from pilothouse.core.errors import ConfigError, DataError, EngineError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Sample, StopReason
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.particles import Particles
from pilothouse.programs.stepping import Stepping

LINES = Stepping(delimiter=";")
HOW = Sampling(max_tokens=40, stop=(".",))


def particles(n: int = 4, **settings) -> Particles:
    return Particles(**{"n": n, "stepping": LINES, "sampling": HOW} | settings)


def say(*texts: str) -> list[Continuation]:
    """Steps that end where their text says: at the delimiter or at the end of the response."""
    return [Continuation(tuple(t.encode()), t, (0.0,) * len(t), StopReason.STOP) for t in texts]


def digits(text: str) -> list[str]:
    """Two steps of a digit each, then the end."""
    return [f"{d};" for d in range(3)] if len(text) < 4 else [f"{d}." for d in range(3)]


def test_weights_chances_and_effective_size_go_on_record(run):
    scores = dict(zip("abcd", (0.9, 0.5, 0.5, 0.1), strict=True))
    found = run(particles(), say("a;", "b;", "c;", "d;", *("x.",) * 4), worth=lambda text: scores[text[0]])
    first, last = found.trace["rounds"]
    assert first["weights"] == pytest.approx([math.log(9), 0, 0, -math.log(9)])
    assert first["theta"] == pytest.approx([0.81, 0.09, 0.09, 0.01])
    assert first["ess"] == pytest.approx(1 / (0.81**2 + 2 * 0.09**2 + 0.01**2))
    assert (first["resampled"], first["active"], first["particles"]) == (True, 4, [1, 2, 3, 4])
    assert first["distinct"] == len(set(first["ancestors"])) == first["first_steps"]
    assert (last["resampled"], last["ancestors"], last["active"]) == (False, [0, 1, 2, 3], 0)
    texts = [episode.text for episode in found.episodes]
    assert texts == ["abcd"[at] + ";x." for at in first["ancestors"]]
    assert scores[found.answer[0]] == max(scores[text[0]] for text in texts)
    json.dumps(found.trace)


def test_copies_share_their_nodes_and_what_died_is_pruned(run):
    found = run(particles(), say("a;", "b;", "c;", "d;", *("x.",) * 4), worth=lambda text: "b" in text)
    nodes = found.trace["nodes"]
    assert found.trace["rounds"][0]["ancestors"] == [1, 1, 1, 1]
    assert [node["parent"] for node in nodes[5:]] == [2, 2, 2, 2]
    assert [nodes[at]["state"] for at in (0, 1, 2, 3, 4)] == ["chosen", "pruned", "chosen", "pruned", "pruned"]
    assert sorted(node["state"] for node in nodes[5:]) == ["chosen", "finished", "finished", "finished"]
    assert nodes[2]["score"] == 1
    assert nodes[2]["weight"] == pytest.approx(16.118, abs=1e-3)


@pytest.mark.parametrize("resampling", ["multinomial", "systematic"])
def test_a_constant_scorer_is_plain_sampling(run, tree, resampling):
    engine, counts = ScriptedEngine(tree(digits)), Counter()
    for seed in range(1700):
        found = run(particles(3, resampling=resampling, select="sample"), engine=engine, worth=lambda _: 0.3, seed=seed)
        assert found.trace["rounds"][0]["theta"] == pytest.approx([1 / 3] * 3)
        counts.update([found.answer] if resampling == "multinomial" else [e.text for e in found.episodes])
    total = sum(counts.values())
    expected = total / 27
    assert len(counts) == 27
    # 26 degrees of freedom: 54 is exceeded once in a thousand
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 54


def test_one_particle_is_one_sample_of_the_same_seed():
    policy = tiny_policy("0123456789;.", 0, "nano")
    prompt = policy.codec.encode("12;")

    def posed(seed: int) -> Posed:
        return Posed("p", prompt, "12;", SeedTree(seed).numpy(), policy.codec)

    lengths = set()
    for seed in range(8):
        runner = Runner(LocalEngine(policy), scorers={"value": lambda _: 0.5})
        how = Sampling(max_tokens=30, stop=(".",), temperature=0.8)
        program = particles(1, sampling=how, stepping=Stepping(delimiter="5"))
        [found] = runner.run([Job(program, posed(seed), SeedTree(seed))])
        engine = LocalEngine(policy)
        own = int(SeedTree(seed).numpy().integers(2**63))
        engine.submit(0, Sample(prompt, max_tokens=30, temperature=0.8, stop=(".",), seed=own))
        [(_, whole, _)] = engine.poll()
        assert found.episodes[0].tokens == whole.tokens
        assert found.answer == whole.text
        lengths.add(len(found.episodes[0].segments))
    assert max(lengths) > 1


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_resampling_gives_the_posterior_of_an_enumerable_tree(run, tree, tau):
    n, worths = 3000, {"a": 0.8, "b": 0.4}
    engine = ScriptedEngine(tree(lambda text: ["a;", "b;"] if not text else ["x."]))
    found = run(particles(n, tau=tau), engine=engine, worth=lambda text: worths[text[0]])
    odds = [(p / (1 - p)) ** (1 / tau) for p in worths.values()]
    share = np.mean([episode.text[0] == "a" for episode in found.episodes])
    assert share == pytest.approx(odds[0] / sum(odds), abs=3 / math.sqrt(n))


def two_steps(text: str) -> list[str]:
    return ["a;", "b;"] if len(text) < 4 else ["x."]


@pytest.mark.parametrize("incremental", [False, True])
def test_the_target_multiplies_odds_unless_weights_are_incremental(run, tree, incremental):
    """A response has two steps and an end; its score counts the a's."""
    n, odds = 4000, {0: 0.5, 1: 1.0, 2: 3.0}

    def worth(text: str) -> float:
        mine = odds[text.count("a")]
        return mine / (1 + mine)

    found = run(
        particles(n, incremental=incremental, select="sample"), engine=ScriptedEngine(tree(two_steps)), worth=worth
    )
    theta = found.trace["rounds"][-1]["theta"]
    share = sum(chance for chance, e in zip(theta, found.episodes, strict=True) if e.text.startswith("a;a"))
    paths = {"aa": (1, 2, 2), "ab": (1, 1, 1), "ba": (0, 1, 1), "bb": (0, 0, 0)}
    target = {
        path: odds[counts[-1]] if incremental else math.prod(odds[count] for count in counts)
        for path, counts in paths.items()
    }
    assert share == pytest.approx(target["aa"] / sum(target.values()), abs=3 / math.sqrt(n))


@pytest.mark.parametrize("settings", [{"ess_threshold": 0.5}, {"resampling": "systematic", "ess_threshold": 0.01}])
def test_weights_are_carried_on_while_nothing_is_resampled(run, tree, settings):
    n, odds = 4000, {"a": 3.0, "b": 1.0}
    worth = lambda text: (mine := odds[text[2 if len(text) > 2 else 0]]) / (1 + mine)  # noqa: E731
    found = run(particles(n, **settings), engine=ScriptedEngine(tree(two_steps)), worth=worth)
    rounds = found.trace["rounds"]
    assert [one["resampled"] for one in rounds] == [False, False, False]
    share = sum(t for t, e in zip(rounds[-1]["theta"], found.episodes, strict=True) if e.text.startswith("a;a"))
    assert share == pytest.approx(27 / (27 + 3 + 9 + 1), abs=3 / math.sqrt(n))  # odds 3, then 3 twice


def uneven(text: str) -> list[str]:
    """Half of the responses end after one step, the others after three."""
    return ["s.", "l;"] if not text else ["m;"] if len(text) == 2 else ["e."]


def test_finished_particles_are_never_extended_keep_their_weight_and_may_be_copied(run, tree):
    engine = ScriptedEngine(tree(uneven))
    found = run(particles(40), engine=engine, worth=lambda text: 0.9 if text == "s." else 0.5)
    samples = [request for request in engine.requests if isinstance(request, Sample)]
    assert not [request for request in samples if request.prefix[-1:] == tuple(b".")]
    assert found.cost.tokens_sampled == sum(node["tokens"] for node in found.trace["nodes"])
    rounds = found.trace["rounds"]
    assert len(rounds) == 3
    short = [rounds[0]["particles"][at] for at in range(40) if found.trace["nodes"][at + 1]["text"] == "s."]
    for later in rounds[1:]:
        kept = [at for at, node in enumerate(later["particles"]) if node in short]
        assert all(later["weights"][at] == pytest.approx(math.log(9)) for at in kept)
        assert len(kept) > len(short)  # copied, at nine times the odds
    assert found.answer == "s."


def test_finished_particles_can_be_kept_from_resampling(run, tree):
    settings = {"resample_inactive": False, "incremental": True}
    found = run(
        particles(400, **settings), engine=ScriptedEngine(tree(uneven)), worth=lambda t: 0.9 if t[0] == "s" else 0.5
    )
    first, last = found.trace["rounds"][0], found.trace["rounds"][-1]
    short = [at for at in range(400) if found.trace["nodes"][at + 1]["text"] == "s."]
    assert all(last["ancestors"][at] == at for at in short)
    assert [last["particles"][at] for at in short] == [first["particles"][at] for at in short]
    share = sum(last["theta"][at] for at in short)
    assert share == pytest.approx(9 * len(short) / (9 * len(short) + 400 - len(short)))


def test_temperature_anneals_and_reacts_to_few_heavy_particles(run, tree):
    annealing = particles(tau=1.0, tau_start=3.0, anneal_steps=3)
    found = run(annealing, engine=ScriptedEngine(tree(digits)), worth=lambda _: 0.5)
    assert [one["tau"] for one in found.trace["rounds"]] == [3.0, 2.0, 1.0]
    heavy = particles(8, entropic=True, stepping=Stepping(delimiter=";", max_steps=4))
    found = run(heavy, say("a;", *("b;",) * 7, *("x.",) * 8), worth=lambda text: 0.999 if text[0] == "a" else 0.5)
    size = 1 / sum(p * p for p in [999 / 1006] + [1 / 1006] * 7)
    first, last = found.trace["rounds"]
    assert first["tau"] == pytest.approx(8 / size * 0.75)
    assert first["ess"] > size
    assert last["tau"] == 1.0


def test_raw_weights_and_the_range_of_a_scorer(run):
    found = run(
        particles(2, weight="raw"), say("a;", "b;", "x.", "y."), worth=lambda text: 0.9 if text[0] == "a" else 0.1
    )
    assert found.trace["rounds"][0]["weights"] == [0.9, 0.1]
    tanh = particles(2, score_range=(-1, 1))
    found = run(tanh, say("a;", "b;", "x.", "y."), worth=lambda text: 0.8 if text[0] == "a" else -1.0)
    assert found.trace["nodes"][1]["score"] == pytest.approx(0.9)
    assert found.trace["nodes"][2]["score"] == 0


def test_aggregation_over_steps(run):
    worths = {"a;": 0.8, "a;b;": 0.5, "a;b;c.": 0.6}
    for how, last in (("prod", 0.24), ("min", 0.5), ("last", 0.6), ("model", 0.6)):
        found = run(particles(1, aggregation=how), say("a;", "b;", "c."), worth=worths.__getitem__)
        assert found.trace["nodes"][3]["score"] == pytest.approx(last)


def test_the_answer_is_the_best_one_drawn_or_the_heaviest(run, tree):
    script = ["one.", "two.", "two.", "two."]
    worth = lambda text: 0.6 if text == "one." else 0.5  # noqa: E731
    assert run(particles(), script, worth).answer == "one."
    assert run(particles(select="vote"), script, worth).answer == "two."
    drawn = Counter(run(particles(select="sample"), script, worth, seed=seed).answer for seed in range(400))
    assert drawn["one."] / 400 == pytest.approx(1.5 / 4.5, abs=0.08)


def test_steps_are_counted_exactly(run, tree):
    endless = ScriptedEngine(tree(lambda _: ["x;"]))
    found = run(particles(2, stepping=Stepping(delimiter=";", max_steps=3)), engine=endless, worth=lambda _: 0.5)
    assert [episode.text for episode in found.episodes] == ["x;x;x;"] * 2
    assert all(episode.truncated for episode in found.episodes)
    assert len(found.trace["rounds"]) == 3


def test_steps_of_so_many_tokens(run):
    def answer(request):
        text = "abcdef"[len(request.prefix) - 2 :][: request.max_tokens]
        return Continuation(tuple(text.encode()), text, (0.0,) * len(text), StopReason.LENGTH)

    program = particles(1, stepping=Stepping(tokens=2), sampling=Sampling(max_tokens=5))
    found = run(program, engine=ScriptedEngine(answer), worth=lambda _: 0.5)
    assert [node["text"] for node in found.trace["nodes"]] == ["", "ab", "cd", "e"]


@pytest.mark.parametrize(("score", "said"), [(1.5, "1.5"), (-0.1, "-0.1"), (math.nan, "nan")])
def test_a_score_that_is_no_probability_names_its_particle(run, score, said):
    with pytest.raises(DataError, match=rf"particle 2 the score {said}: a process reward lies in \[0, 1\]"):
        run(particles(), say("a;", "b;", "c;", "d;"), worth=lambda text: score if text == "c;" else 0.5)


def test_empty_responses_are_refused_in_a_sentence(run):
    with pytest.raises(DataError, match="every response to problem 'q' ended at once and is empty"):
        run(particles(3), ["", "", ""], worth=lambda _: 0.5)
    alone = run(particles(1), [""], worth=lambda _: 0.5)
    assert alone.answer == ""
    assert "ended at once" in alone.trace["notes"][0]
    assert run(particles(2), ["", "a."], worth=lambda text: 0.5 if text else 0.1).answer == "a."


def test_a_particle_its_engine_fails_weighs_nothing(run):
    failed = Continuation((), "", (), StopReason.ERROR, "out of luck")
    found = run(particles(2), [failed, "a."], worth=lambda _: 0.2)
    assert found.answer == "a."
    assert found.trace["notes"] == ["particle 0 failed and weighs nothing: out of luck"]
    with pytest.raises(EngineError, match="out of luck"):
        run(particles(2), [failed, failed], worth=lambda _: 0.2)


def test_a_delimiter_that_never_occurs_is_told_at_the_cap(run):
    def answer(request):
        text = "x" * request.max_tokens
        return Continuation(tuple(text.encode()), text, (0.0,) * len(text), StopReason.LENGTH)

    found = run(particles(2), engine=ScriptedEngine(answer), worth=lambda _: 0.5)
    assert [len(episode.tokens) for episode in found.episodes] == [40, 40]
    assert "the delimiter ';' never occurred" in found.trace["notes"][0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"n": 0}, "'n' in program 'particles' is 0"),
        ({"tau": 0.0}, "'tau' in program 'particles' is 0.0"),
        ({"stepping": {"delimiter": ";", "tokens": 3}}, "drop stepping.delimiter or stepping.tokens"),
        ({"tau_start": 2.0}, "give a tau_start and 2 steps or more, or neither"),
        ({"anneal_steps": 3}, "give a tau_start and 2 steps or more, or neither"),
        ({"tau_start": 2.0, "anneal_steps": 1}, "give a tau_start and 2 steps or more"),
        ({"score_range": [1, 0]}, r"give the lower end first, such as \(-1, 1\)"),
        ({"ess_threshold": 0}, "'ess_threshold'"),
        ({"select": "best"}, "'select'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        Program.build({"name": "particles", **settings})


def test_a_budget_is_whole_responses():
    assert Particles().sized(5).n == 5
    assert Particles(n=6).group_size == 6
    with pytest.raises(ConfigError, match="does not pay for one response"):
        Particles().sized(Budget.parse("31-tokens").samples(32))
