"""From a request to a job: which program answers, how wide it is, how tokens are drawn, what ends the text."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilothouse.core.budgets import Budget
from pilothouse.core.errors import ConfigError, nearest
from pilothouse.core.problems import Message, Posed
from pilothouse.core.requests import Codec, Tokens
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.runner import Job
from pilothouse.methods.base import language_methods
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.group import Group
from pilothouse.serving.api import Ask, ChatRequest, CompletionRequest, Refusal

METHOD_HEADER, BUDGET_HEADER = "x-pilothouse-method", "x-pilothouse-budget"


@dataclass(frozen=True)
class Habits:
    """What a task taught the model, for requests that say nothing of it.

    Args:
        limit: length limit of a response, in tokens.
        stop: strings that end a response.
        step_end: what separates the steps of a response.
        answer_of: a response's final answer in a form that can be compared, for programs that vote.
    """

    limit: int = 512
    stop: tuple[str, ...] = ()
    step_end: str = "\n"
    answer_of: Callable[[str], str] = str.strip


@dataclass(frozen=True)
class Bounds:
    """What a single request may ask for.

    Args:
        tokens: longest response, in tokens.
        choices: most choices, the field ``n``.
        samples: widest budget, in whole responses.
    """

    tokens: int = 4096
    choices: int = 16
    samples: int = 64


@dataclass(frozen=True)
class Offer:
    """The model on offer and how it answers by default.

    Args:
        name: what clients call it.
        codec: text to token ids and back.
        context: longest sequence, in tokens; 0 if only another server knows.
        chat: the token ids of a conversation, ready for an answer.
        method: the name of what answers by default.
        program: what answers by default.
        has_scorer: whether programs may ask what a partial response is worth.
        takes_ids: whether a prompt may be given as token ids.
        habits: what a task taught the model.
    """

    name: str
    codec: Codec
    context: int
    chat: Callable[[Sequence[Message]], Tokens]
    method: str
    program: Program
    has_scorer: bool = False
    takes_ids: bool = True
    habits: Habits = field(default_factory=Habits)

    def programs(self) -> dict[str, Program]:
        """Return what may answer, by name: every method's program and every program that needs no settings."""
        kinds = {name: kind for name, kind in Program.catalogue.classes().items() if _plain(kind)}
        found = {name: Program.build(name) for name in kinds}
        found |= {name: method.program for name, method in language_methods().items()}
        found[self.method] = self.program
        return {name: item for name, item in sorted(found.items()) if self.has_scorer or not item.needs_scorer()}


@dataclass(frozen=True)
class Plan:
    """What is done about a request.

    Args:
        ask: the request.
        method: the name of what answers.
        job: what runs.
        stops: strings that end the text and that clients do not see.
    """

    ask: Ask
    method: str
    job: Job
    stops: tuple[str, ...]

    @property
    def prompt(self) -> Tokens:
        """Token ids of the prompt."""
        return self.job.posed.prompt


class Planner:
    """Turns requests into plans, and refuses what cannot be done.

    Args:
        offer: the model and how it answers by default.
        bounds: what a single request may ask for.
    """

    def __init__(self, offer: Offer, bounds: Bounds) -> None:
        self.offer, self.bounds = offer, bounds
        self._programs = offer.programs()
        self._all = sorted({*language_methods(), *Program.catalogue.classes(), offer.method})

    @property
    def methods(self) -> list[str]:
        """The names of what may answer."""
        return list(self._programs)

    def plan(self, ask: ChatRequest | CompletionRequest, headers: Mapping[str, str]) -> Plan:
        """Return what to do about a request.

        Args:
            ask: the request.
            headers: the headers it came with, in lower case.

        Raises:
            Refusal: it cannot be done.
        """
        if ask.model not in (None, "", self.offer.name):
            message = f"there is no model '{ask.model[:100]}' here; this server has '{self.offer.name}'"
            raise Refusal(404, message, param="model", code="model_not_found")
        name = ask.method or headers.get(METHOD_HEADER, "") or self.offer.method
        prompt = self._prompt(ask)
        program = self._fitted(self._find(name), ask, len(prompt))
        budget = ask.budget if ask.budget is not None else headers.get(BUDGET_HEADER)
        program = self._sized(program, name, ask.n or 1, budget)
        seeds = SeedTree(secrets.randbits(63) if ask.seed is None else ask.seed)
        codec, habits = self.offer.codec, self.offer.habits
        rng = (seeds / "program").numpy()
        posed = Posed("request", prompt, codec.decode(prompt), rng, codec, answer_of=habits.answer_of)
        sampling: Any = getattr(program, "sampling", None)
        stops = sampling.stop if isinstance(sampling, Sampling) else ()
        return Plan(ask, name, Job(program, posed, seeds), stops)

    def _prompt(self, ask: ChatRequest | CompletionRequest) -> Tokens:
        if isinstance(ask, ChatRequest):
            prompt = self.offer.chat([{"role": said.role, "content": said.text} for said in ask.messages])
        else:
            only = ask.prompt[0] if isinstance(ask.prompt, list) and len(ask.prompt) == 1 else ask.prompt
            if isinstance(only, str):
                prompt = self.offer.codec.encode(only)
            elif not self.offer.takes_ids:
                raise Refusal(400, "in front of another server a prompt is text, not token ids", param="prompt")
            else:
                prompt = (only,) if isinstance(only, int) else tuple(int(token) for token in only)
        if not prompt:
            raise Refusal(400, "the prompt is empty; send at least one character")
        if self.offer.context and len(prompt) >= self.offer.context:
            message = (
                f"the prompt has {len(prompt)} tokens and the model's context is {self.offer.context}: shorten it so "
                "that there is room for an answer"
            )
            raise Refusal(400, message, code="context_length_exceeded")
        return prompt

    def _find(self, name: str) -> Program:
        if name in self._programs:
            return self._programs[name]
        if name in self._all:
            reason = f"method '{name[:100]}' asks a scorer what partial responses are worth, and this server has none"
            raise Refusal(400, f"{reason}: start it with --scorer, or choose another", param="method")
        known = nearest(name[:100], self._programs)
        raise Refusal(400, f"there is no method '{name[:100]}'{known}", param="method", code="method_not_found")

    def _fitted(self, program: Program, ask: ChatRequest | CompletionRequest, size: int) -> Program:
        """Return the program with the request's way of drawing tokens, then the task's habits, then what fits."""
        wanted = {"temperature": ask.temperature, "top_p": ask.top_p, "top_k": ask.top_k, "stop": ask.stops}
        if ask.limit is not None and ask.limit > self.bounds.tokens:
            message = f"max_tokens is {ask.limit}, and this server allows at most {self.bounds.tokens}"
            raise Refusal(400, message, param="max_tokens")
        given = {key: value for key, value in (wanted | {"max_tokens": ask.limit}).items() if value is not None}
        sampling: Any = getattr(program, "sampling", None)
        if isinstance(sampling, Sampling):
            program = program.model_copy(update={"sampling": sampling.model_copy(update=given)})
        habits = self.offer.habits
        limit = min(habits.limit, self.bounds.tokens)
        program = program.fitted(limit=limit, stop=habits.stop, step_end=habits.step_end)
        sampling = getattr(program, "sampling", None)
        room = self.offer.context - size if self.offer.context else self.bounds.tokens
        if isinstance(sampling, Sampling) and sampling.max_tokens > room:
            sampling = sampling.model_copy(update={"max_tokens": room})
            program = program.model_copy(update={"sampling": sampling})
        return program

    def _sized(self, program: Program, name: str, choices: int, budget: str | int | None) -> Program:
        """Return the program at the width that the request pays for."""
        if choices > self.bounds.choices:
            raise Refusal(400, f"n is {choices}, and this server allows at most {self.bounds.choices}", param="n")
        if isinstance(program, Group):
            if budget is not None:
                message = f"method '{name}' answers with single samples, which no budget improves: leave budget out"
                raise Refusal(400, f"{message}, or choose a method that searches", param="budget")
            return program.sized(choices)
        if choices > 1:
            raise Refusal(400, f"method '{name}' gives one answer: leave n out, and set its width by budget", param="n")
        if budget is None:
            return program
        try:
            sampling: Any = getattr(program, "sampling", None)
            limit = sampling.max_tokens if isinstance(sampling, Sampling) else self.offer.habits.limit
            samples = Budget.parse(str(budget)[:100]).samples(limit)
            if samples > self.bounds.samples:
                message = f"the budget is {samples} samples, and this server allows at most {self.bounds.samples}"
                raise Refusal(400, message, param="budget")
            return program.sized(samples)
        except ConfigError as error:
            raise Refusal(400, str(error), param="budget") from None


def _plain(kind: type[Any]) -> bool:
    return not any(item.is_required() for item in kind.model_fields.values())
