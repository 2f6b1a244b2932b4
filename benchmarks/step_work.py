"""What both sides of the step benchmark work on: prompts, prescribed lengths and rewards."""

from __future__ import annotations

import time
import zlib
from typing import Any, ClassVar

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Posed, Problem, Score
from pilothouse.core.requests import Sample, Sampled
from pilothouse.core.results import Result
from pilothouse.core.seeds import SeedTree
from pilothouse.programs.base import Steps
from pilothouse.programs.group import Group
from pilothouse.tasks.gsm8k_calc import Gsm8kCalc
from pilothouse.training.data import PromptOrder

GROUP, RATE, BETAS, SEED = 8, 1e-4, (0.9, 0.95), 0
MODES = ("full", "prescribed", "ragged", "verified")


def reward(text: str) -> float:
    return zlib.crc32(text.encode()) / 2**32


class HashReward(Gsm8kCalc):
    """GSM8K's calculations with a reward that no response shares with another; no string ends a response."""

    stop: ClassVar[tuple[str, ...]] = ()

    def score(self, problem: Problem, response: str) -> Score:
        """Return the hash as the reward."""
        return Score(reward(response))


class Verified(Gsm8kCalc):
    """GSM8K's calculations with their own verifier; no string ends a response."""

    stop: ClassVar[tuple[str, ...]] = ()


def task_of(job: dict[str, Any]) -> Gsm8kCalc:
    """Return the task of a job's mode."""
    return (Verified if job["mode"] == "verified" else HashReward)(data=job["data"])


def prompts(task: Gsm8kCalc, count: int) -> list[str]:
    """Return the prompts of the first steps, in the order in which this library draws them."""
    return [str(problem.prompt) for problem in problems(task, count)]


def problems(task: Gsm8kCalc, count: int) -> list[Problem]:
    """Return the problems of the first steps, in the order in which this library draws them."""
    return PromptOrder(task.problems("train"), SeedTree(SEED) / "data").draw(count)


def now() -> tuple[float, float]:
    """Return the wall clock and this process's processor time, in seconds."""
    return time.perf_counter(), time.process_time()


def prescribed(prompt: str, index: int, job: dict[str, Any]) -> int:
    """Return the length of a sample of a prompt in the mode "prescribed", in tokens."""
    return job["shortest"] + zlib.crc32(f"{index} {prompt}".encode()) % (job["longest"] - job["shortest"] + 1)


class Prescribed(Group):
    """A group whose samples have prescribed lengths."""

    name: ClassVar[str] = "prescribed"
    shortest: int = 1
    longest: int = 1

    def __call__(self, posed: Posed) -> Steps:
        """Yield one request a sample; what they begin with is computed once all the same."""
        lengths = [prescribed(posed.text, index, self.model_dump()) for index in range(self.n)]
        replies = yield [Sample(posed.prompt, max_tokens=length) for length in lengths]
        samples = [reply.only for reply in replies if isinstance(reply, Sampled)]
        if [len(sample.tokens) for sample in samples] != lengths:
            raise RuntimeError("a response has not its prescribed length")
        episodes = tuple(Episode.single(posed.prompt, s, problem_id=posed.id, temperature=1.0) for s in samples)
        return Result(answer=episodes[0].text, episodes=episodes)
