"""The application that the commands join, and how all of them speak."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.help import DefaultFormatter, PanelSpec
from rich.box import SIMPLE

from pilothouse import __version__

app = App(
    name="pilothouse",
    version=__version__,
    help="""Policies: learn them, sample and search with them, decide when and which to use.

Start with one of:

  pilothouse doctor                        what this machine can do
  pilothouse methods                       what there is, and what each claims
  pilothouse claims                        what came of each claim here
  pilothouse tasks                         where problems come from
  pilothouse train grpo --task gsm8k-calc  train a tiny policy on a laptop
  pilothouse train --help                  bring your own data, reward and model
  pilothouse serve --model runs/RUN        answer any OpenAI client
""",
    help_format="plaintext",
    help_formatter=DefaultFormatter(panel_spec=PanelSpec(box=SIMPLE, padding=(0, 0))),
    default_parameter=Parameter(show_default=False, negative=()),
    result_action="return_value",
)

Settings = Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]
Json = Annotated[bool, Parameter(name="--json")]


def emit(document: Any) -> None:
    """Print one JSON document on standard output; figures that are not finite become null."""
    from pilothouse.reports.files import dumps

    sys.stdout.write(dumps(document, indent=2) + "\n")


def line(text: str) -> None:
    """Print a line on standard output, however wide the terminal."""
    sys.stdout.write(text + "\n")


@contextmanager
def plain_output(as_json: bool) -> Iterator[None]:
    """Silence the progress bars of the libraries beneath; with ``--json``, what anything prints goes to stderr."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield
