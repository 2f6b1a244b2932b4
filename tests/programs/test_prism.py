"""The gate as a program on scripted replies: who is asked what, when, and what becomes of answers that do not come."""

import math

import pytest

from pilothouse.core.episodes import ASIDE
from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.requests import Continuation, Logprob, Sample, Scored, StopReason
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Sampling
from pilothouse.programs.chances import TENTHS, Reading, tempered
from pilothouse.programs.prism import Prism

CODEC = ByteCodec()
#: Short questions, so that a request tells what it asks.
WORDS = {
    "need": "N?",
    "accept": "A?",
    "think": "T:",
    "if_silent": "S:",
    "if_spoken": "O:",
    "bad": "B?",
    "taken": "K?",
    "offer": "SAY:",
}


class Policy:
    """Says yes to a question with the chance it is told; writes texts by what they begin with."""

    def __init__(self, chances: dict[str, float], texts: dict[str, str] | None = None) -> None:
        self.chances, self.texts = chances, texts or {}
        self.asked: list[str] = []

    def __call__(self, request):
        text = CODEC.decode(request.prefix)[2:]
        if isinstance(request, Logprob):
            said = CODEC.decode(request.continuation)
            self.asked.append(text + said)
            chance = self.chances[text[-2:]]
            return Scored((math.log(chance if said == " yes" else 1 - chance),))
        assert isinstance(request, Sample)
        self.asked.append(text)
        lead = next(lead for lead in ("SAY:", "S:", "O:", "T:", "N?", "A?") if text.endswith(lead))
        answer = self.texts[lead]
        if answer == "!":
            return Continuation((), "", (), StopReason.ERROR, "too late")
        return Continuation(CODEC.encode(answer), answer, (-0.5,) * len(answer), StopReason.EOS)


def gate(**settings) -> Prism:
    return Prism(**{**WORDS, "c_fa": 1.0, "c_fn": 1.0, "n": 2, "sampling": Sampling(max_tokens=9), **settings})


def test_a_clear_yes_is_one_round_of_questions_and_the_offer(run) -> None:
    policy = Policy({"N?": 0.5, "A?": 0.9}, {"SAY:": "Try this."})  # tau is 2/3
    result = run(gate(), policy)
    assert policy.asked == ["N? yes", "N? no", "A? yes", "A? no", "SAY:"]
    assert result.answer == "Try this."
    fast, decision = result.trace["rounds"]
    assert fast == {
        "look": "fast",
        "need": pytest.approx(0.5),
        "accept": pytest.approx(0.9),
        "tau": pytest.approx(2 / 3),
        "margin": pytest.approx(0.45 - 0.1),
    }
    assert decision == {"look": "decision", "speak": True, "costs": [1.0, 1.0]}
    (episode,) = result.episodes
    assert (CODEC.decode(episode.prompt), CODEC.decode(episode.tokens)) == ("Q:SAY:", "Try this.")
    assert all(episode.action_mask)


def test_a_clear_no_samples_nothing(run) -> None:
    policy = Policy({"N?": 0.5, "A?": 0.5})  # |.5 - .667| > .1
    result = run(gate(silent="(silence)"), policy)
    assert len(policy.asked) == 4
    assert (result.answer, result.episodes, result.cost.tokens_sampled) == ("(silence)", (), 0)


def test_a_close_case_imagines_both_actions_and_asks_how_they_end(run) -> None:
    policy = Policy({"N?": 0.5, "A?": 0.6, "B?": 0.9, "K?": 0.8}, {"S:": "x", "O:": "y", "SAY:": "Hi"})
    result = run(gate(), policy)
    assert policy.asked[4:8] == ["S:", "S:", "O:", "O:"]  # two of each, in two requests
    assert policy.asked[8:12] == ["S:xB? yes", "S:xB? no"] * 2
    assert policy.asked[12:16] == ["O:yK? yes", "O:yK? no"] * 2
    assert result.answer == "Hi"
    slow = result.trace["rounds"][1]
    assert (slow["look"], slow["need"], slow["accept"]) == ("slow", pytest.approx(0.9), pytest.approx(0.8))
    assert [CODEC.decode(e.tokens) for e in result.episodes] == ["Hi", "S:x", "S:x", "O:y", "O:y"]
    assert {e.text for e in result.episodes} == {"Hi"}  # the decision is what is judged
    assert [e.tags for e in result.episodes] == [(), *[(ASIDE,)] * 4]
    assert result.episodes[1].action_mask == (False, False, True)


def test_self_consistency_thinks_and_asks_both_questions_after_each_thought(run) -> None:
    policy = Policy({"N?": 0.5, "A?": 0.6}, {"T:": "hm"})
    result = run(gate(slow="consistency"), policy)
    assert policy.asked[4:6] == ["T:", "T:"]
    assert policy.asked[6:] == ["T:hmN? yes", "T:hmN? no"] * 2 + ["T:hmA? yes", "T:hmA? no"] * 2
    assert result.answer == ""


@pytest.mark.parametrize("delta", [0.0, 1.0])
def test_the_ends_of_delta(run, delta: float) -> None:
    policy = Policy({"N?": 0.5, "A?": 0.1, "B?": 0.1, "K?": 0.1}, {"S:": "x", "O:": "y"})
    result = run(gate(delta=delta), policy)
    assert (result.trace["rounds"][1]["look"] == "slow") == bool(delta)


class Refuses(ScriptedEngine):
    """Cannot score what ends with a question about bad ends."""

    def submit(self, ticket, request):
        if isinstance(request, Logprob) and CODEC.decode(request.prefix).endswith("B?"):
            raise EngineError("the thought left no room")
        super().submit(ticket, request)


@pytest.mark.parametrize("written", ["!", "x"])
def test_a_slow_look_that_fails_leaves_the_fast_chances(run, written: str) -> None:
    policy = Policy({"N?": 0.5, "A?": 0.7, "B?": 0.1, "K?": 0.1}, {"S:": written, "O:": "y", "SAY:": "Hi"})
    result = run(gate(), engine=Refuses(policy) if written == "x" else ScriptedEngine(policy))
    assert result.answer == "Hi"  # .7 against 2/3
    assert result.trace["notes"] == ["the slow look failed: the fast chances decide"]
    assert result.trace["rounds"][1]["need"] is None


def test_a_schema_is_asked_slot_after_slot_and_its_values_are_choices(run) -> None:
    policy = Policy({}, {"N?": "9", "A?": "6", "SAY:": "Hi"})
    reading = Reading(options=TENTHS, how="sample")
    result = run(gate(reading=reading, chained=True, slow="off"), policy)
    assert policy.asked == ["N?", "N?9A?", "SAY:"]
    assert result.trace["rounds"][0]["need"] == pytest.approx(0.95)
    assert result.trace["rounds"][0]["accept"] == pytest.approx(0.65)
    schema = result.episodes[1]
    assert CODEC.decode(schema.tokens) == "N?9A?6"
    assert [t for t, m in zip(CODEC.decode(schema.tokens), schema.action_mask, strict=True) if m] == ["9", "6"]
    assert [x for x in schema.logprobs if not math.isnan(x)] == [-0.5, -0.5]


def test_an_offer_that_is_known_is_not_written(run) -> None:
    policy = Policy({"N?": 0.5, "A?": 0.9})
    result = run(gate(say="Shall I?"), policy)
    assert len(policy.asked) == 4
    assert (result.answer, result.cost.tokens_sampled) == ("Shall I?", 0)


def test_digits_are_weighed_by_their_chances(run) -> None:
    def script(request):
        digit = CODEC.decode(request.continuation)
        return Scored((math.log({"2": 0.25, "6": 0.75}.get(digit, 1e-30)),))

    result = run(gate(reading=Reading(options=TENTHS), slow="off", delta=0), script)
    assert result.trace["rounds"][0]["need"] == pytest.approx(0.25 * 0.25 + 0.75 * 0.65)
    assert result.answer == ""  # .55 against 1 / 1.55


def test_an_answer_that_cannot_be_read_stays_silent(run) -> None:
    policy = Policy({}, {"N?": "well", "A?": " yes"})
    result = run(gate(reading=Reading(how="sample")), policy)
    assert result.answer == ""
    assert result.trace["notes"] == ["the policy's answer to a fast question could not be read: it stays silent"]


def test_temperatures_scale_what_was_stated(run) -> None:
    assert tempered(0.9, math.log(9) / math.log(3)) == pytest.approx(0.75)
    assert tempered(0.0, 3.0) == 0.0
    assert math.isnan(tempered(math.nan, 2.0))
    policy = Policy({"N?": 0.5, "A?": 0.9}, {"SAY:": "Hi"})
    result = run(gate(fast_temperature=(1.0, math.log(9) / math.log(3)), slow="off"), policy)
    assert result.trace["rounds"][0]["accept"] == pytest.approx(0.75)


def test_budgets_count_the_slow_look_and_the_offer() -> None:
    assert gate().sized(9).n == 4
    assert gate(slow="consistency").sized(9).n == 8
    for settings, samples in (({}, 4), ({}, 1), ({"slow": "off"}, 3)):
        with pytest.raises(ConfigError, match="cannot spend"):
            gate(**settings).sized(samples)


def test_settings_that_cannot_work() -> None:
    with pytest.raises(ValueError, match="stands for 2"):
        Reading(options={" yes": 2.0, " no": 0.0})
    assert Reading.model_validate({"options": "tenths"}).options == TENTHS
    with pytest.raises(ValueError, match="unknown options 'tens'; did you mean 'tenths'"):
        Reading.model_validate({"options": "tens"})
    with pytest.raises(ConfigError, match="c_fa"):
        Prism.build({"name": "prism", "c_fa": 0})
