"""How busy slots are when every answer is right: what the lengths alone decide, without a network."""

from __future__ import annotations

from pilothouse.core.requests import Continuation, Request, Sample, StopReason
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.runner import Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.methods.experiments.t_ppo.count_on import CountOn
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.group import Group
from pilothouse.training.data import PromptOrder
from pilothouse.training.slots import SlotPool


def right_slot_use(task: CountOn, window: int, steps: int, seed: int, slots: int = 64) -> float:
    """Return the share of the slots' chances to draw a token that are taken.

    Args:
        task: whose lengths.
        window: tokens a response grows by at a time.
        steps: lock-step decode steps to count over, at the least.
        seed: root of the order of problems.
        slots: responses under way.
    """
    policy, seeds = tiny_policy(task.character_set, 0, "nano"), SeedTree(seed)
    pool = SlotPool(
        Runner(ScriptedEngine(lambda request: _counted_on(request, policy), codec=policy.codec)),
        policy,
        task,
        PromptOrder(task.problems("train"), seeds / "data"),
        seeds / "sampling",
        program=Group(n=1),
        prompts=slots,
        window=window,
    )
    tokens = taken = 0
    while taken < steps:
        grown = pool.advance()
        tokens, taken = tokens + grown.tokens, taken + grown.steps
    return tokens / (taken * slots)


def _counted_on(request: Request, policy: CausalPolicy) -> Continuation:
    """Go on with the right answer as far as the request allows."""
    assert isinstance(request, Sample)
    asked, _, given = policy.codec.decode(request.prefix).partition("=")
    rest = [(int(asked[0]) + i) % 10 for i in range(len(given), int(asked[1:]))]
    tokens = (*policy.codec.encode("".join(map(str, rest))), *policy.end)[: request.max_tokens]
    ended = tokens[-1:] == policy.end
    text = policy.codec.decode(tokens)
    return Continuation(tokens, text, (0.0,) * len(tokens), StopReason.EOS if ended else StopReason.LENGTH)
