"""Problems and a way to run one program on one problem with scripted replies."""

from collections.abc import Callable

import pytest

from pilothouse.core.problems import Posed
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

    def go(program, script, worth: Callable[[str], float] = len, engine: ScriptedEngine | None = None) -> Result:
        runner = Runner(
            engine or ScriptedEngine(script),
            scorers={"value": lambda request: worth(CODEC.decode(request.prefix[request.start :]))},
        )
        [result] = runner.run([Job(program, posed, SeedTree(0))])
        return result

    return go
