"""The command itself, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import openai
import pytest

from pilothouse.policies.tiny import tiny_policy

START_S = 180


@pytest.mark.server
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_where_it_is_serves_and_ends_well(tmp_path: Path, end: int) -> None:
    tiny_policy("0123456789+=", 0, "nano").save(tmp_path / "model-of-mine")
    (tmp_path / "key").write_text("secret\n")
    command = [sys.executable, "-u", "-m", "pilothouse", "serve", str(tmp_path / "model-of-mine"), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--key-file", str(tmp_path / "key"), "--program.sampling.max_tokens", "7"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("methods:"):
                break
        text = "".join(said)
        assert "serving model-of-mine with group at http://127.0.0.1:" in text, text
        assert "curl http://127.0.0.1:" in text
        assert "lite-ppo" in said[-1]
        assert "secret" not in text
        url = text.split(" at ")[1].split()[0]
        client = openai.OpenAI(base_url=url, api_key="secret", max_retries=0)
        reply = client.completions.create(model="model-of-mine", prompt="1+1=", seed=1)
        assert 1 <= reply.usage.completion_tokens <= 7
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=url, api_key="wrong", max_retries=0).models.list()
        process.send_signal(end)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stdout.read()
    finally:
        watchdog.cancel()
        process.kill()
        process.wait(30)
