"""What an OpenAI-compatible server really supports: asked for, not believed. Bounded in time and in requests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.engines.load import Load, loaded
from pilothouse.engines.probe_checks import CHECKS, Finding, Found, Subject, shown
from pilothouse.engines.transport import FIXES
from pilothouse.engines.wire import Spent, Wire


@dataclass(frozen=True)
class ProbeReport:
    """What was found out about a server.

    Args:
        url: its address.
        model: the model that was asked.
        findings: one a feature.
        loads: one a level of concurrency.
        requests: how many were sent.
    """

    url: str
    model: str
    findings: tuple[Finding, ...]
    loads: tuple[Load, ...]
    requests: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return asdict(self)


def probe(
    url: str,
    model: str = "",
    *,
    api_key: str | None = None,
    concurrency: Sequence[int] = (1, 4),
    load_s: float = 5.0,
    seconds: float = 120.0,
    requests: int = 200,
    timeout_s: float = 30.0,
) -> ProbeReport:
    """Return what a server supports, feature by feature, and its throughput.

    Args:
        url: address of the API; without a path, ``/v1`` is added.
        model: the model to ask; by default the first that the server lists.
        api_key: the key; ``None`` reads OPENAI_API_KEY. It is never shown.
        concurrency: requests under way at once in each measurement of throughput; empty measures none.
        load_s: seconds of each.
        seconds: for everything together.
        requests: how many may be sent in all.
        timeout_s: for one of them.

    Raises:
        EngineError: the server cannot be reached, refuses the key, or answers neither chats nor completions.
        ConfigError: the address is no address, it lists no model and none is named, or a bound is not positive.
    """
    if not (seconds > 0 and requests > 0 and timeout_s > 0 and load_s > 0 and all(c > 0 for c in concurrency)):
        raise ConfigError("bounds of a probe (seconds, requests, timeout, load, concurrency) must be greater than 0")
    key = (os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key).strip()
    wire = Wire(url, key, seconds=seconds, requests=requests, timeout_s=timeout_s)

    async def run() -> ProbeReport:
        try:
            return await _probed(wire, model, concurrency, load_s)
        finally:
            await wire.close()

    return asyncio.run(run())


async def _probed(wire: Wire, model: str, concurrency: Sequence[int], load_s: float) -> ProbeReport:
    listed = await _models(wire)
    subject = Subject(wire, model or _first(listed, wire.where))
    findings = [listed]
    for feature, path in (("chat", "chat/completions"), ("completions", "completions")):
        findings.append(await _safely(feature, lambda path=path: subject.answers(path)))
        if findings[-1].verdict != "no" and not subject.path:
            subject.path = path
    if not subject.path:
        raise EngineError(
            f"the server at {wire.where} answers neither chats nor completions of '{subject.model}': "
            f"{findings[-2].detail}; check the address and --model"
        )
    for feature, check in CHECKS.items():
        findings.append(await _safely(feature, lambda check=check: check(subject)))
    loads: list[Load] = []
    for level in concurrency:
        try:
            loads.append(await loaded(subject, level, load_s))
        except Spent:
            break
    return ProbeReport(wire.where, subject.model, tuple(findings), tuple(loads), wire.sent)


async def _safely(feature: str, check: Callable[[], Awaitable[Found]]) -> Finding:
    """The finding of a check; what a server answers in another form than agreed is a finding too."""
    try:
        return Finding(feature, *(await check()))
    except Spent:
        return Finding(feature, "unknown", "the time or the requests allowed were used up before")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        return Finding(feature, "no", f"answers in no form of this protocol: {shown(str(error) or repr(error))}")


async def _models(wire: Wire) -> Finding:
    """The list of models; the first contact, so that what makes all others pointless is said at once."""
    answer = await wire.ask("models")
    if not answer.status:
        raise EngineError(f"the server at {wire.where} {answer.trouble}; start it or correct the address")
    if answer.status in (401, 403):
        raise EngineError(f"the server at {wire.where} refuses: {answer.trouble}; {FIXES[answer.status]}")
    if not answer.good:
        return Finding("models", "no", answer.trouble)
    try:
        names = [str(entry["id"]) for entry in answer.json()["data"]]
    except (ValueError, TypeError, KeyError):
        return Finding("models", "no", "answers in no form of this protocol")
    return Finding("models", "yes" if names else "no", ", ".join(names[:5]) or "the list is empty", tuple(names))


def _first(listed: Finding, where: str) -> str:
    if not listed.names:
        raise ConfigError(f"the server at {where} lists no model ({listed.detail}): name one with --model")
    return listed.names[0]
