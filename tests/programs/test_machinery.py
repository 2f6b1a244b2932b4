"""What all searches share: paths, steps, scores, votes, traces, budgets."""

import math

import pytest

from pilothouse.core.budgets import Budget
from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.parts import validated
from pilothouse.core.requests import Continuation, StopReason, Valued
from pilothouse.engines.codecs import ByteCodec
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.best_of_n import BestOfN
from pilothouse.programs.choose import best, vote
from pilothouse.programs.paths import Path
from pilothouse.programs.scores import aggregate, ask, probability, worth
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.trace import Trace

CODEC = ByteCodec()
HOW = Sampling(max_tokens=12, stop=(".",))


def piece(text: str, reason: StopReason = StopReason.STOP) -> Continuation:
    return Continuation(CODEC.encode(text), text, (-1.0,) * len(text), reason)


def test_a_path_grows_step_by_step_and_its_episode_has_all_of_it(posed):
    lines = Stepping(delimiter="\n")
    path = lines.grow(Path(), piece("ab\n"), HOW, node=1).scored(0.5)
    assert path.alive
    assert path.node == 1
    whole = lines.grow(path, piece("cd."), HOW, node=2)
    assert whole.ended is StopReason.STOP
    assert whole.scores == (0.5,)
    episode = whole.episode(posed, 0.0)
    assert (episode.text, episode.temperature, episode.problem_id) == ("ab\ncd.", 1.0, "q")
    assert [(s.start, s.stop) for s in episode.segments] == [(0, 3), (3, 6)]
    assert episode.logprobs == (-1.0,) * 6
    assert all(episode.action_mask)
    assert whole.cut(1).alive
    assert whole.cut(1).tokens == path.tokens
    assert whole.cut(1).scores == (0.5,)
    assert whole.cut(0) == Path(node=2)
    assert whole.cut(2) is whole


@pytest.mark.parametrize(
    ("stepping", "sample", "ended"),
    [
        (Stepping(delimiter="\n"), piece("ab\n"), None),
        (Stepping(delimiter="\n"), piece("ab."), StopReason.STOP),
        (Stepping(delimiter="\n"), piece("ab", StopReason.EOS), StopReason.EOS),
        (Stepping(delimiter="\n"), piece("ab", StopReason.LENGTH), StopReason.LENGTH),
        (Stepping(delimiter="\n"), piece("ab", StopReason.ERROR), StopReason.ERROR),
        (Stepping(delimiter="."), piece("ab."), StopReason.STOP),  # the response's own end wins
        (Stepping(delimiter="\n", max_steps=1), piece("ab\n"), StopReason.LENGTH),
        (Stepping(delimiter="\n"), piece("12345678901\n"), StopReason.LENGTH),  # no token is left
        (Stepping(tokens=2), piece("ab", StopReason.LENGTH), None),
        (Stepping(tokens=2), piece("a.", StopReason.STOP), StopReason.STOP),
        (Stepping(tokens=3), piece("ab", StopReason.LENGTH), StopReason.LENGTH),  # cut by the context
    ],
)
def test_when_a_response_ends(stepping, sample, ended):
    assert stepping.ending(Path(), sample, HOW) is ended


def test_a_step_never_asks_for_more_than_the_response_has_left(posed):
    path = Stepping(delimiter="\n").grow(Path(), piece("12345678\n"), HOW)
    assert Stepping(delimiter="\n").request(posed, path, HOW).max_tokens == 3
    assert Stepping(delimiter="\n").request(posed, path, HOW).stop == ("\n", ".")
    assert Stepping(tokens=2).request(posed, path, HOW).max_tokens == 2
    assert Stepping(tokens=8).request(posed, path, HOW).max_tokens == 3
    assert Stepping(tokens=8).request(posed, path, HOW).stop == (".",)
    assert Stepping(tokens=8).request(posed, path, Sampling()).max_tokens == 8


def test_one_way_to_cut_steps():
    with pytest.raises(ConfigError, match=r"drop stepping.delimiter or stepping.tokens"):
        validated(Stepping, {"delimiter": "\n", "tokens": 3}, "the steps")
    assert Stepping().fitted("\n").delimiter == "\n"
    assert Stepping(tokens=3).fitted("\n").delimiter == ""
    assert Stepping(delimiter=";").fitted("\n").delimiter == ";"


def test_a_delimiter_that_never_occurs_is_told():
    lines = Stepping(delimiter="\n")
    cut = lines.grow(Path(), piece("abcdefghijkl", StopReason.LENGTH), HOW)
    assert "'\\n' never occurred" in lines.note([cut, cut])
    assert lines.note([cut, lines.grow(Path(), piece("ab.", StopReason.STOP), HOW)]) == ""
    assert Stepping(tokens=3).note([cut]) == ""
    assert lines.note([]) == ""


def test_scores_are_checked_and_named(posed):
    assert ask(posed, Path((5, 6))).start == 2
    assert ask(posed, Path((5, 6))).problem == "q"
    assert worth(Valued(-3.0), "x") == -3
    assert probability(Valued(1.0), "x") == 1
    with pytest.raises(DataError, match=r"particle 3 the score 1\.5"):
        probability(Valued(1.5), "particle 3")
    for read in (worth, probability):
        with pytest.raises(DataError, match="particle 0 the score nan"):
            read(Valued(math.nan), "particle 0")


def test_aggregation():
    assert [aggregate([0.5, 0.2, 0.4], how) for how in ("prod", "min", "last", "model")] == [
        pytest.approx(0.04),
        0.2,
        0.4,
        0.4,
    ]


def test_votes():
    assert best([1, 3, 3, 2]) == 1
    assert vote(["7", "8", "8", "7", "8"]) == 1
    assert vote(["7", "8"]) == 0
    assert vote(["7", "8", "8"], [0.9, 0.3, 0.3]) == 0
    assert vote(["", "", "", "5"]) == 3
    assert vote(["", ""]) == 0


def test_a_trace_is_a_tree_with_one_chosen_path():
    trace = Trace("x")
    a = trace.add(0, "a", 1)
    b = trace.add(a, "b", 1, score=0.5)
    c = trace.add(a, "c", 1, state="pruned")
    trace.choose(b)
    trace.note("odd")
    trace.note("odd")
    trace.note("")
    made = trace.to_dict()
    assert [node["state"] for node in made["nodes"]] == ["chosen", "chosen", "chosen", "pruned"]
    assert made["nodes"][b]["score"] == 0.5
    assert made["nodes"][c]["parent"] == a
    assert made["notes"] == ["odd"]


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("16", Budget(16, "samples")),
        ("16-samples", Budget(16, "samples")),
        ("1-sample", Budget(1, "samples")),
        ("4096-tokens", Budget(4096, "tokens")),
        ("2k-tokens", Budget(2000, "tokens")),
        ("1.5M-tokens", Budget(1_500_000, "tokens")),
    ],
)
def test_a_budget_names_its_unit(text, budget):
    assert Budget.parse(text) == budget
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "many", "-3-samples", "0-tokens", "0", "4 096", "16-calls"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(ConfigError, match="budget"):
        Budget.parse(text)


def test_a_run_has_budgets_of_one_unit():
    assert Budget.parse("600-steps", "steps") == Budget(600, "steps")
    assert Budget.parse("2k-step", "steps") == Budget(2000, "steps")
    assert Budget.parse("200k-tokens", "tokens") == Budget(200_000, "tokens")
    for text in ("600", "600-tokens", "k-steps", "steps"):
        with pytest.raises(ConfigError, match="is not a budget in steps: write it like 600-steps"):
            Budget.parse(text, "steps")
    with pytest.raises(ConfigError, match="is nothing: give at least 1-steps"):
        Budget.parse("0.5-steps", "steps")
    with pytest.raises(ConfigError, match="is not a budget: write it like 16-samples"):
        Budget.parse("600-steps")


def test_a_budget_pays_for_whole_responses_only():
    assert Budget(100, "tokens").samples(32) == 3
    assert Budget(5, "samples").samples(32) == 5
    with pytest.raises(ConfigError, match="give at least 32-tokens"):
        Budget(31, "tokens").samples(32)


def test_best_of_n_takes_the_best_the_most_frequent_or_the_heaviest(run):
    script = ["a1", "b22", "a1", "ccc"]
    assert run(BestOfN(n=4), script).answer == "b22"
    assert run(BestOfN(n=4, select="majority"), script, worth=lambda text: math.nan).answer == "a1"
    assert run(BestOfN(n=4, select="weighted"), script).answer == "a1"
    assert run(BestOfN(n=4, select="weighted"), script, worth=lambda text: text == "ccc").answer == "ccc"
    found = run(BestOfN(n=4), script)
    assert [e.text for e in found.episodes] == script
    assert [n["state"] for n in found.trace["nodes"]] == ["chosen", "finished", "chosen", "finished", "finished"]
    with pytest.raises(DataError, match="response 2 the score nan"):
        run(BestOfN(n=3), ["x", "y", "z"], worth=lambda text: math.nan if text == "z" else 1.0)


def test_programs_take_the_tasks_conventions_unless_told_otherwise():
    fitted = BestOfN().fitted(limit=50, stop=(".",), step_end="\n")
    assert fitted.sampling.max_tokens == 50
    assert fitted.sampling.stop == (".",)
    own = BestOfN(sampling=Sampling(max_tokens=5, stop=("!",))).fitted(limit=50, stop=(".",), step_end="\n")
    assert own.sampling.max_tokens == 5
    assert own.sampling.stop == ("!",)
    assert BestOfN().sized(3).n == 3
    assert set(Program.catalogue.classes()) >= {"best-of-n", "group"}
