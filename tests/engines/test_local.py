from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from pilothouse.core.errors import EngineError
from pilothouse.core.requests import (
    Call,
    Logprob,
    Reply,
    Request,
    Sample,
    Sampled,
    Scored,
    StopReason,
    Tokens,
    Value,
    Valued,
)
from pilothouse.core.results import Cost
from pilothouse.engines import blocks
from pilothouse.engines.base import Engine
from pilothouse.engines.local import LocalEngine

VOCABULARY = 40
EOS = 1
CONTEXT = 400
_SIZE = {"vocab_size": VOCABULARY, "eos_token_id": EOS, "bos_token_id": None, "pad_token_id": 0}
_WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}
_SHAPE = {**_WIDTH, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
_LAYERS = ["full_attention", "sliding_attention"]
_SLIDING = {"use_sliding_window": True, "sliding_window": 12, "layer_types": _LAYERS}
CONFIGS: dict[str, Any] = {
    "qwen3": Qwen3Config(**_SIZE, **_SHAPE, head_dim=16, tie_word_embeddings=True),
    "llama": LlamaConfig(**_SIZE, **_SHAPE),
    "qwen2": Qwen2Config(**_SIZE, **_SHAPE),
    "gpt2": GPT2Config(**_SIZE, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT),
    "mistral": MistralConfig(**_SIZE, **_SHAPE, head_dim=8, sliding_window=12),
    "sliding": Qwen3Config(**_SIZE, **_SHAPE, head_dim=16, **_SLIDING),
}


class LetterCodec:
    """One printable character per token; the first two ids are special and decode to nothing."""

    def encode(self, text: str) -> Tokens:
        return tuple(ord(character) - 60 for character in text)

    def decode(self, tokens: Tokens) -> str:
        return "".join(chr(60 + token) for token in tokens if token > EOS)


@dataclass
class TinyPolicy:
    model: Any
    codec: Any = field(default_factory=LetterCodec)
    eos_ids: frozenset[int] = frozenset({EOS})
    context: int = CONTEXT
    value_head: Any = None

    @property
    def device(self) -> torch.device:
        return self.model.device

    def value_of_prefixes(self, prefixes: Sequence[Tokens]) -> list[float]:
        return [float(sum(prefix)) for prefix in prefixes]

    def logits(self, tokens: Tokens) -> torch.Tensor:
        """[L, V] logits of a full pass without any cache."""
        with torch.no_grad():
            return self.model(torch.tensor([tokens]), use_cache=False).logits[0]


def tiny(kind: str = "qwen3", *, eos: bool = True) -> TinyPolicy:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(CONFIGS[kind]).eval()
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.data.mul_(6)
    return TinyPolicy(model, eos_ids=frozenset({EOS}) if eos else frozenset())


POLICY = tiny()
ENDLESS = tiny(eos=False)


def answer(engine: LocalEngine, requests: list[Request]) -> tuple[list[Reply], list[Cost]]:
    for ticket, request in enumerate(requests):
        engine.submit(ticket, request)
    found = {}
    while len(found) < len(requests):
        batch = engine.poll()
        assert batch
        found.update({ticket: (reply, cost) for ticket, reply, cost in batch})
    assert engine.poll() == []
    replies, costs = zip(*(found[ticket] for ticket in range(len(requests))), strict=True)
    return list(replies), list(costs)


def alone(policy: TinyPolicy, requests: list[Request]) -> list[Reply]:
    return [answer(LocalEngine(policy), [request])[0][0] for request in requests]


def sequence(rng: random.Random, size: int) -> tuple[int, ...]:
    return tuple(rng.randrange(2, VOCABULARY) for _ in range(size))


def mixed(rng: random.Random, count: int) -> list[Request]:
    shared = sequence(rng, 40)
    found: list[Request] = []
    for _ in range(count):
        prefix = shared[: rng.choice([0, 20, 40])] + sequence(rng, rng.randrange(1, 30))
        if rng.random() < 0.25:
            found.append(Logprob(prefix, sequence(rng, rng.randrange(0, 9)), temperature=rng.choice([0.0, 0.7, 1.0])))
        else:
            found.append(
                Sample(
                    prefix,
                    n=rng.choice([1, 1, 3]),
                    max_tokens=rng.randrange(1, 25),
                    temperature=rng.choice([0.0, 0.6, 1.0, 1.3]),
                    top_p=rng.choice([1.0, 0.8]),
                    top_k=rng.choice([0, 0, 5]),
                    stop=rng.choice([(), ("A",), ("AB", "`")]),
                    stop_tokens=rng.choice([(), (7, 9)]),
                    seed=rng.randrange(2**63),
                )
            )
    return found


def same(left: list[Reply], right: list[Reply]) -> None:
    """Tokens, texts and reasons equal; log-probabilities within 1e-4."""
    for a, b in zip(left, right, strict=True):
        if isinstance(a, Scored):
            assert isinstance(b, Scored)
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
            continue
        assert isinstance(a, Sampled)
        assert isinstance(b, Sampled)
        for c, d in zip(a.continuations, b.continuations, strict=True):
            assert (c.tokens, c.text, c.stop_reason) == (d.tokens, d.text, d.stop_reason)
            assert c.logprobs == pytest.approx(d.logprobs, abs=1e-4)


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gpt2", "mistral", "sliding"])
def test_greedy_output_equals_generate(kind: str) -> None:
    policy, rng = tiny(kind), random.Random(1)
    prefixes = [sequence(rng, size) for size in (1, 5, 30, 17, 60)]
    replies, _ = answer(LocalEngine(policy), [Sample(p, temperature=0, max_tokens=40, seed=0) for p in prefixes])
    for prefix, reply in zip(prefixes, replies, strict=True):
        expected = policy.model.generate(torch.tensor([prefix]), do_sample=False, max_new_tokens=40)
        assert list(reply.tokens) == expected[0, len(prefix) :].tolist()


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gpt2", "mistral", "sliding"])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 0.0])
def test_logprobs_equal_a_full_pass(kind: str, temperature: float) -> None:
    policy, rng = tiny(kind), random.Random(2)
    prefix = sequence(rng, 25)
    (reply,), _ = answer(LocalEngine(policy), [Sample(prefix, n=4, max_tokens=30, temperature=temperature, seed=3)])
    for sample in reply.continuations:
        logits = policy.logits(prefix + sample.tokens)[len(prefix) - 1 : -1]
        expected = (logits / (temperature or 1.0)).log_softmax(-1)
        expected = expected.gather(-1, torch.tensor(sample.tokens)[:, None])[:, 0]
        assert sample.logprobs == pytest.approx(expected.tolist(), abs=1e-4)
        (scored,), _ = answer(LocalEngine(policy), [Logprob(prefix, sample.tokens, temperature=temperature)])
        assert scored.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([1, 3, 8, 256]), st.sampled_from([0, 40, 32768]))
def test_ragged_batches_answer_as_one_by_one(seed: int, count: int, max_rows: int, cached: int) -> None:
    requests = mixed(random.Random(seed), count)
    engine = LocalEngine(POLICY, max_rows=max_rows, prefix_cache_tokens=cached)
    assert isinstance(engine, Engine)
    replies, costs = answer(engine, requests)
    same(replies, alone(POLICY, requests))
    for request, reply, cost in zip(requests, replies, costs, strict=True):
        if isinstance(request, Sample):
            sizes = [len(sample.tokens) for sample in reply.continuations]
            work = request.n * len(request.prefix) + sum(sizes) - request.n
            assert cost.tokens_sampled == sum(sizes)
        else:
            work = len(request.prefix) + len(request.continuation) - 1 if request.continuation else 0
            assert cost.tokens_sampled == 0
        assert cost.calls == 1
        # A store too small for a shared stem loses it again before all have used it.
        assert cost.tokens_computed + cost.tokens_reused >= work
        assert cached == 40 or cost.tokens_computed + cost.tokens_reused == work
        assert min(cost.tokens_computed, cost.tokens_reused) >= 0


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    rng = random.Random(5)
    request = Sample(sequence(rng, 12), n=2, max_tokens=40, seed=11)
    others: list[Request] = [
        Sample(sequence(rng, rng.randrange(1, 50)), max_tokens=rng.randrange(1, 60), seed=rng.randrange(2**63))
        for _ in range(200)
    ]
    engine = LocalEngine(ENDLESS, max_rows=64)
    replies, _ = answer(engine, [*others[:100], request, *others[100:]])
    same([replies[100]], alone(ENDLESS, [request]))


def test_seed_index_and_position_give_different_draws() -> None:
    request = Sample((3, 4, 5), n=64, max_tokens=12, temperature=3.0, seed=1)
    (first, other), _ = answer(LocalEngine(ENDLESS), [request, replace(request, seed=2)])
    assert len({sample.tokens for sample in (*first.continuations, *other.continuations)}) == 128


def test_draws_follow_the_model() -> None:
    prefix, n = (3, 4, 5, 6), 4000
    (reply,), _ = answer(LocalEngine(ENDLESS), [Sample(prefix, n=n, max_tokens=1, seed=9)])
    expected = ENDLESS.logits(prefix)[-1].softmax(-1)
    counts = torch.bincount(torch.tensor([s.tokens[0] for s in reply.continuations]), minlength=VOCABULARY)
    spread = (n * expected * (1 - expected)).sqrt()
    assert bool(((counts - n * expected).abs() <= 5 * spread + 1).all())


def test_forking_a_prefix_computes_it_once() -> None:
    prefix = sequence(random.Random(6), 256)
    _, (cost,) = answer(LocalEngine(ENDLESS), [Sample(prefix, n=16, max_tokens=8, seed=0)])
    assert (cost.tokens_computed, cost.tokens_reused) == (256 + 16 * 7, 15 * 256)
    _, costs = answer(LocalEngine(ENDLESS), [Sample(prefix, max_tokens=8, seed=i) for i in range(16)])
    assert sum(cost.tokens_computed for cost in costs) == 256 + 16 * 7
    assert sum(cost.tokens_reused for cost in costs) == 15 * 256


def test_sequences_that_begin_alike_compute_the_beginning_once() -> None:
    rng = random.Random(7)
    prefix = sequence(rng, 256)
    tails = [(token, *sequence(rng, 4)) for token in range(2, 18)]
    requests: list[Request] = [Sample(prefix + tail, max_tokens=8, seed=i) for i, tail in enumerate(tails)]
    requests += [Logprob(prefix, tail) for tail in tails]
    replies, costs = answer(LocalEngine(ENDLESS), requests)
    same(replies, alone(ENDLESS, requests))
    # Scores go first: one of them pays for the prefix but its last token, whose logits each of them needs. Each sample
    # finds all but its last token computed by the score of the same tail.
    assert sum(cost.tokens_computed for cost in costs[16:]) == 255 + 16 * 5
    assert sum(cost.tokens_computed for cost in costs[:16]) == 16 * (1 + 7)
    _, costs = answer(LocalEngine(ENDLESS), requests[:16])
    assert sum(cost.tokens_computed for cost in costs) == 256 + 16 * (5 + 7)


def test_a_step_on_a_sampled_row_reuses_the_row() -> None:
    engine, prefix = LocalEngine(ENDLESS), sequence(random.Random(8), 100)
    (first,), _ = answer(engine, [Sample(prefix, n=4, max_tokens=10, seed=0)])
    steps: list[Request] = [Sample(prefix + s.tokens, max_tokens=5, seed=1) for s in first.continuations]
    replies, costs = answer(engine, steps)
    same(replies, alone(ENDLESS, steps))
    assert [(cost.tokens_computed, cost.tokens_reused) for cost in costs] == [(1 + 4, 109)] * 4


def test_samples_that_wait_for_room_reuse_the_prefix() -> None:
    prefix = sequence(random.Random(9), 50)
    request = Sample(prefix, n=20, max_tokens=6, seed=4)
    (reply,), (cost,) = answer(LocalEngine(ENDLESS, max_rows=8), [request])
    same([reply], alone(ENDLESS, [request]))
    assert cost.tokens_computed == 50 + 20 * 5 + 2  # two later batches compute its last token again


def test_a_changed_policy_is_used_at_once() -> None:
    policy = tiny(eos=False)
    engine, request = LocalEngine(policy), Sample((3, 4, 5, 6), max_tokens=20, seed=0)
    (before,), _ = answer(engine, [request])
    for weight in policy.model.parameters():
        weight.data.mul_(0.7)
    engine.policy_changed()
    (after,), (cost,) = answer(engine, [request])
    assert cost.tokens_reused == 0
    assert after != before
    same([after], alone(policy, [request]))


def test_rows_that_are_running_survive_a_policy_change() -> None:
    engine, requests = LocalEngine(ENDLESS), [Sample((3, 4), n=2, max_tokens=size, seed=size) for size in (3, 20)]
    engine.submit(0, requests[0])
    engine.submit(1, requests[1])
    (first,) = engine.poll()
    engine.policy_changed()
    (second,) = engine.poll()
    same([first[1], second[1]], alone(ENDLESS, requests))


def arriving(engine: LocalEngine, requests: list[Request], every: int = 3) -> tuple[list[Reply], list[Cost]]:
    """Submit a request every few steps and step until all are answered."""
    found, step = {}, 0
    while len(found) < len(requests):
        if step % every == 0 and step // every < len(requests):
            engine.submit(step // every, requests[step // every])
        found.update({ticket: (reply, cost) for ticket, reply, cost in engine.step()})
        step += 1
    replies, costs = zip(*(found[ticket] for ticket in range(len(requests))), strict=True)
    return list(replies), list(costs)


def passes(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """[rows, tokens of each] of every pass from now on."""
    seen, run = list[tuple[int, int]](), engine._decoder.logits

    def logits(first: int, tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append((tokens.shape[0], tokens.shape[1]))
        return run(first, tokens, *rest)

    monkeypatch.setattr(engine._decoder, "logits", logits)
    return seen


@pytest.mark.parametrize(
    ("kind", "chunk", "cached"),
    [
        ("qwen3", 1, 32768),
        ("qwen3", 7, 32768),
        ("qwen3", 64, 60),
        ("qwen3", 16, 0),
        ("gpt2", 16, 32768),
        ("mistral", 5, 32768),
        ("sliding", 16, 32768),
    ],
)
def test_prompts_computed_in_chunks_answer_as_whole_ones(kind: str, chunk: int, cached: int) -> None:
    policy, rng = tiny(kind), random.Random(chunk)
    shared = sequence(rng, 90)
    requests: list[Request] = []
    for request in mixed(rng, 10):
        prefix = shared[: rng.choice([0, 50, 90])] + request.prefix
        requests.append(replace(request, prefix=prefix))
    requests.append(Logprob(shared + sequence(rng, 30), sequence(rng, 40)))
    requests.append(requests[0])
    engine = LocalEngine(policy, prefix_cache_tokens=cached, prefill_chunk=chunk)
    replies, costs = arriving(engine, requests)
    same(replies, alone(policy, requests))
    for request, reply, cost in zip(requests, replies, costs, strict=True):
        if isinstance(request, Sample):
            work = sum(len(request.prefix) + len(sample.tokens) - 1 for sample in reply.continuations)
        else:
            work = len(request.prefix) + len(request.continuation) - 1 if request.continuation else 0
        assert cost.tokens_computed + cost.tokens_reused >= work
        assert cached == 60 or cost.tokens_computed + cost.tokens_reused == work


def test_rows_that_run_wait_for_no_more_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    engine = LocalEngine(ENDLESS, prefill_chunk=16)
    for ticket in range(3):
        engine.submit(ticket, Sample(sequence(rng, 5), max_tokens=60, seed=ticket))
    engine.step()
    seen = passes(engine, monkeypatch)
    engine.submit(3, Sample(sequence(rng, 100), max_tokens=2, seed=3))
    engine.submit(4, Sample(sequence(rng, 8), n=2, max_tokens=2, seed=4))
    for _ in range(18):
        engine.step()
    # 6 chunks of 16, then the last 4 with the row behind it, each before a step of those who run
    assert seen[:12] == [(1, 16), (3, 1)] * 6
    assert seen[12:14] == [(2, 8), (6, 1)]
    assert max(rows * width for rows, width in seen) == 16


def test_nobody_who_runs_or_nobody_who_reads_no_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, long = random.Random(3), (100, 1)
    engine = LocalEngine(ENDLESS, prefill_chunk=16)
    seen = passes(engine, monkeypatch)
    engine.submit(0, Sample(sequence(rng, 100), max_tokens=40, seed=0))
    engine.step()  # nobody waits for it
    assert seen == [long[::-1]]
    engine.submit(1, Sample(sequence(rng, 100), max_tokens=4, seed=1))
    engine.poll()  # nobody reads before it is done
    assert (1, 100) in seen[1:]
    whole = LocalEngine(ENDLESS, prefill_chunk=0)
    seen = passes(whole, monkeypatch)
    for ticket in range(2):
        whole.submit(ticket, Sample(sequence(rng, 100), max_tokens=40, seed=ticket))
        whole.step()
    assert seen == [(1, 100)] * 2


def test_a_prompt_begun_in_chunks_can_be_given_up_or_meet_a_changed_policy() -> None:
    rng = random.Random(4)
    running, long = Sample(sequence(rng, 6), max_tokens=50, seed=1), Sample(sequence(rng, 200), max_tokens=5, seed=2)
    engine = LocalEngine(ENDLESS, prefill_chunk=16)
    engine.submit(0, running)
    engine.step()
    engine.submit(1, long)
    for _ in range(4):
        engine.step()
    engine.cancel(1)
    engine.submit(2, long)
    engine.step()
    engine.policy_changed()
    found = {}
    while engine.rows:
        found |= {ticket: reply for ticket, reply, _ in engine.step()}
    assert found.keys() == {0, 2}
    same([found[0], found[2]], alone(ENDLESS, [running, long]))


def test_stop_strings_tokens_and_limits() -> None:
    (free,), _ = answer(LocalEngine(ENDLESS), [Sample((3, 4, 5), max_tokens=60, temperature=2.0, seed=5)])
    text = free.text
    assert len(text) == 60 - sum(token <= EOS for token in free.tokens)
    word, token = text[20:23], free.tokens[30]
    requests: list[Request] = [
        Sample((3, 4, 5), max_tokens=60, temperature=2.0, seed=5, stop=("zz", word)),
        Sample((3, 4, 5), max_tokens=60, temperature=2.0, seed=5, stop_tokens=(token,)),
        Sample((3, 4, 5), max_tokens=7, temperature=2.0, seed=5),
        Sample((3, 4, 5), temperature=2.0, seed=5),
    ]
    (string, stopped, short, default), _ = answer(LocalEngine(ENDLESS, default_max_tokens=9), requests)
    assert string.stop_reason is StopReason.STOP
    assert string.text == text[: text.index(word) + 3]
    assert stopped.stop_reason is StopReason.STOP
    assert stopped.tokens == free.tokens[: free.tokens.index(token) + 1]
    assert (short.stop_reason, short.tokens) == (StopReason.LENGTH, free.tokens[:7])
    assert (default.stop_reason, default.tokens) == (StopReason.LENGTH, free.tokens[:9])


def test_the_end_of_sequence_token_is_kept_and_not_shown() -> None:
    (reply,), _ = answer(LocalEngine(POLICY), [Sample((3, 4), n=64, max_tokens=100, temperature=3.0, seed=2)])
    ended = [sample for sample in reply.continuations if sample.stop_reason is StopReason.EOS]
    assert ended
    for sample in ended:
        assert sample.tokens.index(EOS) == len(sample.tokens) - 1
        assert sample.text == POLICY.codec.decode(sample.tokens[:-1])


def test_the_context_ends_a_continuation() -> None:
    prefix = sequence(random.Random(3), CONTEXT - 5)
    (reply,), _ = answer(LocalEngine(ENDLESS), [Sample(prefix, max_tokens=50, seed=0)])
    assert (len(reply.tokens), reply.stop_reason) == (5, StopReason.LENGTH)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Sample((5,) * CONTEXT, seed=0), "context is 400"),
        (Value((5,)), "no value head"),
        (Call("search"), "cannot call the tool 'search'"),
    ],
)
def test_a_refused_request_disturbs_no_other(request_: Request, words: str) -> None:
    engine = LocalEngine(POLICY)
    engine.submit(0, Sample((3, 4), max_tokens=3, seed=0))
    with pytest.raises(EngineError, match=words):
        engine.submit(1, request_)
    assert [ticket for ticket, _, _ in engine.poll()] == [0]


def test_values_come_from_the_value_head() -> None:
    policy = replace(POLICY, value_head=object())  # of a policy whose body cannot be run on the cache
    engine = LocalEngine(policy)
    engine._decoder.shows_states = False
    replies, costs = answer(engine, [Value((3, 4)), Sample((3, 4), max_tokens=2, seed=0), Value((5,))])
    assert (replies[0], replies[2]) == (Valued(7.0), Valued(5.0))
    assert [cost.tokens_computed for cost in costs[::2]] == [2, 1]


@pytest.mark.parametrize("kind", CONFIGS)
def test_values_on_the_cache_are_those_of_a_whole_pass(kind: str) -> None:
    policy = replace(tiny(kind, eos=False), value_head=lambda hidden: hidden[..., 0] + 2 * hidden[..., 5])
    engine = LocalEngine(policy)
    stem = tuple(range(3, 30))
    sampled = Sample(stem, n=3, max_tokens=9, seed=0)
    (reply, first), costs = answer(engine, [sampled, Value(stem)])
    states = [(*stem, *c.tokens[:size]) for c in reply.continuations for size in (9, 4, 1)]
    replies, costs = answer(engine, [Value(state) for state in states])
    for state, found in zip([stem, *states], [first, *replies], strict=True):
        with torch.no_grad():
            hidden = policy.model.base_model(torch.tensor([state]), use_cache=False).last_hidden_state[0, -1]
        assert found.value == pytest.approx(float(policy.value_head(hidden)), abs=1e-4)
    assert [cost.tokens_computed for cost in costs] == [1] * len(states)  # what was sampled is not computed again
    again, costs = answer(engine, [Sample(states[0], max_tokens=2, seed=0)])
    assert costs[0].tokens_computed <= 3
    same(again, alone(policy, [Sample(states[0], max_tokens=2, seed=0)]))


def test_rows_without_finite_logits_lose_only_themselves() -> None:
    policy = tiny("llama", eos=False)
    policy.model.model.embed_tokens.weight.data[39] = math.nan
    engine, prefix = LocalEngine(policy), (3, 39, *range(3, 30))
    sound = Sample((3, 4, 5), max_tokens=20, top_k=1, seed=0)
    broken: list[Request] = [Sample((*prefix, 7), seed=0), Sample((*prefix, 8), seed=0), Logprob(prefix, (5, 6))]
    replies, _ = answer(engine, [sound, *broken])
    for bad in replies[1:3]:
        assert (bad.stop_reason, bad.tokens) == (StopReason.ERROR, ())
        assert "NaN" in bad.only.detail
    assert all(map(math.isnan, replies[3].logprobs))
    again, _ = answer(engine, [replace(sound, seed=index) for index in range(6)])
    same([replies[0], *again], alone(policy, [sound]) * 7)


def test_the_models_modes_are_left_as_found() -> None:
    policy = tiny()
    policy.model.train()
    policy.model.model.layers[0].eval()
    policy.model.gradient_checkpointing_enable()
    before = {name: module.training for name, module in policy.model.named_modules()}
    request = Sample((3, 4, 5), max_tokens=12, seed=1)
    replies, _ = answer(LocalEngine(policy), [request])
    assert {name: module.training for name, module in policy.model.named_modules()} == before
    same(replies, alone(POLICY, [request]))
    policy.model(torch.tensor([[3, 4, 5]]), labels=torch.tensor([[3, 4, 5]])).loss.backward()


def test_the_short_step_is_used_only_where_it_agrees_with_the_model() -> None:
    request = Sample((3, 4, 5), max_tokens=12, temperature=0, seed=1)
    for kind, used in (("qwen3", True), ("llama", True), ("qwen2", True), ("gpt2", False), ("sliding", False)):
        engine = LocalEngine(tiny(kind, eos=False))
        answer(engine, [request])
        assert (engine._decoder._short is not None) == used
    policy = tiny(eos=False)
    norm = policy.model.model.layers[1].input_layernorm
    norm.forward = lambda hidden: 2 * hidden
    engine = LocalEngine(policy)
    (reply,), _ = answer(engine, [request])
    assert engine._decoder._short is None
    expected = policy.model.generate(torch.tensor([[3, 4, 5]]), do_sample=False, max_new_tokens=12)
    assert list(reply.tokens) == expected[0, 3:].tolist()


@pytest.mark.parametrize("kind", ["qwen3", "llama", "qwen2"])
@pytest.mark.parametrize("most", [0, 1 << 23])
def test_the_short_pass_computes_prompts_and_steps(kind: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "JOINED_WEIGHTS", most)
    policy = tiny(kind, eos=False)
    for name, weight in policy.model.named_parameters():
        if "norm" in name or "bias" in name:  # they are 1 and 0 when fresh
            torch.nn.init.normal_(weight.data, std=0.5, generator=torch.Generator().manual_seed(0))
    engine = LocalEngine(policy)
    rng = random.Random(1)
    answer(engine, [Sample(sequence(rng, size), max_tokens=3, seed=1) for size in (5, 9)])
    policy.model.forward = None  # the comparison is over
    requests = [Sample(sequence(rng, size), max_tokens=4, seed=size) for size in (3, 30, 8)]
    requests += [Logprob(sequence(rng, 20), sequence(rng, 6))]
    replies, _ = answer(engine, requests)
    del policy.model.forward
    for request, reply in zip(requests, replies, strict=True):
        tokens = request.continuation if isinstance(request, Logprob) else reply.tokens
        logits = policy.logits(request.prefix + tokens)[len(request.prefix) - 1 : -1]
        expected = logits.log_softmax(-1)[range(len(tokens)), list(tokens)]
        assert list(reply.logprobs) == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_model_with_another_kind_of_state_is_refused() -> None:
    model = AutoModelForCausalLM.from_config(MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1))
    with pytest.raises(EngineError, match="use another engine"):
        LocalEngine(TinyPolicy(model))
