"""Step-level beam search: of the next steps of every kept response, keep those of the highest value."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, ClassVar, Self

from pydantic import Field

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Request, Sampled, StopReason
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Steps
from pilothouse.programs.choose import best
from pilothouse.programs.paths import Path
from pilothouse.programs.scores import ask, worth
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.trace import Trace


class StepBeam(Program):
    """Step-level beam search (AlphaMath, Chen et al. 2024, arXiv 2405.03553, algorithm 2).

    At each depth, B2 next steps of every kept response are sampled (the first time B1 x B2 of the prompt), equal ones
    are merged, and the B1 of the highest value are kept. A response that ends leaves the beam and takes its place with
    it; so does one that ends without an answer, which is ranked below all others. The answer is the finished response
    of the highest value; there is none if no response ended with one.

    With ``beams=1, children=1`` this is plain sampling, and greedy decoding at temperature 0.

    Args:
        beams: responses kept, B1.
        children: next steps sampled for each, B2.
        sampling: how tokens are drawn.
        stepping: where a step ends; a response of ``max_steps`` steps ends.
    """

    name: ClassVar[str] = "step-beam"
    scores: ClassVar[bool] = True
    values_steps: ClassVar[bool] = True
    beams: Annotated[int, Field(ge=1)] = 1
    children: Annotated[int, Field(ge=1)] = 5
    sampling: Sampling = Sampling()
    stepping: Stepping = Stepping(max_steps=10)

    def sized(self, samples: int) -> Self:
        """Return the beam of ``samples`` / B2 responses; below B2, one response with ``samples`` next steps."""
        if samples <= self.children:
            return self.model_copy(update={"beams": 1, "children": samples})
        if samples % self.children:
            low = samples - samples % self.children
            raise ConfigError(
                f"program 'step-beam' samples a multiple of its {self.children} children: "
                f"give --budget {low}-samples or {low + self.children}-samples, or set --program.children"
            )
        return self.model_copy(update={"beams": samples // self.children})

    def __call__(self, posed: Posed) -> Steps:
        """Yield the next steps of the beam, then their values, depth by depth."""
        trace, whole, finished = Trace(self.name), list[Path](), list[Path]()
        beam, places, count = [Path()], self.beams, self.beams * self.children
        while beam and places:
            asked: list[Request] = [self.stepping.request(posed, path, self.sampling, count) for path in beam]
            replies = yield asked
            count = self.children
            ahead: dict[tuple[int, ...], Path] = {}
            for path, reply in zip(beam, replies, strict=True):
                assert isinstance(reply, Sampled)
                for sample in reply.continuations:
                    if sample.stop_reason is StopReason.ERROR:
                        trace.note(f"a step failed and is left out: {sample.detail or 'the engine gave no reason'}")
                    elif (grown := self.stepping.grow(path, sample, self.sampling)).tokens not in ahead:
                        node = trace.add(path.node, sample.text, len(sample.tokens), state="pruned")
                        ahead[grown.tokens] = replace(grown, node=node)
            sound = [path for path in ahead.values() if path.alive or path.answer(posed)]
            values = yield [ask(posed, path) for path in sound]
            scored = [path.scored(worth(v, f"state {path.node}")) for path, v in zip(sound, values, strict=True)]
            failed = [path.scored(math.nan) for path in ahead.values() if path not in sound]
            for path in scored:
                trace.mark(path.node, score=path.scores[-1])
            whole += [path for path in (*scored, *failed) if not path.alive]
            kept = [*sorted(scored, key=lambda path: -path.scores[-1]), *failed][:places]
            beam = [path for path in kept if path.alive]
            places -= len(kept) - len(beam)
            finished += [path for path in kept if not path.alive and path not in failed]
            for path in kept:
                trace.mark(path.node, state="open" if path.alive else "finished")
        return self._conclude(posed, trace, whole, finished)

    def _conclude(self, posed: Posed, trace: Trace, whole: list[Path], finished: list[Path]) -> Result:
        text = ""
        trace.note(self.stepping.note(whole))
        for path in finished:
            trace.mark(path.node, answer=path.answer(posed))
        if finished:
            chosen = finished[best([path.scores[-1] for path in finished])]
            trace.choose(chosen.node)
            text = posed.codec.decode(chosen.tokens)
        else:
            trace.note("no response ended with an answer")
        episodes = tuple(path.valued(path.scores).episode(posed, self.sampling.temperature) for path in whole)
        return Result(text, episodes, trace.to_dict())
