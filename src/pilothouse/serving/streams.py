"""Server-sent events: the answer in pieces, comments that keep a quiet connection alive, and an end to both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pilothouse.engines.session import Piece
from pilothouse.serving.api import Refusal
from pilothouse.serving.driver import Ticket
from pilothouse.serving.replies import Replies, Settled
from pilothouse.serving.text import TextFeed

STALL_S = 60.0  #: a client that reads nothing for so long is given up
DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": still at work\n\n"


def event(document: Any) -> bytes:
    """Return a document as one event."""
    return b"data: " + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


async def gone(receive: Receive) -> None:
    """Return when the client is."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Story:
    """Tells one answer: what its ticket hears becomes chunks, whose texts join to the whole answer's.

    Args:
        replies: the documents.
        ticket: hears of the answer.
    """

    def __init__(self, replies: Replies, ticket: Ticket) -> None:
        self._replies, self._ticket = replies, ticket
        plan = replies.plan
        count = plan.ask.n or 1
        codec = plan.job.posed.codec
        self._feeds = [TextFeed(codec, plan.stops) for _ in range(count)]

    def opening(self) -> list[Any]:
        """Return the first chunks."""
        return [chunk for at in range(len(self._feeds)) if (chunk := self._replies.opening(at))]

    def pieces(self, news: list[Piece]) -> list[Any]:
        """Return the chunks of what was drawn; one a choice."""
        chunks: list[Any] = []
        for at, feed in enumerate(self._feeds):
            mine = [piece for piece in news if piece.index == at]
            tokens = tuple(token for piece in mine for token in piece.tokens)
            logprobs = tuple(value for piece in mine for value in piece.logprobs)
            text = feed.push(tokens) if tokens else ""
            if text or (tokens and self._replies.plan.ask.wants_logprobs):
                chunks.append(self._replies.piece(at, text, tokens, logprobs))
        return chunks

    def ending(self, settled: Settled) -> list[Any]:
        """Return what is left to say once all is known."""
        chunks: list[Any] = []
        for at, choice in enumerate(settled.choices):
            feed = self._feeds[at]
            text, tokens = feed.close(choice.text), choice.tokens[feed.count :]
            if text or (tokens and self._replies.plan.ask.wants_logprobs):
                chunks.append(self._replies.piece(at, text, tokens, choice.logprobs[feed.count :]))
            chunks.append(self._replies.ending(at, choice.finish))
        options = self._replies.plan.ask.stream_options
        if options and options.include_usage:
            chunks.append(self._replies.closing(settled.usage, settled.result))
        return chunks


class EventStream(Response):
    """A response that is told piece by piece.

    Args:
        ticket: hears of the answer.
        story: makes chunks of it.
        settle: reads the outcome; raises a Refusal for one that is no answer.
        leave: called at the end, however it comes.
        heartbeat_s: seconds of silence before a comment is sent.
        on_first: called with each piece, so that the first one's time is known.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        ticket: Ticket,
        story: Story,
        settle: Callable[[Any], Settled],
        leave: Callable[[], None],
        *,
        heartbeat_s: float,
        on_first: Callable[[], None],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._ticket, self._story, self._settle, self._leave = ticket, story, settle, leave
        self._heartbeat_s, self._on_first = heartbeat_s, on_first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, unless the client goes away or stops reading."""
        watch = asyncio.create_task(gone(receive))
        watch.add_done_callback(lambda _: self._ticket.news.put_nowait(None))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for part in self._parts():
                async with asyncio.timeout(STALL_S):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (OSError, TimeoutError):
            pass  # nobody reads any more
        finally:
            watch.cancel()
            self._leave()

    async def _parts(self) -> AsyncIterator[bytes]:
        if first := self._story.opening():
            yield b"".join(map(event, first))
        while True:
            news = await self._next(self._ticket.news.get)
            if news is HEARTBEAT:
                yield HEARTBEAT
                continue
            pieces: list[Piece] = []
            while isinstance(news, Piece):  # all that is there already goes out in one write
                pieces.append(news)
                if self._ticket.news.empty():
                    break
                news = self._ticket.news.get_nowait()
            if pieces and (chunks := self._story.pieces(pieces)):
                self._on_first()
                yield b"".join(map(event, chunks))
            if isinstance(news, Piece):
                continue
            if news is None:
                return
            try:
                yield b"".join(map(event, self._story.ending(self._settle(news)))) + DONE
            except Refusal as refusal:
                yield event(refusal.body)
            return

    async def _next(self, get: Callable[[], Awaitable[Any]]) -> Any:
        if not self._ticket.news.empty():
            return self._ticket.news.get_nowait()
        try:
            async with asyncio.timeout(self._heartbeat_s):
                return await get()
        except TimeoutError:
            return HEARTBEAT
