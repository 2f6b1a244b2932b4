"""A comparison as one HTML file that needs nothing else: tables, figures, settings, versions and samples."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import tomli_w

from pilothouse.core.errors import RunError
from pilothouse.reports.comparison import Comparison, header_of, legend, rows_of
from pilothouse.reports.files import write_text
from pilothouse.reports.outcomes import Outcome

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .35rem .8rem; text-align: right; border-bottom: 1px solid #8886; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; background: #fff; border-radius: .5rem; padding: .5rem; }
figure svg, figure img { max-width: 100%; height: auto; }
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
        RunError: it cannot be written, or a figure cannot be read.
    """
    title = f"{' against '.join(row.method for row in found.standings)} on {', '.join(found.tasks)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Seeds {escape(', '.join(map(str, found.seeds)))}; {escape(found.budget)} a run; the same problems or "
        "episodes in the same order for every method.</p>",
        _table(header_of(found), rows_of(found)),
        f"<p><small>{escape(legend(found))}.</small></p>",
        *_differences(found),
        *(_by_task(found) if len(found.tasks) > 1 else []),
        *(f"<figure>{_inline(png.with_suffix('.svg'))}</figure>" for png in figures.values()),
        "<h2>Every run</h2>",
        _runs(found, outcomes),
        "<h2>Samples, settings and versions</h2>",
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


def _differences(found: Comparison) -> list[str]:
    first, metric = found.standings[0].method, found.metric
    header = ["against " + first, "Student's t over seeds", "stratified bootstrap", "beats it"]
    rows = [
        [
            row.method,
            metric.interval(row.difference, sign=True),
            metric.interval(row.bootstrap, sign=True),
            row.improves.percent(),
        ]
        for row in found.standings[1:]
    ]
    note = "The mean difference of pairs of seeds with both intervals; the bootstrap's is too narrow for few seeds."
    return ["<h2>Differences</h2>", _table(header, rows), f"<p><small>{note}</small></p>"]


def _by_task(found: Comparison) -> list[str]:
    methods = [row.method for row in found.standings]
    rows = [[name, *(found.metric.interval(found.by_task[task][name]) for task in found.tasks)] for name in methods]
    return ["<h2>By task</h2>", _table(("method", *found.tasks), rows)]


def _runs(found: Comparison, outcomes: Sequence[Outcome]) -> str:
    figures = (found.metric, *found.further)
    rows = [
        [
            outcome.method,
            outcome.task,
            str(outcome.seed),
            *(metric.text(outcome.measured.figures[metric]) for metric in figures),
            *(metric.text(outcome.measured.costs[metric]) for metric in found.costs),
            str(outcome.folder),
        ]
        for outcome in outcomes
    ]
    return _table(("method", "task", "seed", *(m.name for m in (*figures, *found.costs)), "folder"), rows)


def _details(outcome: Outcome) -> str:
    title, found = f"{outcome.method} on {outcome.task}, seed {outcome.seed}", outcome.measured
    said = f"<pre>{escape(chr(10).join(found.samples))}</pre>" if found.samples else ""
    shown = f'<figure><img alt="{escape(title)}" src="{_embedded(found.picture)}"></figure>' if found.picture else ""
    return (
        f"<details><summary>{escape(title)}</summary><h3>Samples</h3>{said}{shown}"
        f"<h3>Settings and versions</h3><pre>{escape(tomli_w.dumps(dict(outcome.config)))}</pre></details>"
    )


def _embedded(png: Path) -> str:
    return f"data:image/png;base64,{b64encode(_read(png)).decode()}"


def _inline(svg: Path) -> str:
    """The drawing without the lines that only a file of its own needs."""
    text = _read(svg).decode()
    return text[text.index("<svg") :]


def _read(figure: Path) -> bytes:
    try:
        return figure.read_bytes()
    except OSError as error:
        raise RunError(
            f"cannot read {figure}: {error.strerror or error}; restore it, or delete its run's folder"
        ) from error
