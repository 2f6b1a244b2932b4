"""The policy around a model: text and ids, saving and loading, adapters, values, and mistakes that users make."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Problem
from pilothouse.policies import loading
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.lora import LoRA
from pilothouse.policies.tiny import TinyShape, character_tokenizer, tiny_policy

CHARACTERS = "0123456789+-*/=(). \n"
PROMPTS, TOKENS = ((3, 4), (5, 6, 7)), torch.tensor([[8, 9, 10], [11, 12, 13]])
MASK = torch.ones_like(TOKENS, dtype=torch.bool)
TOKENIZER = character_tokenizer(CHARACTERS)


def nano(**kwargs: bool) -> CausalPolicy:
    return tiny_policy(CHARACTERS, 0, "nano", **kwargs)


def logprobs(policy: CausalPolicy) -> torch.Tensor:
    return policy.token_scores(PROMPTS, TOKENS, MASK).logprobs.detach()


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=CHARACTERS, max_size=30))
def test_decoding_is_the_inverse_of_encoding_with_one_id_per_character(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert len(ids) == len(text)
    assert TOKENIZER.decode(ids) == text


def test_unknown_characters_have_an_id_of_their_own() -> None:
    assert TOKENIZER.encode("1?2")[1] == TOKENIZER.unk_token_id


def test_default_size_is_about_a_million_parameters() -> None:
    count = sum(weight.numel() for weight in tiny_policy(CHARACTERS, 0).trainable_parameters().values())
    assert 0.7e6 < count < 1.3e6


def test_seeded_weights_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (tiny_policy(CHARACTERS, seed, "nano") for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(logprobs(one), logprobs(same))
    assert not torch.equal(logprobs(one), logprobs(other))


def test_saved_policy_is_an_ordinary_model_folder(tmp_path: Path) -> None:
    made = nano()
    made.save(tmp_path)
    text = "12 + 3 =\n 15"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(model(ids).logits, made.model(ids).logits)
    loaded = CausalPolicy.load(tmp_path)
    assert torch.equal(logprobs(loaded), logprobs(made))
    assert loaded.eos_ids == made.eos_ids == frozenset({TOKENIZER.eos_token_id})
    assert loaded.context == 256
    assert loaded.codec.encode(text) == made.codec.encode(text)


def test_run_folder_stands_for_the_model_in_it(tmp_path: Path) -> None:
    nano().save(tmp_path / "model")
    assert torch.equal(logprobs(CausalPolicy.load(tmp_path)), logprobs(nano()))


def test_value_head_starts_at_zero_and_agrees_with_the_values_of_prefixes(tmp_path: Path) -> None:
    made = nano(value_head=True)
    assert made.value_head is not None
    assert made.value_of_prefixes(PROMPTS) == [0.0, 0.0]
    torch.nn.init.normal_(made.value_head.weight, generator=torch.Generator().manual_seed(0))
    values = made.token_scores(PROMPTS, TOKENS, MASK, values=True).values
    assert values is not None
    states = [(*PROMPTS[0], 8), (*PROMPTS[1], 11, 12)]
    torch.testing.assert_close(torch.tensor(made.value_of_prefixes(states)), torch.stack([values[0, 1], values[1, 2]]))
    made.save(tmp_path)
    assert CausalPolicy.load(tmp_path, value_head=True).value_of_prefixes(states) == made.value_of_prefixes(states)


def test_reference_keeps_its_weights_and_takes_no_gradient() -> None:
    made = nano()
    frozen, before = made.reference(), logprobs(made)
    with torch.no_grad():
        made.model.get_input_embeddings().weight.mul_(3.0)
    assert not torch.equal(logprobs(made), before)
    assert torch.equal(logprobs(frozen), before)
    assert not frozen.token_scores(PROMPTS, TOKENS, MASK).logprobs.requires_grad


def test_lora_trains_the_adapter_only_and_its_reference_is_the_model_without_it(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    nano().save(tmp_path / "base")
    made, before = CausalPolicy.load(tmp_path / "base", lora=LoRA(r=2)), logprobs(nano())
    assert torch.equal(logprobs(made), before)
    assert sum(w.numel() for w in made.trainable_parameters().values()) < sum(
        w.numel() for w in nano().trainable_parameters().values()
    )
    with torch.no_grad():
        for weight in made.trainable_parameters().values():
            weight.add_(0.1)
    assert not torch.allclose(logprobs(made), before, atol=1e-4)
    assert torch.equal(logprobs(made.reference()), before)
    after = logprobs(made)
    made.save(tmp_path / "tuned")
    assert torch.equal(logprobs(made), after)
    torch.testing.assert_close(logprobs(CausalPolicy.load(tmp_path / "tuned")), after, atol=1e-5, rtol=1e-5)
    assert (tmp_path / "tuned" / "adapter" / "adapter_config.json").is_file()


def test_lora_weights_follow_the_seed(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    nano().save(tmp_path)
    one, same, other = (
        CausalPolicy.load(tmp_path, lora=LoRA(r=2), seed=s).trainable_parameters().values() for s in (0, 0, 1)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_prompts_are_rendered_as_text_or_through_the_chat_template() -> None:
    made = nano()
    assert made.codec.decode(made.render(Problem("a", "1+2="))) == "1+2="
    chat = Problem("b", ({"role": "user", "content": "1+2="},))
    with pytest.raises(ConfigError, match="no chat template; give its prompt as text"):
        made.render(chat)
    made.tokenizer.chat_template = "{% for m in messages %}({{ m['content'] }}){% endfor %}"
    assert made.codec.decode(made.render(chat)) == "(1+2=)"


@pytest.mark.parametrize("prompt", ["", "1" * 256])
def test_a_prompt_that_is_empty_or_fills_the_context_is_refused(prompt: str) -> None:
    with pytest.raises(ConfigError, match="context is 256"):
        nano().render(Problem("a", prompt))


def test_asking_for_values_without_a_head_is_refused() -> None:
    with pytest.raises(ConfigError, match="value_head=True"):
        nano().value_of_prefixes(PROMPTS)
    with pytest.raises(ConfigError, match="value_head=True"):
        nano().token_scores(PROMPTS, TOKENS, MASK, values=True)


def test_models_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="the folder does not exist"):
        CausalPolicy.load(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"no config\.json"):
        CausalPolicy.load(tmp_path)
    nano().model.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"no tokenizer; save one there with tokenizer\.save_pretrained"):
        CausalPolicy.load(tmp_path)
    monkeypatch.setattr(loading, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(loading, "HF_HUB_OFFLINE", False)
    with pytest.raises(ConfigError, match=r"hub cannot be reached .* give a local folder"):
        CausalPolicy.load("nobody/nothing")


def test_damaged_weights_are_one_sentence(tmp_path: Path) -> None:
    nano().save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(ConfigError, match=r"cannot be read .* save it again"):
        CausalPolicy.load(tmp_path)


@pytest.mark.parametrize(("device", "dtype", "message"), [("toaster", "auto", "device"), ("cpu", "int8", "dtype")])
def test_device_and_dtype_must_exist(tmp_path: Path, device: str, dtype: str, message: str) -> None:
    nano().save(tmp_path)
    with pytest.raises(ConfigError, match=f"unknown {message}"):
        CausalPolicy.load(tmp_path, device=device, dtype=dtype)


def test_unknown_sizes_and_empty_character_sets_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean '1m'"):
        tiny_policy(CHARACTERS, 0, "2m")
    with pytest.raises(ConfigError, match="at least one character"):
        tiny_policy("", 0, TinyShape())
