"""A server on a real socket in this process, over tiny random models; what it held must be gone after each test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
openai = pytest.importorskip("openai")

from pilothouse.core.requests import Tokens  # noqa: E402
from pilothouse.engines.local import LocalEngine  # noqa: E402
from pilothouse.engines.runner import Runner  # noqa: E402
from pilothouse.policies.causal_lm import CausalPolicy  # noqa: E402
from pilothouse.policies.tiny import tiny_policy  # noqa: E402
from pilothouse.programs.group import Group  # noqa: E402
from pilothouse.serving.app import Terms  # noqa: E402
from pilothouse.serving.launch import Place, Server  # noqa: E402
from pilothouse.serving.offers import Served  # noqa: E402
from pilothouse.serving.plans import Bounds, Habits, Offer  # noqa: E402

CHARACTERS = "0123456789+-*/=.%()$ \nabcdefghijklmnopqrstuvwxyz"


class Bytes:
    """One token a byte, below 256; the model's other ids are special."""

    def encode(self, text: str) -> Tokens:
        return tuple(text.encode())

    def decode(self, tokens: Tokens) -> str:
        return bytes(token for token in tokens if token < 256).decode(errors="replace")


def joined(messages: Any) -> str:
    return "\n".join(message["content"] for message in messages)


def local(policy: CausalPolicy, **changes: Any) -> Served:
    """A policy as it is served without a run."""
    engine = LocalEngine(policy)
    codec = policy.codec
    offer = Offer("tiny", codec, policy.context, lambda m: codec.encode(joined(m)), "group", Group(), habits=Habits(24))
    return Served(replace(offer, **changes), Runner(engine), engine)


def scripted(engine: Any, runner: Runner | None = None, **changes: Any) -> Served:
    """An engine of the test's own behind the server."""
    codec = engine.codec
    offer = Offer("script", codec, 4096, lambda m: codec.encode(joined(m)), "group", Group())
    return Served(replace(offer, **changes), runner or Runner(engine), engine)


@contextmanager
def serving(served: Served, terms: Terms | None = None, bounds: Bounds | None = None, **place: Any) -> Iterator[Server]:
    """A running server; afterwards nothing of it is left."""
    server = Server(served, terms, bounds, Place(**{"port": 0, "grace_s": 10.0, **place}))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.driver.alive)
        yield server
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive(), "the server does not end"
        assert not server.driver.alive


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for something that happens on another thread."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def client(server: Server, key: str = "none") -> Any:
    return openai.OpenAI(base_url=server.url, api_key=key, max_retries=0, timeout=30)


def connect(server: Server) -> socket.socket:
    """A bare connection."""
    host, _, port = server.url.removeprefix("http://").removesuffix("/v1").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


@pytest.fixture(scope="session")
def policy() -> CausalPolicy:
    """A random nano policy over characters, which hardly ever ends by itself."""
    return tiny_policy(CHARACTERS, 0, "nano")


@pytest.fixture(scope="module")
def server(policy: CausalPolicy) -> Iterator[Server]:
    """One server for many tests."""
    with serving(local(policy)) as running:
        yield running
        until(lambda: running.driver.held == 0)
        until(lambda: running.metrics.gauges["engine_rows"]() == 0)


@pytest.fixture
def ask(server: Server) -> Any:
    return client(server)


@pytest.fixture(scope="session")
def kit() -> Any:
    """The functions of this file, for tests that make a server of their own."""
    return SimpleNamespace(**globals())
