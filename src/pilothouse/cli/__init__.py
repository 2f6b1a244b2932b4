"""The command line. Heavy imports wait inside the commands, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError
from rich.console import Console

from pilothouse.cli import (  # noqa: F401 - each joins its commands to the application
    claims,
    compare,
    dashboard,
    debias,
    engines,
    gate,
    look,
    measure,
    reproduce,
    search,
    serve,
    train,
)
from pilothouse.cli.app import app
from pilothouse.core.errors import PilothouseError

__all__ = ["app", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake is one sentence on standard error and exit status 2.

    Args:
        arguments: what follows the command's name; by default what the process was given.

    Raises:
        SystemExit: with status 2 after a mistake, 130 after an interrupt.
    """
    if not {"", os.getcwd()} & set(sys.path):  # a reward module beside the user is importable, as with python -m
        sys.path.insert(0, os.getcwd())
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(f"{' '.join(str(error).split()).rstrip('.')}; see 'pilothouse --help'", 2)
    except PilothouseError as error:
        _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        _fail("stopped at once; a run continues from its last checkpoint with 'pilothouse train --resume RUN'", 130)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _fail(sentence: str, status: int) -> None:
    Console(stderr=True).print(f"error: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(status) from None
