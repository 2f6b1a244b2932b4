"""Reading a chance off a language model: which of a few continuations it would write, and what each is worth."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from pilothouse.core.errors import nearest
from pilothouse.core.parts import Settings
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Logprob, Reply, Request, Sample, Sampled, Scored, Tokens

#: Tenths as a digit states them, and what each stands for.
TENTHS = {str(digit): (digit + 0.5) / 10 for digit in range(10)}

#: Options that have a name.
NAMED: Mapping[str, Mapping[str, float]] = {"yes-no": {" yes": 1.0, " no": 0.0}, "tenths": TENTHS}

Asking: TypeAlias = Generator[list[Request], list[Reply], list["Stated"]]


class Stated(Settings):
    """A chance as a policy stated it.

    Args:
        chance: in [0, 1]; NaN where it could not be read.
        said: the option it wrote, or finds likeliest; empty where there is none.
        logprobs: log-probability of each token of a sampled option, if it was sampled and the engine tells.
    """

    chance: float
    said: str = ""
    logprobs: tuple[float, ...] = ()


def _named(options: Any) -> Any:
    if isinstance(options, str):
        if options not in NAMED:
            raise ValueError(f"unknown options '{options}'{nearest(options, NAMED)}")
        return dict(NAMED[options])
    return options


class Reading(Settings):
    """How a chance is read: the policy continues a question with one of several options, each worth a chance.

    Args:
        options: what it may write, and the chance each stands for; "yes-no" is " yes" 1 and " no" 0, the default, and
            "tenths" a digit d that stands for (d + 0.5) / 10.
        how: "logprob" asks for the log-probability of every option and takes the mean of their chances, which draws
            nothing; "sample" draws one, as any server can and as training needs.
    """

    options: Annotated[dict[str, float], Field(min_length=2), BeforeValidator(_named)] = dict(NAMED["yes-no"])
    how: Literal["logprob", "sample"] = "logprob"

    @model_validator(mode="after")
    def _are_chances(self) -> Reading:
        for option, chance in self.options.items():
            if not option.strip() or not 0 <= chance <= 1:
                raise ValueError(f"option {option!r} stands for {chance}: give a text and a chance between 0 and 1")
        return self

    def ask(self, posed: Posed, stems: Sequence[Tokens]) -> Asking:
        """Yield the requests that tell a chance after each stem, all at once, and return the chances.

        Args:
            posed: the problem; its codec writes the options.
            stems: what the policy is to continue; at least one.
        """
        options = {option: posed.codec.encode(option) for option in self.options}
        requests: list[Request] = []
        if self.how == "sample":
            longest = max(map(len, options.values()))
            requests += [Sample(stem, max_tokens=longest) for stem in stems]
        else:
            requests += [Logprob(stem, tokens) for stem in stems for tokens in options.values()]
        replies = yield requests
        if self.how == "sample":
            return [self._sampled(reply) for reply in replies]
        size = len(options)
        return [self._weighed(replies[at : at + size]) for at in range(0, len(replies), size)]

    def _sampled(self, reply: Reply) -> Stated:
        assert isinstance(reply, Sampled)
        text = reply.text.strip()
        fitting = [option for option in self.options if text.lower().startswith(option.strip().lower())]
        said = max(fitting, key=len, default="")
        return Stated(chance=self.options.get(said, math.nan), said=said, logprobs=reply.logprobs)

    def _weighed(self, replies: Sequence[Reply]) -> Stated:
        logprobs: dict[str, float] = {}
        for option, reply in zip(self.options, replies, strict=True):
            assert isinstance(reply, Scored)
            logprobs[option] = sum(reply.logprobs)
        said = max(logprobs, key=lambda option: logprobs[option])
        weights = {option: math.exp(value - logprobs[said]) for option, value in logprobs.items()}
        return Stated(chance=_mean(weights, self.options), said=said)


def _mean(weights: Mapping[str, float], chances: Mapping[str, float]) -> float:
    return sum(weights[option] * chances[option] for option in weights) / sum(weights.values())


def tempered(chance: float, temperature: float) -> float:
    """Return a chance whose logit is divided by a temperature; NaN stays.

    Args:
        chance: in [0, 1].
        temperature: above 0.
    """
    if math.isnan(chance) or chance in (0.0, 1.0):
        return chance
    return 1 / (1 + ((1 - chance) / chance) ** (1 / temperature))
