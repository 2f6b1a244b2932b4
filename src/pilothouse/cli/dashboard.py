"""``pilothouse dashboard``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pilothouse.cli.app import app, line
from pilothouse.core.errors import ConfigError

DASHBOARD_EXAMPLES = """Examples:

  The runs of this folder, in the browser:
    pilothouse dashboard --open
  Those of another machine, through its own door (then open localhost:6061 here):
    ssh -L 6061:localhost:6061 machine pilothouse dashboard path/to/runs
"""


@app.command(help_epilogue=DASHBOARD_EXAMPLES)
def dashboard(
    runs: Path = Path("runs"),
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 6061,
    open_page: Annotated[bool, Parameter(name="--open", negative="--no-open")] = False,
) -> None:
    """Look at runs in a browser: curves while they train, rollouts token by token, searches, comparisons, claims.

    Nothing is written, and nothing leaves this machine.

    Args:
        runs: The folder of runs, "runs" unless told.
        host: Address to listen at; only this machine reaches the default.
        port: Port to listen at; 0 takes any free one.
        open_page: Open it in the browser.
    """
    try:
        from pilothouse.dashboard.launch import Dashboard
        from pilothouse.serving.listening import LOOPBACK, quiet_logs
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in (
            "fastapi",
            "uvicorn",
            "starlette",
            "h11",
            "jinja2",
            "markupsafe",
        ):
            raise
        raise ConfigError(
            "the dashboard needs FastAPI and Jinja; install them with: pip install 'pilothouse[dashboard]'"
        ) from None

    server = Dashboard(runs, host, port)
    quiet_logs()
    server.prepare()
    if host not in LOOPBACK:
        line("warning: anybody who reaches this machine can read these runs; the default address is this machine's own")
    line(f"dashboard of {runs} at {server.url} (Ctrl-C ends it)")
    sys.stdout.flush()  # whoever started it through a pipe wants to know where it is
    server.run(open_page)
