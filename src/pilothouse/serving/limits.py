"""What protects the server: bounded bodies and waits, a bounded number of connections, a key."""

from __future__ import annotations

import asyncio
import hmac
import socket
import time
from collections.abc import MutableMapping
from typing import Any, TypeAlias

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from pilothouse.serving.api import Refusal

Message: TypeAlias = MutableMapping[str, Any]

DRAIN_S = 2.0  #: how long what is too much is read and thrown away, so that the client gets to read why
BODY_S = 30.0  #: how long a body may take to arrive
OPEN = ("/healthz",)  #: what needs no key


def check_key(key: str, path: str, authorization: str) -> None:
    """Refuse a request without the server's key; keys are compared in constant time.

    Args:
        key: the server's key; empty asks for none.
        path: the request's path.
        authorization: the request's header.

    Raises:
        Refusal: 401.
    """
    if not key or path in OPEN:
        return
    scheme, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode(errors="replace"), key.encode())
    if scheme.lower() != "bearer" or not same:
        message = "this server needs its key: send the header 'Authorization: Bearer KEY'"
        raise Refusal(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


async def read_body(request: Request, most: int) -> bytearray:
    """Return the body of a request.

    Args:
        request: the request.
        most: most bytes.

    Raises:
        Refusal: 413 when there is more, 408 when it does not arrive.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        raise Refusal(415, "send the body as JSON, with Content-Type application/json")
    body = bytearray()
    try:
        announced = int(request.headers.get("content-length", 0))
    except ValueError:
        announced = 0
    try:
        async with asyncio.timeout(BODY_S):
            while announced <= most:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(499, "the client went away")
                body += message.get("body", b"")
                if len(body) > most:
                    break
                if not message.get("more_body"):
                    return body
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {BODY_S:.0f} s", headers={"Connection": "close"}) from None
    await _drain(request)
    raise Refusal(413, f"the body is larger than {most} bytes", code="body_too_large", headers={"Connection": "close"})


async def _drain(request: Request) -> None:
    """Read on for a moment and keep nothing: a connection closed in mid-sentence would lose our answer."""
    if "expect" in request.headers:
        return  # this client asked first and has sent nothing yet
    end = time.monotonic() + DRAIN_S
    try:
        async with asyncio.timeout(DRAIN_S):
            while time.monotonic() < end:
                message = await request.receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 whose connections are bounded in number and do not wait for ever for a request.

    Class attributes:
        connections_most: connections at once; further ones are closed.
        header_s: seconds for a whole request head to arrive, from the first moment of the connection.
    """

    connections_most = 4096
    header_s = 60.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close it when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.connections_most:
            transport.close()
            return
        # asyncio forgets this for sockets it did not make; without it, the parts of an answer wait 40 ms for each other
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on; the deadline ends when a request has begun and starts when another begins to arrive."""
        super().data_received(data)
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy:
            self._rest()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._rest()
        self._deadline = self.loop.call_later(self.header_s, self._give_up)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
