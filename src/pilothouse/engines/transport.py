"""JSON over HTTP to one server: bounded concurrency, retries with backoff, deadlines, bounded bodies."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.events import CONTENT_TYPE, Events

TRY_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
LONGEST_PAUSE_S = 60.0
EXCERPT = 300  #: characters of a server's own message that are passed on

FIXES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "give a valid api_key or set OPENAI_API_KEY",
    HTTPStatus.FORBIDDEN: "give an api_key that may use this model",
    HTTPStatus.NOT_FOUND: "check base_url (it usually ends in /v1) and the model's name",
    HTTPStatus.METHOD_NOT_ALLOWED: "check base_url, it usually ends in /v1",
}


class RequestFailed(Exception):
    """One request could not be answered; others may be."""


class _TryAgain(Exception):
    """An attempt failed in a way that may pass.

    Args:
        reason: what happened.
        pause_s: the pause that the server asked for, in seconds.
    """

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Transport:
    """Posts JSON to one server from one event loop. The key travels in a header and is blotted out of every message.

    Args:
        base_url: address of the API, such as ``http://localhost:8000/v1``; without a path, ``/v1`` is added.
        api_key: sent as a bearer token; empty sends none.
        max_concurrency: requests under way at once.
        timeout_s: seconds one attempt may take.
        deadline_s: seconds a request may take over all attempts and pauses, counted from its first attempt.
        retries: attempts after the first.
        backoff_s: mean pause before the first retry, in seconds; it doubles with each one, up to a minute.
        max_body: largest response body, in bytes.
        seeds: where the jitter of the pauses comes from.

    Raises:
        ConfigError: the address is no http(s) address or the key cannot be sent in a header.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        max_concurrency: int,
        timeout_s: float,
        deadline_s: float,
        retries: int,
        backoff_s: float,
        max_body: int,
        seeds: SeedTree,
    ) -> None:
        self.where, url = read_address(base_url)
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigError("the API key holds characters that no HTTP header can carry; copy it again")
        self._key = api_key
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=None,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=max_concurrency),
        )
        self._slots = asyncio.Semaphore(max_concurrency)
        self._timeout_s, self._deadline_s = timeout_s, deadline_s
        self._retries, self._backoff_s, self._max_body = retries, backoff_s, max_body
        self._rng = seeds.numpy()

    async def post(self, path: str, body: dict[str, Any], events: Events | None = None) -> bytes:
        """Return the body of the response; empty if it came as events.

        Args:
            path: path below ``base_url``.
            body: JSON object to send.
            events: read the response line by line if the server sends it so; a broken one is not asked for again.

        Raises:
            RequestFailed: no usable answer within the attempts and the deadline, or the server refuses this request.
            EngineError: the server refuses every request: key, address or model are wrong.
        """
        async with self._slots:
            end = time.monotonic() + self._deadline_s
            attempt = 0
            while True:
                attempt += 1
                allowed = min(self._timeout_s, max(0.0, end - time.monotonic()))
                try:
                    async with asyncio.timeout(allowed):
                        return await self._attempt(path, body, events)
                except TimeoutError:
                    trouble = _TryAgain(f"is too slow: no answer in {allowed:.3g} s; raise timeout_s and deadline_s")
                except _TryAgain as error:
                    trouble = error
                pause = min(LONGEST_PAUSE_S, self._backoff_s * 2 ** (attempt - 1)) * self._rng.uniform(0.5, 1.5)
                pause = max(pause, trouble.pause_s)
                if (events and events.begun) or attempt > self._retries or time.monotonic() + pause >= end:
                    raise RequestFailed(f"the server at {self.where} {trouble} (attempts: {attempt})")
                await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _attempt(self, path: str, body: dict[str, Any], events: Events | None) -> bytes:
        try:
            async with self._client.stream("POST", path, json=body) as response:
                if events and response.is_success and CONTENT_TYPE in response.headers.get("content-type", ""):
                    await self._listen(response, events)
                    return b""
                content = await self._read(response)
        except httpx.DecodingError as error:
            raise RequestFailed(f"the server at {self.where} answers rubbish: {error}") from error
        except httpx.TransportError as error:
            what = str(error) or type(error).__name__
            raise _TryAgain(f"cannot be reached: {what}; start it or correct base_url") from error
        status = response.status_code
        if response.is_success:
            return content
        # The key is blotted out before the message is cut, lest half of it remain.
        said = f"HTTP {status} {self._clean(content.decode(errors='replace'))[:EXCERPT]}".strip()
        if status in TRY_AGAIN or response.is_server_error:
            raise _TryAgain(f"is busy or broken: {said}", _retry_after(response))
        if fix := "correct base_url" if response.is_redirect else FIXES.get(status):
            raise EngineError(f"the server at {self.where} refuses: {said}; {fix}")
        raise RequestFailed(f"the server at {self.where} refuses this request: {said}")

    async def _listen(self, response: httpx.Response, events: Events) -> None:
        size = 0
        async for line in response.aiter_lines():
            size += len(line)
            if size > self._max_body:
                raise RequestFailed(f"the server at {self.where} answers with more than {self._max_body} bytes")
            try:
                events.line(line)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise RequestFailed(f"the server at {self.where} answers rubbish: {self._clean(str(error))}") from None

    async def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > self._max_body:
                raise RequestFailed(f"the server at {self.where} answers with more than {self._max_body} bytes")
        return bytes(content)

    def _clean(self, message: str) -> str:
        """Return the message on one line and without the key, which some servers repeat."""
        message = " ".join(message.split())
        return message.replace(self._key, "***") if self._key else message


def read_address(base_url: str) -> tuple[str, httpx.URL]:
    """Return the address as it may be shown and as it is used: without a path, ``/v1`` is added.

    Raises:
        ConfigError: it is no http(s) address.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"base_url is not an address: {error}; write it as http://host:port/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError("base_url needs a scheme and a host; write it as http://host:port/v1")
    if url.path == "/":
        url = url.copy_with(path="/v1")
    return str(url.copy_with(userinfo=b"", query=None)), url


def _retry_after(response: httpx.Response) -> float:
    """Return the pause that the server asks for in seconds, given as a number or as a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - time.time())
