"""Problems and a way to run one program on one problem with scripted replies."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Request, Sample, StopReason
from pilothouse.core.results import Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine

CODEC = ByteCodec()


@pytest.fixture
def posed() -> Posed:
    """A problem whose prompt is "Q:"."""
    return Posed("q", CODEC.encode("Q:"), "Q:", SeedTree(0).numpy(), CODEC)


@pytest.fixture
def run(posed: Posed) -> Callable[..., Result]:
    """Runs a program on a script of replies; ``worth`` maps the text of a response so far to its score."""

    def go(
        program, script=(), worth: Callable[[str], float] = len, engine: ScriptedEngine | None = None, seed: int = 0
    ) -> Result:
        runner = Runner(
            engine or ScriptedEngine(script),
            scorers={"value": lambda request: worth(CODEC.decode(request.prefix[request.start :]))},
        )
        mine = replace(posed, rng=SeedTree(seed).numpy())
        [result] = runner.run([Job(program, mine, SeedTree(seed))])
        return result

    return go


@pytest.fixture
def tree() -> Callable[..., Callable[[Request], Continuation]]:
    """Makes a script: each step is drawn evenly, by seed and position, from what ``children`` gives for the text."""

    def make(children: Callable[[str], list[str]]) -> Callable[[Request], Continuation]:
        def answer(request: Request) -> Continuation:
            assert isinstance(request, Sample)
            options = children(CODEC.decode(request.prefix)[2:])
            text = options[int(np.random.default_rng((request.seed, len(request.prefix))).integers(len(options)))]
            stops = text.endswith(request.stop) if request.stop else False
            reason = StopReason.STOP if stops else StopReason.EOS
            return Continuation(CODEC.encode(text), text, (0.0,) * len(text), reason)

        return answer

    return make
