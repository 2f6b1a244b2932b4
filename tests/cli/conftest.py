"""The command line as a user meets it, on a nano policy: every command in a fresh folder, its output captured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pilothouse.cli import main

#: The smallest run that does everything.
NANO = [
    "--task",
    "chain-arithmetic",
    "--policy.size",
    "nano",
    "--policy.warm_start.epochs",
    "0.2",
    "--steps",
    "2",
    "--prompts",
    "2",
    "--group",
    "2",
    "--training.eval_problems",
    "8",
    "--training.checkpoint_every",
    "1",
    "--program.sampling.max_tokens",
    "12",
]


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    def refusal(self) -> str:
        """The one sentence of a refusal: status 2, no traceback, nothing on standard output."""
        assert self.status == 2, self
        assert self.out == "", self
        assert "Traceback" not in self.err
        said = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(said) == 1, self.err
        assert self.err.rstrip().splitlines()[-1] == said[0], "the error is not the last line"
        return said[0].removeprefix("error: ")


class Command:
    """Runs the command line in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: object) -> Outcome:
        self._capture.readouterr()
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
        return Outcome(status, *self._capture.readouterr())

    def train(self, *arguments: object, method: str = "grpo", without: str = "") -> Outcome:
        """Train the nano policy; later options win over the small ones given here, and one may be left out."""
        given = {without, *(str(a) for a in arguments)}
        base = [x for pair in zip(NANO[::2], NANO[1::2], strict=True) if pair[0] not in given for x in pair]
        return self("train", method, *base, *arguments)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Warm starts are cached together, away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PILOTHOUSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test stands in a folder of its own, whose modules are not remembered after it."""
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, _cache: None) -> Path:
    """The folder of a finished run; read it, or copy it before you change anything."""
    run = tmp_path_factory.mktemp("finished") / "run"
    main(["train", "grpo", *NANO, "--out", str(run), "--json"])
    return run
