from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import (
    Call,
    Called,
    Continuation,
    Logprob,
    Reply,
    Request,
    Sample,
    Sampled,
    Scored,
    StopReason,
    Value,
    Valued,
)
from pilothouse.core.results import Cost, Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.base import Engine, RemoteEngine
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program, Steps
from pilothouse.programs.group import Group

CODEC = ByteCodec()


def posed(name: str = "p") -> Posed:
    return Posed(name, CODEC.encode(name), name, SeedTree(0).numpy(), CODEC)


def program(steps: Callable[[Posed], Steps]) -> Program:
    class Made(Program):
        name = "made"

        def __call__(self, posed: Posed) -> Steps:
            return steps(posed)

    return Made()


def job(steps: Callable[[Posed], Steps], name: str = "p", seed: int = 0) -> Job:
    return Job(program(steps), posed(name), SeedTree(seed) / name)


def echo(request: Request) -> str:
    """Say which prefix and seed were asked for."""
    assert isinstance(request, Sample)
    return f"{CODEC.decode(request.prefix)}:{request.seed}"


class Shuffled(ScriptedEngine):
    """Answers one request a poll, drawn at random: the worst order a batch can finish in."""

    def __init__(self, script, order: SeedTree) -> None:
        super().__init__(script, batch=1)
        self.rng = order.numpy()

    def poll(self) -> list[tuple[int, Reply, Cost]]:
        self._queue.rotate(int(self.rng.integers(len(self._queue) or 1)))
        return super().poll()


def test_replies_come_in_the_order_of_their_requests():
    def steps(posed):
        replies = yield [Sample(CODEC.encode(letter)) for letter in "abc"]
        return Result("".join(reply.text for reply in replies))

    script = lambda request: CODEC.decode(request.prefix).upper()  # noqa: E731
    for seed in range(5):
        assert Runner(Shuffled(script, SeedTree(seed))).run([job(steps)])[0].answer == "ABC"


def test_results_come_in_the_order_of_the_jobs_and_stream_in_the_order_they_finish():
    def steps(posed):
        for _ in range(int(posed.id)):
            yield [Sample(posed.prompt)]
        return Result(posed.id)

    jobs = [job(steps, name) for name in "3120"]
    runner = Runner(ScriptedEngine(echo))
    assert [result.answer for result in runner.run(jobs)] == ["3", "1", "2", "0"]
    assert [(index, result.answer) for index, result in runner.stream(jobs)] == [
        (3, "0"),
        (1, "1"),
        (2, "2"),
        (0, "3"),
    ]


def test_no_program_waits_for_another():
    """A program whose one request is never served first does not hold up one with fifty rounds."""

    class Last(ScriptedEngine):
        def poll(self):
            self._queue = type(self._queue)(
                sorted(self._queue, key=lambda item: item[1].prefix == CODEC.encode("slow"))
            )
            return super().poll()

    def slow(posed):
        yield [Sample(posed.prompt)]
        return Result("slow")

    def quick(posed):
        for _ in range(50):
            yield [Sample(posed.prompt)]
        return Result("quick")

    engine = Last(echo, batch=1)
    order = [result.answer for _, result in Runner(engine).stream([job(slow, "slow"), job(quick, "quick")])]
    assert order == ["quick", "slow"]


def test_the_engine_sees_everything_that_waits_at_once():
    seen: list[int] = []

    class Counting(ScriptedEngine):
        def poll(self):
            seen.append(len(self._queue))
            return super().poll()

    def steps(posed):
        for _ in range(3):
            yield [Sample(posed.prompt), Sample(posed.prompt)]
        return Result("")

    Runner(Counting(echo)).run([job(steps, str(i)) for i in range(10)])
    assert seen == [20, 20, 20]


def test_max_active_bounds_what_is_under_way_and_draws_jobs_lazily():
    drawn: list[int] = []
    under_way: list[int] = []

    def steps(posed):
        under_way.append(1)
        yield [Sample(posed.prompt)]
        under_way.pop()
        return Result(posed.id)

    def jobs():
        for i in range(10**9):
            drawn.append(i)
            yield job(steps, str(i))

    stream = Runner(ScriptedEngine(echo, batch=1), max_active=3).stream(jobs())
    assert [next(stream)[1].answer for _ in range(5)] == ["0", "1", "2", "3", "4"]
    assert len(drawn) == 7  # 3 at first, and one more for each of the 4 results that were passed
    assert len(under_way) <= 3
    stream.close()


def test_closing_a_stream_closes_its_programs_and_leaves_the_runner_usable():
    closed: list[str] = []
    kept: list[Steps] = []  # so that nothing but the runner closes them

    def keep(posed):
        kept.append(steps(posed))
        return kept[-1]

    def steps(posed):
        try:
            yield [Sample(posed.prompt)] * (1 if posed.id == "a" else 2)
        finally:
            closed.append(posed.id)
        return Result(posed.id)

    runner = Runner(ScriptedEngine(echo, batch=1))
    stream = runner.stream([job(keep, "a"), job(keep, "b")])
    assert next(stream)[1].answer == "a"
    with pytest.raises(ConfigError, match="another stream"):
        runner.run([job(steps, "c")])
    stream.close()
    assert closed == ["a", "b"]
    assert runner.run([job(steps, "c")])[0].answer == "c"  # late replies to b are dropped


def test_seeds_come_from_the_job_and_the_request_not_from_scheduling():
    def steps(posed):
        first = yield [Sample(posed.prompt), Sample(posed.prompt, seed=7), Value(posed.prompt, policy="v")]
        second = yield [Sample(posed.prompt)]
        return Result(" ".join(reply.text for reply in (first[0], first[1], *second)))

    names = [str(i) for i in range(6)]

    def answers(order, **options):
        engine = Shuffled(echo, SeedTree(order))
        runner = Runner(engine, scorers={"v": lambda request: len(request.prefix)}, **options)
        return [result.answer for result in runner.run([job(steps, name, seed=3) for name in names])]

    expected = [
        f"{name}:{(SeedTree(3) / name / 'sample' / 0).integer()} {name}:7 "
        f"{name}:{(SeedTree(3) / name / 'sample' / 3).integer()}"
        for name in names
    ]
    assert answers(0) == answers(1) == answers(2, max_active=2) == expected


def test_costs_add_up_per_program():
    class Priced(ScriptedEngine):
        def poll(self):
            return [
                (ticket, reply, replace(cost, tokens_reused=5, seconds=99.0)) for ticket, reply, cost in super().poll()
            ]

    def steps(posed):
        yield [Sample(posed.prompt, n=2), Sample(posed.prompt)]
        yield [Call("add", {"a": 1, "b": 2})]
        return Result("", cost=Cost(tokens_sampled=10**6))  # the runner's count replaces whatever the program says

    [one, two] = Runner(Priced(["ab", "c", "def", "", "", "x"]), tools={"add": lambda a, b: str(a + b)}).run(
        [job(steps, "1"), job(steps, "2")]
    )
    assert replace(one.cost, seconds=0) == Cost(tokens_sampled=6, tokens_computed=6, tokens_reused=10, calls=3)
    assert replace(two.cost, seconds=0) == Cost(tokens_sampled=1, tokens_computed=1, tokens_reused=10, calls=3)
    assert 0 < one.cost.seconds < 90


def test_requests_go_to_the_engine_scorer_or_tool_they_name():
    def steps(posed):
        a, b, value, head, call = yield [
            Sample(posed.prompt, policy="big"),
            Logprob(posed.prompt, CODEC.encode("x"), policy="small"),
            Value(posed.prompt, policy="length"),
            Value(posed.prompt, policy="small"),
            Call("shout", {"text": "hey"}),
        ]
        assert isinstance(b, Scored)
        assert isinstance(value, Valued)
        return Result(f"{a.text} {b.logprobs} {value.value} {head.value} {call.output}")

    small = ScriptedEngine([Scored((-1.0,)), Valued(0.5)])
    runner = Runner(
        {"big": ScriptedEngine(["B"]), "small": small},
        scorers={"length": lambda request: len(request.prefix)},
        tools={"shout": lambda text: text.upper()},
    )
    assert runner.run([job(steps, "abc")])[0].answer == "B (-1.0,) 3.0 0.5 HEY"


def test_one_engine_may_serve_two_names():
    def steps(posed):
        a, b = yield [Sample(posed.prompt, policy="a"), Sample(posed.prompt, policy="b")]
        return Result(a.text + b.text)

    engine = ScriptedEngine(["1", "2"])
    assert Runner({"a": engine, "b": engine}).run([job(steps)])[0].answer == "12"


@pytest.mark.parametrize("threads", [0, 2])
def test_a_tool_that_fails_is_a_reply(threads):
    def fail(text):
        raise ValueError(f"cannot read {text}")

    def steps(posed):
        replies = yield [
            Call("fail", {"text": "it"}),
            Call("fail", {"wrong": 1}),
            Call("number", {}),
            Call("fine", {}),
        ]
        assert all(isinstance(reply, Called) for reply in replies)
        return Result("|".join(f"{reply.ok} {reply.output}" for reply in replies))

    runner = Runner(
        ScriptedEngine([]), tools={"fail": fail, "number": lambda: 3, "fine": lambda: "ok"}, tool_threads=threads
    )
    first, second, third, fourth = runner.run([job(steps)])[0].answer.split("|")
    assert first == "False ValueError: cannot read it"
    assert second.startswith("False TypeError")
    assert third == "False tool 'number' returned int; it must return text"
    assert fourth == "True ok"


def test_a_slow_tool_in_a_thread_keeps_nobody_waiting():
    """The tool returns only after the other program is done: it would wait for ever if that one waited for it."""
    done = threading.Event()

    def wait() -> str:
        assert done.wait(timeout=60)
        return "waited"

    def caller(posed):
        (reply,) = yield [Call("wait")]
        return Result(reply.output)

    def sampler(posed):
        for _ in range(3):
            yield [Sample(posed.prompt)]
        done.set()
        return Result("sampled")

    runner = Runner(ScriptedEngine(echo), tools={"wait": wait}, tool_threads=1)
    assert [result.answer for _, result in runner.stream([job(caller), job(sampler)])] == ["sampled", "waited"]


def test_a_remote_engine_keeps_nobody_waiting():
    """The remote engine answers only after the local program is done."""
    done = threading.Event()

    class Remote(ScriptedEngine):
        def finished(self):
            return super().poll() if done.is_set() else []

        def poll(self):
            assert done.wait(timeout=60)
            return super().poll()

    def far(posed):
        (reply,) = yield [Sample(posed.prompt, policy="remote")]
        return Result(reply.text)

    def near(posed):
        for _ in range(3):
            yield [Sample(posed.prompt)]
        done.set()
        return Result("near")

    remote = Remote(["far"])
    assert isinstance(remote, RemoteEngine)
    runner = Runner({"policy": ScriptedEngine(echo), "remote": remote})
    assert [result.answer for _, result in runner.stream([job(far), job(near)])] == ["near", "far"]


class Refusing(ScriptedEngine):
    def submit(self, ticket, request):
        if len(request.prefix) > 3:
            raise EngineError("the prompt has 4 tokens, the context 3; shorten it")
        super().submit(ticket, request)


def test_a_refused_sample_is_an_error_continuation():
    results = Runner(Refusing(["fine", "fine"])).run(
        [Job(Group(n=2), posed("long"), SeedTree(0)), Job(Group(n=2), posed("ok"), SeedTree(0))]
    )
    refused = results[0].episodes
    assert [episode.stop_reason for episode in refused] == [StopReason.ERROR] * 2
    assert [episode.tokens for episode in refused] == [(), ()]
    assert results[0].cost.tokens_computed == 0
    assert results[1].answer == "fine"


def test_a_refused_sample_says_why():
    def steps(posed):
        (reply,) = yield [Sample(posed.prompt)]
        return Result(reply.only.detail)

    answer = Runner(Refusing([])).run([job(steps, "long")])[0].answer
    assert answer == "the prompt has 4 tokens, the context 3; shorten it"


def test_a_refused_logprob_is_raised_inside_the_program():
    def catches(posed):
        try:
            yield [Logprob(posed.prompt, (1,)), Sample((1,))]
        except EngineError as error:
            (reply,) = yield [Sample((2,))]
            return Result(f"{reply.text} after {error}")
        return Result("not refused")

    def passes_on(posed):
        yield [Logprob(posed.prompt, (1,))]
        return Result("not refused")

    assert Runner(Refusing(["a", "b"])).run([job(catches, "long")])[0].answer.startswith("b after the prompt has 4")
    with pytest.raises(EngineError, match="context 3") as caught:
        Runner(Refusing([])).run([job(passes_on, "long")])
    assert caught.value.__notes__ == ["in program 'made' on problem 'long'"]


def test_an_engine_that_breaks_down_ends_the_run():
    class Broken(ScriptedEngine):
        def poll(self):
            raise EngineError("the server refuses the key; set OPENAI_API_KEY")

    with pytest.raises(EngineError, match="OPENAI_API_KEY"):
        Runner(Broken([])).run([Job(Group(n=2), posed(), SeedTree(0))])


def test_an_engine_that_loses_requests_is_named():
    class Lossy(ScriptedEngine):
        def poll(self):
            return []

    with pytest.raises(EngineError, match="Lossy answered nothing though 1 request"):
        Runner(Lossy([])).run([Job(Group(n=2), posed(), SeedTree(0))])


def yields(item):
    def steps(posed):
        yield item
        return Result("")

    return steps


def returns_nothing(posed):
    yield [Sample(posed.prompt)]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (yields(Sample((1,))), "yielded a Sample; yield a list of requests"),
        (yields(None), "yielded nothing; yield a list of requests"),
        (yields([1]), "yielded a list with a int; yield a list of requests"),
        (returns_nothing, "returned nothing; end it with 'return Result"),
        (lambda posed: Result(""), "is not a generator; its __call__ must yield"),
        (yields([Sample((1,), policy="big")]), "asks for engine 'big'; the runner was given 'policy'"),
        (yields([Logprob((1,), (2,), policy="big")]), "asks for engine 'big'; the runner was given 'policy'"),
        (yields([Value((1,))]), "asks for scorer or engine 'value'; the runner was given 'policy', 'worth'"),
        (yields([Call("sum")]), "asks for tool 'sum'; the runner was given none"),
    ],
)
def test_a_wrong_program_is_named(steps, message):
    with pytest.raises(ConfigError) as caught:
        Runner(ScriptedEngine(["x"]), scorers={"worth": lambda request: len(request.prefix)}).run(
            [job(steps, "problem-7")]
        )
    assert message in str(caught.value)
    assert "program 'made' on problem 'problem-7'" in str(caught.value)


def test_what_a_program_or_scorer_raises_passes_through_with_its_name():
    def steps(posed):
        yield [Value(posed.prompt, policy="worth")]
        raise KeyError("oops")

    with pytest.raises(KeyError) as caught:
        Runner(ScriptedEngine([]), scorers={"worth": lambda request: len(request.prefix)}).run([job(steps)])
    assert caught.value.__notes__ == ["in program 'made' on problem 'p'"]
    with pytest.raises(TypeError) as caught:
        Runner(ScriptedEngine([]), scorers={"worth": lambda: 0}).run([job(steps)])
    assert caught.value.__notes__ == ["in scorer 'worth'"]


def test_an_empty_list_is_answered_at_once():
    def steps(posed):
        first = yield []
        second = yield []
        return Result(f"{first} {second}")

    assert Runner(ScriptedEngine([])).run([job(steps)])[0].answer == "[] []"
    assert Runner(ScriptedEngine([])).run([]) == []


def test_thousands_of_programs():
    results = Runner(ScriptedEngine(lambda request: "ab", batch=256)).run(
        Job(Group(n=4), posed(str(i)), SeedTree(0) / i) for i in range(3000)
    )
    assert [len(result.episodes) for result in results] == [4] * 3000
    assert sum((result.cost for result in results), Cost()).tokens_sampled == 3000 * 4 * 2


# A random program is a list of rounds; a round is a list of request kinds.
rounds = st.lists(
    st.lists(st.sampled_from(["sample", "pair", "other", "value", "call", "logprob"]), max_size=4), max_size=4
)


def tree(plan):
    def steps(posed):
        said = []
        for number, kinds in enumerate(plan):
            make = {
                "sample": lambda where: Sample(where),
                "pair": lambda where: Sample(where, n=2),
                "other": lambda where: Sample(where, policy="other"),
                "value": lambda where: Value(where),
                "call": lambda where: Call("tell", {"text": CODEC.decode(where)}),
                "logprob": lambda where: Logprob(where, (1, 2)),
            }
            places = [CODEC.encode(f"{posed.id}/{number}/{i}") for i in range(len(kinds))]
            replies = yield [make[kind](where) for kind, where in zip(kinds, places, strict=True)]
            said.append([str(reply) for reply in replies])
        return Result(str(said))

    return steps


def respond(request: Request):
    if isinstance(request, Logprob):
        return Scored((-1.0,) * len(request.continuation))
    return echo(request)


def alone_or_together(jobs: list[Job], order: int, max_active: int = 0, threads: int = 0) -> list[Result]:
    runner = Runner(
        {"policy": Shuffled(respond, SeedTree(order)), "other": Shuffled(respond, SeedTree(order) / "other")},
        tools={"tell": lambda text: text[::-1]},
        scorers={"value": lambda request: sum(request.prefix)},
        max_active=max_active,
        tool_threads=threads,
    )
    return runner.run(jobs)


@settings(max_examples=40, deadline=None)
@given(st.lists(rounds, min_size=1, max_size=6), st.integers(0, 99), st.integers(0, 3), st.integers(0, 1))
def test_a_program_is_told_the_same_in_any_company(plans, order, max_active, threads):
    jobs = [job(tree(plan), str(i)) for i, plan in enumerate(plans)]
    together = alone_or_together(jobs, order, max_active, threads)
    for one, result, plan in zip(jobs, together, plans, strict=True):
        [alone] = alone_or_together([one], order + 1)
        assert result.answer == alone.answer
        assert replace(result.cost, seconds=0) == replace(alone.cost, seconds=0)
        assert result.cost.calls == sum(map(len, plan))


def test_scripted_engine_gives_lines_in_order_and_remembers_what_was_asked():
    engine = ScriptedEngine(["a", Continuation((9,), "b", (), StopReason.LENGTH), Scored((-2.0,))])
    assert isinstance(engine, Engine)
    engine.submit(1, Sample((1,), n=2))
    engine.submit(2, Logprob((1,), (2,)))
    (ticket, reply, cost), second = engine.poll()
    assert ticket == 1
    assert reply == Sampled(
        (Continuation((97,), "a", (0.0,), StopReason.EOS), Continuation((9,), "b", (), StopReason.LENGTH))
    )
    assert cost.tokens_sampled == 2
    assert second == (2, Scored((-2.0,)), Cost())
    assert engine.poll() == []
    assert [type(request) for request in engine.requests] == [Sample, Logprob]
    engine.submit(3, Sample((1,)))
    with pytest.raises(EngineError, match="no line left"):
        engine.poll()


@given(st.text())
def test_byte_codec_round_trip(text):
    codec = ByteCodec()
    assert codec.decode(codec.encode(text)) == text
    assert all(0 <= token < 256 for token in codec.encode(text))


def test_byte_codec_on_what_is_not_utf8():
    assert ByteCodec().encode("é") == (0xC3, 0xA9)
    assert ByteCodec().decode((0x61, 0xC3)) == "a\ufffd"
    assert ByteCodec().encode("a\ud800") == (0x61, 0x3F)
    with pytest.raises(EngineError, match="not bytes"):
        ByteCodec().decode((256,))
