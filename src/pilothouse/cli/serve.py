"""``pilothouse serve``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from pilothouse.cli.app import Settings, app, line
from pilothouse.core.errors import ConfigError

WHAT = Group("What to serve", sort_key=1)
WHERE = Group("Where", sort_key=2)
BOUNDS = Group("Bounds", sort_key=3)

SERVE_HELP = """Serve a model behind the OpenAI protocol, answered by any method.

Clients use /v1/chat/completions, /v1/completions and /v1/models as they would
any OpenAI server's. A request chooses another method by the body field
"method" or the header X-Pilothouse-Method, and what it may cost by "budget" or
X-Pilothouse-Budget ("16-samples", "4096-tokens").

A conversation goes through the model's chat template; for a model without one,
the contents of its messages are joined, a line each, and nothing is added.
"""
SERVE_EXAMPLES = """Examples:

  A run, answered as it was trained:
    pilothouse serve --model runs/RUN
  Best of 8 by majority, in front of another server:
    pilothouse serve best-of-n --program.select majority \\
      --model http://localhost:8000/v1 --port 8001
  With a key, for other machines:
    pilothouse serve --model runs/RUN --host 0.0.0.0 --key-file KEY
"""


@app.command(help=SERVE_HELP, help_epilogue=SERVE_EXAMPLES)
def serve(
    method: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    /,
    *overrides: Settings,
    model: Annotated[str, Parameter(group=WHAT)] = "",
    scorer: Annotated[str, Parameter(group=WHAT)] = "",
    task: Annotated[str, Parameter(group=WHAT)] = "",
    name: Annotated[str, Parameter(group=WHAT)] = "",
    upstream: Annotated[str, Parameter(group=WHAT)] = "",
    host: Annotated[str, Parameter(group=WHERE)] = "127.0.0.1",
    port: Annotated[int, Parameter(group=WHERE)] = 8000,
    key_file: Annotated[Path | None, Parameter(group=WHERE)] = None,
    active: Annotated[int, Parameter(group=BOUNDS)] = 64,
    queue: Annotated[int, Parameter(group=BOUNDS)] = 256,
    connections: Annotated[int, Parameter(group=BOUNDS)] = 4096,
    rows: Annotated[int, Parameter(group=BOUNDS)] = 256,
    prefill_chunk: Annotated[int, Parameter(group=BOUNDS)] = 128,
    max_tokens: Annotated[int, Parameter(group=BOUNDS)] = 4096,
    max_choices: Annotated[int, Parameter(group=BOUNDS)] = 16,
    max_samples: Annotated[int, Parameter(group=BOUNDS)] = 64,
    max_body: Annotated[int, Parameter(group=BOUNDS)] = 2**20,
    timeout: Annotated[float, Parameter(group=BOUNDS)] = 600.0,
    idle: Annotated[float, Parameter(group=BOUNDS)] = 60.0,
    grace: Annotated[float, Parameter(group=BOUNDS)] = 30.0,
) -> None:
    """Serve a model.

    Args:
        method: What answers: a method or a program; by default the run's own method, else single samples.
        overrides: Settings of the program that answers, as --program.name.of.setting VALUE.
        model: A run's folder, a model's folder, a hub id, or the address of another OpenAI-compatible server.
        scorer: What judges partial responses, for methods that search: value-head, or your own as module:Class.
        task: Whose length limit and stop strings a model without a run has, and what --model tiny is made ready for.
        name: What clients call the model; by default the last name of --model.
        upstream: The model's name at the other server; by default the first that it lists.
        host: Address to listen at; only this machine reaches the default.
        port: Port to listen at; 0 takes any free one.
        key_file: File that holds the key clients must send; without it, the variable PILOTHOUSE_API_KEY, if set.
        active: Programs under way at once.
        queue: Requests that may wait for their turn; further ones are answered 503.
        connections: Connections at once.
        rows: Most sequences in one batch of the local engine; at another server, requests under way at once.
        prefill_chunk: Most tokens of new prompts that the local engine computes between two tokens of the answers under
            way; 0 computes prompts whole.
        max_tokens: Longest answer a request may ask for.
        max_choices: Most choices (the field n) a request may ask for.
        max_samples: Widest budget a request may ask for, in whole responses.
        max_body: Largest request body, in bytes.
        timeout: Seconds an answer may take.
        idle: Seconds a connection may be quiet.
        grace: Seconds that requests under way have to finish when the server stops.
    """
    low = min(active, connections, rows, max_tokens, max_choices, max_samples, max_body)
    if low < 1 or min(queue, prefill_chunk) < 0 or min(timeout, idle, grace) <= 0:
        raise ConfigError("a bound is less than 1: every bound counts from 1, --queue and --prefill-chunk from 0")
    method, model, program = _what(method, overrides, model)
    key = _key(key_file)
    try:
        from pilothouse.serving.app import Terms
        from pilothouse.serving.launch import Place, Server
        from pilothouse.serving.listening import LOOPBACK, quiet_logs
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("fastapi", "uvicorn", "starlette", "h11"):
            raise
        raise ConfigError("serving needs FastAPI; install it with: pip install 'pilothouse[serve]'") from None
    from pilothouse.serving.offers import Wish, open_offer
    from pilothouse.serving.plans import Bounds

    wish = Wish(model, method, program, scorer, task, name, upstream, rows, prefill_chunk)
    served = open_offer(wish)
    server = Server(
        served,
        Terms(key, max_body, timeout, exact=served.exact),
        Bounds(max_tokens, max_choices, max_samples),
        Place(host, port, active, queue, connections, idle, grace),
    )
    quiet_logs()
    if host not in LOOPBACK and not key:
        line("warning: anybody who reaches this machine can use this server; give it a key with --key-file")
    _introduce(server.url, served.offer.name, served.offer.method, server.planner.methods, bool(key))
    server.run()


def _what(method: str, overrides: tuple[str, ...], model: str) -> tuple[str, str, Any]:
    """Return method, model and settings of the program, whichever of them stood first."""
    from pilothouse.training.config import nested, read_overrides

    if method.startswith("--"):  # only settings were given
        method, overrides = "", (method, *overrides)
    if method and not model and ("/" in method or Path(method).exists()):
        method, model = "", method  # the one thing given is what to serve
    if not model:
        raise ConfigError("which model? give --model with a run's folder, a model's folder, a hub id or an address")
    table = nested(read_overrides(overrides))
    if unknown := sorted(set(table) - {"program"}):
        raise ConfigError(
            f"unknown option '--{unknown[0]}': settings of what answers are given as --program.NAME VALUE"
        )
    return method, model, table.get("program")


def _key(file: Path | None) -> str:
    if file is None:
        return os.environ.get("PILOTHOUSE_API_KEY", "").strip()
    try:
        key = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the key in {file}: {error}") from None
    if not (key and key.isascii() and key.isprintable()):
        raise ConfigError(f"{file} holds no key: write one there, of letters, digits and signs, on a single line")
    return key


def _introduce(url: str, name: str, method: str, known: list[str], has_key: bool) -> None:
    shown = ' -H "Authorization: Bearer $KEY"' if has_key else ""
    line(f"serving {name} with {method} at {url}")
    line(f"  curl {url}/chat/completions{shown} -H 'Content-Type: application/json' \\")
    line("""    -d '{"messages": [{"role": "user", "content": "1+1="}]}'""")
    line(f"methods: {', '.join(known)}")
