"""``pilothouse dashboard``: starts and ends, and says in a sentence why it cannot."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from pilothouse.cli import main


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main(["dashboard", *map(str, arguments)])
    assert caught.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_a_folder_that_is_missing_or_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there is no folder runs; give the folder that holds your runs" in refused(capsys)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()
    assert "is itself a run" in refused(capsys, tmp_path / "run")


def test_a_taken_port(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen at 127.0.0.1 port {port}" in refused(capsys, tmp_path, "--port", port)


def test_without_its_packages(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pilothouse.dashboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "pip install 'pilothouse[dashboard]'" in refused(capsys, tmp_path)


@pytest.mark.server
def test_it_serves_until_it_is_interrupted(tmp_path):
    command = [sys.executable, "-m", "pilothouse", "dashboard", str(tmp_path), "--port", "0", "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert b"No runs yet" in answer.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert errors == ""
    finally:
        process.kill()
        process.wait()
