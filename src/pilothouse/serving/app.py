"""The routes: what is asked over HTTP becomes a job, and what became of it the answer."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pilothouse.core.errors import EngineError
from pilothouse.core.results import Result
from pilothouse.serving.api import Ask, ChatRequest, CompletionRequest, Refusal, read
from pilothouse.serving.driver import Driver, Full, Ticket
from pilothouse.serving.limits import check_key, read_body
from pilothouse.serving.metrics import Metrics
from pilothouse.serving.plans import Plan, Planner
from pilothouse.serving.replies import Replies, Settled, choices_of, usage
from pilothouse.serving.streams import EventStream, Story, gone

LOG = logging.getLogger("pilothouse.serving")

LONG_BODY = 16 * 2**10  #: bytes from which a request is read on another thread
ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/metrics", "/healthz")


@dataclass(frozen=True)
class Terms:
    """How the server treats its clients.

    Args:
        key: what clients must show; empty lets everybody in.
        body: largest body, in bytes.
        timeout_s: seconds an answer may take.
        heartbeat_s: seconds of silence in a stream before a comment is sent.
        exact: whether the token ids here are the model's own, so that they can be counted.
    """

    key: str = ""
    body: int = 2**20
    timeout_s: float = 600.0
    heartbeat_s: float = 10.0
    exact: bool = True


class Desk:
    """Answers requests.

    Args:
        planner: reads them.
        driver: runs them.
        terms: how clients are treated.
        metrics: counts.
    """

    def __init__(self, planner: Planner, driver: Driver, terms: Terms, metrics: Metrics) -> None:
        self.planner, self.driver, self.terms, self.metrics = planner, driver, terms, metrics
        self.offer = planner.offer

    async def answer(self, request: Request, model: type[ChatRequest] | type[CompletionRequest]) -> Response:
        """Return the answer to a request, whole or as a stream."""
        begun = time.perf_counter()
        body = await read_body(request, self.terms.body)
        headers = dict(request.headers)
        if len(body) > LONG_BODY:
            plan = await asyncio.to_thread(lambda: self.planner.plan(read(model, body), headers))
        else:
            plan = self.planner.plan(read(model, body), headers)
        ticket = self._submit(plan)
        replies = Replies(plan, self.offer.name, self.offer.codec)
        late = Refusal(504, f"there was no answer within {self.terms.timeout_s:g} s", code="timeout")
        alarm = asyncio.get_running_loop().call_later(self.terms.timeout_s, ticket.news.put_nowait, late)

        def settle(news: Any) -> Settled:
            return self._settle(plan, ticket, news, begun)

        def leave() -> None:
            alarm.cancel()
            if not ticket.over:
                self.metrics.events["cancelled"] += 1
                self.driver.cancel(ticket)

        if plan.ask.stream:
            first = Once(lambda: self.metrics.first_token.add(time.perf_counter() - begun))
            story = Story(replies, ticket)
            return EventStream(ticket, story, settle, leave, heartbeat_s=self.terms.heartbeat_s, on_first=first)
        watch = asyncio.create_task(gone(request.receive))
        watch.add_done_callback(lambda _: ticket.news.put_nowait(None))
        try:
            news = await ticket.news.get()
            if news is None:
                raise Refusal(499, "the client went away")
            return document(replies.whole(settle(news)))
        finally:
            watch.cancel()
            leave()

    def _submit(self, plan: Plan) -> Ticket:
        try:
            return self.driver.submit(plan.job, watch=bool(plan.ask.stream))
        except Full:
            self.metrics.events["refused"] += 1
            latency = self.metrics.latency
            mean = latency.total / max(1, sum(latency.counts))
            pause = {"Retry-After": str(min(30, max(1, math.ceil(mean))))}
            raise Refusal(503, "the server is full: try again in a moment", code="queue_full", headers=pause) from None

    def _settle(self, plan: Plan, ticket: Ticket, news: Any, begun: float) -> Settled:
        """Return the answer in an outcome, and count it.

        Raises:
            Refusal: it is none.
        """
        try:
            if not isinstance(news, Result):
                raise failure(news)
            try:
                choices = choices_of(plan, news)
            except Refusal as refusal:
                raise (fault(ticket.fault) if ticket.fault else refusal) from None
        except Refusal as refusal:
            self.metrics.events["failed"] += refusal.status >= 500
            raise
        figures = usage(plan, choices, news.cost, self.terms.exact)
        tokens = self.metrics.tokens
        tokens.update(prompt=figures["prompt_tokens"], completion=figures["completion_tokens"])
        spent = news.cost
        tokens.update(sampled=spent.tokens_sampled, computed=spent.tokens_computed, reused=spent.tokens_reused)
        self.metrics.latency.add(time.perf_counter() - begun)
        return Settled(news, choices, figures)

    def models(self) -> dict[str, Any]:
        """Return the document that lists the one model, with what may answer."""
        told = {"method": self.offer.method, "methods": self.planner.methods, "context": self.offer.context}
        model = {"id": self.offer.name, "object": "model", "created": 0, "owned_by": "pilothouse", "pilothouse": told}
        return {"object": "list", "data": [model]}


class Once:
    """Calls a function the first time it is called."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __call__(self) -> None:
        """Call it, if nobody has."""
        call, self._call = self._call, None
        if call:
            call()


def failure(error: Any) -> Refusal:
    """Return what a client is told of an exception: nothing that could hold a path or a secret."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, EngineError):
        LOG.error("the engine refused: %s", error)
        return Refusal(502, "the model behind this server cannot answer; the server's log says why")
    return Refusal(500, "the method failed on this request; the server's log says why", code="method_failed")


def fault(detail: str) -> Refusal:
    """Return what a client is told when the engine could not finish a sample.

    Args:
        detail: the engine's sentence.
    """
    detail = re.sub(r"the server at \S+", "the model's server", detail)
    upstream = re.search(r"refuses this request: HTTP (\d+)", detail)
    if upstream or detail.startswith(("token ids must", "the request needs", "temperature=")):
        return Refusal(400, detail)
    LOG.error("the engine could not finish a sample: %s", detail)
    return Refusal(502, "the model could not finish the answer; the server's log says why", code="model_failed")


def document(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")
    return Response(content, status, headers, "application/json")


class Gate:
    """Every request passes here: the key is checked, what goes wrong is worded, all is counted.

    Args:
        app: what lies behind.
        key: what clients must show.
        metrics: counts.
    """

    def __init__(self, app: ASGIApp, key: str, metrics: Metrics) -> None:
        self._app, self._key, self._metrics = app, key, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                route = scope["path"] if scope["path"] in ROUTES else "other"
                self._metrics.requests[route, message["status"]] += 1
            await send(message)

        try:
            found = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            check_key(self._key, scope["path"], found.decode("latin-1"))
            await self._app(scope, receive, counted)
        except Refusal as refusal:
            await document(refusal.body, refusal.status, refusal.headers)(scope, receive, counted)


def make_app(planner: Planner, driver: Driver, terms: Terms, metrics: Metrics) -> ASGIApp:
    """Return the application.

    Args:
        planner: reads requests.
        driver: runs them; started and closed with the application.
        terms: how clients are treated.
        metrics: counts.
    """
    desk = Desk(planner, driver, terms, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        driver.start()
        yield
        driver.close()

    app = FastAPI(title="Pilothouse", lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> Response:
        return document(refusal.body, refusal.status, refusal.headers)

    @app.exception_handler(HTTPException)
    async def missing(_: Request, error: HTTPException) -> Response:
        said = {404: "there is nothing at this path", 405: "this path does not take this HTTP method"}
        message = said.get(error.status_code, "this request cannot be read")
        return document(Refusal(error.status_code, message).body, error.status_code, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:  # its traceback goes to the log
        return document(failure(error).body, 500)

    @app.post("/v1/chat/completions", openapi_extra=_described(ChatRequest))
    async def chat(request: Request) -> Response:
        return await desk.answer(request, ChatRequest)

    @app.post("/v1/completions", openapi_extra=_described(CompletionRequest))
    async def completions(request: Request) -> Response:
        return await desk.answer(request, CompletionRequest)

    @app.get("/v1/models")
    async def models() -> Response:
        return document(desk.models())

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        if name != planner.offer.name:
            raise Refusal(404, "there is no such model here", code="model_not_found")
        return document(desk.models()["data"][0])

    @app.get("/metrics")
    async def figures() -> Response:
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/healthz")
    async def healthz() -> Response:
        well = driver.alive
        return document({"status": "ok" if well else "the engine's thread has ended"}, 200 if well else 503)

    return Gate(app, terms.key, metrics)


def _described(model: type[Ask]) -> dict[str, Any]:
    """Return the body's schema for the API's description; the body itself is read by ``read``."""
    schema = model.model_json_schema(ref_template="#/paths/{model}")
    parts = schema.pop("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(parts[node["$ref"].rpartition("/")[2]])
            return {key: inline(value) for key, value in node.items()}
        return [inline(item) for item in node] if isinstance(node, list) else node

    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inline(schema)}}}}
