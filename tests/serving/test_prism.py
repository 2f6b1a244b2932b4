"""The gate behind the OpenAI protocol: an offer, or an answer without a word."""

from typing import Any

from pilothouse.core.requests import Logprob, Sample, Scored
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.methods.prism import METHOD
from pilothouse.programs.base import Sampling
from pilothouse.programs.prism import Prism

CODEC = ByteCodec()


def eager_about_errors(request: Any) -> Any:
    """Sees a need and a welcome where the prompt tells of an error."""
    text = CODEC.decode(request.prefix)
    if isinstance(request, Logprob):
        yes = CODEC.decode(request.continuation) == " yes"
        return Scored((-0.01 if yes == ("error" in text) else -4.0,))
    assert isinstance(request, Sample)
    return "Shall I look at that error?"


def test_a_client_gets_an_offer_or_silence(kit: Any) -> None:
    engine = ScriptedEngine(eager_about_errors)
    served = kit.scripted(engine, method="prism", program=METHOD.program)
    with kit.serving(served) as server:
        ask = kit.client(server).chat.completions.create
        told = ask(model="script", messages=[{"role": "user", "content": "error TS2345, third time"}])
        assert told.choices[0].message.content == "Shall I look at that error?"
        assert told.usage.completion_tokens > 0
        silent = ask(model="script", messages=[{"role": "user", "content": "reads the news"}])
        assert silent.choices[0].message.content == ""
        assert silent.choices[0].finish_reason == "stop"


def test_a_real_policy_decides_and_its_slow_look_is_paid_for_by_the_budget(kit: Any, policy: Any) -> None:
    gate = Prism(delta=1.0, c_fa=100, silent="-", sampling=Sampling(max_tokens=4))  # a second look, and then silence
    with kit.serving(kit.local(policy, method="prism", program=gate)) as server:
        create = kit.client(server).completions.create
        found = [
            create(model="tiny", prompt="1+1", seed=1, max_tokens=4, extra_body={"budget": f"{n}-samples"})
            for n in (3, 9)
        ]
        assert [reply.choices[0].text for reply in found] == ["-", "-"]
        assert [reply.usage.completion_tokens for reply in found] == [1, 1]  # what was imagined is no answer
        assert [reply.usage.pilothouse["tokens_sampled"] for reply in found] == [8, 32]
