from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pilothouse.core.errors import RunError
from pilothouse.methods.apart import OutOfTime, run_apart
from pilothouse.reports.progress import Progress


class Heard(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def run(code: str, tmp_path: Path, limit: float | None = None) -> list[str]:
    heard = Heard()
    run_apart([sys.executable, "-c", f"import sys\n{code}"], tmp_path / "deep" / "log", heard, limit)
    return heard.lines


def test_lines_are_passed_on_and_logged(tmp_path: Path) -> None:
    said = run("print('one', file=sys.stderr); print(); print('two \u00e9', file=sys.stderr)", tmp_path)
    assert said == ["  one", "  two \u00e9"]
    assert (tmp_path / "deep" / "log").read_text(encoding="utf-8") == "one\ntwo \u00e9\n"


def test_the_last_line_is_the_reason_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^no such thing \(exit status 2; its log is .*log\)$"):
        run("print('before\\nerror: no such thing', file=sys.stderr); sys.exit(2)", tmp_path)
    with pytest.raises(RunError, match="ended by signal 9"):
        run("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_a_limit_ends_it_and_what_it_started(tmp_path: Path) -> None:
    code = "import subprocess; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with pytest.raises(OutOfTime, match="read back next time"):
        run(code, tmp_path, 0.5)


def test_what_ends_in_time_is_not_out_of_it(tmp_path: Path) -> None:
    assert run("", tmp_path, 60.0) == []
