"""Full, too large, too slow, too many, not allowed: each is answered, none disturbs the others."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
import time
import urllib.error
import urllib.request

import openai
import pytest

from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.serving.app import Terms
from pilothouse.serving.metrics import Histogram
from pilothouse.serving.plans import Bounds

CHAT = [{"role": "user", "content": "1+1="}]


class Gated(ScriptedEngine):
    """A remote engine whose answers wait until the test lets them through; what is given up is noted."""

    def __init__(self, script=lambda request: "x") -> None:
        super().__init__(script)
        self.open = threading.Event()
        self.cancelled: list[int] = []

    def finished(self):
        return super().poll() if self.open.is_set() else []

    def poll(self):
        assert self.open.wait(60)
        return super().poll()

    def cancel(self, ticket):
        self.cancelled.append(ticket)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def get(server, path: str, headers=None):
    request = urllib.request.Request(server.url.removesuffix("/v1") + path, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return reply.read().decode()


def test_a_full_server_says_so_and_when_to_come_back(kit):
    engine = Gated()
    with kit.serving(kit.scripted(engine), active=2, queue=1) as server:
        client, replies = kit.client(server), []
        ask = lambda: replies.append(client.chat.completions.create(model="script", messages=CHAT))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        kit.until(lambda: server.driver.held == 3)
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="script", messages=CHAT)
        assert caught.value.status_code == 503
        assert int(caught.value.response.headers["retry-after"]) >= 1
        kit.until(lambda: server.driver.running == 2)
        assert 'requests_total{route="/v1/chat/completions",status="503"} 1' in get(server, "/metrics")
        engine.open.set()
        for thread in threads:
            thread.join(30)
        assert len(replies) == 3
        ask()
        assert len(replies) == 4


def test_no_entry_without_the_key(kit):
    with kit.serving(kit.scripted(ScriptedEngine(lambda request: "x")), Terms(key="secret-key")) as server:
        for wrong in ("", "secret-kez", "secret-key-and-more", "é"):
            headers = {"Authorization": f"Bearer {wrong}".encode().decode("latin-1")} if wrong else {}
            for path in ("/v1/models", "/metrics", "/v1/nothing"):
                with pytest.raises(urllib.error.HTTPError) as caught:
                    get(server, path, headers)
                assert caught.value.code == 401
                assert "secret" not in caught.value.read().decode()
        with pytest.raises(urllib.error.HTTPError):
            get(server, "/v1/models", {"Authorization": "Basic secret-key"})
        assert json.loads(get(server, "/healthz")) == {"status": "ok"}
        assert kit.client(server, "secret-key").models.list().data[0].id == "script"


def test_a_body_of_ten_megabytes_is_refused_and_not_kept(kit, server):
    with pytest.raises(openai.APIStatusError) as caught:
        kit.client(server).completions.create(model="tiny", prompt="1" * 10_000_000)
    assert caught.value.status_code == 413
    assert "larger than 1048576 bytes" in str(caught.value)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_without_end_is_refused(kit, server, announced):
    """With a length that is too large, or in chunks that do not end."""
    head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with kit.connect(server) as connection:
        if announced:
            connection.sendall(f"{head}Content-Length: 100000000000\r\nExpect: 100-continue\r\n\r\n".encode())
        else:
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            chunk = b"10000\r\n" + b"1" * 65536 + b"\r\n"
            with contextlib.suppress(ConnectionError):
                for _ in range(18):
                    connection.sendall(chunk)
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_another_kind_of_body_is_refused(server):
    request = urllib.request.Request(server.url + "/completions", b"prompt=1", {"Content-Type": "text/plain"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert caught.value.code == 415


@pytest.mark.parametrize(
    "rubbish", [b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"A" * 200_000]
)
def test_what_is_not_http_is_refused(kit, server, rubbish):
    with kit.connect(server) as connection:
        with contextlib.suppress(OSError):  # it may have closed already
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
        assert read_all(connection)[:10] in (b"", b"HTTP/1.1 4")
    assert kit.client(server).models.list().data


def test_a_thousand_idle_connections_keep_nobody_from_being_served(kit, server):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)  # the server has raised it as far as it may
    if soft < 2300:
        pytest.skip(f"this process may open {soft} files, and both ends of a thousand connections are 2,000")
    idle = [kit.connect(server) for _ in range(1000)]
    try:
        kit.until(lambda: server.metrics.gauges["connections"]() >= 1000)
        reply = kit.client(server).completions.create(model="tiny", prompt="1+1=", max_tokens=4)
        assert reply.usage.completion_tokens <= 4
    finally:
        for connection in idle:
            connection.close()
    kit.until(lambda: server.metrics.gauges["connections"]() < 1000)


def test_connections_over_the_bound_are_closed(kit):
    with kit.serving(kit.scripted(ScriptedEngine([])), connections=5) as server:
        held = [kit.connect(server) for _ in range(5)]
        kit.until(lambda: server.metrics.gauges["connections"]() == 5)
        with kit.connect(server) as one_too_many:
            assert read_all(one_too_many) == b""
        for connection in held:
            connection.close()


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_quiet_connection_is_closed(kit, begun):
    """One that never says anything, one that never ends its head, and one that is kept after its answer."""
    with kit.serving(kit.scripted(ScriptedEngine([])), idle_s=1.0) as server, kit.connect(server) as connection:
        connection.sendall(begun)
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 200") is begun.endswith(b"\r\n\r\n")


def test_an_answer_that_takes_too_long_is_given_up(kit):
    engine = Gated()
    with kit.serving(kit.scripted(engine), Terms(timeout_s=0.2)) as server:
        with pytest.raises(openai.InternalServerError) as caught:
            kit.client(server).completions.create(model="script", prompt="p")
        assert caught.value.status_code == 504
        with pytest.raises(openai.APIError, match=r"within 0\.2 s"):
            list(kit.client(server).completions.create(model="script", prompt="p", stream=True))
        kit.until(lambda: len(engine.cancelled) == 2)
        assert server.driver.held == 0


def test_a_quiet_stream_is_kept_alive_by_comments(kit):
    engine = Gated()
    with kit.serving(kit.scripted(engine), Terms(heartbeat_s=0.05)) as server, kit.connect(server) as connection:
        body = b'{"prompt": "p", "stream": true}'
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
        connection.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        heard = b""
        while heard.count(b": still at work\n\n") < 3:
            heard += connection.recv(65536)
        engine.open.set()
        heard += read_all(connection)
        assert b'"text":"x"' in heard
        assert b"data: [DONE]" in heard


def test_a_stream_of_characters_of_many_bytes_is_valid_text(kit):
    engine = ScriptedEngine(lambda request: "naïve 😀 日本")
    with kit.serving(kit.scripted(engine)) as server:
        stream = kit.client(server).completions.create(model="script", prompt="p", stream=True)
        assert "".join(chunk.choices[0].text for chunk in stream) == "naïve 😀 日本"


def test_bounds_are_the_servers_own(kit):
    served = kit.scripted(ScriptedEngine(lambda request: "x"))
    with kit.serving(served, bounds=Bounds(tokens=8, choices=2)) as server:
        client = kit.client(server)
        assert len(client.completions.create(model="script", prompt="p", n=2, max_tokens=8).choices) == 2
        for wrong in ({"n": 3}, {"max_tokens": 9}):
            with pytest.raises(openai.BadRequestError):
                client.completions.create(model="script", prompt="p", **wrong)


def test_metrics_add_up(kit):
    with kit.serving(kit.scripted(ScriptedEngine(lambda request: "abc"))) as server:
        for _ in range(3):
            kit.client(server).completions.create(model="script", prompt="pp")
        list(kit.client(server).completions.create(model="script", prompt="pp", stream=True))
        text = get(server, "/metrics")
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['pilothouse_requests_total{route="/v1/completions",status="200"}'] == "4"
    assert lines['pilothouse_tokens_total{kind="prompt"}'] == "8"
    assert lines['pilothouse_tokens_total{kind="completion"}'] == "12"
    assert lines["pilothouse_latency_seconds_count"] == "4"
    assert lines['pilothouse_latency_seconds_bucket{le="+Inf"}'] == "4"
    assert lines["pilothouse_requests_held"] == "0"


def test_a_histogram_counts_what_lies_below_each_bound():
    histogram = Histogram()
    for seconds in (0.001, 0.005, 0.2, 1000.0):
        histogram.add(seconds)
    lines = dict(line.rsplit(" ", 1) for line in histogram.lines("x"))
    assert (lines['x_bucket{le="0.005"}'], lines['x_bucket{le="0.25"}'], lines['x_bucket{le="300.0"}']) == (
        "2",
        "3",
        "3",
    )
    assert lines["x_count"] == lines['x_bucket{le="+Inf"}'] == "4"
    assert float(lines["x_sum"]) == pytest.approx(1000.206)


# --- clients that vanish, and ends


def begin(kit, server, body: dict) -> socket.socket:
    """Send a request and hang on."""
    connection = kit.connect(server)
    data = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_when_the_client_vanishes_its_rows_leave_the_engine(kit, policy, stream):
    class Endless:
        """The policy without end-of-sequence tokens: only its length limit ends a row."""

        model, codec, eos_ids, context = policy.model, policy.codec, frozenset(), 10**6

    served = kit.local(Endless(), context=10**6)
    with kit.serving(served, bounds=Bounds(tokens=10**6)) as server:
        rows = server.metrics.gauges["engine_rows"]
        body = {"prompt": "1+1=", "max_tokens": 200_000, "n": 2, "stream": stream}
        connections = [begin(kit, server, body) for _ in range(5)]
        kit.until(lambda: rows() == 10)
        for connection in connections[:4]:
            connection.close()
        kit.until(lambda: rows() == 2)
        assert server.driver.held == 1
        reply = kit.client(server).completions.create(model="tiny", prompt="2+2=", max_tokens=5)
        assert reply.usage.completion_tokens == 5
        connections[4].close()
        kit.until(lambda: rows() == 0 and server.driver.held == 0)
        assert server.metrics.events["cancelled"] == 5


def test_when_the_client_of_a_queued_request_vanishes_it_never_runs(kit):
    engine = Gated()
    with kit.serving(kit.scripted(engine), active=1) as server:
        first = begin(kit, server, {"prompt": "first"})
        kit.until(lambda: server.driver.running == 1)
        second = begin(kit, server, {"prompt": "second"})
        kit.until(lambda: server.driver.held == 2)
        second.close()
        kit.until(lambda: server.driver.held == 1)
        engine.open.set()
        kit.until(lambda: server.driver.held == 0)
        first.close()
    assert [engine.codec.decode(request.prefix) for request in engine.requests] == ["first"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_stops_finishes_what_it_has_begun(kit, stream):
    engine = Gated()
    with kit.serving(kit.scripted(engine), active=1) as server:
        running, queued = (begin(kit, server, {"prompt": "p", "stream": stream}) for _ in range(2))
        kit.until(lambda: server.driver.held == 2)
        server.stop()

        def refused() -> bool:
            try:
                kit.connect(server).close()
            except OSError:
                return True
            return False

        kit.until(refused)
        engine.open.set()
        for connection in (running, queued):
            assert b'"text":"x"' in read_all(connection)


def test_a_server_that_must_stop_gives_up_what_does_not_end(kit):
    engine = Gated()
    begun = time.monotonic()
    with kit.serving(kit.scripted(engine), grace_s=1.0) as server:
        connection = begin(kit, server, {"prompt": "p"})
        kit.until(lambda: server.driver.running == 1)
    assert time.monotonic() - begun < 20
    connection.close()
    assert len(engine.cancelled) == 1


def test_an_engine_that_breaks_down_fails_those_who_wait_and_serves_the_next(kit):
    class Fragile(ScriptedEngine):
        broken = False

        def poll(self):
            if self.broken:
                self.broken = False
                self._queue.clear()
                raise RuntimeError("out of memory in /home/someone")
            return super().poll()

    engine = Fragile(lambda request: "x")
    with kit.serving(kit.scripted(engine)) as server:
        engine.broken = True
        with pytest.raises(openai.InternalServerError) as caught:
            kit.client(server).completions.create(model="script", prompt="p")
        assert caught.value.status_code == 500
        assert "/home" not in str(caught.value)
        assert kit.client(server).completions.create(model="script", prompt="p").choices[0].text == "x"
        assert json.loads(get(server, "/healthz")) == {"status": "ok"}
