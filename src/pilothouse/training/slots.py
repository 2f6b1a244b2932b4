"""Truncated rollouts: a pool of slots, each holding a response that grows by a window of tokens a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pilothouse.core.episodes import Episode, Segment
from pilothouse.core.problems import Problem
from pilothouse.core.requests import Codec, StopReason, Tokens
from pilothouse.core.results import Cost
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.runner import Job, Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.window import Window
from pilothouse.tasks.base import Task
from pilothouse.training.clock import Clock
from pilothouse.training.collect import pose
from pilothouse.training.data import PromptOrder


@dataclass(frozen=True)
class Slot:
    """A response under way.

    Args:
        number: of the response among all of the run; its problem, its place in the group and its draws follow from it.
        tokens: what was drawn so far.
        logprobs: the log-probability of each under the policy that drew it.
    """

    number: int
    tokens: Tokens = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True)
class Grown:
    """What a window left in every slot.

    Args:
        episodes: a response a slot, from its first token on; those that ended are scored, the others are CUT.
            ``Episode.start`` is where this window began.
        groups: which problem each attempts, counted within this batch.
        steps: lock-step decode steps: tokens that the slot that drew most drew.
        cost: what sampling took.
    """

    episodes: list[Episode]
    groups: list[int]
    steps: int
    cost: Cost

    @property
    def tokens(self) -> int:
        """Tokens drawn."""
        return sum(len(episode.tokens) - episode.start for episode in self.episodes)


class SlotPool:
    """B slots that are never idle: a response that has ended makes room for the next one, the others go on.

    Responses are numbered in the order in which they begin. Number k attempts problem ``k // group`` of the order and
    draws by its own seed and the position of each token, so neither windows nor neighbours change a draw: with the
    same weights a response is the same whatever the window, and a pool whose window holds every response draws what
    ``attempt`` draws. After every update the engine has forgotten what it computed, so what is kept of a response is
    its tokens, and the next window computes them again under the new weights.

    Args:
        runner: drives the requests.
        policy: renders prompts.
        task: judges what has ended.
        order: the problems.
        seeds: node under which the draws of problem p have the address (p // prompts, 0, p % prompts).
        program: draws groups of plain responses; it says how.
        prompts: problems under way at once; slots are this many groups.
        window: tokens a response may grow by at a time, at least 1.
    """

    def __init__(
        self,
        runner: Runner,
        policy: CausalPolicy,
        task: Task,
        order: PromptOrder,
        seeds: SeedTree,
        *,
        program: Program,
        prompts: int,
        window: int,
    ) -> None:
        self.runner, self.policy, self.task, self.order, self.seeds = runner, policy, task, order, seeds
        ready: Any = program.fitted(limit=task.limit, stop=task.stop, step_end=task.step_end)
        self.sampling: Sampling = ready.sampling
        self.group, self.prompts, self.window = program.group_size, prompts, window
        self.slots = [Slot(number) for number in range(prompts * self.group)]
        self.next = len(self.slots)

    def advance(self, clock: Clock | None = None) -> Grown:
        """Let every response grow by up to a window, judge those that ended and fill their slots anew.

        Args:
            clock: counts the seconds of the phases "sample" and "verify".
        """
        clock = clock or Clock()
        jobs = [self._job(slot) for slot in self.slots]
        with clock("sample"):
            results = self.runner.run(jobs)
        grown = [self._grown(slot, r.episodes[0]) for slot, r in zip(self.slots, results, strict=True)]
        ended = [(self._problem(s), e.text) for s, e in zip(self.slots, grown, strict=True) if not e.unfinished]
        with clock("verify"):
            verdicts = iter(self.task.score_many(ended))
        episodes = [e if e.unfinished else e.scored(next(verdicts)) for e in grown]
        problems = [slot.number // self.group for slot in self.slots]
        places = {problem: place for place, problem in enumerate(dict.fromkeys(problems))}
        cost = replace(sum((result.cost for result in results), Cost()), seconds=0.0)
        steps = max(len(episode.tokens) - episode.start for episode in episodes)
        self.slots = [self._after(slot, episode) for slot, episode in zip(self.slots, episodes, strict=True)]
        return Grown(episodes, [places[problem] for problem in problems], steps, cost)

    def state_dict(self) -> dict[str, Any]:
        """Return the responses under way and the number of the next one."""
        slots = [{"number": s.number, "tokens": list(s.tokens), "logprobs": list(s.logprobs)} for s in self.slots]
        return {"next": self.next, "slots": slots}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.next = state["next"]
        self.slots = [Slot(s["number"], tuple(s["tokens"]), tuple(s["logprobs"])) for s in state["slots"]]

    def _problem(self, slot: Slot) -> Problem:
        return self.order.at(slot.number // self.group)

    def _job(self, slot: Slot) -> Job:
        """Ask for the next window: the prompt and what there is of the response, continued."""
        position, member = divmod(slot.number, self.group)
        step, place = divmod(position, self.prompts)
        node = self.seeds / step / 0 / place
        posed = pose(self._problem(slot), self.policy, self.task, node)
        room = self._limit(posed.prompt) - len(slot.tokens)
        how = self.sampling.model_copy(update={"max_tokens": min(self.window, room)})
        return Job(Window(member=member, sampling=how), replace(posed, prompt=posed.prompt + slot.tokens), node)

    def _limit(self, prompt: Tokens) -> int:
        """Longest response, in tokens."""
        return min(self.sampling.max_tokens, self.policy.context - len(prompt))

    def _grown(self, slot: Slot, drawn: Episode) -> Episode:
        """Join what there was of a response and what was drawn now."""
        start = len(slot.tokens)
        tokens, reason = slot.tokens + drawn.tokens, drawn.stop_reason
        prompt = drawn.prompt[: len(drawn.prompt) - start]
        size = stopped_at(tokens, start, self.sampling.stop, self.policy.codec)
        if size is not None:
            tokens, reason = tokens[:size], StopReason.STOP
        elif reason is StopReason.LENGTH and len(tokens) < self._limit(prompt):
            reason = StopReason.CUT
        return replace(
            drawn,
            prompt=prompt,
            tokens=tokens,
            action_mask=(True,) * len(tokens),
            logprobs=(slot.logprobs + drawn.logprobs)[: len(tokens)],
            text=self.policy.codec.decode(tokens),
            stop_reason=reason,
            segments=(Segment(0, len(tokens), "response"),),
            start=start,
        )

    def _after(self, slot: Slot, episode: Episode) -> Slot:
        """Keep a response that goes on; begin the next one where one ended."""
        if episode.unfinished:
            return Slot(slot.number, episode.tokens, episode.logprobs)
        self.next += 1
        return Slot(self.next - 1)


def stopped_at(tokens: Tokens, start: int, stops: Sequence[str], codec: Codec) -> int | None:
    """Return how many tokens there are up to the first that completes a stop string which a cut runs through.

    An engine looks for stop strings in what it draws; one that began before the cut it cannot see. ``None`` if there is
    no such string.

    Args:
        tokens: the response.
        start: the first token after the cut.
        stops: the stop strings.
        codec: decodes.
    """
    reach = 4 * max(map(len, stops), default=0)  # a character takes at most four byte tokens
    for size in range(start + 1, min(len(tokens), start + reach) + 1) if start else ():
        text = codec.decode(tokens[max(0, start - reach) : size])
        if any(stop in text for stop in stops):
            return size
    return None
