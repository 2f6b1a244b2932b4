"""Single requests to a server that may do anything: every answer is a value, and time, number and size are bounded."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from pilothouse.core.errors import ConfigError
from pilothouse.engines.completions import Completion
from pilothouse.engines.events import CONTENT_TYPE, Events
from pilothouse.engines.transport import EXCERPT, read_address


class Spent(Exception):
    """The time or the number of requests that was allowed is used up."""


@dataclass(frozen=True)
class Answered:
    """What came of one request.

    Args:
        status: the HTTP status; 0 if there was no answer.
        content: the body.
        seconds: how long it took.
        trouble: why there is no answer, or what the server said against the request; empty if all went well.
        content_type: as the server names it.
    """

    status: int = 0
    content: bytes = b""
    seconds: float = 0.0
    trouble: str = ""
    content_type: str = ""

    @property
    def good(self) -> bool:
        """Whether the server did as it was asked."""
        return not self.trouble

    def json(self) -> Any:
        """Return the body as JSON; raises ValueError if it is none."""
        return json.loads(self.content)

    def completion(self) -> Completion:
        """Return the body as an answer of the protocol; raises ValueError if it is none."""
        return Completion.read(self.content)


@dataclass
class Streamed:
    """An answer that came as events.

    Args:
        answered: status and trouble; its seconds run to the end of the stream.
        events: what came.
        pieces: at how many seconds each piece of text came.
    """

    answered: Answered
    events: Events
    pieces: list[float] = field(default_factory=list[float])

    @property
    def first_s(self) -> float:
        """Seconds to the first piece of text; to the end where none came."""
        return self.pieces[0] if self.pieces else self.answered.seconds


class Wire:
    """Sends requests to one server, each once. The key is blotted out of whatever is passed on.

    Args:
        base_url: address of the API; without a path, ``/v1`` is added.
        api_key: sent as a bearer token; empty sends none.
        seconds: for all requests together.
        requests: how many may be sent.
        timeout_s: for one of them.
        max_body: largest body that is read, in bytes.

    Raises:
        ConfigError: the address is no address, or the key cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        seconds: float = 120.0,
        requests: int = 200,
        timeout_s: float = 30.0,
        max_body: int = 1 << 22,
    ) -> None:
        self.where, url = read_address(base_url)
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigError("the API key holds characters that no HTTP header can carry; copy it again")
        self._key, self._timeout_s, self._max_body = api_key, timeout_s, max_body
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=None)
        self._end, self._left, self.sent = time.monotonic() + seconds, requests, 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @property
    def time_left(self) -> float:
        """Seconds that are left for all requests."""
        return self._end - time.monotonic()

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> Answered:
        """Return what comes of a POST, or of a GET where there is no body.

        Raises:
            Spent: no time or no request is left.
        """
        return await self._send(path, body, None)

    async def stream(self, path: str, body: dict[str, Any]) -> Streamed:
        """Return what comes of a POST that asks for events.

        Raises:
            Spent: no time or no request is left.
        """
        start, pieces = time.perf_counter(), list[float]()
        events = Events(lambda at, text: pieces.append(time.perf_counter() - start))
        whole = {**body, "stream": True, "stream_options": {"include_usage": True}}
        return Streamed(await self._send(path, whole, events), events, pieces)

    async def _send(self, path: str, body: dict[str, Any] | None, events: Events | None) -> Answered:
        if self._left <= 0 or self.time_left <= 0:
            raise Spent
        self._left, self.sent = self._left - 1, self.sent + 1
        start, allowed = time.perf_counter(), min(self._timeout_s, self.time_left)
        try:
            async with asyncio.timeout(allowed):
                found = await self._read(path, body, events)
        except TimeoutError:
            found = Answered(trouble=f"no whole answer in {allowed:.3g} s")
        except (httpx.TransportError, httpx.DecodingError) as error:
            found = Answered(trouble=f"cannot be reached: {error or type(error).__name__}")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            found = Answered(200, trouble=f"answers rubbish: {self._clean(str(error))}")
        return Answered(found.status, found.content, time.perf_counter() - start, found.trouble, found.content_type)

    async def _read(self, path: str, body: dict[str, Any] | None, events: Events | None) -> Answered:
        method = "GET" if body is None else "POST"
        async with self._client.stream(method, path, json=body) as response:
            kind, size, content = response.headers.get("content-type", ""), 0, bytearray()
            if events is not None and response.is_success and CONTENT_TYPE in kind:
                async for text in response.aiter_lines():
                    size += len(text)
                    if size > self._max_body:
                        raise ValueError(f"more than {self._max_body} bytes")
                    events.line(text)
                return Answered(response.status_code, content_type=kind)
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > self._max_body:
                    raise ValueError(f"more than {self._max_body} bytes")
        said = ""
        if not response.is_success:
            said = f"HTTP {response.status_code} {self._clean(_message(bytes(content)))[:EXCERPT]}".strip()
        return Answered(response.status_code, bytes(content), trouble=said, content_type=kind)

    def _clean(self, message: str) -> str:
        message = " ".join(message.split())
        return message.replace(self._key, "***") if self._key else message


def _message(content: bytes) -> str:
    """What a server says in a refusal: the message of the protocol's error, else the body as it is."""
    try:
        return str(json.loads(content)["error"]["message"])
    except (ValueError, TypeError, KeyError):
        return content.decode(errors="replace")
