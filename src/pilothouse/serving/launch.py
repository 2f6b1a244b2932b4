"""Starting the server and stopping it: a socket, a thread for the engines, and an end that finishes what was begun."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from pilothouse.core.errors import ConfigError
from pilothouse.serving.app import Terms, make_app
from pilothouse.serving.driver import Driver
from pilothouse.serving.limits import BoundedProtocol
from pilothouse.serving.metrics import Metrics
from pilothouse.serving.offers import Served
from pilothouse.serving.plans import Bounds, Planner

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Place:
    """Where the server listens and how much it holds.

    Args:
        host: address to listen at.
        port: port; 0 takes any free one.
        active: programs under way at once.
        queue: requests that may wait for their turn.
        connections: connections at once.
        idle_s: seconds a connection may be quiet.
        grace_s: seconds that requests under way have to finish when the server stops.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    active: int = 64
    queue: int = 256
    connections: int = 4096
    idle_s: float = 60.0
    grace_s: float = 30.0


class Server:
    """A server that listens from the moment it is made and answers once it runs.

    Args:
        served: the model.
        terms: how clients are treated.
        bounds: what a single request may ask for.
        place: where it listens and how much it holds.

    Raises:
        ConfigError: the address is taken or is none of this machine's.
    """

    def __init__(
        self, served: Served, terms: Terms | None = None, bounds: Bounds | None = None, place: Place | None = None
    ) -> None:
        self.place = place = place or Place()
        self.planner = Planner(served.offer, bounds or Bounds())
        self.driver = Driver(served.runner, active=place.active, queue=place.queue)
        gauges: dict[str, Callable[[], float]] = {
            "requests_held": lambda: self.driver.held,
            "programs_running": lambda: self.driver.running,
            "connections": lambda: len(self._uvicorn.server_state.connections),
        }
        if hasattr(served.engine, "rows"):
            gauges["engine_rows"] = lambda: served.engine.rows  # pyright: ignore[reportAttributeAccessIssue]
        self.metrics = Metrics(gauges)
        app = make_app(self.planner, self.driver, terms or Terms(exact=served.exact), self.metrics)
        self._socket = _listen(place.host, place.port)
        protocol = type(
            "Protocol", (BoundedProtocol,), {"connections_most": place.connections, "header_s": place.idle_s}
        )
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="on",
                access_log=False,
                log_level="warning",
                server_header=False,
                backlog=2048,
                timeout_keep_alive=int(place.idle_s),
                timeout_graceful_shutdown=int(place.grace_s),
            )
        )

    @property
    def url(self) -> str:
        """The address that clients use."""
        host, port = self._socket.getsockname()[:2]
        host = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
        return f"http://{host}:{port}/v1"

    def run(self) -> None:
        """Serve until stopped, then finish what was begun."""
        _raise_file_limit(self.place.connections)
        with _signals_end_quietly():
            self._uvicorn.run(sockets=[self._socket])

    def stop(self) -> None:
        """Take no further connection, finish what was begun, and let ``run`` return."""
        self._uvicorn.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"cannot listen at {host} port {port} ({reason}): choose another with --host and --port"
        ) from None


def _raise_file_limit(connections: int) -> None:
    """Let the process hold as many connections as it promises, where the system allows it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 256
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def _signals_end_quietly():
    """Uvicorn raises the signal that ended it once more when all is done; by then there is nothing left to end."""
    before = {}
    with contextlib.suppress(ValueError):  # not the main thread: no signals come here
        before = {kind: signal.signal(kind, lambda *_: None) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def quiet_logs() -> None:
    """Write the server's own troubles to standard error, a line each."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
