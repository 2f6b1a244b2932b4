"""The probe against servers that misbehave: every oddity is a finding, and nothing of it lasts."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

httpx = pytest.importorskip("httpx")

from pilothouse.core.errors import ConfigError, EngineError  # noqa: E402
from pilothouse.engines.events import Events  # noqa: E402
from pilothouse.engines.probe import probe  # noqa: E402
from pilothouse.engines.wire import Spent, Wire  # noqa: E402

TEXT = "five six seven eight nine ten eleven"


@contextmanager
def server(script: Callable[[str, dict[str, Any]], Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve what the script returns for a path and body: a JSON value, bytes, or (status, type, bytes)."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
            asked.append(body)
            found = script(self.path, body)
            status, kind, content = found if isinstance(found, tuple) else (200, "application/json", found)
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            try:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                pass

        do_GET = do_POST

        def log_message(self, *_: Any) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/v1", asked
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def chat(text: str = TEXT, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop", **more}]}


def misbehaving(path: str, body: dict[str, Any]) -> Any:
    """Lists models, ignores every wish in silence, counts nothing, and streams without an end."""
    if path.endswith("/models"):
        return {"data": [{"id": "odd"}, {"id": "other"}]}
    if not path.endswith("/chat/completions"):
        return (404, "text/plain", b"no such thing")
    if body.get("stream"):
        pieces = [{"choices": [{"index": 0, "delta": {"content": part + " "}}]} for part in TEXT.split()]
        return (200, "text/event-stream", b"".join(b"data: " + json.dumps(p).encode() + b"\n\n" for p in pieces))
    return chat(f"{TEXT} {time.monotonic_ns()}" if body.get("temperature") else TEXT)


def test_what_is_ignored_in_silence_is_found_out() -> None:
    with server(misbehaving) as (url, asked):
        report = probe(url, concurrency=(2,), load_s=0.2)
    found = {finding.feature: (finding.verdict, finding.detail) for finding in report.findings}
    assert report.model == "odd"
    assert found["completions"] == ("no", "HTTP 404 no such thing")
    assert found["usage"][0] == "no"
    assert found["max_tokens"][0] == "partly"
    verdict, detail = found["streaming"]
    assert verdict == "partly"
    assert "no [DONE]" in detail
    assert "no usage" in detail
    for feature in ("log-probs", "stop", "tools", "token ids"):
        assert found[feature] == ("no", "ignored in silence"), feature
    assert found["n"] == ("no", "1 choice where 2 were asked for")
    assert found["seed"] == ("no", "ignored: the same seed gave two texts")
    assert found["JSON schema"][1].startswith("ignored in silence")
    assert found["refuses unknown fields"][0] == "no"
    assert report.loads[0].succeeded == 0, "a stream without an end is no success"
    assert report.requests == len(asked) <= 200


@pytest.mark.parametrize(
    "rubbish",
    [b"<html>", b"", b"null", b"[]", b'{"choices": []}', b'{"choices": [{}]}', b'{"choices": 3}', b"\xff\xfe"],
)
def test_rubbish_after_a_good_start_is_a_finding_each(rubbish: bytes) -> None:
    count = iter(range(10_000))

    def script(path: str, body: dict[str, Any]) -> Any:
        if path.endswith("/models"):
            return {"data": [{"id": "odd"}]}
        return chat() if next(count) == 0 else rubbish

    with server(script) as (url, _):
        report = probe(url, concurrency=(1,), load_s=0.1)
    found = {finding.feature: finding.verdict for finding in report.findings}
    assert found.pop("models") == "yes"
    assert found.pop("chat") == "yes"
    assert found.pop("refuses unknown fields") == "no"
    assert set(found.values()) <= {"no", "unknown"}, found


def test_a_slow_server_costs_no_more_than_was_allowed() -> None:
    def script(path: str, body: dict[str, Any]) -> Any:
        if path.endswith("/models"):
            return {"data": [{"id": "slow"}]}
        if "not_slow" not in body and body.get("max_tokens") != 24:
            time.sleep(0.5)
        return chat()

    with server(script) as (url, _):
        start = time.monotonic()
        report = probe(url, seconds=1.0, timeout_s=0.2, concurrency=(4,))
        assert time.monotonic() - start < 10
    assert any("no whole answer in" in finding.detail for finding in report.findings)
    with server(misbehaving) as (url, asked):
        report = probe(url, requests=6, concurrency=(4,))
    assert len(asked) == report.requests == 6
    assert report.loads == ()
    assert "used up before" in report.findings[-1].detail


def test_what_cannot_be_probed_is_one_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(EngineError, match=r"cannot be reached: .*; start it or correct the address"):
        probe(url)
    with pytest.raises(ConfigError, match="scheme and a host"):
        probe("localhost:8000")
    with pytest.raises(ConfigError, match="greater than 0"):
        probe(url, seconds=0)
    with server(lambda path, body: {"data": []}) as (url, _), pytest.raises(ConfigError, match="name one with --model"):
        probe(url)
    with server(lambda path, body: (404, "text/plain", b"gone")) as (url, _):
        with pytest.raises(ConfigError, match="lists no model"):
            probe(url)
        with pytest.raises(EngineError, match="answers neither chats nor completions of 'm'"):
            probe(url, "m")
    with server(lambda path, body: (403, "text/plain", b"your key sk-1234 is bad")) as (url, _):
        with pytest.raises(EngineError, match="refuses") as caught:
            probe(url, api_key="sk-1234")
        assert "sk-1234" not in str(caught.value)


class Dripping(httpx.AsyncByteStream):
    """Bytes in two pieces, cut anywhere."""

    def __init__(self, whole: bytes, cut: int) -> None:
        self.parts = (whole[:cut], whole[cut:])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part


def test_a_stream_cut_at_any_byte_says_the_same() -> None:
    pieces = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in ("naïve ", "日本", "🙂")]
    events_ = [*(json.dumps(p, ensure_ascii=False) for p in pieces), "[DONE]"]
    whole = "".join(f"data: {event}\r\n\r\n" for event in events_).encode()

    async def read(cut: int) -> Events:
        response = httpx.Response(200, stream=Dripping(whole, cut))
        events = Events(lambda at, text: None)
        async for line in response.aiter_lines():
            events.line(line)
        return events

    for cut in range(len(whole)):
        events = asyncio.run(read(cut))
        assert events.completion().choices[0].content == "naïve 日本🙂"
        assert events.ended
    unfinished = Events(lambda at, text: None)
    unfinished.line(f"data: {events_[0]}")
    assert not unfinished.ended


def test_a_model_that_says_nothing_is_probed_all_the_same() -> None:
    with server(lambda path, body: {"data": [{"id": "mute"}]} if path.endswith("models") else chat("")) as (url, _):
        found = {finding.feature: finding for finding in probe(url, concurrency=()).findings}
    assert found["chat"].verdict == "partly"
    assert found["stop"].verdict == "unknown"


def test_a_body_without_end_is_not_kept() -> None:
    async def run(url: str) -> Any:
        wire = Wire(url, max_body=1000, requests=1)
        try:
            first = await wire.ask("anything")
            with pytest.raises(Spent):
                await wire.ask("anything")
            return first
        finally:
            await wire.close()

    with server(lambda path, body: b"x" * 100_000) as (url, _):
        assert "more than 1000 bytes" in asyncio.run(run(url)).trouble
