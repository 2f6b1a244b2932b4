"""TreePO's sampler: how many children, where it cuts, what it shares, what it costs; no model but where it says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.episodes import Segment
from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.parts import validated
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Reply, Request, Sample, Sampled, StopReason
from pilothouse.core.results import Cost, Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.base import Sampling
from pilothouse.programs.branching import Share, allocate, children
from pilothouse.programs.early_stop import Answered, Repetition
from pilothouse.programs.fallback import Fallback
from pilothouse.programs.group import Group
from pilothouse.programs.paths import Path
from pilothouse.programs.sharing import effective_size, is_consistent
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.treepo import TreePO

CODEC = ByteCodec()
OFF = Fallback(cut="off")


def posed(seed: int = 0, answer_of: Callable[[str], str] = str.strip) -> Posed:
    return Posed("q", CODEC.encode("Q:"), "Q:", SeedTree(seed).numpy(), CODEC, answer_of)


def go(program: TreePO, script, seed: int = 0, answer_of: Callable[[str], str] = str.strip) -> Result:
    [result] = Runner(ScriptedEngine(script)).run([Job(program, posed(seed, answer_of), SeedTree(seed))])
    return result


def endless(request: Request) -> Continuation:
    """Never ends by itself."""
    assert isinstance(request, Sample)
    size = request.max_tokens or 0
    return Continuation((120,) * size, "x" * size, (-0.5,) * size, StopReason.LENGTH)


def stopper(mean: float, minimum: int = 0) -> Callable[[Request], Continuation]:
    """Ends after every token alike, from a minimum on; what it draws depends on seed and position alone."""

    def script(request: Request) -> Continuation:
        assert isinstance(request, Sample)
        assert request.seed is not None
        rng, start = np.random.default_rng([request.seed, len(request.prefix)]), len(request.prefix) - 2
        letters, size = "", request.max_tokens or 0
        while len(letters) < size:
            letters += chr(97 + int(rng.integers(26)))
            if start + len(letters) > minimum and rng.random() < 1 / (mean - minimum):
                return Continuation(CODEC.encode(letters), letters, (-1.0,) * len(letters), StopReason.EOS)
        return Continuation(CODEC.encode(letters), letters, (-1.0,) * size, StopReason.LENGTH)

    return script


def tree(width: int, segment: int, depth: int, **fields) -> TreePO:
    sampling = Sampling(max_tokens=segment * depth)
    return TreePO(width=width, stepping=Stepping(tokens=segment, max_steps=depth), sampling=sampling, **fields)


def finished(length: int, segment: int = 16, logprobs: tuple[float, ...] = ()) -> Path:
    starts = range(0, length, segment)
    steps = tuple(Segment(s, min(s + segment, length), f"{'0.' * i}0") for i, s in enumerate(starts))
    return Path(tuple(range(length)), logprobs or (-1.0,) * length, steps, StopReason.EOS)


# --- how many children


@pytest.mark.parametrize(
    ("width", "depth", "segments"), [(16, 14, 190), (16, 7, 78), (16, 28, 414), (8, 8, 54), (64, 14, 638)]
)
def test_a_full_binary_tree_decodes_each_segment_once(width, depth, segments):
    result = go(tree(width, 4, depth, stops=[]), endless)
    record = result.trace["accounting"]
    assert record["segments"] == segments == sum(min(2**j, width) for j in range(1, depth + 1))
    assert record["decoded"] == result.cost.tokens_sampled == 4 * segments
    assert record["in_trajectories"] == 4 * depth * width
    assert record["trajectories"] == len(result.episodes) == width
    assert record["ends"] == {"length": width}
    assert record["fallbacks"] == 0


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"width": 4, "branch": 2, "finished": 2, "just_finished": 2, "alive": 1}, 2),
        ({"width": 4, "branch": 2, "finished": 4, "just_finished": 1, "alive": 1}, 1),
        ({"width": 16, "branch": 2, "finished": 3, "just_finished": 3, "alive": 5}, 13),
        ({"width": 16, "branch": 2, "finished": 3, "just_finished": 3, "alive": 5, "transfer": False}, 10),
        ({"width": 16, "branch": 2, "finished": 2, "just_finished": 1, "alive": 2}, 6),
    ],
)
def test_the_branch_budget(case, expected):
    assert children(**case) == expected


def test_integer_allocation():
    assert allocate([0.5, 0.3, 0.2], 8) == [4, 2, 2]
    assert allocate([0.9, 0.1], 2) == [1, 1]
    with pytest.raises(ValueError, match="at least one each"):
        allocate([1.0, 1.0], 1)


@given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=8), st.integers(0, 20))
def test_allocation_gives_all_and_never_far_from_proportion(weights, more):
    total = len(weights) + more
    shares = allocate(weights, total)
    assert sum(shares) == total
    assert min(shares) >= 1
    assert all(abs(s - 1 - more * w / math.fsum(weights)) < 1 for s, w in zip(shares, weights, strict=True))


def test_share_policies():
    unlikely = Path((1, 2, 3), (0.0, -3.0, -1.0), (Segment(0, 1), Segment(1, 3)))
    likely = Path((1, 2), (-9.0, -1.0), (Segment(0, 1), Segment(1, 2)))
    paths = [unlikely, likely]
    assert Share()([unlikely] * 3, 8) == [2, 2, 4]
    assert Share(policy="even")([unlikely] * 3, 8) == [3, 3, 2]
    # s = -4 and -1 over the last segment: weights exp(2) and exp(0.5) at tau 2
    assert Share(policy="low-probability")(paths, 7) == [5, 2]
    assert Share(policy="high-probability")(paths, 7) == [2, 5]
    assert Share(policy="low-probability", tau=1e6)(paths, 8) == [4, 4]
    assert Share(likelihood="mean").score(unlikely) == -2.0
    assert Share(over="path").score(likely) == -10.0
    with pytest.raises(EngineError, match=r"'low-probability' needs log-probabilities"):
        Share(policy="low-probability")([Path((1,), (math.nan,), (Segment(0, 1),))], 1)


# --- where it cuts


@pytest.mark.parametrize("seed", range(12))
def test_a_fallback_cuts_at_a_segment_boundary_and_leaves_its_source_alone(seed):
    def once(request: Request) -> Continuation:
        """The first path is answered after 40 tokens; all that follow go on to the limit."""
        assert isinstance(request, Sample)
        size, done = request.max_tokens or 0, len(request.prefix) - 2
        if not script.ended and done == 32:
            script.ended = True
            return Continuation((97,) * 8, "a" * 8, (-1.0,) * 8, StopReason.EOS)
        return Continuation((98,) * size, "b" * size, (-1.0,) * size, StopReason.LENGTH)

    class script:
        ended = False

    program = tree(3, 16, 4, branch=1, init_branch=1, stops=[Answered()])
    result = go(program, once, seed)
    source, *others = result.episodes
    assert [len(e.tokens) for e in result.episodes] == [40, 64, 64]
    assert source.text == "b" * 32 + "a" * 8
    assert [(s.start, s.stop, s.label) for s in source.segments] == [
        (0, 16, "0"),
        (16, 32, "0.0"),
        (32, 40, "0.0.0"),
    ]
    assert result.trace["accounting"]["fallbacks"] == 2
    assert result.trace["accounting"]["ends"] == {"answered": 1, "length": 2}
    for other in others:
        kept = sum(a.label == b.label for a, b in zip(source.segments, other.segments, strict=False))
        assert kept in (0, 1, 2)
        assert other.tokens[: 16 * kept] == source.tokens[: 16 * kept]
        assert len({s.label for s in other.segments}) == 4


def test_where_a_response_may_be_cut():
    rng = SeedTree(0).numpy()
    path = finished(40)
    assert {Fallback().position(path, rng) for _ in range(200)} == {0, 16, 32}
    assert {Fallback(aligned=False).position(path, rng) for _ in range(2000)} == set(range(40))
    assert Fallback().position(finished(16), rng) == 0
    dip = finished(40, logprobs=(-1.0,) * 20 + (-7.0,) + (-1.0,) * 19)
    assert Fallback(cut="least-likely").position(dip, rng) == 16
    assert Fallback(cut="least-likely", aligned=False).position(dip, rng) == 20
    sure = finished(40, logprobs=(-0.1,) * 10 + (-30.0,) * 10 + (-0.1,) * 20)
    drawn = {Fallback(cut="softmax", aligned=False, block=10).position(sure, rng) for _ in range(50)}
    assert drawn == {10}
    assert {Fallback(cut="softmax", block=10).position(sure, rng) for _ in range(9)} == {0}
    assert [Fallback().takes(r) for r in ("answered", "eos", "length", "repetition", "error")] == [True, True] + [
        False
    ] * 3
    assert not Fallback(sources="answered").takes("eos")


def test_a_cut_inside_a_segment_makes_a_node_of_its_own():
    program = tree(8, 8, 6, fallback=Fallback(aligned=False))
    result = go(program, stopper(9), seed=3)
    assert len(result.episodes) == 8
    assert any(node.get("copied") for node in result.trace["nodes"])


def test_without_an_ended_response_the_tree_begins_again_at_the_prompt():
    texts = iter(["", "", "end", "end"])

    def script(request: Request) -> Continuation:
        text = next(texts)
        return Continuation(CODEC.encode(text), text, (0.0,) * len(text), StopReason.EOS if text else StopReason.ERROR)

    result = go(TreePO(width=4, sampling=Sampling(max_tokens=8)), script)
    assert [e.stop_reason for e in result.episodes] == [StopReason.ERROR] * 2 + [StopReason.EOS] * 2
    assert [e.segments[0].label for e in result.episodes] == ["0", "1", "2", "3"]
    assert result.answer == "end"


def test_no_fallback_leaves_the_tree_as_it_is():
    result = go(tree(8, 8, 4, fallback=OFF), lambda request: "end")
    assert len(result.episodes) == 2
    assert TreePO(fallback=OFF).group_size == 0
    assert TreePO().group_size == 16


# --- why it ends


def test_early_stops():
    babble, talk = Repetition(characters=4, times=3), "the cat sat on the mat"
    said = {"response": "", "answer": "", "ended": False}
    assert babble(segment="abcdabcdabcd", **said)
    assert not babble(segment="abcdabcd", **said)
    assert not babble(segment=talk, **said)
    assert not Repetition()(segment="", **said)
    assert Repetition()(segment="x" * 39, **said)
    assert not Repetition()(segment="x" * 38, **said)
    found = {"segment": "", "response": ""}
    assert Answered()(answer="7", ended=True, **found)
    assert not Answered()(answer="7", ended=False, **found)
    assert not Answered()(answer="", ended=True, **found)
    assert Answered(without_end=True)(answer="7", ended=False, **found)


def test_reasons_are_told_and_only_whole_responses_vote():
    def answer_of(text: str) -> str:
        return text.rpartition("A")[2] if "A" in text else ""

    script = ["A1", "no", "A2", "A9 on and on", "ab" * 6, "A2"]
    program = TreePO(
        width=6,
        init_branch=6,
        stepping=Stepping(tokens=12, max_steps=1),
        stops=[Repetition(characters=2, times=4), Answered()],
        sampling=Sampling(max_tokens=12),
    )
    ended = [
        Continuation(CODEC.encode(t), t, (0.0,) * len(t), StopReason.LENGTH if len(t) == 12 else StopReason.EOS)
        for t in script
    ]
    result = go(program, ended, answer_of=answer_of)
    tags = ["answered", "eos", "answered", "length", "repetition", "answered"]
    assert [e.tags for e in result.episodes] == [(tag,) for tag in tags]
    assert [e.truncated for e in result.episodes] == [False, False, False, True, True, False]
    assert result.answer == "A2"
    assert [n["text"] for n in result.trace["nodes"] if n["state"] == "chosen"] == ["", "A2"]


def test_depth_is_told_from_length():
    program = TreePO(width=1, init_branch=1, stepping=Stepping(tokens=4, max_steps=2), stops=[])
    assert go(program, endless).trace["accounting"]["ends"] == {"depth": 1}


# --- what it shares


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 12),
    st.integers(1, 3),
    st.sampled_from(["average", "even", "low-probability", "high-probability"]),
    st.sampled_from(["random", "least-likely", "softmax", "off"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_every_tree_is_whole(width, branch, policy, cut, aligned, transfer, seed):
    program = tree(
        width,
        4,
        6,
        branch=branch,
        init_branch=(1, width),
        share=Share(policy=policy),
        fallback=Fallback(cut=cut, aligned=aligned, block=8),
        transfer=transfer,
    )
    result = go(program, stopper(10, 2), seed)
    count, record = len(result.episodes), result.trace["accounting"]
    assert count == width if cut != "off" else 1 <= count <= width
    assert (
        record["decoded"]
        == result.cost.tokens_sampled
        == sum(node["tokens"] for node in result.trace["nodes"] if not node.get("copied"))
    )
    tokens = {}
    for episode in result.episodes:
        assert [s.start for s in episode.segments] == [0, *(s.stop for s in episode.segments[:-1])]
        assert episode.segments[-1].stop == len(episode.tokens)
        assert all(b.label.startswith(f"{a.label}.") for a, b in pairwise(episode.segments))
        for segment in episode.segments:
            assert tokens.setdefault(segment.label, episode.tokens[: segment.stop]) == episode.tokens[: segment.stop]
    assert len({e.segments[-1].label for e in result.episodes}) == count
    copied = {node["branch"] for node in result.trace["nodes"] if node.get("copied")}
    distinct = {s.label: s.stop - s.start for e in result.episodes for s in e.segments if s.label not in copied}
    assert sum(distinct.values()) == record["decoded"], "nothing that was sampled is thrown away"
    assert 1 - 1e-3 <= record["effective_size"] <= count + 1e-3


def test_the_same_seed_grows_the_same_tree_and_another_seed_another():
    program = tree(8, 8, 6)
    one, same, other = (go(program, stopper(20), seed).episodes for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_inconsistent_paths_are_caught():
    good = finished(8, 4)
    assert is_consistent([good, good])
    assert not is_consistent([good, Path((9, *good.tokens[1:]), good.logprobs, good.steps)])
    astray = Path(good.tokens, good.logprobs, (good.steps[0], Segment(4, 8, "1.0")))
    assert not is_consistent([astray])


def test_effective_size_of_copies_strangers_and_siblings():
    def path(*labels: str) -> Path:
        return Path((0,) * 2 * len(labels), (), tuple(Segment(2 * i, 2 * i + 2, s) for i, s in enumerate(labels)))

    assert effective_size([path("0", "0.0"), path("1", "1.0")]) == 2
    assert effective_size([path("0", "0.0")] * 3) == pytest.approx(1)
    assert effective_size([path("0", "0.0"), path("0", "0.1")]) == pytest.approx(4 / 3)
    assert effective_size([]) == 0


# --- with a model


class Ear:
    """An engine that keeps what it was asked."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine, self.codec, self.asked = engine, engine.codec, list[Sample]()

    def submit(self, ticket: int, request: Request) -> None:
        assert isinstance(request, Sample)
        self.asked.append(request)
        self.engine.submit(ticket, request)

    def poll(self) -> list[tuple[int, Reply, Cost]]:
        return self.engine.poll()

    def policy_changed(self) -> None:
        self.engine.policy_changed()


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(tiny_policy("0123456789;A\n", 0, "nano"))


def posed_for(engine: LocalEngine, seed: int = 0) -> Posed:
    return Posed("q", engine.codec.encode("123"), "123", SeedTree(seed).numpy(), engine.codec)


def test_without_branching_paths_are_independent_samples_token_for_token(engine):
    ear, width = Ear(engine), 12
    program = tree(width, 4, 10, branch=1, init_branch=width, fallback=OFF, stops=[])
    program = program.model_copy(update={"sampling": Sampling(max_tokens=40, stop=("\n",))})
    [result] = Runner(ear).run([Job(program, posed_for(engine), SeedTree(0))])
    roots = ear.asked[:width]
    assert {len(request.prefix) for request in roots} == {3}
    for at, request in enumerate(roots):
        engine.submit(at, Sample(request.prefix, max_tokens=40, stop=("\n",), seed=request.seed))
    alone: dict[int, tuple[int, ...]] = {}
    while len(alone) < width:
        for ticket, reply, _ in engine.poll():
            assert isinstance(reply, Sampled)
            alone[ticket] = reply.tokens
    assert {e.tokens for e in result.episodes} == set(alone.values())
    assert len({len(tokens) for tokens in alone.values()}) > 1, "some end early"


def test_stored_logprobs_are_those_of_a_fresh_pass_over_the_whole_response(engine):
    program = tree(8, 4, 8, stops=[])
    [result] = Runner(engine).run([Job(program, posed_for(engine), SeedTree(1))])
    for episode in result.episodes:
        tokens = torch.tensor([episode.tokens])
        fresh = engine.policy.token_scores([episode.prompt], tokens, torch.ones_like(tokens).bool()).logprobs[0]
        stored = torch.tensor(episode.logprobs)
        assert float((fresh.detach() - stored).abs().max()) < 1e-4


def test_forks_share_what_is_computed(engine):
    limits = {"max_tokens": 64}
    engine.policy_changed()
    [tall] = Runner(engine).run([Job(tree(16, 8, 8, stops=[]), posed_for(engine), SeedTree(0))])
    engine.policy_changed()
    program = Group(n=16, sampling=Sampling(**limits))
    [flat] = Runner(engine).run([Job(program, posed_for(engine), SeedTree(0))])
    record = tall.trace["accounting"]
    assert tall.cost.tokens_sampled == record["decoded"] < record["in_trajectories"]
    # what a fork recomputes is the last token of its prefix, once for all children
    assert tall.cost.tokens_computed <= tall.cost.tokens_sampled + 3
    assert flat.cost.tokens_sampled == sum(len(e.tokens) for e in flat.episodes)


# --- settings


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="width 4 cannot begin with 2 to 8 branches"):
        validated(TreePO, {"width": 4, "init_branch": "2,8"}, "the tree")
    with pytest.raises(ConfigError, match=r"4 segments of 8 tokens end every response after 32 of the 96 tokens"):
        TreePO(stepping=Stepping(tokens=8, max_steps=4)).fitted(limit=96, stop=(), step_end="\n")
    with pytest.raises(ConfigError, match="unknown early stop 'repetitoin'; did you mean 'repetition'"):
        validated(TreePO, {"stops": ["repetitoin"]}, "the tree")


def test_settings_survive_being_written_down():
    program = TreePO(init_branch=(2, 8), stops=[Repetition(times=3)], share=Share(policy="even"))
    assert TreePO.build(program.model_dump(mode="json")) == program
    assert validated(TreePO, {"stops": "answered", "init_branch": "3"}, "x").stops == [Answered()]
    assert validated(TreePO, {"init_branch": "3"}, "x").init_branch == (3, 3)


def test_sized_sets_the_width():
    assert TreePO(init_branch=(2, 8)).sized(5).init_branch == (2, 5)
    assert TreePO().sized(1).width == 1
    assert len(go(TreePO(sampling=Sampling(max_tokens=8)).sized(1), lambda request: "end").episodes) == 1
