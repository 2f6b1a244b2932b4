"""One check a feature of the OpenAI protocol: each returns a verdict and what was seen."""

from __future__ import annotations

import json
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pilothouse.engines.wire import Answered, Wire

Verdict = Literal["yes", "partly", "no", "unknown"]
Found = tuple[Verdict, str]

PROMPT = "Count from one to twenty: one two three four"
TOKENS = 24
_LENGTHS = (60, 15, 4)  #: sentences of the prompt that shows whether prefixes are kept: the longest that fits


@dataclass(frozen=True)
class Finding:
    """What was found out about one feature.

    Args:
        feature: its name.
        verdict: "yes", "partly" (see the detail), "no", or "unknown".
        detail: what was seen.
        names: the models, of the feature "models".
    """

    feature: str
    verdict: Verdict
    detail: str = ""
    names: tuple[str, ...] = ()


class Subject:
    """The server and model under test.

    Args:
        wire: sends the requests.
        model: the model's name.

    Attributes:
        path: the route that answers, once it is known; "" before.
    """

    def __init__(self, wire: Wire, model: str) -> None:
        self.wire, self.model, self.path = wire, model, ""

    @property
    def chat(self) -> bool:
        """Whether it is asked for chats."""
        return self.path.startswith("chat")

    def body(self, prompt: str = PROMPT, path: str = "", **settings: Any) -> dict[str, Any]:
        """Return a request, by default a greedy one of 24 tokens."""
        chat = (path or self.path).startswith("chat")
        asked = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        whole = {"model": self.model, **asked, "max_tokens": TOKENS, "temperature": 0, **settings}
        return {name: value for name, value in whole.items() if value is not None}

    async def ask(self, prompt: str = PROMPT, **settings: Any) -> Answered:
        """Return what comes of a request."""
        return await self.wire.ask(self.path, self.body(prompt, **settings))

    async def answers(self, path: str) -> Found:
        """Return whether a route gives an answer of the protocol."""
        found = await self.wire.ask(path, self.body(path=path))
        if not found.good:
            return "no", found.trouble
        choice = found.completion().choices[0]
        detail = f"finish_reason '{choice.finish_reason}', {len(choice.content)} characters"
        return ("yes", detail) if choice.content else ("partly", detail + ": an empty answer")


def shown(text: str, most: int = 80) -> str:
    """Return a text on one line, cut to be read in a table."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


async def usage(subject: Subject) -> Found:
    """Whether it counts tokens."""
    found = (await subject.ask()).completion().usage
    if found is None:
        return "no", "no usage block"
    detail = f"{found.prompt_tokens} prompt and {found.completion_tokens} sampled tokens"
    return ("yes", detail) if found.completion_tokens else ("partly", detail)


async def limit(subject: Subject) -> Found:
    """Whether it ends at ``max_tokens`` and says so."""
    answer = (await subject.ask(max_tokens=3)).completion()
    counted = answer.usage.completion_tokens if answer.usage else None
    reason = answer.choices[0].finish_reason
    if counted is not None and counted > 3:
        return "no", f"{counted} tokens where 3 were allowed"
    detail = f"finish_reason '{reason}'" + (f", {counted} tokens" if counted is not None else "")
    return ("yes", detail) if reason == "length" else ("partly", detail + ": it may have ended by itself")


async def streaming(subject: Subject) -> Found:
    """Whether an answer comes in pieces, whole, ended by [DONE], and the same as without streaming."""
    plain = await subject.ask()
    found = await subject.wire.stream(subject.path, subject.body())
    if not found.answered.good:
        return "no", found.answered.trouble
    if "event-stream" not in found.answered.content_type:
        return "no", f"answers at once, as {found.answered.content_type or 'nothing'}"
    answer = found.events.completion()
    flaws = [
        (not found.events.ended, "no [DONE] at the end"),
        (len(found.pieces) < 2, "one piece"),
        (answer.usage is None, "no usage where asked for"),
        (answer.choices[0].content != plain.completion().choices[0].content, "another text than without streaming"),
    ]
    said = [flaw for there, flaw in flaws if there]
    times = f"{len(found.pieces)} pieces, the first after {found.first_s:.3f} s"
    return ("partly", f"{times}; {'; '.join(said)}") if said else ("yes", times)


async def log_probs(subject: Subject) -> Found:
    """Whether it tells log-probabilities, of the sampled tokens and of others."""
    found = await subject.ask(logprobs=True if subject.chat else 1)
    if not found.good:
        return "no", found.trouble
    choice = found.completion().choices[0]
    values = choice.logprobs.values if choice.logprobs else []
    if not values:
        return "no", "ignored in silence"
    if not all(value <= 1e-6 for value in values):
        return "no", f"a log-probability of {max(values):.3g}"
    more = await (subject.ask(logprobs=True, top_logprobs=2) if subject.chat else subject.ask(logprobs=2))
    detail = f"{len(values)} tokens"
    return ("yes", f"{detail}, others too") if more.good else ("partly", f"{detail}; of sampled tokens only")


async def several(subject: Subject) -> Found:
    """Whether ``n`` gives several choices."""
    found = await subject.ask(n=2, temperature=1)
    if not found.good:
        return "no", found.trouble
    count = len(found.completion().choices)
    return ("yes", "2 choices") if count == 2 else ("no", f"{count} choice where 2 were asked for")


async def stop(subject: Subject) -> Found:
    """Whether a stop string ends the text, and whether it is left in it."""
    text = (await subject.ask()).completion().choices[0].content
    word = next((text[at : at + 2] for at in range(len(text) // 3, len(text) - 2) if text[at : at + 2].strip()), "")
    if not word:
        return "unknown", "the model says too little to be stopped"
    found = await subject.ask(stop=[word])
    if not found.good:
        return "no", found.trouble
    got = found.completion().choices[0].content
    before = text[: text.index(word)]
    if got.rstrip() == before.rstrip():
        return "yes", f"ends before {word!r}"
    if got == before + word:
        return "partly", f"ends at {word!r} and leaves it in the text"
    return ("no", "ignored in silence") if word in got else ("partly", "ends, but with another text before it")


async def seed(subject: Subject) -> Found:
    """Whether a seed repeats a sample, and another one does not."""
    found = [await subject.ask(temperature=1, seed=number) for number in (1, 1, 2, 3)]
    if bad := next((answer for answer in found if not answer.good), None):
        return "no", bad.trouble
    first, again, *others = [answer.completion().choices[0].content for answer in found]
    if first != again:
        return "no", "ignored: the same seed gave two texts"
    return ("unknown", "all samples are equal") if set(others) == {first} else ("yes", "repeats its sample")


async def tools(subject: Subject) -> Found:
    """Whether a tool that must be called is called, with arguments that are JSON."""
    if not subject.chat:
        return "no", "there is no chat"
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "description": "Weather", "parameters": schema}}
    found = await subject.ask("What is the weather in Rome?", tools=[tool], tool_choice="required", max_tokens=64)
    if not found.good:
        return "no", found.trouble
    calls = found.json()["choices"][0]["message"].get("tool_calls")
    if not calls:
        return "no", "ignored in silence"
    arguments = calls[0]["function"]["arguments"]
    name = calls[0]["function"]["name"]
    if name != "weather" or not isinstance(json.loads(arguments), dict):
        return "partly", f"calls {shown(str(name))} with {shown(str(arguments), 40)}"
    return "yes", f"weather({shown(arguments, 40)})"


async def json_schema(subject: Subject) -> Found:
    """Whether an answer can be held to a JSON schema."""
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "count", "schema": schema, "strict": True}}
    found = await subject.ask("How many legs has a cat?", response_format=wanted, max_tokens=48)
    if not found.good:
        return "no", found.trouble
    text = found.completion().choices[0].content
    try:
        value = json.loads(text)
    except ValueError:
        return "no", f"ignored in silence: {shown(text, 40)!r}"
    fits = isinstance(value, dict) and list(value) == ["n"] and type(value["n"]) is int
    return ("yes", shown(text, 40)) if fits else ("partly", f"JSON of another form: {shown(text, 40)}")


async def token_ids(subject: Subject) -> Found:
    """Whether the sampled ids come back (vLLM's ``return_token_ids``): training on samples needs them exactly."""
    found = await subject.ask(return_token_ids=True)
    if not found.good:
        return "no", found.trouble
    ids = found.completion().choices[0].token_ids
    return ("yes", f"{len(ids)} ids") if ids else ("no", "ignored in silence")


async def prefix_cache(subject: Subject) -> Found:
    """Whether a long prompt is cheaper when it comes again: by what the server counts, and by the clock."""
    length, opening = 0, Answered()
    for length in _LENGTHS:
        opening = await subject.ask(_prompt(1, length), max_tokens=1)
        if opening.good:
            break
    fresh = [opening] + [await subject.ask(_prompt(number, length), max_tokens=1) for number in (2, 3)]
    again = [await subject.ask(_prompt(number, length), max_tokens=1) for number in (1, 2, 3)]
    if bad := next((answer for answer in (*fresh, *again) if not answer.good), None):
        return "unknown", bad.trouble
    first, second = (statistics.median(answer.seconds for answer in group) for group in (fresh, again))
    times = f"{length} sentences: {first:.3f} s at first, {second:.3f} s again"
    counted = [_cached(answer) for answer in again]
    if any(counted):
        return "yes", f"{max(counted)} tokens reused; {times}"
    if second < 0.6 * first:
        return "partly", f"faster, but not counted: {times}"
    return "no", times


async def unknown_field(subject: Subject) -> Found:
    """Whether a field that it does not know is refused, and not taken in silence."""
    found = await subject.ask(not_a_field_of_this_protocol=True)
    return ("no", "taken in silence: a misspelt field is not noticed") if found.good else ("yes", shown(found.trouble))


def _prompt(number: int, length: int) -> str:
    return " ".join(f"item {number} of list {place} weighs {number * place % 97} grams." for place in range(length))


def _cached(answer: Answered) -> int:
    details = answer.completion().usage
    return (details and details.prompt_tokens_details and details.prompt_tokens_details.cached_tokens) or 0


CHECKS: Mapping[str, Callable[[Subject], Awaitable[Found]]] = {
    "usage": usage,
    "max_tokens": limit,
    "streaming": streaming,
    "log-probs": log_probs,
    "n": several,
    "stop": stop,
    "seed": seed,
    "tools": tools,
    "JSON schema": json_schema,
    "token ids": token_ids,
    "prefix cache": prefix_cache,
    "refuses unknown fields": unknown_field,
}
