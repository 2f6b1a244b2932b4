"""What there is to serve: a run, a model in a folder or on the hub, or another server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.errors import ConfigError, RunError, nearest
from pilothouse.core.problems import Message, Problem
from pilothouse.core.requests import Tokens, Value
from pilothouse.engines.base import Engine
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.openai import OpenAIEngine
from pilothouse.engines.runner import Runner
from pilothouse.engines.transcripts import pack
from pilothouse.methods.base import methods
from pilothouse.policies.causal_lm import VALUE_FILE, CausalPolicy
from pilothouse.policies.loading import model_folder
from pilothouse.programs.base import Program
from pilothouse.reports.runs import RunStore
from pilothouse.serving.api import Refusal
from pilothouse.serving.plans import Habits, Offer
from pilothouse.tasks.base import Task
from pilothouse.tasks.scorer import Scorer
from pilothouse.training.config import overlay
from pilothouse.training.scoring import VALUE

LOG = logging.getLogger("pilothouse.serving")

PLAIN = "group"  #: what answers when nothing else is said: single samples


@dataclass(frozen=True)
class Wish:
    """What the user wants served.

    Args:
        source: a run's folder, a model's folder, a hub id, or the address of another server.
        method: the method or program that answers; empty takes the run's own, else single samples.
        program: settings laid over the program's.
        scorer: judges partial responses; empty for none.
        name: what clients call the model; empty takes the source's last name.
        upstream: the model's name at the other server; empty asks it.
        rows: most sequences in one batch.
        concurrency: requests under way at another server at once.
    """

    source: str
    method: str = ""
    program: Mapping[str, Any] | None = None
    scorer: str = ""
    name: str = ""
    upstream: str = ""
    rows: int = 256
    concurrency: int = 32


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
    folder, config, source = Path(wish.source), dict[str, Any](), wish.source
    if (folder / "config.toml").is_file():
        config = RunStore.open(folder).read_config()
        source = str(folder / "model")
        if not Path(source).is_dir():
            raise RunError(f"run {folder} is not finished: 'pilothouse train --resume {folder}' completes it")
    task = Task.build(config["task"]) if "task" in config else None
    method, program = _program(wish, config)
    scorer = _scorer(wish.scorer)
    of_policy = scorer is not None and scorer.of_policy
    if of_policy and not (Path(model_folder(source)) / VALUE_FILE).is_file():
        raise ConfigError(f"'{wish.source}' has no value head: train it with a critic, or give another --scorer")
    where = {key: value for key, value in config.get("policy", {}).items() if key in ("device", "dtype")}
    policy = CausalPolicy.load(source, value_head=of_policy, **where)
    engine = LocalEngine(policy, max_rows=wish.rows)
    runner = (
        Runner({"policy": engine, VALUE: engine})
        if of_policy
        else Runner(engine, scorers=_judges(scorer, task, engine))
    )
    habits = Habits() if task is None else Habits(task.limit, task.stop, task.step_end, task.answer_of)
    offer = Offer(
        name=wish.name or folder.resolve().name if folder.exists() else wish.name or wish.source,
        codec=policy.codec,
        context=policy.context,
        chat=_chat(policy),
        method=method,
        program=program,
        has_scorer=scorer is not None,
        habits=habits,
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
    scorer = _scorer(wish.scorer)
    if scorer is not None and scorer.of_policy:
        raise ConfigError("another server's model has no value head here: give --scorer module:Class")
    method, program = _program(wish, {})
    name = wish.upstream or _first_model(wish.source)
    engine = OpenAIEngine(wish.source, name, max_concurrency=wish.concurrency, patient=True, retries=1)
    codec = engine.codec
    offer = Offer(
        name=wish.name or name,
        codec=codec,
        context=0,
        chat=lambda messages: codec.encode(pack(messages)),
        method=method,
        program=program,
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


def _program(wish: Wish, config: Mapping[str, Any]) -> tuple[str, Program]:
    """Return what answers by default, and its name."""
    name = wish.method or config.get("method", "") or PLAIN
    known = {**Program.catalogue.classes(), **methods()}
    if name in methods():
        method = methods()[name]
        trained = name == config.get("method") and method.search is None
        program = Program.build(config["program"]) if trained else method.program
    elif name in known or ":" in name:
        program = Program.build(name)
    else:
        raise ConfigError(f"unknown method '{name}'{nearest(name, known)}")
    if wish.program:
        program = Program.build(overlay(program.model_dump(mode="json"), wish.program))
    if program.needs_scorer() and not wish.scorer:
        raise ConfigError(
            f"method '{name}' asks what partial responses are worth, and a server has no gold answers to ask: give "
            "--scorer value-head or --scorer module:Class"
        )
    return name, program


def _scorer(spec: str) -> Scorer | None:
    if not spec:
        return None
    scorer = Scorer.build(spec)
    if scorer.needs_answer:
        raise ConfigError(
            f"scorer '{spec}' reads the answer that only a task knows, so it cannot serve users: give --scorer "
            "value-head or --scorer module:Class"
        )
    return scorer


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
