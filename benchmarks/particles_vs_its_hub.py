"""Our particle filter beside its_hub's: problems per second with the same model, scorer, problems and budgets.

its_hub drives any language model through ``AbstractLanguageModel``. Here that is the same local model in the same
process, by the fastest route found: all problems run at once as asyncio tasks, and whatever steps they wait for is one
``model.generate`` call over all particles of all problems; no HTTP, no server. ``--route alone`` takes the problems in
turn instead, one call a step over one problem's particles. Both sides score the same texts with the same function.
its_hub is not a dependency: install its_hub==1.2.0 beside the library.

    python benchmarks/particles_vs_its_hub.py [--budgets 8 16 32] [--problems 32] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from its_hub.api import AbstractLanguageModel, AbstractProcessRewardModel
from its_hub.core.algorithms.particle_gibbs import ParticleFiltering
from its_hub.core.lms.step_generation import StepGeneration
from transformers import GenerationConfig

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.methods.experiments.particle_scaling.design import DESIGNS, HOW, TASK
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.particles import Particles
from pilothouse.reports.statistics import wilson
from pilothouse.tasks.noisy_scorer import NoisySteps
from pilothouse.training.collect import attempt
from pilothouse.training.scoring import scored_runner


class LocalModel(AbstractLanguageModel):
    """A Hugging Face model as its_hub's language model; concurrent calls share one ``generate``."""

    def __init__(self, policy: CausalPolicy, max_new_tokens: int) -> None:
        self.policy, self.tokens = policy, 0
        self.ends = {policy.codec.encode(text)[0] for text in ("\n", ".")} | set(policy.eos_ids)
        self.config = GenerationConfig(
            do_sample=True,
            temperature=HOW.temperature,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max_new_tokens,
            eos_token_id=sorted(self.ends),
            pad_token_id=0,
        )
        self.queue: list[tuple[list[str], asyncio.Future[list[str]]]] = []

    async def agenerate(self, messages: Any, stop: str | None = None, **kwargs: Any) -> Any:
        """Answer a batch of conversations, each with one step."""
        texts = ["".join(message.content for message in conversation) for conversation in messages]
        loop = asyncio.get_running_loop()
        if not self.queue:
            loop.call_soon(self._flush)
        waiting: asyncio.Future[list[str]] = loop.create_future()
        self.queue.append((texts, waiting))
        return [{"role": "assistant", "content": text} for text in await waiting]

    def _flush(self) -> None:
        queue, self.queue = self.queue, []
        answers = iter(self._generate([text for texts, _ in queue for text in texts]))
        for texts, waiting in queue:
            waiting.set_result([next(answers) for _ in texts])

    def _generate(self, texts: Sequence[str]) -> list[str]:
        prompts = [self.policy.codec.encode(text) for text in texts]
        width = max(len(prompt) for prompt in prompts)
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        model: Any = self.policy.model
        with torch.inference_mode():
            rows = model.generate(ids, attention_mask=mask, generation_config=self.config)[:, width:].tolist()
        steps: list[str] = []
        for row in rows:
            end = next((at + 1 for at, token in enumerate(row) if token in self.ends), len(row))
            self.tokens += end
            steps.append(self.policy.codec.decode(tuple(row[:end])).removesuffix("\n"))
        return steps


class SameScorer(AbstractProcessRewardModel):
    """The library's scorer as its_hub's process reward model."""

    def __init__(self, scorer: NoisySteps, problems: Sequence[Problem]) -> None:
        self.scorer, self.problems = scorer, {str(problem.prompt): problem for problem in problems}

    def score(self, prompt_or_messages: Any, steps: list[str]) -> list[float]:
        """Score partial answers; a step that goes on ends in a line break, as our program scores it."""
        problem = self.problems[prompt_or_messages]
        return [self.scorer(TASK, problem, text if text.endswith(".") else text + "\n") for text in steps]

    async def ascore(self, prompt_or_messages: Any, steps: list[str]) -> list[float]:
        """Score partial answers."""
        return self.score(prompt_or_messages, steps)


def with_hub(
    policy: CausalPolicy, problems: Sequence[Problem], budget: int, seed: int, route: str
) -> tuple[float, int]:
    torch.manual_seed(seed)
    steps = len(problems[0].solution.split("\n"))
    model = LocalModel(policy, max_new_tokens=12)
    generation = StepGeneration(max_steps=steps + 4, step_token="\n", stop_token=".", temperature=HOW.temperature)
    search = ParticleFiltering(generation, SameScorer(NoisySteps(seed=seed), problems))

    async def one(problem: Problem) -> bool:
        answer = await search.ainfer(model, str(problem.prompt), budget)
        return bool(TASK.score(problem, answer["content"]).correct)

    async def every() -> list[bool]:
        if route == "alone":
            return [await one(problem) for problem in problems]
        return list(await asyncio.gather(*[one(problem) for problem in problems]))

    return sum(asyncio.run(every())), model.tokens


def with_ours(
    policy: CausalPolicy, problems: Sequence[Problem], budget: int, seed: int, route: str
) -> tuple[float, int]:
    program = Particles(n=budget, sampling=HOW)
    runner = scored_runner(LocalEngine(policy), NoisySteps(seed=seed), TASK)
    batches = [[problem] for problem in problems] if route == "alone" else [problems]
    right, tokens = 0, 0
    for at, batch in enumerate(batches):
        found = attempt(runner, program, policy, TASK, batch, SeedTree(seed) / "benchmark", first=at)
        right += sum(bool(a.score.correct) for a in found)
        tokens += sum(a.result.cost.tokens_sampled for a in found)
    return right, tokens


SIDES = {"pilothouse": with_ours, "its_hub": with_hub}


def measure(policy: CausalPolicy, budget: int, options: argparse.Namespace) -> dict[str, Any]:
    """Alternate both sides over rounds of fresh problems; a short round warms up.

    Both the wall and the processor's clock are read: beside other work on the machine only the latter can be trusted.
    """
    everything = TASK.problems("test")
    clocks = {"wall": time.perf_counter, "processor": time.process_time}
    seconds: dict[str, dict[str, list[float]]] = {side: {clock: [] for clock in clocks} for side in SIDES}
    right, tokens = dict.fromkeys(SIDES, 0), dict.fromkeys(SIDES, 0)
    for turn in range(-1, options.rounds):
        first = max(turn, 0) * options.problems
        problems = everything[first : first + (4 if turn < 0 else options.problems)]
        for side, run in SIDES.items():
            start = {name: clock() for name, clock in clocks.items()}
            found, sampled = run(policy, problems, budget, 1000 + turn, options.route)
            if turn >= 0:
                for name, clock in clocks.items():
                    seconds[side][name].append(clock() - start[name])
                right[side] += int(found)
                tokens[side] += sampled
    total = options.rounds * options.problems
    accuracy = {side: wilson(right[side], total) for side in SIDES}
    return {
        "budget": budget,
        "route": options.route,
        "problems": total,
        "tokens_a_problem": {side: tokens[side] / total for side in SIDES},
        "accuracy": {side: interval.to_dict() for side, interval in accuracy.items()},
        "shown": {side: interval.percent() for side, interval in accuracy.items()},
        "clocks": {name: _compared(seconds, name, options.problems) for name in clocks},
    }


def _compared(seconds: dict[str, dict[str, list[float]]], clock: str, problems: int) -> dict[str, Any]:
    """Problems per second of both sides by one clock, and the ratio over the rounds."""
    ours, theirs = (seconds[side][clock] for side in SIDES)
    ratios = [slow / fast for fast, slow in zip(ours, theirs, strict=True)]
    return {
        "problems_per_second": {side: problems / statistics.median(seconds[side][clock]) for side in SIDES},
        "ratio": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", type=int, nargs="*", default=[8, 16, 32], help="particles a problem")
    parser.add_argument("--problems", type=int, default=32, help="problems a round")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds, each with problems of its own")
    parser.add_argument(
        "--route", choices=["together", "alone"], default="together", help="problems at once, or in turn"
    )
    parser.add_argument("--model", default="", help="folder of a policy; by default the experiment's own")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    policy = CausalPolicy.load(options.model) if options.model else DESIGNS["small"].policy(0)
    policy.model.eval()
    for budget in options.budgets:
        row = measure(policy, budget, options)
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        print(f"N = {budget}, {row['problems']} problems, {options.route}, {torch.get_num_threads()} threads")
        for side in SIDES:
            speeds = [f"{row['clocks'][name]['problems_per_second'][side]:.2f} by {name}" for name in row["clocks"]]
            shown = f"right {row['shown'][side]}, {row['tokens_a_problem'][side]:.0f} tokens a problem"
            print(f"  {side}: problems per second {', '.join(speeds)}; {shown}")
        for name, found in row["clocks"].items():
            print(
                f"  ratio by {name} clock {found['ratio']:.2f} {[round(end, 2) for end in found['spread']]}", flush=True
            )


if __name__ == "__main__":
    main()
