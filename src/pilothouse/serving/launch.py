"""Starting the server and stopping it: a socket, a thread for the engines, and an end that finishes what was begun."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pilothouse.serving.app import Terms, make_app
from pilothouse.serving.driver import Driver
from pilothouse.serving.listening import Listener
from pilothouse.serving.metrics import Metrics
from pilothouse.serving.offers import Served
from pilothouse.serving.plans import Bounds, Planner


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
            "connections": lambda: self._listener.connected,
        }
        if hasattr(served.engine, "rows"):
            gauges["engine_rows"] = lambda: served.engine.rows  # pyright: ignore[reportAttributeAccessIssue]
        self.metrics = Metrics(gauges)
        app = make_app(self.planner, self.driver, terms or Terms(exact=served.exact), self.metrics)
        self._listener = Listener(
            app,
            place.host,
            place.port,
            connections=place.connections,
            idle_s=place.idle_s,
            grace_s=place.grace_s,
        )

    @property
    def url(self) -> str:
        """The address that clients use."""
        return f"{self._listener.address}/v1"

    def run(self) -> None:
        """Serve until stopped, then finish what was begun."""
        self._listener.run()

    def stop(self) -> None:
        """Take no further connection, finish what was begun, and let ``run`` return."""
        self._listener.stop()
