"""The official client over a real socket."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.requests import Continuation, Sample, StopReason, Value
from pilothouse.core.results import Result
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.runner import Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.best_of_n import BestOfN
from pilothouse.programs.group import Group
from pilothouse.serving.api import ChatMessage, ChatRequest, CompletionRequest

CHAT = [{"role": "user", "content": "1+1="}]
CODEC = ByteCodec()


def said(stream) -> dict[int, str]:
    """The text of each choice of a stream."""
    texts: dict[int, str] = {}
    for chunk in stream:
        for choice in chunk.choices:
            piece = choice.delta.content if hasattr(choice, "delta") else choice.text
            texts[choice.index] = texts.get(choice.index, "") + (piece or "")
    return texts


def test_a_chat(ask, policy):
    reply = ask.chat.completions.create(model="tiny", messages=CHAT, seed=1, max_tokens=10)
    assert reply.object == "chat.completion"
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.prompt_tokens == len(policy.codec.encode("1+1="))
    assert reply.usage.completion_tokens == 10 >= len(reply.choices[0].message.content) > 0
    assert reply.usage.total_tokens == 14
    again = ask.chat.completions.create(model="tiny", messages=CHAT, seed=1, max_completion_tokens=10)
    assert again.choices[0].message.content == reply.choices[0].message.content
    other = ask.chat.completions.create(model="tiny", messages=CHAT, seed=2, max_tokens=10)
    assert other.choices[0].message.content != reply.choices[0].message.content


def test_a_chat_is_the_completion_of_its_contents_for_a_model_without_a_template(ask):
    messages = [{"role": "system", "content": "1+1=2"}, {"role": "user", "content": [{"type": "text", "text": "2+2="}]}]
    chat = ask.chat.completions.create(model="tiny", messages=messages, seed=1)
    plain = ask.completions.create(model="tiny", prompt="1+1=2\n2+2=", seed=1)
    assert chat.choices[0].message.content == plain.choices[0].text
    assert plain.object == "text_completion"


def test_usage_says_what_was_spent(ask):
    prompt = "9*8*7="
    first, second = (ask.completions.create(model="tiny", prompt=prompt, seed=1, max_tokens=5, n=2) for _ in range(2))
    spent, later = first.usage.pilothouse, second.usage.pilothouse
    assert first.usage.completion_tokens == spent["tokens_sampled"] == 10
    assert spent["calls"] == 1
    assert spent["seconds"] > 0
    assert spent["tokens_computed"] + spent["tokens_reused"] == 2 * (len(prompt) + 4)
    assert later["tokens_reused"] > spent["tokens_reused"]  # the prompt is known by now
    assert second.usage.prompt_tokens_details.cached_tokens <= second.usage.prompt_tokens == len(prompt)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, {"stop": ["x", "7("]}, {"temperature": 0}, {"n": 3, "top_p": 0.8}])
def test_a_stream_says_what_the_whole_answer_says(ask, seed, options):
    def make(**more):
        return ask.chat.completions.create(model="tiny", messages=CHAT, seed=seed, max_tokens=30, **options, **more)

    whole = make()
    chunks = list(make(stream=True, stream_options={"include_usage": True}))
    assert said(chunks) == {choice.index: choice.message.content for choice in whole.choices}
    ends = {c.index: c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason}
    assert ends == {choice.index: choice.finish_reason for choice in whole.choices}
    last = chunks[-1]
    assert last.choices == []
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert {chunk.id for chunk in chunks} == {last.id}


def test_a_completion_streams_too(ask):
    whole = ask.completions.create(model="tiny", prompt="1+1=", seed=5, max_tokens=20)
    chunks = list(ask.completions.create(model="tiny", prompt="1+1=", seed=5, max_tokens=20, stream=True))
    assert said(chunks) == {0: whole.choices[0].text}
    assert len([chunk for chunk in chunks if chunk.choices[0].text]) > 5  # in pieces, not at the end


def test_a_stop_string_ends_the_text_and_is_not_in_it(ask):
    free = ask.completions.create(model="tiny", prompt="1+1=", seed=5, max_tokens=30).choices[0].text
    stop = free[12:14]
    reply = ask.completions.create(model="tiny", prompt="1+1=", seed=5, max_tokens=30, stop=stop)
    assert reply.choices[0].text == free[: free.index(stop)]
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens == free.index(stop) + 2  # what was sampled, the stop string too


def test_log_probabilities(ask):
    chat = ask.chat.completions.create(model="tiny", messages=CHAT, seed=1, max_tokens=6, logprobs=True)
    plain = ask.completions.create(model="tiny", prompt="1+1=", seed=1, max_tokens=6, logprobs=0)
    told = chat.choices[0].logprobs.content
    assert [one.logprob for one in told] == pytest.approx(plain.choices[0].logprobs.token_logprobs, abs=1e-5)
    assert "".join(one.token for one in told) == chat.choices[0].message.content
    assert all(one.logprob < 0 for one in told)
    pieces = ask.chat.completions.create(model="tiny", messages=CHAT, seed=1, max_tokens=6, logprobs=True, stream=True)
    streamed = [one for c in pieces if c.choices[0].logprobs for one in c.choices[0].logprobs.content]
    assert [one.token for one in streamed] == [one.token for one in told]


def test_models(ask):
    [model] = ask.models.list().data
    assert model.id == "tiny"
    assert "group" in model.pilothouse["methods"]
    assert ask.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        ask.models.retrieve("another")


def test_a_prompt_may_be_token_ids(ask, policy):
    ids = list(policy.codec.encode("1+1="))
    as_ids = ask.completions.create(model="tiny", prompt=ids, seed=1).choices[0].text
    assert as_ids == ask.completions.create(model="tiny", prompt="1+1=", seed=1).choices[0].text
    with pytest.raises(openai.BadRequestError, match=r"token ids must lie in"):
        ask.completions.create(model="tiny", prompt=[10**6])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": []}, "field 'messages'"),
        ({"messages": CHAT, "temperature": 3}, "field 'temperature': input should be less than or equal to 2"),
        ({"messages": CHAT, "temperature": "hot"}, "field 'temperature'"),
        ({"messages": CHAT, "max_tokens": 0}, "field 'max_tokens'"),
        ({"messages": CHAT, "max_tokens": 5000}, "allows at most 4096"),
        ({"messages": CHAT, "n": 17}, "n is 17, and this server allows at most 16"),
        ({"messages": CHAT, "stop": ["a"] * 17}, "field 'stop'"),
        ({"messages": CHAT, "stop": ""}, "a stop string has between 1 and 256 characters"),
        ({"messages": CHAT, "seed": 2**63}, "field 'seed'"),
        ({"messages": CHAT, "tools": []}, "does not know the field 'tools'"),
        ({"messages": CHAT, "temprature": 1}, "did you mean 'temperature'?"),
        ({"messages": CHAT, "top_logprobs": 3}, "field 'top_logprobs'"),
        ({"messages": CHAT, "presence_penalty": 1}, "field 'presence_penalty'"),
        ({"messages": CHAT, "stream_options": {"include_usage": True}}, "for streams only"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "field 'messages.0.role'"),
        ({"messages": [{"role": "user", "content": "1" * 300}]}, "has 300 tokens and the model's context is 256"),
        ({"messages": [{"role": "user", "content": ""}]}, "the prompt is empty"),
        ({"messages": CHAT, "model": "gpt-5"}, "there is no model 'gpt-5' here"),
        ({"messages": CHAT, "method": "lite-pp"}, "did you mean 'lite-ppo'?"),
        ({"messages": CHAT, "method": "best-of-n"}, "asks a scorer"),
        ({"messages": CHAT, "budget": 4}, "which no budget improves"),
    ],
)
def test_a_mistake_is_a_sentence(server, body, message):
    status, document = post(server, body)
    assert 400 <= status < 500
    assert message in document["error"]["message"]
    assert document["error"]["type"] == "invalid_request_error"


def post(server, body, headers=None, path="/chat/completions"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            text = reply.read()
            return reply.status, json.loads(text) if reply.headers["Content-Type"] == "application/json" else text
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


# --- methods that search


class Beam(Program):
    """Three steps of two candidates; the second is kept: what is kept is never taken back."""

    name = "test-beam"

    def settles(self):
        return "step"

    def __call__(self, posed):
        taken = ()
        for _ in range(3):
            replies = yield [Sample(posed.prompt + taken, max_tokens=2), Sample(posed.prompt + taken, max_tokens=2)]
            taken += replies[1].tokens
        return Result(posed.codec.decode(taken), trace={"kind": "beam", "notes": ["a note"]})


def test_a_vote_answers_and_its_width_is_the_requests(kit):
    """The script's lines are drawn in order: with 5 samples the vote is b's, with 3 it is a's."""
    lines = ["a", "a", "b", "b", "b"]
    for budget, headers, answer in [(5, {}, "b"), (None, {"X-Pilothouse-Budget": "3-samples"}, "a")]:
        served = kit.scripted(ScriptedEngine(lines), method="vote", program=BestOfN(select="majority"))
        with kit.serving(served) as server:
            body = {"messages": CHAT, "trace": True} | ({"budget": budget} if budget else {})
            status, document = post(server, body, headers)
            assert status == 200
            assert document["choices"][0]["message"]["content"] == answer
            assert document["usage"]["completion_tokens"] == 1
            assert document["usage"]["pilothouse"]["tokens_sampled"] == (budget or 3)
            assert len(document["pilothouse"]["trace"]["nodes"]) == 1 + (budget or 3)
            for wrong, message in [
                ({"budget": 65}, "allows at most 64"),
                ({"budget": "lots"}, "is not a budget"),
                ({"budget": "7-tokens"}, "does not pay for one response"),
                ({"n": 2}, "gives one answer"),
            ]:
                status, document = post(server, {"messages": CHAT, **wrong})
                assert status == 400
                assert message in document["error"]["message"]


def test_another_method_for_one_request(kit):
    served = kit.scripted(ScriptedEngine(lambda request: "x"), method="vote", program=BestOfN(select="majority"))
    with kit.serving(served) as server:
        for body, headers in [({"method": "grpo"}, {}), ({}, {"X-Pilothouse-Method": "grpo"})]:
            status, document = post(server, {"messages": CHAT, **body}, headers)
            assert status == 200
            assert document["pilothouse"]["method"] == "grpo"
            assert document["usage"]["pilothouse"]["tokens_sampled"] == 1
        assert post(server, {"messages": CHAT})[1]["usage"]["pilothouse"]["tokens_sampled"] == 8


def test_a_scorer_chooses_and_its_failure_is_the_requests_alone(kit):
    def score(request: Value) -> float:
        text = CODEC.decode(request.prefix[request.start :])
        return float("nan") if "?" in text else float(len(text))

    engine = ScriptedEngine(["a", "abc", "ab", "a", "?", "b", "one", "three", "two"])
    served = kit.scripted(
        engine, Runner(engine, scorers={"value": score}), method="best-of-n", program=BestOfN(n=3), has_scorer=True
    )
    with kit.serving(served) as server:
        assert post(server, {"messages": CHAT})[1]["choices"][0]["message"]["content"] == "abc"
        status, document = post(server, {"messages": CHAT})
        assert status == 500
        assert document["error"]["message"] == "the method failed on this request; the server's log says why"
        assert post(server, {"messages": CHAT})[1]["choices"][0]["message"]["content"] == "three"


def test_what_a_beam_has_settled_streams_step_by_step(kit):
    """The last step waits until the client has read the two before it."""
    read = threading.Event()

    class Waiting(ScriptedEngine):
        def poll(self):
            assert len(self.requests) < 6 or read.wait(30)
            return super().poll()

    script = [piece for step in ("ab", "cd", "ef") for piece in ("xx", step)]
    with kit.serving(kit.scripted(Waiting(script), method="beam", program=Beam())) as server:
        text = ""
        for chunk in kit.client(server).completions.create(model="script", prompt="p", stream=True):
            text += chunk.choices[0].text
            if text == "abcd":
                read.set()
        assert text == "abcdef"


def test_a_search_that_settles_at_the_end_streams_its_answer_whole(kit):
    served = kit.scripted(ScriptedEngine(["a", "bb", "bb"]), method="vote", program=BestOfN(n=3, select="majority"))
    with kit.serving(served) as server:
        chunks = list(kit.client(server).chat.completions.create(model="script", messages=CHAT, stream=True))
    assert [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content] == ["bb"]


def test_a_stop_string_that_came_late_is_cut_from_a_streamed_answer(kit):
    class Late(ScriptedEngine):
        """Ends a token after the stop string began, as an engine with long tokens may."""

    line = Continuation(CODEC.encode("one##two"), "one##two", (), StopReason.STOP)
    with kit.serving(kit.scripted(Late(lambda request: line))) as server:
        stream = kit.client(server).completions.create(model="script", prompt="p", stop="##", stream=True)
        assert said(stream) == {0: "one"}


def test_an_engine_that_cannot_finish_is_a_bad_gateway(kit):
    line = Continuation((), "", (), StopReason.ERROR, "the weights in /home/someone are broken")
    with kit.serving(kit.scripted(ScriptedEngine(lambda request: line))) as server:
        status, document = post(server, {"messages": CHAT})
        assert status == 502
        assert "/home" not in json.dumps(document)
        with pytest.raises(openai.APIError, match="could not finish"):
            list(kit.client(server).chat.completions.create(model="script", messages=CHAT, stream=True))


# --- whatever is sent, nothing is a server's error

fields = st.sampled_from(
    [*ChatRequest.model_fields, *CompletionRequest.model_fields, *ChatMessage.model_fields, "tools", "type", "text"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("1+1="),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields | st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
fine = {"messages": CHAT, "prompt": "1+1="}
bodies = st.one_of(
    st.dictionaries(fields | st.text(max_size=8), values, max_size=5).map(json.dumps).map(str.encode),
    st.tuples(fields, values).map(lambda pair: json.dumps({**fine, pair[0]: pair[1]}).encode()),
    values.map(json.dumps).map(str.encode),
    st.binary(max_size=100),
    st.just(b'{"prompt": "\\ud800"}'),
    st.just(b"[" * 100_000),
)


@settings(max_examples=100, deadline=None)
@given(bodies, st.sampled_from(["/chat/completions", "/completions"]))
def test_no_body_is_a_servers_error(server, body, path):
    drop = "prompt" if path.startswith("/chat") else "messages"
    body = body.replace(f'"{drop}"'.encode(), b'"user"') if body.startswith(b'{"messages": [{"role"') else body
    status, document = post(server, body, path=path)
    assert status == 200 or 400 <= status < 500
    if status != 200:
        assert "src/" not in document["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Pilothouse-Method": "no-such-method"},
        {"X-Pilothouse-Method": "\xff\xfe"},
        {"X-Pilothouse-Method": "best-of-n\x00"},
        {"X-Pilothouse-Budget": "4-samples"},  # the server's own method gains nothing from one
        {"X-Pilothouse-Budget": "-1-samples", "X-Pilothouse-Method": "beam"},
        {"X-Pilothouse-Budget": "9" * 5000},
        {"Content-Length": "-5"},
        {"Content-Length": "many"},
        {"Content-Type": "multipart/form-data"},
        {"Transfer-Encoding": "gzip"},
    ],
)
def test_no_header_is_a_servers_error(kit, server, headers):
    body = json.dumps(fine | {"max_tokens": 2}).replace('"prompt": "1+1="', '"user": "me"').encode()
    lines = {"Host": "x", "Connection": "close", "Content-Length": str(len(body)), **headers}
    head = "POST /v1/chat/completions HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with kit.connect(server) as connection:
        connection.sendall(head.encode("latin-1") + b"\r\n" + body)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]


def test_an_empty_answer_is_an_answer(kit):
    with kit.serving(kit.scripted(ScriptedEngine(lambda request: ""))) as server:
        status, document = post(server, {"messages": CHAT})
        assert status == 200
        assert document["choices"][0]["message"]["content"] == ""
        assert said(kit.client(server).completions.create(model="script", prompt="p", stream=True)) == {0: ""}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/", 404),
    ],
)
def test_other_paths_and_verbs(server, method, path, status):
    request = urllib.request.Request(server.url.removesuffix("/v1") + path, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert caught.value.code == status
    assert json.load(caught.value)["error"]["message"]


def test_the_api_describes_itself(server):
    with urllib.request.urlopen(server.url.removesuffix("/v1") + "/openapi.json", timeout=30) as reply:
        document = json.load(reply)
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["messages"]["minItems"] == 1
    assert "$ref" not in json.dumps(body)
    assert Group(sampling=Sampling()).settles() == "token"
