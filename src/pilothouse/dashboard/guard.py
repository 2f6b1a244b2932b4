"""What stands before every page: the address it was asked at, what it may load, and how it is asked."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MOST_ADDRESS = 8192  #: bytes of an address
_HERE = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")


class Guard:
    """Refuses what was asked for under a strange name or in a strange way, and adds the headers of every answer.

    A page of somebody else's may point a name of its own at this machine and so ask this server from within the
    user's browser; the name is then in the Host header, and is none of ours.

    Args:
        app: what lies behind.
        host: the address that is listened at.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app, self._names = app, known_names(host)
        self._everywhere = host in _EVERYWHERE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        name = host_name(given[0]) if len(given) == 1 else ""
        if not (name in self._names or (self._everywhere and _is_address(name))):
            return PlainTextResponse("this server is not known by that name\n", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("pages here are only read\n", 405, {"Allow": "GET, HEAD"})
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_ADDRESS:
            return PlainTextResponse("this address is too long\n", 414)
        return None


def known_names(host: str) -> frozenset[str]:
    """Return the names that a server at this address may be asked for under."""
    names: Iterable[str] = (host.lower(),)
    if host in (*_HERE, *_EVERYWHERE):
        names = (*names, *_HERE)
    if host in _EVERYWHERE:
        names = (*names, socket.gethostname().lower(), socket.getfqdn().lower())
    return frozenset(names)


def host_name(header: str) -> str:
    """Return the name in a Host header, without the port and the brackets of an address."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
