"""On-policy interventions: resample until the policy itself says something with the wanted meaning."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pilothouse.core.embedders import Likeness
from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Reply, Request, Sampled, StopReason
from pilothouse.programs.base import Steps
from pilothouse.programs.chains import Stem
from pilothouse.programs.studies import Branching, Study


@dataclass(frozen=True)
class _Try:
    """A replacement for the sentence, and a sentence that may follow it."""

    replacement: Stem
    follow: Stem
    said: tuple[str, str]
    cosine: float
    score: float


class ResampleUntil(Branching):
    """Replace sentence i by what the policy says itself on the way to a target meaning, then continue M times.

    A round draws candidate replacements and short continuations of each. The continuation whose first sentence scores
    best, closeness * cos(., target) + fluency * sigmoid(mean log-prob / 5), decides: if its cosine reaches the
    threshold, both are taken; otherwise its replacement alone is, and the next round goes on from there.

    ``pick`` names two controls: "random" takes any replacement and continuation, which shows what the filter by meaning
    adds to mere resampling; "written" writes the target itself in place of the sentence, off-policy.

    Args:
        index: the sentence i, counted from 1.
        target: a sentence with the wanted meaning.
        iters: most rounds.
        candidates: replacements a round.
        continuations: short continuations of each.
        likeness: embedder, and the cosine that counts as reached.
        closeness: weight of the cosine in the score.
        fluency: weight of the mean log-probability.
        candidate_tokens: length limit of a replacement.
        continuation_tokens: length limit of a short continuation.
        n: full continuations M, of the accepted text and of the untouched prefix.
        pick: how the replacement is found.

    Source: Thought Branches, arXiv 2510.27484; onpolicy_chain_disruption.py of its official code.
    """

    name: ClassVar[str] = "resample-until"
    index: Annotated[int, Field(ge=1)] = 1
    target: str = ""
    iters: Annotated[int, Field(ge=1)] = 6
    candidates: Annotated[int, Field(ge=1)] = 12
    continuations: Annotated[int, Field(ge=1)] = 8
    likeness: Likeness = Likeness(threshold=0.7)
    closeness: float = 1.0
    fluency: float = 0.0
    candidate_tokens: Annotated[int, Field(ge=1)] = 48
    continuation_tokens: Annotated[int, Field(ge=1)] = 64
    n: Annotated[int, Field(ge=1)] = 100
    pick: Literal["best", "random", "written"] = "best"

    def __call__(self, posed: Posed) -> Steps:
        """Yield the chain if none is given, the rounds, and last the continuations of both arms.

        Raises:
            ConfigError: there is no target.
            DataError: the chain given has no such sentence.
        """
        if not self.target.strip():
            raise ConfigError("which meaning? give a sentence that has it, such as --program.target 'I doubt this.'")
        study = self.study(posed)
        chain = yield from self.opening(study, self.index)
        nodes = study.plant(chain)[: self.index]
        kept, node = len(nodes) - 1, nodes[-1]
        stem, said = chain.first(kept), list[str]()
        if self.pick == "written":
            stem, said = stem + Stem.written(posed.codec.encode(self.target.strip() + " ")), [self.target.strip()]
        for round_ in range(0 if self.pick == "written" else self.iters):
            tries = yield from self._tries(study, stem)
            chosen = self._choose(tries, posed)
            if chosen is None:
                study.trace.note(
                    "every candidate ended the response, or filled it: the search for the target stopped there"
                )
                break
            reached = chosen.cosine >= self.likeness.threshold or self.pick == "random"
            stem += chosen.replacement + chosen.follow if reached else chosen.replacement
            said += chosen.said if reached else chosen.said[:1]
            study.trace.rounds.append({"round": round_, "cosine": chosen.cosine, "reached": reached, "said": said[:]})
            if reached:
                break
        self._tell(study)
        replies = yield [study.ask(chain.first(kept), self.n), study.ask(stem, self.n)]
        study.finish_all(chain.first(kept), replies[0], kept=kept, node=node, arm="baseline")
        changed = study.trace.add(node, " ".join(said), len(stem.tokens) - len(chain.first(kept).tokens))
        study.finish_all(stem, replies[1], kept=kept, node=changed, said=said, arm="changed")
        return study.result()

    def _tries(self, study: Study, stem: Stem) -> Generator[list[Request], list[Reply], list[_Try]]:
        """Draw one round and return its scored pairs."""
        (reply,) = yield [study.ask(stem, self.candidates, most=self.candidate_tokens)]
        heads = [head for head in _first_sentences(reply, study) if not study.full(stem + head[0])]
        requests: list[Request] = [
            study.ask(stem + head, self.continuations, most=self.continuation_tokens) for head, _ in heads
        ]
        replies = (yield requests) if requests else []
        pairs = [
            (head, tail)
            for head, reply in zip(heads, replies, strict=True)
            for tail in _first_sentences(reply, study)
            if not study.full(stem + head[0] + tail[0])
        ]
        cosines = self.likeness.cosines(self.target, [said for _, (_, said) in pairs]).tolist()
        return [
            _Try(head[0], tail[0], (head[1], tail[1]), cosine, self._score(cosine, tail[0]))
            for (head, tail), cosine in zip(pairs, cosines, strict=True)
        ]

    def _score(self, cosine: float, follow: Stem) -> float:
        if not self.fluency:  # log-probabilities may be unknown
            return self.closeness * cosine
        mean = sum(follow.logprobs) / len(follow.logprobs)
        return self.closeness * cosine + self.fluency / (1 + math.exp(-mean / 5))

    def _choose(self, tries: Sequence[_Try], posed: Posed) -> _Try | None:
        if not tries:
            return None
        if self.pick == "random":
            return tries[int(posed.rng.integers(len(tries)))]
        return max(tries, key=lambda one: one.score)

    def _tell(self, study: Study) -> None:
        rounds = study.trace.rounds
        if rounds and not rounds[-1]["reached"]:
            best = max(row["cosine"] for row in rounds)
            study.trace.note(
                f"the target was not reached in {len(rounds)} rounds (best cosine {best:.2f}, needed "
                f"{self.likeness.threshold:g}): the best replacements were accepted"
            )


def _first_sentences(reply: Reply, study: Study) -> list[tuple[Stem, str]]:
    """Return each continuation's first sentence, without those that end the response."""
    assert isinstance(reply, Sampled)
    found: list[tuple[Stem, str]] = []
    for sample in reply.continuations:
        drawn = study.read(sample)
        ended = sample.stop_reason is not StopReason.LENGTH and len(drawn.sentences) < 2
        if drawn.sentences and not ended:
            found.append((drawn.first(1), drawn.sentences[0]))
    return found
