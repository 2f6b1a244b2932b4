from __future__ import annotations

import pytest

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Sample, Value
from pilothouse.core.results import Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.base import CancellingEngine, RemoteEngine, SteppedEngine
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.openai import OpenAIEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.engines.transcripts import pack, unpack
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.group import Group

CODEC = ByteCodec()


def posed(name: str = "p", codec=CODEC) -> Posed:
    return Posed(name, codec.encode(name), name, SeedTree(0).numpy(), codec)


def job(steps, name: str = "p", settled: str = "end") -> Job:
    class Made(Program):
        name = "made"

        def settles(self):
            return settled

        def __call__(self, posed):
            return steps(posed)

    return Job(Made(), posed(name), SeedTree(0) / name)


def rounds(count: int):
    def steps(posed):
        for _ in range(count):
            yield [Sample(posed.prompt)]
        return Result(posed.id)

    return steps


def drain(session) -> dict:
    found = {}
    while len(session):
        found |= dict(session.step())
    return found


def test_jobs_arrive_while_others_run():
    with Runner(ScriptedEngine(lambda request: "x", batch=1)).session() as session:
        assert session.submit("long", job(rounds(4))) is None
        assert list(session.poll()) == []
        assert session.submit("short", job(rounds(1))) is None
        ended = []
        while len(session):
            ended += [key for key, _ in session.poll()]
    assert ended == ["short", "long"]


def test_a_job_that_asks_for_nothing_is_over_at_once():
    def nothing(posed):
        return Result("done")
        yield

    with Runner(ScriptedEngine([])).session() as session:
        outcome = session.submit("a", job(nothing))
        assert isinstance(outcome, Result)
        assert outcome.answer == "done"
        assert len(session) == 0


def test_what_a_program_raises_is_its_own_outcome():
    def fails(posed):
        yield [Sample(posed.prompt)]
        raise KeyError("oops")

    def asks_nobody(posed):
        yield [Value(posed.prompt)]

    with Runner(ScriptedEngine(lambda request: "x")).session() as session:
        for key, steps in {"fails": fails, "nobody": asks_nobody, "fine": rounds(2)}.items():
            outcome = session.submit(key, job(steps))
            assert (key == "nobody") is isinstance(outcome, ConfigError)
        found = drain(session)
    assert isinstance(found["fails"], KeyError)
    assert found["fine"].answer == "p"


def test_a_job_given_up_is_closed_and_its_late_reply_is_dropped():
    closed = []

    def steps(posed):
        try:
            yield [Sample(posed.prompt)]
        finally:
            closed.append(posed.id)

    with Runner(ScriptedEngine(lambda request: "x")).session() as session:
        session.submit("a", job(steps, "a"))
        session.submit("b", job(rounds(1), "b"))
        session.cancel("a")
        session.cancel("a")
        session.cancel("unknown")
        assert closed == ["a"]
        assert drain(session).keys() == {"b"}


def test_why_a_sample_failed_is_kept():
    class Refusing(ScriptedEngine):
        def submit(self, ticket, request):
            raise EngineError("too long")

    with Runner(Refusing([])).session() as session:
        outcome = session.submit("a", Job(Group(n=2), posed(), SeedTree(0)))
        assert isinstance(outcome, Result)
        assert session.faults == {"a": "too long"}


def test_what_a_beam_goes_on_from_is_final():
    """Two candidates a step; what the prefixes of the next requests share is told, once."""

    def steps(posed):
        for taken in (b"", b"ab", b"abcd"):
            yield [Sample(posed.prompt + tuple(taken) + (1,)), Sample(posed.prompt + tuple(taken) + (2,))]
        return Result("abcdef")

    told = []
    with Runner(ScriptedEngine(lambda request: "x")).session() as session:
        session.submit("a", job(steps, settled="step"), watch=True)
        session.submit("unwatched", job(steps, settled="step"))
        while len(session):
            session.step()
            told += session.pieces()
    assert [(piece.key, piece.index, bytes(piece.tokens)) for piece in told] == [("a", 0, b"ab"), ("a", 0, b"cd")]


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(tiny_policy("0123456789+=", 0, "nano"))


def test_which_engine_can_what(engine):
    assert isinstance(engine, SteppedEngine)
    assert isinstance(engine, CancellingEngine)
    assert not isinstance(engine, RemoteEngine)
    with OpenAIEngine("http://127.0.0.1:9/v1", "nobody") as remote:
        assert all(isinstance(remote, kind) for kind in (RemoteEngine, SteppedEngine, CancellingEngine))


def plain(engine, text: str, n: int = 1, seed: int = 0, length: int = 20) -> Job:
    return Job(Group(n=n, sampling=Sampling(max_tokens=length)), posed(text, engine.codec), SeedTree(seed))


@pytest.mark.parametrize("n", [1, 3])
def test_tokens_are_told_as_they_are_drawn(engine, n):
    """They come one by one, in order, with their log-probabilities, and are those of the answer."""
    told: dict[int, list] = {}
    looks = 0
    with Runner(engine).session() as session:
        session.submit("a", plain(engine, "1+1=", n), watch=True)
        session.submit("b", plain(engine, "2+2="))
        found = {}
        while "a" not in found:
            found |= dict(session.step())
            pieces = session.pieces()
            assert {piece.key for piece in pieces} <= {"a"}
            looks += bool(pieces)
            for piece in pieces:
                told.setdefault(piece.index, []).extend(zip(piece.tokens, piece.logprobs, strict=True))
    assert looks > 10
    for index, episode in enumerate(found["a"].episodes):
        whole = list(zip(episode.tokens, episode.logprobs, strict=True))
        assert told[index] == whole[: len(told[index])]
        assert len(whole) - len(told[index]) <= 1  # what ends a continuation comes with its answer


def test_who_reads_an_answer_does_not_wait_for_a_long_prompt(engine):
    """Tokens that come between a prompt's arrival and its first: one a chunk, at most one if it is computed whole."""
    came, answers = {}, {}
    for chunk in (0, 8):
        fresh = LocalEngine(engine.policy, prefill_chunk=chunk)
        with Runner(fresh).session() as session:
            session.submit("a", plain(engine, "1+1=", length=40), watch=True)
            while not session.pieces():
                session.step()
            session.submit("long", plain(engine, "12+34=" * 10, seed=1), watch=True)
            keys, found = [], {}
            while len(session):
                found |= dict(session.step())
                keys += [piece.key for piece in session.pieces()]
        came[chunk] = keys.index("long")
        answers[chunk] = {key: [episode.tokens for episode in result.episodes] for key, result in found.items()}
    assert came[0] <= 1
    assert came[8] >= 7
    assert answers[0] == answers[8]


def test_watching_changes_nothing(engine):
    with Runner(engine).session() as session:
        session.submit("a", plain(engine, "1+1="), watch=True)
        watched = drain(session)["a"]
    [alone] = Runner(engine).run([plain(engine, "1+1=")])
    assert watched.answer == alone.answer
    assert watched.episodes[0].tokens == alone.episodes[0].tokens


def test_rows_given_up_leave_the_batch_and_the_others_never_notice(engine):
    def drawn(result):  # the last bits of a log-probability depend on the batch's shape
        return [episode.tokens for episode in result.episodes]

    expected = [drawn(Runner(engine).run([plain(engine, "1+1=", 2, seed)])[0]) for seed in range(4)]
    with Runner(engine).session() as session:
        for seed in range(4):
            session.submit(seed, plain(engine, "1+1=", 2, seed))
        for _ in range(5):
            session.step()
        before = engine.rows
        session.cancel(0)
        session.cancel(2)
        left = engine.rows
        assert 0 < left <= 4 < before <= 8  # one may have ended by itself
        session.submit(0, plain(engine, "1+1=", 2, 0))
        assert engine.rows == left + 2
        session.cancel(0)  # still waiting to be admitted
        assert engine.rows == left
        found = drain(session)
    assert found.keys() == {1, 3}
    assert [drawn(found[seed]) for seed in (1, 3)] == [expected[1], expected[3]]
    assert engine.rows == 0


def test_closing_a_session_empties_the_engine(engine):
    session = Runner(engine).session()
    session.submit("a", plain(engine, "1+1=", 3))
    session.step()
    session.close()
    assert engine.rows == 0
    assert engine.poll() == []


def test_a_transcript_comes_back_whole():
    messages = [{"role": "system", "content": "be\x03 \x02 é"}, {"role": "user", "content": 'say "hi"\n'}]
    assert unpack(pack(messages)) == messages
    assert unpack(pack(messages) + "so") == [*messages, {"role": "assistant", "content": "so"}]
    for text in ("", "plain", "\x02", "\x02nonsense\x03", "\x02{}\x03"):
        assert unpack(text) is None
