from __future__ import annotations

import itertools
import json
import math
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Call, Continuation, Logprob, Sample, Sampled, Scored, StopReason, Value
from pilothouse.core.results import Cost
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.base import RemoteEngine
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.openai import OpenAIEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.transport import EXCERPT
from pilothouse.programs.group import Group

CODEC = ByteCodec()
HI = CODEC.encode("hi")
KEY = "sk-secret-0123456789"


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)


def choice(text="ok", finish="stop", **more):
    return {"text": text, "finish_reason": finish, **more}


def completion(*choices, **more):
    return {"choices": list(choices or [choice()]), **more}


@contextmanager
def server(script: Callable[[Asked], Any]) -> Iterator[tuple[str, list[Asked]]]:
    """Serve what the script returns: a JSON value, bytes, (status, headers, JSON value or bytes); None hangs up."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("content-length") or 0)
            one = Asked(self.path, dict(self.headers), json.loads(self.rfile.read(length) or b"{}"))
            asked.append(one)
            answer = script(one)
            if answer is None:
                return
            status, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                pass

        do_GET = do_POST

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    http = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1", asked
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def engine(url: str, **options: Any) -> OpenAIEngine:
    return OpenAIEngine(url, "m", **{"api_key": KEY, "backoff_s": 0.01, "timeout_s": 30.0, **options})


def ask(url: str, request=None, **options: Any) -> tuple[Any, Cost]:
    """Return the reply to one request and its cost."""
    with engine(url, **options) as it:
        it.submit(7, request or Sample(HI, seed=1))
        [(ticket, reply, cost)] = it.poll()
        assert ticket == 7
        assert it.poll() == []
        return reply, cost


def in_turn(*answers):
    """Return a script that gives the answers in turn and repeats the last."""
    rest = list(answers)
    return lambda _: rest.pop(0) if len(rest) > 1 else rest[0]


def test_a_completion_and_what_is_asked():
    with server(lambda _: completion(choice("four"))) as (url, asked):
        request = Sample(
            HI, max_tokens=5, temperature=0.7, top_p=0.9, top_k=3, stop=("\n",), stop_tokens=(2,), seed=2**62
        )
        reply, cost = ask(url, request, extra={"user": "u"}, keeps_stop=True)
        ask(url, Sample(HI))
    assert reply == Sampled((Continuation(CODEC.encode("four"), "four", (), StopReason.EOS),))
    assert cost == Cost(tokens_sampled=4, tokens_computed=6)  # no usage: counted in the codec's bytes
    seed = asked[0].body.pop("seed")
    assert 0 <= seed < 2**31
    assert asked[0].body == {
        "model": "m",
        "prompt": "hi",
        "max_tokens": 5,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 3,
        "stop": ["\n"],
        "stop_token_ids": [2],
        "user": "u",
    }
    assert asked[0].path == "/v1/completions"
    assert asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert asked[1].body == {"model": "m", "prompt": "hi", "max_tokens": 512, "temperature": 1.0, "logprobs": 1}


def test_chat_sends_one_user_message_and_reads_its_logprobs():
    message = {
        "message": {"role": "assistant", "content": "ok"},
        "finish_reason": "length",
        "logprobs": {"content": [{"token": "o", "logprob": -1.0}, {"token": "k", "logprob": -2.0}]},
    }
    with server(lambda _: completion(message)) as (url, asked):
        reply, _ = ask(url, chat=True)
    assert reply.only == Continuation(CODEC.encode("ok"), "ok", (-1.0, -2.0), StopReason.LENGTH)
    assert asked[0].path == "/v1/chat/completions"
    assert asked[0].body["messages"] == [{"role": "user", "content": "hi"}]
    assert asked[0].body["logprobs"] is True
    assert "prompt" not in asked[0].body


@pytest.mark.parametrize(
    ("temperature", "values", "expected"),
    [
        (1.0, [-1.0, -2.0], (-1.0, -2.0)),
        (0.0, [-1.0, -2.0], (-1.0, -2.0)),
        (0.5, [-1.0, -2.0], ()),  # servers give those of temperature 1
        (1.0, [-1.0], ()),  # the server's tokens are not the codec's
        (1.0, [-1.0, None], ()),
        (1.0, [], ()),
    ],
)
def test_logprobs_are_given_only_where_they_are_known(temperature, values, expected):
    with server(lambda _: completion(choice(logprobs={"token_logprobs": values}))) as (url, _):
        reply, _ = ask(url, Sample(HI, temperature=temperature))
    assert reply.logprobs == expected


def test_token_ids_go_and_come_unchanged():
    answer = choice(token_ids=[5, 6, 2], logprobs={"token_logprobs": [-1.0, -2.0, -3.0]})
    with server(lambda _: completion(answer)) as (url, asked):
        reply, _ = ask(url, Sample((300, 4)), token_ids=True)
    assert asked[0].body["prompt"] == [300, 4]
    assert asked[0].body["return_token_ids"] is True
    assert (reply.tokens, reply.logprobs) == ((5, 6, 2), (-1.0, -2.0, -3.0))


@pytest.mark.parametrize(
    ("answer", "stop", "keeps", "reason", "text"),
    [
        (choice("a"), (), False, StopReason.EOS, "a"),
        (choice("a\n"), ("\n",), False, StopReason.STOP, "a\n"),
        (choice("a", stop_reason="\n"), (";", "\n"), False, StopReason.STOP, "a\n"),
        (choice("a", stop_reason=None), ("\n",), False, StopReason.EOS, "a"),
        (choice("a", stop_reason=9), ("\n",), False, StopReason.STOP, "a"),
        (choice("a"), ("\n",), False, StopReason.STOP, "a\n"),
        (choice("a"), (";", "\n"), False, StopReason.STOP, "a"),
        (choice("a"), ("\n",), True, StopReason.EOS, "a"),
        (choice("a", "length"), ("\n",), False, StopReason.LENGTH, "a"),
        (choice("a", "content_filter"), (), False, StopReason.ERROR, "a"),
        (choice("a", None), (), False, StopReason.ERROR, "a"),
    ],
)
def test_why_a_continuation_ended(answer, stop, keeps, reason, text):
    with server(lambda _: completion(answer)) as (url, _):
        reply, _ = ask(url, Sample(HI, stop=stop), keeps_stop=keeps)
    assert (reply.stop_reason, reply.text, reply.tokens) == (reason, text, CODEC.encode(text))
    assert bool(reply.only.detail) is (reason is StopReason.ERROR)


def test_usage_is_the_cost():
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    with server(lambda _: completion(usage=usage)) as (url, _):
        _, cost = ask(url)
    assert cost == Cost(tokens_sampled=3, tokens_computed=5, tokens_reused=8)


def test_n_is_asked_at_once_where_the_server_honours_it():
    def script(asked):
        return completion(*(choice(str(i), index=i) for i in reversed(range(asked.body.get("n", 1)))))

    with server(script) as (url, asked):
        reply, _ = ask(url, Sample(HI, n=3, seed=5))
    assert [one.text for one in reply.continuations] == ["0", "1", "2"]
    assert len(asked) == 1


def test_n_is_repeated_with_own_seeds_where_the_server_ignores_it():
    with server(lambda asked: completion(choice(str(asked.body["seed"])))) as (url, asked), engine(url) as it:
        seen = []
        for _ in range(2):
            it.submit(0, Sample(HI, n=4, seed=5))
            [(_, reply, cost)] = it.poll()
            seen.append([one.text for one in reply.continuations])
            assert cost.tokens_computed == sum(2 + len(text) for text in seen[-1])
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 4
    assert [one.body.get("n") for one in asked] == [4, *[None] * 7]  # it was found out in the first request


def test_more_choices_than_asked_are_dropped():
    with server(lambda _: completion(choice("a"), choice("b"))) as (url, _):
        assert ask(url)[0].text == "a"


BUSY = (429, {}, {"error": "busy"})


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_trouble_that_passes_is_tried_again(status):
    with server(in_turn((status, {}, b"wait"), (status, {}, b"wait"), completion())) as (url, asked):
        reply, _ = ask(url)
    assert reply.only.stop_reason is StopReason.EOS
    assert len(asked) == 3


def test_a_connection_that_breaks_is_tried_again():
    with server(in_turn(None, completion())) as (url, asked):
        assert ask(url)[0].text == "ok"
    assert len(asked) == 2


def test_pauses_double_and_their_jitter_is_seeded():
    def pauses(seed):
        with server(lambda _: BUSY) as (url, asked):
            reply, _ = ask(url, retries=3, backoff_s=0.05, seed=seed)
        assert reply.only.stop_reason is StopReason.ERROR
        assert "HTTP 429" in reply.only.detail
        assert "(attempts: 4)" in reply.only.detail
        return [after.at - before.at for before, after in itertools.pairwise(asked)]

    jitter = (SeedTree(3) / "backoff").numpy().uniform(0.5, 1.5, 3)
    for k, pause in enumerate(pauses(3)):
        assert pause >= 0.05 * 2**k * jitter[k]


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_honoured(date):
    def script(_):
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=1.5), usegmt=True) if date else "0.3"
        return (429, {"retry-after": value}, b"") if len(asked) == 1 else completion()

    with server(script) as (url, asked):
        assert ask(url)[0].text == "ok"
    assert asked[1].at - asked[0].at >= 0.3


def test_a_pause_beyond_the_deadline_is_not_waited_for():
    with server(lambda _: (503, {"retry-after": "1000"}, b"")) as (url, asked):
        reply, _ = ask(url, deadline_s=20.0)
    assert reply.only.stop_reason is StopReason.ERROR
    assert len(asked) == 1


@pytest.mark.parametrize(("options", "attempts"), [({"timeout_s": 0.05, "retries": 2}, 3), ({"deadline_s": 0.2}, 1)])
def test_a_slow_server_is_given_up(options, attempts):
    release = threading.Event()
    with server(lambda _: release.wait(30) and completion()) as (url, asked):
        reply, cost = ask(url, **options)
        release.set()
    assert reply.only.stop_reason is StopReason.ERROR
    assert "is too slow" in reply.only.detail
    assert len(asked) == attempts
    assert cost == Cost()


def test_a_server_that_is_down():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        reply, _ = ask(url, Sample(HI, n=2), retries=1)
        assert [one.stop_reason for one in reply.continuations] == [StopReason.ERROR] * 2
        assert f"the server at {url}/v1 cannot be reached" in reply.continuations[0].detail
        assert "start it or correct base_url" in reply.continuations[0].detail
        with engine(url, retries=0) as it, pytest.raises(EngineError, match="cannot be reached"):
            it.check(HI)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<html>hello</html>", "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"\xff\xfe\x00", "Invalid JSON"),
        ([], "Input should be an object"),
        ({}, "choices: Field required"),
        ({"choices": []}, "the list is empty"),
        ({"choices": "x"}, "choices: Input should be a valid array"),
        ({"choices": [{"finish_reason": "stop"}]}, "neither text nor message"),
        ({"choices": [{"text": 5, "finish_reason": "stop"}]}, "choices.0.text"),
        ({"choices": [{"message": {"content": [1]}}]}, "choices.0.message.content"),
        (completion(choice(logprobs={"token_logprobs": ["x"]})), "token_logprobs"),
        (completion(usage={"prompt_tokens": -4}), "usage.prompt_tokens"),
        ((200, {"content-encoding": "gzip"}, b"not gzip"), "rubbish"),
    ],
)
def test_rubbish_is_an_error_continuation(body, what):
    with server(lambda _: body) as (url, asked):
        reply, _ = ask(url)
    assert reply.only.stop_reason is StopReason.ERROR
    assert "answers rubbish" in reply.only.detail
    assert what in reply.only.detail
    assert "\n" not in reply.only.detail
    assert len(asked) == 1


def test_a_huge_body_is_not_read():
    with server(lambda _: completion(choice("x" * 200_000))) as (url, _):
        reply, _ = ask(url, max_body=100_000)
        assert "more than 100000 bytes" in reply.only.detail
        assert ask(url)[0].stop_reason is StopReason.EOS


def test_a_refused_request_leaves_the_others_alone():
    def script(asked):
        return (400, {}, {"error": "too long"}) if len(asked.body["prompt"]) > 3 else completion()

    with server(script) as (url, _), engine(url) as it:
        posed = [Posed(text, CODEC.encode(text), text, SeedTree(0).numpy(), CODEC) for text in ("hi", "hello", "ho")]
        results = Runner(it).run(Job(Group(n=2), one, SeedTree(0) / one.id) for one in posed)
    reasons = [[episode.stop_reason for episode in result.episodes] for result in results]
    assert reasons == [[StopReason.EOS] * 2, [StopReason.ERROR] * 2, [StopReason.EOS] * 2]


@pytest.mark.parametrize(
    ("status", "fix"),
    [(401, "set OPENAI_API_KEY"), (403, "api_key"), (404, "check base_url"), (405, "base_url"), (307, "base_url")],
)
def test_a_refusal_of_everything_ends_the_run_and_hides_the_key(status, fix):
    with server(lambda asked: (status, {}, f"bad key {asked.headers['Authorization']}".encode())) as (url, asked):
        with engine(url) as it:
            it.submit(0, Sample(HI))
            for _ in range(2):
                with pytest.raises(EngineError, match=fix) as caught:
                    it.poll()
                assert KEY not in str(caught.value)
                assert "Bearer ***" in str(caught.value)
            assert KEY not in repr(it)
        assert len(asked) == 1
        with engine(url) as it, pytest.raises(EngineError, match=fix):
            it.check(HI)


def test_the_key_is_hidden_in_every_detail(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    for status in (400, 500):
        with server(lambda asked, status=status: (status, {}, asked.headers["Authorization"].encode())) as (url, asked):
            reply, _ = ask(url, api_key=None, retries=0)
        assert asked[0].headers["Authorization"] == f"Bearer {KEY}"
        assert "***" in reply.only.detail
        assert KEY not in reply.only.detail
    with server(lambda _: (400, {}, b"x" * (EXCERPT - 10) + KEY.encode())) as (url, _):
        assert "sk-" not in ask(url)[0].only.detail  # not even the part before the message is cut
    with pytest.raises(ConfigError) as caught:
        engine("http://localhost", api_key="sk-\u00e9\nabc")
    assert "abc" not in str(caught.value)
    with engine("http://user:password@localhost:1/v1?token=t", retries=0) as it:
        it.submit(0, Sample(HI))
        [(_, reply, _)] = it.poll()
    assert "http://localhost:1/v1 cannot" in reply.only.detail


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://x", "http://", ""])
def test_an_address_that_is_none(address):
    with pytest.raises(ConfigError, match="http://host:port/v1"):
        engine(address)


def test_httpx_missing(monkeypatch):
    monkeypatch.delitem(sys.modules, "pilothouse.engines.transport")
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigError, match=r"pip install 'pilothouse\[remote\]'"):
        engine("http://localhost")


def test_concurrency_is_bounded_and_used():
    release, lock, now, most = threading.Event(), threading.Lock(), [0], [0]

    def script(_):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        assert release.wait(30)
        with lock:
            now[0] -= 1
        return completion()

    with server(script) as (url, asked), engine(url, max_concurrency=3) as it:
        for ticket in range(9):
            it.submit(ticket, Sample(HI))
        while len(asked) < 3:
            time.sleep(0.01)
        time.sleep(0.2)  # a fourth would be here by now
        assert now == [3]
        release.set()
        answers = []
        while len(answers) < 9:
            answers += it.poll()
    assert sorted(ticket for ticket, _, _ in answers) == list(range(9))
    assert most == [3]
    assert len(asked) == 9


def test_submit_returns_at_once_and_replies_come_as_they_finish():
    release = threading.Event()

    def script(asked):
        if asked.body["prompt"] == "slow":
            release.wait(30)
        return completion()

    with server(script) as (url, _), engine(url) as it:
        assert isinstance(it, RemoteEngine)
        it.submit(1, Sample(CODEC.encode("slow")))
        it.submit(2, Sample(HI))
        assert [ticket for ticket, _, _ in it.poll()] == [2]
        assert it.finished() == []
        release.set()
        assert [ticket for ticket, _, _ in it.poll()] == [1]
        assert it.poll() == []


def test_close_gives_up_what_is_under_way_and_leaves_no_thread():
    release = threading.Event()
    with server(lambda _: release.wait(30) and completion()) as (url, _):
        before = set(threading.enumerate())
        it = engine(url, max_concurrency=2)
        for ticket in range(5):
            it.submit(ticket, Sample(HI))
        [thread] = [thread for thread in set(threading.enumerate()) - before if thread.name == "engine m"]
        it.close()
        it.close()
        assert not thread.is_alive()
        assert it.poll() == []
        with pytest.raises(EngineError, match="closed"):
            it.submit(9, Sample(HI))
        release.set()


def echoed(*values, **more):
    return completion(choice("", "length", logprobs={"token_logprobs": list(values)}), **more)


def test_logprob_by_echo():
    with server(lambda _: echoed(None, -1.0, -2.0, -3.0, -7.0, usage={"prompt_tokens": 4})) as (url, asked):
        reply, cost = ask(url, Logprob(HI, CODEC.encode("ya")))
        whole, _ = ask(url, Logprob((), CODEC.encode("hiya")))
    assert reply == Scored((-2.0, -3.0))
    assert math.isnan(whole.logprobs[0])
    assert whole.logprobs[1:] == (-1.0, -2.0, -3.0)
    assert cost == Cost(tokens_computed=4)
    assert asked[0].body == {"model": "m", "prompt": "hiya", "max_tokens": 1, "echo": True, "logprobs": 1}


@pytest.mark.parametrize("more", [{}, {"usage": {"prompt_tokens": 4}}])
def test_logprob_where_the_server_puts_a_token_before_the_text(more):
    with server(lambda _: echoed(None, -9.0, -1.0, -2.0, -7.0, **more)) as (url, _):
        assert ask(url, Logprob(HI, CODEC.encode("y")))[0] == Scored((-2.0,))


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (completion(), "gives no log-probabilities of a prompt"),
        (echoed(-1.0, -2.0, -7.0), "counts 2 prompt tokens, the codec 4"),
        (echoed(-1.0, -2.0, usage={"prompt_tokens": 4}), "counts 4 prompt tokens"),
        ((400, {}, b"no echo"), "no echo"),
    ],
)
def test_logprob_that_fails_concerns_its_request_alone(answer, what):
    with server(lambda _: answer) as (url, _):
        reply, _ = ask(url, Logprob(HI, CODEC.encode("ya")))
    assert isinstance(reply, EngineError)
    assert what in str(reply)


def test_what_a_server_cannot_answer():
    with engine("http://localhost:1") as it:
        for request in (Logprob(HI, HI, temperature=0.5), Value(HI), Call("x")):
            with pytest.raises(EngineError):
                it.submit(0, request)
        assert it.poll() == []
    with engine("http://localhost:1", chat=True) as it, pytest.raises(EngineError, match="without chat"):
        it.submit(0, Logprob(HI, HI))


def test_prompts_of_another_codec_are_named():
    with engine("http://localhost:1") as it:
        it.submit(0, Sample((300,)))
        with pytest.raises(EngineError, match="give the engine the codec"):
            it.poll()


def test_what_breaks_inside_the_engine_is_raised_not_waited_for():
    class Broken(ByteCodec):
        def encode(self, text):
            raise RuntimeError("broken codec")

    with server(lambda _: completion()) as (url, _), engine(url, codec=Broken()) as it:
        it.submit(0, Sample(HI))
        with pytest.raises(RuntimeError, match="broken codec"):
            it.poll()


def test_extra_fields_are_added_replaced_and_left_out():
    extra = {"max_tokens": None, "max_completion_tokens": 9, "temperature": 0.2}
    with server(lambda _: completion()) as (url, asked):
        ask(url, extra=extra, logprobs=False)
    assert asked[0].body.pop("seed") >= 0
    assert asked[0].body == {"model": "m", "prompt": "hi", "max_completion_tokens": 9, "temperature": 0.2}


def test_check_asks_for_one_token():
    with server(in_turn(completion(), (400, {}, b"no such model"), b"rubbish")) as (url, asked), engine(url) as it:
        it.check(HI)
        for message in ("no such model", "answers rubbish"):
            with pytest.raises(EngineError, match=message):
                it.check(HI)
    assert [(one.body["prompt"], one.body["max_tokens"]) for one in asked] == [("hi", 1)] * 3
