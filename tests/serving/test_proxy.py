"""A server in front of another server; the one behind is ours too."""

from __future__ import annotations

import json
from pathlib import Path

import openai
import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.policies.tiny import tiny_policy
from pilothouse.serving.offers import Wish, is_address, open_offer

CHAT = [{"role": "system", "content": "1+1=2"}, {"role": "user", "content": "2+2="}]


@pytest.fixture(scope="module")
def proxy(kit, server):
    served = open_offer(Wish(server.url))
    with kit.serving(served) as running:
        yield kit.client(running)
    served.engine.close()


def test_what_is_an_address():
    assert is_address("http://localhost:8000/v1")
    assert not is_address("runs/http")


def test_it_has_the_other_servers_model_and_every_method(proxy):
    [model] = proxy.models.list().data
    assert model.id == "tiny"
    assert model.pilothouse["method"] == "group"


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_goes_through_whole(proxy, ask, stream):
    """Greedy, since the proxy draws seeds of its own for the other server."""
    how = {"model": "tiny", "messages": CHAT, "temperature": 0, "max_tokens": 12}
    expected = ask.chat.completions.create(**how)
    if stream:
        chunks = list(proxy.chat.completions.create(**how, stream=True, stream_options={"include_usage": True}))
        text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
        usage = chunks[-1].usage
        assert len(chunks) > 5  # it really streams: the other server's pieces come one by one
    else:
        reply = proxy.chat.completions.create(**how)
        text, usage = reply.choices[0].message.content, reply.usage
        assert reply.choices[0].finish_reason == expected.choices[0].finish_reason
    assert text == expected.choices[0].message.content
    assert usage.prompt_tokens == expected.usage.prompt_tokens  # in the model's tokens, not in bytes
    assert usage.completion_tokens == expected.usage.completion_tokens


def test_a_completion_goes_through(proxy, ask):
    how = {"model": "tiny", "prompt": "2+2=", "temperature": 0, "max_tokens": 12, "stop": "q"}
    assert proxy.completions.create(**how).choices[0].text == ask.completions.create(**how).choices[0].text


def test_several_choices_stream_side_by_side(proxy):
    how = {"model": "tiny", "prompt": "2+2=", "seed": 1, "n": 3, "max_tokens": 12}
    whole = proxy.completions.create(**how)
    texts = ["", "", ""]
    for chunk in proxy.completions.create(**how, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts == [choice.text for choice in whole.choices]
    assert len(set(texts)) == 3


def test_a_prompt_is_text(proxy):
    with pytest.raises(openai.BadRequestError, match="text, not token ids"):
        proxy.completions.create(model="tiny", prompt=[1, 2])


def test_what_the_other_server_refuses_is_the_clients_mistake(proxy):
    with pytest.raises(openai.BadRequestError, match="context is 256") as caught:
        proxy.completions.create(model="tiny", prompt="1" * 300)
    assert "127.0.0.1" not in str(caught.value)


def test_a_server_behind_that_comes_back_is_used_again(kit):
    engine = ScriptedEngine(lambda request: "x")
    with kit.serving(kit.scripted(engine)) as behind:
        port = int(behind.url.rpartition(":")[2].removesuffix("/v1"))
        served = open_offer(Wish(behind.url))
    with kit.serving(served) as front:
        with pytest.raises(openai.InternalServerError) as caught:
            kit.client(front).completions.create(model="script", prompt="p")
        assert caught.value.status_code == 502
        assert str(port) not in str(caught.value)
        with kit.serving(kit.scripted(engine), port=port):
            assert kit.client(front).completions.create(model="script", prompt="p").choices[0].text == "x"
    served.engine.close()


def test_when_the_client_vanishes_the_other_servers_rows_leave_too(kit, policy):
    class Endless:
        model, codec, eos_ids, context = policy.model, policy.codec, frozenset(), 10**6

    with kit.serving(kit.local(Endless(), context=10**6)) as behind:
        rows = behind.metrics.gauges["engine_rows"]
        served = open_offer(Wish(behind.url))
        with kit.serving(served) as front:
            stream = kit.client(front).completions.create(model="tiny", prompt="1", max_tokens=4096, stream=True)
            next(iter(stream))
            assert rows() == 1
            stream.close()
            kit.until(lambda: rows() == 0)
        served.engine.close()


# --- what can be served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_policy("0123456789+=", 0, "nano").save(tmp_path / "some-model")
    return tmp_path / "some-model"


def test_a_folder_is_served_under_its_name(kit, folder):
    served = open_offer(Wish(str(folder)))
    assert (served.offer.name, served.offer.method, served.exact) == ("some-model", "group", True)
    with kit.serving(served) as server:
        how = {"model": "some-model", "messages": [{"role": "user", "content": "1+1="}]}
        assert kit.client(server).chat.completions.create(**how, max_tokens=3).usage.completion_tokens <= 3


def test_a_chat_template_is_used(kit, folder):
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    template = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    template += "{{ m.content }}={% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    with kit.serving(open_offer(Wish(str(folder)))) as server:
        make = kit.client(server).chat.completions.create
        assert make(model="some-model", messages=[{"role": "user", "content": "1+1"}]).usage.prompt_tokens == 4
        with pytest.raises(openai.BadRequestError, match="chat template refuses these messages: no system"):
            make(model="some-model", messages=[{"role": "system", "content": "1+1"}])
        with pytest.raises(openai.BadRequestError, match="context is 256"):
            make(model="some-model", messages=[{"role": "user", "content": "1" * 300}])


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"method": "gpro"}, "unknown method or program 'gpro'"),
        ({"method": "best-of-n"}, "so it cannot serve users: give --scorer value-head or --scorer module:Class"),
        ({"method": "best-of-n", "scorer": "verifier"}, "scorer 'verifier' reads the answer that only a task knows"),
        ({"method": "best-of-n", "scorer": "value-head"}, "has no value head"),
        ({"program": {"m": 3}}, "'m'"),
        ({"source": "/nowhere"}, "no model at '/nowhere'"),
        ({"source": "tiny"}, "give --task NAME"),
        ({"source": "http://127.0.0.1:9/v1"}, "lists no model"),
        ({"source": "http://127.0.0.1:9", "upstream": "x", "scorer": "value-head"}, "no value head here"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(folder, wish, message):
    with pytest.raises(ConfigError) as caught:
        open_offer(Wish(**{"source": str(folder), **wish}))
    assert message in str(caught.value)


def test_a_scorer_of_ones_own_judges_without_an_answer(kit, folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "judging.py").write_text(
        "from pilothouse.tasks.scorer import Scorer\n"
        "class Nines(Scorer):\n"
        "    name = 'nines'\n"
        "    def __call__(self, task, problem, response):\n"
        "        assert problem.prompt == '1+1='\n"
        "        return response.count('9')\n"
    )
    served = open_offer(Wish(str(folder), "best-of-n", scorer="judging:Nines"))
    with kit.serving(served) as server:
        body = {"model": "some-model", "prompt": "1+1=", "max_tokens": 8, "seed": 1}
        reply = kit.client(server).completions.create(**body, extra_body={"budget": 16, "trace": True})
        scores = [node["text"].count("9") for node in reply.pilothouse["trace"]["nodes"][1:]]
        assert len(scores) == 16
        assert reply.choices[0].text.count("9") == max(scores) > 0


def test_a_value_head_scores(kit, tmp_path):
    tiny_policy("0123456789+=", 0, "nano", value_head=True).save(tmp_path / "critic")
    served = open_offer(Wish(str(tmp_path / "critic"), "best-of-n", scorer="value-head"))
    with kit.serving(served) as server:
        reply = kit.client(server).completions.create(model="critic", prompt="1+1=", max_tokens=8)
        assert reply.usage.pilothouse["calls"] == 9  # one sample of 8, and a value of each
