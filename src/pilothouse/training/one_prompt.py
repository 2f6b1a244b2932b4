"""One prompt, one search: a program on any Hugging Face model with any scoring function, without task or run."""

from __future__ import annotations

from collections.abc import Callable

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pilothouse.core.problems import Posed, Problem
from pilothouse.core.requests import Value
from pilothouse.core.results import Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program
from pilothouse.training.scoring import VALUE


def search_prompt(
    program: Program,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    worth: Callable[[str, str], float] | None = None,
    *,
    max_tokens: int = 512,
    step_end: str = "\n\n",
    stop: tuple[str, ...] = (),
    seed: int = 0,
) -> Result:
    """Return what a program makes of one prompt: its answer, all its responses as episodes, and its trace.

        search_prompt(Particles(n=16), model, tokenizer, "What is 7 times 8?", my_process_reward).answer

    Args:
        program: how the prompt is attempted.
        model: a causal language model, on its device.
        tokenizer: its tokenizer.
        prompt: text, taken as it is.
        worth: from prompt and partial response to its score; needed by programs that ask a scorer.
        max_tokens: length limit of a response, unless the program sets its own.
        step_end: what ends a step, unless the program sets its own.
        stop: strings that end a response, unless the program sets its own.
        seed: root of all draws.

    Raises:
        ConfigError: the prompt is empty or too long, or the program asks a scorer and there is none.
        DataError: a score is not what the program needs.
    """
    policy, seeds = CausalPolicy(model, tokenizer), SeedTree(seed)
    tokens = policy.render(Problem("prompt", prompt))

    def judge(request: Value) -> float:
        assert worth is not None
        return float(worth(prompt, policy.codec.decode(request.prefix[request.start :])))

    posed = Posed("prompt", tokens, prompt, (seeds / "program").numpy(), policy.codec)
    ready = program.fitted(limit=max_tokens, stop=stop, step_end=step_end)
    runner = Runner(LocalEngine(policy), scorers={VALUE: judge} if worth else None)
    [result] = runner.run([Job(ready, posed, seeds)])
    return result
