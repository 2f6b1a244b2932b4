"""The process without a network: each step is right by chance, so searches can be checked against known figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np

from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Request, Sample, StopReason, Value
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.beam import BeamSearch
from pilothouse.programs.best_of_n import BestOfN
from pilothouse.programs.particles import Particles
from pilothouse.programs.stepping import Stepping

CODEC = ByteCodec()
HOW, LINES = Sampling(stop=(".",)), Stepping(delimiter=";")


@dataclass(frozen=True)
class Process:
    """Chains of steps, each right with the same chance whatever came before; a response is right if all of them are.

    Args:
        noise_of: "response" gives every response noise of its own, "text" the same noise to the same text: right
            steps then have one text, wrong ones nine.
        error: chance that a step is wrong.
        steps: T.
        strength: mean logit of a whole right response; that of its first t steps is t / T of it, negative if wrong.
    """

    noise_of: Literal["response", "text"]
    error: float = 0.25
    steps: int = 8
    strength: float = 2.0

    def accuracy(self, program: Program, problems: int) -> float:
        """Return the share of problems that a search answers rightly."""
        return sum(self._right(program, SeedTree(problem) / "tabular") for problem in range(problems)) / problems

    def _right(self, program: Program, seeds: SeedTree) -> bool:
        def worth(request: Value) -> float:
            text = CODEC.decode(request.prefix[request.start :])
            share = (text.count(";") + text.count(".")) / self.steps
            noise = float((seeds / "noise" / text).numpy().standard_normal())
            return 1 / (1 + math.exp(-((-1 if "w" in text else 1) * self.strength * share + noise)))

        draws = count()
        engine = ScriptedEngine(lambda request: self._steps(request, (seeds / "draw" / next(draws)).numpy()))
        runner = Runner(engine, scorers={"value": worth})
        posed = Posed("chain", CODEC.encode(":"), ":", seeds.numpy(), CODEC)
        [found] = runner.run([Job(program, posed, seeds)])
        return "w" not in found.answer

    def _steps(self, request: Request, rng: np.random.Generator) -> Continuation:
        """Write one step, or all that are left if the request does not stop at steps."""
        assert isinstance(request, Sample)
        done, text = CODEC.decode(request.prefix).count(";"), ""
        while not text.endswith(".") and (not text or ";" not in request.stop):
            wrong = rng.random() < self.error
            kind = int(rng.integers(10**6)) if self.noise_of == "response" else int(rng.integers(9)) if wrong else 0
            done += 1
            text += f"{'w' if wrong else 'r'}{kind}{'.' if done == self.steps else ';'}"
        return Continuation(CODEC.encode(text), text, (0.0,) * len(text), StopReason.STOP)


def tabular(problems: int) -> dict[str, dict[str, float]]:
    """Return accuracies at a step error of 0.25, by what the noise belongs to and by search.

    Args:
        problems: how many chains.
    """
    searches: dict[str, Program] = {
        **{f"particles@{n}": Particles(n=n, sampling=HOW, stepping=LINES) for n in (4, 8)},
        **{f"beam@{n}": BeamSearch(n=n, sampling=HOW, stepping=LINES) for n in (4, 8)},
        **{f"best-of-n@{n}": BestOfN(n=n, sampling=HOW) for n in (8, 16)},
        "weighted@8": BestOfN(n=8, select="weighted", sampling=HOW),
    }
    return {
        kind: {name: Process(kind).accuracy(program, problems) for name, program in searches.items()}
        for kind in ("response", "text")
    }
