"""Verifiers that go wrong in every way, for the tests of the pool that runs them."""

import os
import time


def judge(kind: str) -> str:
    if kind == "sleeps":
        time.sleep(10_000)
    if kind == "spins":
        while True:
            pass
    if kind == "exits":
        os._exit(3)
    if kind == "raises":
        raise ValueError("no such answer")
    print("chatter that must not disturb the replies")
    return kind.upper()


def pid(_: str) -> int:
    return os.getpid()
