"""The engine against a real server program: ``transformers serve`` with a tiny random model, offline."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from pilothouse.core.errors import EngineError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Logprob, Sample, StopReason
from pilothouse.core.results import Cost
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.openai import OpenAIEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.programs.base import Sampling
from pilothouse.programs.group import Group

pytestmark = pytest.mark.server

START_S = 120
CHARACTERS = "0123456789+-*/=.%()$ \nabcdefghijklmnopqrstuvwxyz"
CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
CHATML += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


class CharacterCodec:
    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer

    def encode(self, text):
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens):
        return self.tokenizer.decode(tokens, skip_special_tokens=True)


def tiny_model(folder: Path) -> CharacterCodec:
    """Save a random Qwen3 of two layers with a tokenizer of one token a character; return its codec."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    special = ["<pad>", "<eos>", "<unk>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: i for i, token in enumerate([*special, *CHARACTERS])}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    characters.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=characters,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(config)
    # The server samples only if the model's own generation config says so, whatever temperature is asked for.
    model.generation_config = GenerationConfig(do_sample=True, top_k=0, eos_token_id=1, pad_token_id=0)
    model.save_pretrained(folder)
    return CharacterCodec(tokenizer)


def wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended at once:\n{log.read_text()[-3000:]}"
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the server did not start in {START_S} s:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return (base_url, model name, codec) of a running server; it is killed afterwards in any case."""
    for module in ("fastapi", "uvicorn", "openai", "httpx"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("served")
    codec = tiny_model(folder / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder / "model")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = folder / "log"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        wait_until_healthy(process, f"http://127.0.0.1:{port}", log)
        yield f"http://127.0.0.1:{port}", str(folder / "model"), codec
    finally:
        process.kill()
        process.wait(30)


@pytest.fixture
def engine(served):
    url, model, codec = served
    with OpenAIEngine(url, model, codec=codec, keeps_stop=True, max_concurrency=4, retries=1) as it:
        yield it


def ask(engine: OpenAIEngine, request: Any) -> tuple[Any, Cost]:
    engine.submit(0, request)
    [(_, reply, cost)] = engine.poll()
    return reply, cost


def test_a_group_of_samples_with_true_costs(served, engine):
    prefix = engine.codec.encode("2+3=")
    engine.check(prefix)
    reply, cost = ask(engine, Sample(prefix, n=5, max_tokens=12, seed=3))
    assert len(reply.continuations) == 5  # this server ignores n: the engine asks again
    assert len({one.text for one in reply.continuations}) == 5
    for one in reply.continuations:
        assert one.stop_reason in (StopReason.LENGTH, StopReason.EOS)
        assert one.tokens == engine.codec.encode(one.text)
        assert len(one.tokens) <= 12  # special tokens are not in the text
        assert one.logprobs == ()  # this server gives none
    assert 5 <= cost.tokens_sampled <= 60
    assert cost.tokens_computed == cost.tokens_sampled + 5 * len(prefix)


def test_the_same_seed_gives_the_same_samples(served):
    """Its seed is one for the whole server: repeatable only with one request at a time."""
    url, model, codec = served
    with OpenAIEngine(url, model, codec=codec, max_concurrency=1) as engine:
        first, again, other = (
            [one.text for one in ask(engine, Sample(codec.encode("1"), n=3, max_tokens=16, seed=seed))[0].continuations]
            for seed in (7, 7, 8)
        )
    assert first == again
    assert first != other


def test_greedy_and_stop_strings(engine):
    prefix = engine.codec.encode("2+3=")
    greedy = [ask(engine, Sample(prefix, max_tokens=8, temperature=0, seed=seed))[0].text for seed in (1, 2)]
    assert greedy[0] == greedy[1]
    stop = tuple(CHARACTERS[:30])
    reply, _ = ask(engine, Sample(prefix, n=3, max_tokens=200, stop=stop, seed=1))
    for one in reply.continuations:
        assert one.stop_reason in (StopReason.STOP, StopReason.EOS)
        assert one.text.endswith(stop) is (one.stop_reason is StopReason.STOP)
        assert not any(character in one.text[:-1] for character in stop)
    assert any(one.stop_reason is StopReason.STOP for one in reply.continuations)


def test_chat(served):
    url, model, codec = served
    with OpenAIEngine(url, model, codec=codec, chat=True) as engine:
        reply, cost = ask(engine, Sample(codec.encode("2+3="), n=2, max_tokens=10, seed=1))
    for one in reply.continuations:
        assert one.stop_reason in (StopReason.LENGTH, StopReason.EOS)
        assert "2+3=" not in one.text
    rendered = "<|im_start|>user\n2+3=<|im_end|>\n<|im_start|>assistant\n"
    assert cost.tokens_computed - cost.tokens_sampled == 2 * len(codec.encode(rendered))


def test_what_this_server_refuses_is_said_in_its_words(served, engine):
    prefix = engine.codec.encode("2+3=")
    reply, _ = ask(engine, Sample(prefix, max_tokens=4, top_k=4))
    assert reply.only.stop_reason is StopReason.ERROR
    assert "HTTP 422" in reply.only.detail
    assert "top_k" in reply.only.detail
    refusal, _ = ask(engine, Logprob(prefix, engine.codec.encode("5")))
    assert isinstance(refusal, EngineError)
    assert "gives no log-probabilities of a prompt" in str(refusal)
    url, _, codec = served
    with OpenAIEngine(url, "another", codec=codec) as wrong, pytest.raises(EngineError, match="another"):
        wrong.check(prefix)


def test_a_program_over_the_server_gives_episodes(engine):
    codec = engine.codec
    program = Group(n=3, sampling=Sampling(max_tokens=10))
    seeds = SeedTree(0)
    texts = [f"{i}+{i}=" for i in range(6)]
    jobs = [Job(program, Posed(t, codec.encode(t), t, (seeds / t).numpy(), codec), seeds / t) for t in texts]
    results = Runner(engine).run(jobs)
    for text, result in zip(texts, results, strict=True):
        assert len(result.episodes) == 3
        assert result.cost.calls == 1
        assert result.cost.tokens_computed == result.cost.tokens_sampled + 3 * len(text)
        assert result.cost.seconds > 0
        for episode in result.episodes:
            assert episode.problem_id == text
            assert episode.prompt == codec.encode(text)
            assert episode.tokens == codec.encode(episode.text)
            assert all(episode.action_mask)
            assert episode.stop_reason is not StopReason.ERROR
