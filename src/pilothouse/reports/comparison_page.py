"""A comparison as one HTML file that needs nothing else: table, figures, settings, versions and responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import tomli_w

from pilothouse.reports.comparison import COST, HEADER, Comparison, Outcome, rows_of
from pilothouse.reports.files import write_text

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .35rem .8rem; text-align: right; border-bottom: 1px solid #8886; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; background: #fff; border-radius: .5rem; padding: .5rem; }
figure svg { max-width: 100%; height: auto; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid #8886; border-radius: .4rem; white-space: pre-wrap; }
details { margin: .4rem 0; }
small { opacity: .75; }
"""


def write_page(
    found: Comparison, outcomes: Sequence[Outcome], figures: Mapping[str, Path], command: str, path: Path
) -> None:
    """Write the page.

    Args:
        found: the comparison.
        outcomes: the runs behind it.
        figures: the PNG of each figure by name; the SVG beside it is what the page shows.
        command: the command that made it.
        path: the HTML file.

    Raises:
        RunError: it cannot be written.
    """
    title = f"{' against '.join(row.method for row in found.standings)} on {', '.join(found.tasks)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{len(found.seeds)} seeds ({escape(', '.join(map(str, found.seeds)))}), {escape(found.budget)} a run, the "
        "same problems in the same order for every method.</p>",
        _table((*HEADER, *COST), rows_of(found)),
        "<p><small>Held-out answers sampled after training. Accuracy: interquartile mean over runs and tasks with a "
        "95 % stratified bootstrap. Differences in pairs of seeds, and greedy accuracy: 95 % Student's t over seeds; "
        "&ldquo;beats it&rdquo;: chance that a run is above a run of the first method.</small></p>",
        *(_by_task(found) if len(found.tasks) > 1 else []),
        *(f"<figure>{_inline(png.with_suffix('.svg'))}</figure>" for png in figures.values()),
        "<h2>Every run</h2>",
        _runs(outcomes),
        "<h2>Settings, versions and responses</h2>",
        *(_details(outcome) for outcome in outcomes),
        f"<h2>Made with</h2><pre>{escape(command)}</pre>",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    lines = [f'<html lang="en"><head>{head}<style>{_STYLE}</style></head>', "<body>", *parts, "</body></html>"]
    write_text(path, "<!doctype html>\n" + "\n".join(lines) + "\n")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def _by_task(found: Comparison) -> list[str]:
    methods = [row.method for row in found.standings]
    rows = [[method, *(found.by_task[task][method].percent() for task in found.tasks)] for method in methods]
    return ["<h2>By task</h2>", _table(("method", *found.tasks), rows)]


def _runs(outcomes: Sequence[Outcome]) -> str:
    rows = [
        [
            outcome["method"],
            outcome["task"],
            str(outcome["seed"]),
            *(f"{100 * outcome['result'][when]['sampled']['accuracy']:.1f} %" for when in ("before", "after")),
            str(outcome["result"]["steps"]),
            f"{outcome['result']['cost']['tokens_computed']:,.0f}",
            outcome["folder"],
        ]
        for outcome in outcomes
    ]
    return _table(("method", "task", "seed", "before", "after", "steps", "tokens computed", "folder"), rows)


def _details(outcome: Outcome) -> str:
    title = f"{outcome['method']} on {outcome['task']}, seed {outcome['seed']}"
    said = "\n\n".join(_response(row) for row in outcome["responses"])
    settings = tomli_w.dumps(dict(outcome["config"]))
    return (
        f"<details><summary>{escape(title)}</summary><h3>Responses of the last step</h3><pre>{escape(said)}</pre>"
        f"<h3>Settings and versions</h3><pre>{escape(settings)}</pre></details>"
    )


def _response(row: Mapping[str, Any]) -> str:
    return f"{row.get('prompt', '')}{row.get('response', '')}\n    reward {row.get('reward')}"


def _inline(svg: Path) -> str:
    """The drawing without the lines that only a file of its own needs."""
    text = svg.read_text(encoding="utf-8")
    return text[text.index("<svg") :]
