"""What there is to serve: a run, a model in a folder or on the hub, or another server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Message, Problem
from pilothouse.core.requests import Tokens, Value
from pilothouse.engines.base import Engine
from pilothouse.engines.local import PREFILL_CHUNK, LocalEngine
from pilothouse.engines.openai import OpenAIEngine
from pilothouse.engines.runner import Runner
from pilothouse.engines.transcripts import pack
from pilothouse.methods.base import language_methods
from pilothouse.methods.searches import Searching, searching
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.reports.progress import make_progress
from pilothouse.serving.api import Refusal
from pilothouse.serving.plans import Habits, Offer
from pilothouse.tasks.base import Task
from pilothouse.tasks.scorer import Scorer
from pilothouse.training.config import TINY, overlay
from pilothouse.training.scoring import VALUE
from pilothouse.training.sources import Source

LOG = logging.getLogger("pilothouse.serving")

PLAIN = "group"  #: what answers when nothing else is said: single samples


@dataclass(frozen=True)
class Wish:
    """What the user wants served.

    Args:
        source: a run's folder, a model's folder, a hub id, "tiny", or the address of another server.
        method: the method or program that answers; empty takes the run's own, else single samples.
        program: settings laid over the program's.
        scorer: judges partial responses; empty for none.
        task: whose habits a model without a run has; empty for none.
        name: what clients call the model; empty takes the source's last name.
        upstream: the model's name at the other server; empty asks it.
        rows: most sequences in one batch; at another server, requests under way at once.
        prefill_chunk: most tokens of new prompts computed between two tokens of those under way; 0 for whole prompts.
    """

    source: str
    method: str = ""
    program: Mapping[str, Any] | None = None
    scorer: str = ""
    task: str = ""
    name: str = ""
    upstream: str = ""
    rows: int = 256
    prefill_chunk: int = PREFILL_CHUNK


@dataclass(frozen=True)
class Served:
    """A model that is ready to answer.

    Args:
        offer: what clients get.
        runner: drives its programs.
        engine: samples.
        exact: whether the engine's token ids are the model's own.
    """

    offer: Offer
    runner: Runner
    engine: Engine
    exact: bool = True


def is_address(source: str) -> bool:
    """Return whether a source is another server's address."""
    return source.startswith(("http://", "https://"))


def open_offer(wish: Wish) -> Served:
    """Load or reach what is to be served.

    Raises:
        ConfigError: there is no such model, method or scorer, or the three do not go together.
        RunError: the run has not finished yet.
    """
    return _remote(wish) if is_address(wish.source) else _local(wish)


def _local(wish: Wish) -> Served:
    source = Source.find(wish.source)
    task = source.task({"task": wish.task} if wish.task else {}) if wish.task or "task" in source.config else None
    if task is None and wish.source == TINY:
        raise ConfigError("the tiny policy is made ready for a task: give --task NAME ('pilothouse tasks' lists them)")
    method, what = _searching(wish, source.config)
    scorer = _scorer(wish, what)
    of_policy = scorer is not None and scorer.of_policy
    policy = source.policy(task or Task(), make_progress(), value_head=of_policy)
    engine = LocalEngine(policy, max_rows=wish.rows, prefill_chunk=wish.prefill_chunk)
    judges = _judges(scorer, task, engine)
    runner = Runner({"policy": engine, VALUE: engine}) if of_policy else Runner(engine, scorers=judges)
    folder = Path(wish.source)
    offer = Offer(
        name=wish.name or (folder.resolve().name if folder.exists() else wish.source),
        codec=policy.codec,
        context=policy.context,
        chat=_chat(policy),
        method=method,
        program=what.program,
        has_scorer=scorer is not None,
        habits=Habits() if task is None else Habits(task.limit, task.stop, task.step_end, task.answer_of),
    )
    return Served(offer, runner, engine)


def _chat(policy: CausalPolicy) -> Callable[[Sequence[Message]], Tokens]:
    """Return what makes a prompt of a conversation: the chat template, or the plain contents, a line each."""

    def plain(messages: Sequence[Message]) -> Tokens:
        return policy.codec.encode("\n".join(message["content"] for message in messages))

    def rendered(messages: Sequence[Message]) -> Tokens:
        try:
            return policy.render(Problem("of this request", tuple(messages)))
        except ConfigError as error:
            raise Refusal(400, str(error), code="context_length_exceeded") from None
        except TemplateError as error:
            raise Refusal(400, f"the model's chat template refuses these messages: {error}", param="messages") from None

    if not getattr(policy.tokenizer, "chat_template", None):
        return plain
    from jinja2 import TemplateError

    return rendered


def _remote(wish: Wish) -> Served:
    method, what = _searching(wish, {})
    scorer = _scorer(wish, what)
    if scorer is not None and scorer.of_policy:
        raise ConfigError("another server's model has no value head here: give --scorer module:Class")
    name = wish.upstream or _first_model(wish.source)
    engine = OpenAIEngine(wish.source, name, max_concurrency=wish.rows, patient=True, stream=True, retries=1)
    codec = engine.codec
    offer = Offer(
        name=wish.name or name,
        codec=codec,
        context=0,
        chat=lambda messages: codec.encode(pack(messages)),
        method=method,
        program=what.program,
        has_scorer=scorer is not None,
        takes_ids=False,
    )
    return Served(offer, Runner(engine, scorers=_judges(scorer, None, engine)), engine, exact=False)


def _first_model(address: str) -> str:
    """Return the name of the first model that another server lists."""
    import os

    import httpx

    key = os.environ.get("OPENAI_API_KEY", "").strip()
    base = address.rstrip("/") if httpx.URL(address).path not in ("", "/") else address.rstrip("/") + "/v1"
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        found = httpx.get(f"{base}/models", headers=headers, timeout=10).raise_for_status().json()
        return str(found["data"][0]["id"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, IndexError, TypeError) as error:
        raise ConfigError(
            f"the server at {address} lists no model ({type(error).__name__}): check the address and OPENAI_API_KEY, "
            "or name its model with --upstream"
        ) from None


def _searching(wish: Wish, config: Mapping[str, Any]) -> tuple[str, Searching]:
    """Return the name of what answers by default, and what it stands for."""
    name = wish.method or config.get("method", "") or PLAIN
    table: dict[str, Any] = {"program": dict(wish.program or {})}
    method = language_methods().get(name)
    if method is not None and method.search is None and name == config.get("method"):
        table["program"] = overlay(config["program"], table["program"])  # as this run attempted its problems
    return name, searching(name, table | ({"scorer": wish.scorer} if wish.scorer else {}))


def _scorer(wish: Wish, what: Searching) -> Scorer | None:
    """Return what judges partial responses, if anything does that can without a gold answer."""
    if not wish.scorer and not what.program.needs_scorer():
        return None
    if not what.scorer.needs_answer:
        return what.scorer
    name = what.scorer.name
    reason = f"method '{what.name}' asks what partial responses are worth, and" if not wish.scorer else "to judge them,"
    raise ConfigError(
        f"{reason} scorer '{name}' reads the answer that only a task knows, so it cannot serve users: give "
        "--scorer value-head or --scorer module:Class"
    )


def _judges(scorer: Scorer | None, task: Task | None, engine: Engine) -> dict[str, Callable[[Value], float]]:
    """Return the scorer as the runner calls it. Its failure is NaN, which fails the one request that asked."""
    if scorer is None:
        return {}

    def judge(request: Value) -> float:
        problem = Problem(request.problem, engine.codec.decode(request.prefix[: request.start]))
        response = engine.codec.decode(request.prefix[request.start :])
        try:
            return float(scorer(task or Task(), problem, response))
        except Exception:
            LOG.exception("scorer '%s' failed", scorer.name or type(scorer).__name__)
            return float("nan")

    return {VALUE: judge}
