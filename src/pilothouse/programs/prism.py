"""The gate as a program: a fast look, a slow one only near the threshold, then an offer or silence."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field

from pilothouse.core.episodes import ASIDE, Episode
from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.gates import threshold, utility
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Reply, Request, Sample, Sampled, StopReason
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Steps
from pilothouse.programs.chains import Stem
from pilothouse.programs.chances import Reading, Stated, tempered
from pilothouse.programs.trace import Trace

Pair: TypeAlias = tuple[float, float]  #: chance of need, chance of acceptance
Looking: TypeAlias = Generator[list[Request], list[Reply], Pair]
Positive: TypeAlias = Annotated[float, Field(gt=0)]


@dataclass
class _Look:
    """A decision under way: the record, and what the policy chose on the way."""

    posed: Posed
    trace: Trace
    chosen: list[Stem] = field(default_factory=list[Stem])

    def stem(self, *texts: str) -> Stem:
        """Return texts that the program writes."""
        return Stem.written(self.posed.codec.encode("".join(texts)))

    def thought(self, lead: Stem, sample: Continuation) -> Stem:
        """Record what the policy wrote after a lead, and return both."""
        whole = lead + Stem.sampled(sample)
        self.chosen.append(whole)
        self.trace.add(0, sample.text, len(sample.tokens), state="finished")
        return whole


class Prism(Program):
    """Decides whether to speak to a user whose situation is the prompt, and if so what to say.

    1. Fast: ask the policy for the chances that help is needed and that an offer is accepted.
    2. Where acceptance is within ``delta`` of ``tau = C_FA / (C_FA + p_need C_FN)``, look once more, slowly:
       "counterfactual" imagines ``n`` times how it goes on in silence and ``n`` times how after an offer, and asks
       whether the first ends badly and whether the second is accepted; "consistency" thinks ``n`` times and asks both
       questions after each. Chances are the means. A look that fails leaves the fast chances, with a note.
    3. Speak iff ``p_acc >= tau``: the answer is the offer, or ``silent``.

    Nothing is sampled for a clear case that stays silent. Episodes hold what the policy chose; their text is the
    answer, so that a task judges the decision. One decision is made a problem: train it with a credit that compares
    problems (``reinforce-pp``, ``gae``); one that compares attempts at a problem is refused.

    Args:
        c_fa: cost of an offer that is not accepted.
        c_fn: cost of silence where an offer was needed and would have been accepted.
        delta: distance from the threshold, in probability, within which the slow look is taken.
        slow: which slow look.
        n: imagined or thought continuations of each kind.
        reading: how a chance is read off the policy's answer to a question.
        chained: ask for acceptance after the answer on need, as a schema does, not each on its own.
        need: asks the policy whether help is needed.
        accept: asks whether an offer would be accepted.
        think: what a thought of "consistency" begins with.
        if_silent: what an imagined silence begins with.
        if_spoken: what an imagined offer begins with.
        bad: asks of a silence whether it ends badly.
        taken: asks of an offer whether it is accepted.
        offer: what an offer begins with; it is not part of the answer.
        say: the offer itself where it is known beforehand; empty lets the policy write one.
        silent: the answer that stands for silence.
        fast_temperature: temperatures of the fast chances of need and acceptance, as ``TemperatureScaler`` finds them.
        slow_temperature: those of the slow ones.
        sampling: how thoughts and offers are drawn.

    Source: PRISM, arXiv 2602.01532; the questions are ours.
    """

    name: ClassVar[str] = "prism"
    one_outcome: ClassVar[bool] = True
    c_fa: Positive = 1.0
    c_fn: Positive = 3.0
    delta: Annotated[float, Field(ge=0)] = 0.1
    slow: Literal["counterfactual", "consistency", "off"] = "counterfactual"
    n: Annotated[int, Field(ge=1)] = 4
    reading: Reading = Reading()
    chained: bool = False
    need: str = "\nDoes the user need help now, yes or no?"
    accept: str = "\nWould the user accept an offer of help now, yes or no?"
    think: str = "\nLet us weigh what the user is doing: "
    if_silent: str = "\nThe assistant stays silent. What happens next: "
    if_spoken: str = "\nThe assistant offers its help. What happens next: "
    bad: str = "\nDid this end badly for the user, yes or no?"
    taken: str = "\nDid the user accept the offer, yes or no?"
    offer: str = "\nThe assistant says: "
    say: str = ""
    silent: str = ""
    fast_temperature: tuple[Positive, Positive] = (1.0, 1.0)
    slow_temperature: tuple[Positive, Positive] = (1.0, 1.0)
    sampling: Sampling = Sampling()

    def sized(self, samples: int) -> Self:
        """Return the gate that spends at most ``samples`` whole responses: the slow look's, and the offer."""
        kinds = {"counterfactual": 2, "consistency": 1, "off": 0}[self.slow]
        if not kinds and samples == 1:
            return self
        if not kinds or samples <= kinds or (samples - 1) % kinds:
            fitting = f"1 + {kinds} n: {1 + kinds}, {1 + 2 * kinds}, {1 + 3 * kinds}, ..." if kinds else "1"
            raise ConfigError(
                f"program 'prism' with slow '{self.slow}' cannot spend {samples} samples: it spends {fitting}"
            )
        return self.model_copy(update={"n": (samples - 1) // kinds})

    def __call__(self, posed: Posed) -> Steps:
        """Yield the fast questions, the slow look if the case is close, and the offer if there is to be one."""
        look = _Look(posed, Trace(self.name))
        chances = yield from self._fast(look)
        self._record(look, "fast", chances)
        if math.isnan(chances[0] + chances[1]):
            look.trace.note("the policy's answer to a fast question could not be read: it stays silent")
        elif self.slow != "off" and abs(chances[1] - self._tau(chances)) <= self.delta:
            slow = yield from self._slow(look)
            self._record(look, "slow", slow)
            if math.isnan(slow[0] + slow[1]):
                look.trace.note("the slow look failed: the fast chances decide")
            else:
                chances = slow
        speaks = chances[1] >= self._tau(chances)
        answer, offers = self.silent, list[Episode]()
        if speaks and self.say:
            answer = self.say
        elif speaks:
            offers.append((yield from self._offer(look)))
            answer = offers[0].text
        look.trace.rounds.append({"look": "decision", "speak": speaks, "costs": [self.c_fa, self.c_fn]})
        asides = [self._aside(posed, stem, answer) for stem in look.chosen]
        return Result(answer, (*offers, *asides), look.trace.to_dict())

    def _fast(self, look: _Look) -> Looking:
        prompt, need = look.posed.prompt, look.stem(self.need)
        if not self.chained:
            accept = look.stem(self.accept)
            stated = yield from self.reading.ask(look.posed, [prompt + need.tokens, prompt + accept.tokens])
            self._keep(look, [need, accept], stated)
            return self._tempered((stated[0].chance, stated[1].chance), self.fast_temperature)
        (first,) = yield from self.reading.ask(look.posed, [prompt + need.tokens])
        both = need + self._said(look, first) + look.stem(self.accept)
        (second,) = yield from self.reading.ask(look.posed, [prompt + both.tokens])
        self._keep(look, [both], [second])
        return self._tempered((first.chance, second.chance), self.fast_temperature)

    def _slow(self, look: _Look) -> Looking:
        """Return the chances that the slow look finds, NaN where it fails."""
        if self.slow == "counterfactual":
            leads, questions = [self.if_silent, self.if_spoken], [self.bad, self.taken]
        else:
            leads, questions = [self.think], [self.need, self.accept]
        stems = [look.stem(lead) for lead in leads]
        replies = yield [self._sample(look.posed, stem, self.n) for stem in stems]
        thoughts: list[list[Stem]] = []
        for stem, reply in zip(stems, replies, strict=True):
            assert isinstance(reply, Sampled)
            whole = [one for one in reply.continuations if one.stop_reason is not StopReason.ERROR]
            thoughts.append([look.thought(stem, one) for one in whole])
        means: list[float] = []
        asked = [
            [thought + look.stem(question) for thought in of]
            for question, of in zip(questions, thoughts if len(thoughts) == 2 else thoughts * 2, strict=True)
        ]
        if not all(asked):
            return math.nan, math.nan
        try:
            stated = yield from self.reading.ask(
                look.posed, [look.posed.prompt + stem.tokens for stems in asked for stem in stems]
            )
        except EngineError:  # the engine cannot score, or a thought left no room: the fast chances are still there
            return math.nan, math.nan
        for part in (stated[: len(asked[0])], stated[len(asked[0]) :]):
            known = [one.chance for one in part if not math.isnan(one.chance)]
            means.append(sum(known) / len(known) if known else math.nan)
        return self._tempered((means[0], means[1]), self.slow_temperature)

    def _offer(self, look: _Look) -> Generator[list[Request], list[Reply], Episode]:
        lead, posed = look.stem(self.offer), look.posed
        (reply,) = yield [self._sample(posed, lead, 1)]
        assert isinstance(reply, Sampled)
        look.trace.choose(look.trace.add(0, reply.text, len(reply.tokens)))
        return Episode.single(
            posed.prompt + lead.tokens, reply.only, problem_id=posed.id, temperature=self.sampling.temperature
        )

    def _sample(self, posed: Posed, stem: Stem, n: int) -> Sample:
        how = self.sampling
        return Sample(
            posed.prompt + stem.tokens,
            n=n,
            max_tokens=how.max_tokens or None,
            temperature=how.temperature,
            top_p=how.top_p,
            top_k=how.top_k,
            stop=how.stop,
        )

    def _said(self, look: _Look, stated: Stated) -> Stem:
        """Return the option that was stated: the policy's choice where it was sampled."""
        tokens = look.posed.codec.encode(stated.said)
        if self.reading.how == "sample" and len(stated.logprobs) == len(tokens):
            return Stem(tokens, stated.logprobs, (True,) * len(tokens))
        return Stem.written(tokens)

    def _keep(self, look: _Look, leads: Sequence[Stem], stated: Sequence[Stated]) -> None:
        """Keep sampled statements as the policy's choices."""
        for lead, one in zip(leads, stated, strict=True):
            whole = lead + self._said(look, one)
            if any(whole.chosen):
                look.chosen.append(whole)

    def _tempered(self, chances: Pair, temperatures: Pair) -> Pair:
        return tempered(chances[0], temperatures[0]), tempered(chances[1], temperatures[1])

    def _tau(self, chances: Pair) -> float:
        return threshold(chances[0], self.c_fa, self.c_fn)

    def _record(self, look: _Look, which: str, chances: Pair) -> None:
        gain = utility(*chances, self.c_fa, self.c_fn)
        facts = {"need": chances[0], "accept": chances[1], "tau": self._tau(chances), "margin": gain}
        look.trace.rounds.append({"look": which, **{name: None if math.isnan(x) else x for name, x in facts.items()}})

    def _aside(self, posed: Posed, stem: Stem, answer: str) -> Episode:
        return Episode(
            prompt=posed.prompt,
            tokens=stem.tokens,
            action_mask=stem.chosen,
            logprobs=stem.logprobs,
            text=answer,
            temperature=self.sampling.temperature or 1.0,
            problem_id=posed.id,
            tags=(ASIDE,),
        )
