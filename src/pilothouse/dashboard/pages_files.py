"""Pictures and reports that lie in the folder of runs, and the pages' own files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.responses import FileResponse, Response

from pilothouse.dashboard.query import MOST_TEXT, link
from pilothouse.dashboard.view import NotHere
from pilothouse.reports.run_list import Found, RunsFolder

PICTURES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
MOST_FIGURES, MOST_SVG = 60, 2**20
#: A file of somebody else's is shown without its scripts, and loads nothing.
ALONE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@dataclass(frozen=True)
class Picture:
    """A picture of a run.

    Args:
        title: what its file is called.
        address: where the page finds it.
    """

    title: str
    address: str


def figures_of(folder: RunsFolder, found: Found) -> list[Picture]:
    """Return the pictures of a run, search, comparison or of evidence; of one drawn in several forms the best."""
    place = found.path.parent if found.kind == "evidence" else found.path
    best: dict[str, Path] = {}
    for where in (place / "figures", place):
        for path in sorted(where.glob("*"))[:1000] if where.is_dir() else ():
            if path.suffix in PICTURES and folder.holds(path) and path.is_file():
                small = path.suffix == ".svg" and path.stat().st_size <= MOST_SVG
                if path.stem not in best or small:
                    best[path.stem] = path
    return [
        Picture(stem.replace("-", " "), link("file", path.relative_to(folder.root).as_posix()))
        for stem, path in list(best.items())[:MOST_FIGURES]
    ]


def file_response(folder: RunsFolder, name: str) -> Response:
    """Return a picture, or a comparison's report, from within the folder of runs.

    Raises:
        NotHere: it is neither, or leads out of the folder.
    """
    path = folder.root.joinpath(*name.split("/"))
    hidden = any(part.startswith(".") or not part for part in name.split("/"))
    try:
        report = path.name == "report.html" and (path.parent / "comparison.json").is_file()
        there = not hidden and (path.suffix in PICTURES or report) and folder.holds(path) and path.is_file()
    except (OSError, ValueError):  # a name no file system would take
        there = report = False
    if not there:
        raise NotHere(f"there is no picture '{name[:MOST_TEXT]}' in {folder.title}")
    kind = "text/html; charset=utf-8" if report else PICTURES[path.suffix]
    return FileResponse(path, media_type=kind, headers={"Content-Security-Policy": ALONE, "Cache-Control": "no-cache"})
