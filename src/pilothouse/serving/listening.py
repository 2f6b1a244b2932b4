"""Listening with bounded connections, and ending without a noise: what the servers of the house share."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp

from pilothouse.core.errors import ConfigError
from pilothouse.serving.limits import BoundedProtocol

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Listener:
    """A server that listens from the moment it is made and answers once it runs.

    Args:
        app: what answers.
        host: address to listen at.
        port: port; 0 takes any free one.
        connections: connections at once.
        idle_s: seconds a connection may be quiet.
        grace_s: seconds that requests under way have to finish when the server stops.

    Raises:
        ConfigError: the address is taken or is none of this machine's.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, *, connections: int, idle_s: float, grace_s: float) -> None:
        self._connections = connections
        self._socket = _listen(host, port)
        protocol = type("Protocol", (BoundedProtocol,), {"connections_most": connections, "header_s": idle_s})
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
                timeout_keep_alive=int(idle_s),
                timeout_graceful_shutdown=int(grace_s),
            )
        )

    @property
    def address(self) -> str:
        """The address that clients use, without a path."""
        host, port = self._socket.getsockname()[:2]
        host = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
        return f"http://{host}:{port}"

    @property
    def connected(self) -> int:
        """Connections now."""
        return len(self._uvicorn.server_state.connections)

    @property
    def started(self) -> bool:
        """Whether it answers."""
        return self._uvicorn.started

    def run(self) -> None:
        """Serve until stopped, then finish what was begun."""
        _raise_file_limit(self._connections)
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
