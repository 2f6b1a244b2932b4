"""The server under load, on the loopback alone: overhead over the engine, a burst, vanishing clients, idle connections.

The server and the engine that is called directly share a process and a model; clients are a process of their own. Both
sides answer the same requests, 16 at a time, in alternating rounds. Overhead is the median over rounds of served over
direct, of the median latency and of the processor time that the server's process spends on all its threads: the second
hardly depends on what else the machine does. Everything is bounded in number and time, in all two to three minutes.

    python benchmarks/serving_load.py [--rounds 5] [--requests 48] [--threads 1] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import statistics
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CONCURRENT = 16
DEADLINE_S = 120  #: nothing may take longer


@dataclass(frozen=True)
class Load:
    """One request: what a client sends, and what the engine is asked directly."""

    prompt: str
    tokens: int
    seed: int


def loads(count: int, shortest: int, longest: int, seed: int) -> list[Load]:
    rng = random.Random(seed)
    letters = [chr(62 + i) for i in range(36)]
    return [
        Load("".join(rng.choices(letters, k=32)), rng.randint(shortest, longest), rng.randrange(2**31))
        for _ in range(count)
    ]


# --- clients, in a process of their own


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, load: Load) -> int:
    """Ask once over a connection and return the status."""
    body = json.dumps({"prompt": load.prompt, "max_tokens": load.tokens, "seed": load.seed}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    writer.write(head + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    lines = answer.decode().lower().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
    document = json.loads(await reader.readexactly(length))
    if "usage" in document:
        assert document["usage"]["completion_tokens"] == load.tokens
    return int(lines[0].split()[1])


async def closed_loop(port: int, todo: list[Load]) -> dict[str, Any]:
    """Keep 16 requests under way until all are answered; return each one's seconds."""
    waiting, seconds = list(reversed(todo)), []

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            load, begun = waiting.pop(), time.perf_counter()
            assert await request(reader, writer, load) == 200
            seconds.append(time.perf_counter() - begun)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    return {"seconds": seconds, "wall": time.perf_counter() - begun}


async def burst(port: int, todo: list[Load]) -> dict[str, Any]:
    """Send everything at once; return the statuses and the seconds of what was answered."""

    async def one(load: Load) -> tuple[int, float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun = time.perf_counter()
        status = await request(reader, writer, load)
        writer.close()
        return status, time.perf_counter() - begun

    answers = await asyncio.gather(*(one(load) for load in todo))
    return {"statuses": [status for status, _ in answers], "seconds": [s for status, s in answers if status == 200]}


async def vanish(port: int, todo: list[Load]) -> dict[str, Any]:
    """Ask and hang up a moment later, half of them in the middle of a stream."""

    async def one(at: int, load: Load) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"prompt": load.prompt, "max_tokens": 480, "stream": bool(at % 2)}).encode()
        writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        await asyncio.sleep(0.05 + load.seed % 100 / 200)
        writer.transport.abort() if at % 4 < 2 else writer.close()

    await asyncio.gather(*(one(at, load) for at, load in enumerate(todo)))
    return {"clients": len(todo)}


async def beside_idle(port: int, count: int, todo: list[Load]) -> dict[str, Any]:
    """Open connections that say nothing, and work as usual beside them."""
    idle = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(count)))
    found = await closed_loop(port, todo)
    open_still = sum(not reader.at_eof() for reader, _ in idle)
    for _, writer in idle:
        writer.close()
    return {**found, "open": open_still}


def clients(pipe: Connection) -> None:
    """Do what the parent says until it says no more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    ways = {"loop": closed_loop, "burst": burst, "vanish": vanish, "idle": beside_idle}
    while (order := pipe.recv()) is not None:
        way, *arguments = order
        pipe.send(asyncio.run(asyncio.wait_for(ways[way](*arguments), DEADLINE_S)))


# --- the server's process


def build(width: int, layers: int) -> Any:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from local_engine import LetterCodec, Policy

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=64,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 64,
        head_dim=32,
        intermediate_size=3 * width,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return Policy(Qwen3ForCausalLM(config).eval(), LetterCodec(), context=1024)


def direct(engine: Any, todo: list[Load]) -> dict[str, Any]:
    """Answer the same requests by calling the engine, 16 at a time."""
    from pilothouse.core.requests import Sample

    engine.policy_changed()
    waiting, begun, seconds = list(reversed(todo)), dict[int, float](), list[float]()
    ticket = 0

    def submit() -> None:
        nonlocal ticket
        load = waiting.pop()
        begun[ticket] = time.perf_counter()
        engine.submit(ticket, Sample(engine.codec.encode(load.prompt), max_tokens=load.tokens, seed=load.seed))
        ticket += 1

    start = time.perf_counter()
    for _ in range(min(CONCURRENT, len(waiting))):
        submit()
    while answers := engine.poll():
        for number, reply, _ in answers:
            assert reply.continuations
            seconds.append(time.perf_counter() - begun.pop(number))
            if waiting:
                submit()
    return {"seconds": seconds, "wall": time.perf_counter() - start}


def resident() -> float:
    """MiB of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def held_by(server: Any, rows: Any) -> dict[str, Any]:
    """What the server holds once it has come to rest."""
    end = time.monotonic() + 60
    while (server.driver.held or rows()) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.2)
    return {
        "requests": server.driver.held,
        "engine_rows": int(rows()),
        "connections": int(server.metrics.gauges["connections"]()),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
        "mib": round(resident(), 1),
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": statistics.median(seconds), "p99": cuts[98], "count": len(seconds)}


def overhead(rounds: dict[str, list[dict[str, float]]], figure: str) -> dict[str, float]:
    """Return what serving adds to a figure of the rounds, as a share of the direct call's: median, least and most."""
    ratios = [s[figure] / d[figure] - 1 for s, d in zip(rounds["served"], rounds["direct"], strict=True)]
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from pilothouse.engines.local import LocalEngine
    from pilothouse.engines.runner import Runner
    from pilothouse.programs.group import Group
    from pilothouse.serving.launch import Place, Server
    from pilothouse.serving.offers import Served
    from pilothouse.serving.plans import Offer

    torch.set_num_threads(options.threads)
    policy = build(options.width, options.layers)
    engine, alone = (LocalEngine(policy, prefix_cache_tokens=4096) for _ in range(2))
    codec = policy.codec
    chat = lambda messages: codec.encode(messages[0]["content"])  # noqa: E731
    offer = Offer("model", codec, policy.context, chat, "group", Group())
    server = Server(Served(offer, Runner(engine), engine), place=Place(port=0, active=64, queue=256))
    port = int(server.url.rpartition(":")[2].removesuffix("/v1"))
    rows = lambda: engine.rows  # noqa: E731
    thread = threading.Thread(target=server.run)
    thread.start()
    pipe, far = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=clients, args=(far,), daemon=True)
    process.start()

    def order(*what: Any) -> Any:
        pipe.send(what)
        if not pipe.poll(DEADLINE_S + 10):
            raise SystemExit("the clients hang")
        return pipe.recv()

    try:
        report = phases(options, server, engine, alone, order, port, rows)
    finally:
        pipe.send(None)
        process.join(10)
        process.kill()
        server.stop()
        thread.join(60)
    report["ended"] = not thread.is_alive() and not server.driver.alive
    parameters = sum(weight.numel() for weight in policy.model.parameters())
    return {"parameters": parameters, "threads": options.threads, "torch": torch.__version__, **report}


def phases(
    options: argparse.Namespace, server: Any, engine: Any, alone: Any, order: Any, port: int, rows: Any
) -> dict[str, Any]:
    rounds: dict[str, list[dict[str, float]]] = {"direct": [], "served": []}
    for turn in range(options.rounds + 1):
        todo = loads(options.requests, options.shortest, options.longest, turn)
        ways = {"direct": lambda: direct(alone, todo), "served": lambda: order("loop", port, todo)}  # noqa: B023
        for name in sorted(ways, reverse=bool(turn % 2)):
            engine.policy_changed()  # the server is idle: no side finds prompts that the other computed
            begun = time.process_time()
            found = ways[name]()
            spent = (time.process_time() - begun) / options.requests
            if turn:  # the first turn warms up
                rounds[name].append({**percentiles(found["seconds"]), "wall": found["wall"], "processor": spent})
    before = held_by(server, rows)
    many = order("burst", port, loads(options.burst, 8, 16, 99))
    after_burst = held_by(server, rows)
    vanished = order("vanish", port, loads(options.vanish, 8, 16, 98))
    again = [held_by(server, rows)]
    for seed in (97, 96):  # if anything leaks, it leaks again
        order("vanish", port, loads(options.vanish, 8, 16, seed))
        again.append(held_by(server, rows))
    idle = order("idle", port, options.idle, loads(options.requests, options.shortest, options.longest, 95))
    return {
        "rounds": rounds,
        "overhead": {figure: overhead(rounds, figure) for figure in ("p50", "processor")},
        "burst": {
            "sent": options.burst,
            "answered": many["statuses"].count(200),
            "refused": many["statuses"].count(503),
            **percentiles(many["seconds"]),
        },
        "vanished": {**vanished, "times": 3, "cancelled": server.metrics.events["cancelled"]},
        "idle": {"open": idle["open"], **percentiles(idle["seconds"])},
        "held": {"before": before, "after burst": after_burst, "after vanished": again, "end": held_by(server, rows)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds of each side")
    parser.add_argument("--requests", type=int, default=48, help="requests a round")
    parser.add_argument("--shortest", type=int, default=96, help="tokens of the shortest answer")
    parser.add_argument("--longest", type=int, default=160, help="tokens of the longest answer")
    parser.add_argument("--width", type=int, default=384, help="hidden width of the model")
    parser.add_argument("--layers", type=int, default=6, help="layers of the model")
    parser.add_argument("--threads", type=int, default=1, help="threads of the model, on both sides")
    parser.add_argument("--burst", type=int, default=512, help="requests sent at once; 320 fit")
    parser.add_argument("--vanish", type=int, default=64, help="clients that vanish, three times")
    parser.add_argument("--idle", type=int, default=1000, help="idle connections")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report = measure(options)
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(table(options, report))


def table(options: argparse.Namespace, report: dict[str, Any]) -> str:
    """Return the report as lines to read."""
    middle = {
        name: {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        for name, turns in report["rounds"].items()
    }
    lines = [
        f"{report['parameters'] / 1e6:.1f} M parameters, {report['threads']} thread(s), torch {report['torch']}",
        f"answers of {options.shortest}-{options.longest} tokens, {CONCURRENT} at a time, {options.rounds} rounds of "
        f"{options.requests} a side",
        f"{'':28}{'direct':>10}{'served':>10}",
    ]
    names = {
        "p50": "p50 latency, s",
        "p99": "p99 latency, s",
        "wall": "a round, s",
        "processor": "processor s a request",
    }
    for key, name in names.items():
        lines.append(f"{name:28}{middle['direct'][key]:>10.3f}{middle['served'][key]:>10.3f}")
    for key, name in (("p50", "overhead of median latency"), ("processor", "overhead of processor time")):
        found = report["overhead"][key]
        spread = f"[{found['least']:+.1%}, {found['most']:+.1%}]"
        lines.append(f"{name:28}{found['median']:>+10.1%}  {spread}  (bar: below +5 %)")
    many, gone, idle, held = (report[name] for name in ("burst", "vanished", "idle", "held"))
    lines += [
        f"burst of {many['sent']}: {many['answered']} held and answered (p50 {many['p50']:.2f} s, p99 "
        f"{many['p99']:.2f} s), {many['refused']} refused with 503",
        f"{gone['clients']} clients that vanish, {gone['times']} times: {gone['cancelled']} jobs given up",
        f"{options.idle} idle connections: {idle['open']} open at the end, beside them p50 {idle['p50']:.3f} s, p99 "
        f"{idle['p99']:.3f} s",
        f"{'what is held at rest':28}" + "".join(f"{name:>14}" for name in held["before"]),
    ]
    stages = {"before": held["before"], "after the burst": held["after burst"], "at the end": held["end"]}
    stages |= {f"after vanishing {i + 1}": found for i, found in enumerate(held["after vanished"])}
    for stage, found in stages.items():
        lines.append(f"{stage:28}" + "".join(f"{value:>14}" for value in found.values()))
    lines.append("the server ended when it was told to" if report["ended"] else "THE SERVER DID NOT END")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
