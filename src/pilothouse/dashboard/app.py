"""The routes of the dashboard: addresses to pages, and what goes wrong to a page too."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pilothouse import __version__
from pilothouse.core.errors import PilothouseError, RunError
from pilothouse.dashboard import words
from pilothouse.dashboard.curves import spark_svg
from pilothouse.dashboard.guard import Guard
from pilothouse.dashboard.pages_evidence import claims_view, comparison_view, comparisons_view, evidence_view
from pilothouse.dashboard.pages_files import file_response
from pilothouse.dashboard.pages_methods import method_view, methods_view
from pilothouse.dashboard.pages_overlay import overlay_view
from pilothouse.dashboard.pages_rollouts import rollout_view, rollouts_view
from pilothouse.dashboard.pages_run import current, run_view
from pilothouse.dashboard.pages_runs import runs_view
from pilothouse.dashboard.pages_search import search_view, searches_view, trace_view
from pilothouse.dashboard.query import Query, link, together
from pilothouse.dashboard.view import House, NotHere, View
from pilothouse.reports.evidence import measured
from pilothouse.reports.run_summary import table

LOG = logging.getLogger("pilothouse.dashboard")
HERE = Path(__file__).parent
READ = ["GET", "HEAD"]

ListPage: TypeAlias = Callable[[House, Query], View]
NamedPage: TypeAlias = Callable[[House, str, Query], View]

LISTS: dict[str, ListPage] = {
    "/": runs_view,
    "/overlay": overlay_view,
    "/comparisons": comparisons_view,
    "/searches": searches_view,
    "/methods": methods_view,
    "/claims": claims_view,
}
NAMED: dict[str, NamedPage] = {
    "run": run_view,
    "rollouts": rollouts_view,
    "rollout": rollout_view,
    "search": search_view,
    "trace": trace_view,
    "comparison": comparison_view,
    "evidence": evidence_view,
    "method": method_view,
}


class Pages:
    """Renders pages.

    Args:
        house: what they read.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "place": house.folder.title,
            "version": __version__,
            "link": link,
            "together": together,
            "spark": spark_svg,
            "METRICS": words.METRICS,
        }
        self._templates.filters |= {name: getattr(words, name) for name in words.FILTERS} | {
            "measured": measured,
            "table": table,
        }
        for name in self._templates.list_templates():  # compiled now, not while somebody waits for a page
            self._templates.get_template(name)

    def html(self, template: str, context: dict[str, Any]) -> str:
        """Return a template filled in; halves of characters, which no page can hold, become question marks."""
        return self._templates.get_template(template).render(context).encode(errors="replace").decode()

    def page(self, view: View) -> Response:
        """Return a page."""
        return HTMLResponse(self.html(view.template, view.context))

    def trouble(self, status: int, sentence: str) -> Response:
        """Return a page that says what went wrong."""
        known = {404: "Not found", 405: "Not possible", 500: "Something failed"}
        context = {
            "page": "",
            "title": known.get(status, "Not possible"),
            "sentence": self.house.folder.plain(sentence),
        }
        return HTMLResponse(self.html("trouble.html", context), status)

    def live(self, name: str, query: Query) -> Response:
        """Return what has changed on a run's page since the state that the script has."""
        found = self.house.folder.find(name, ("run",))
        context = current(self.house, found, query)
        answer: dict[str, Any] = {"state": context["state"], "again": context["again"], "regions": {}}
        if query.text("have") != context["state"]:
            regions = ("head", "curves", "samples")
            answer["regions"] = {region: self.html(f"_{region}.html", context) for region in regions}
        return JSONResponse(answer)


def make_app(house: House, host: str) -> ASGIApp:
    """Return the application.

    Args:
        house: what its pages read.
        host: the address that is listened at.
    """
    pages = Pages(house)
    app = FastAPI(title="Pilothouse", docs_url=None, redoc_url=None, openapi_url=None)
    _add_troubles(app, pages)
    app.mount("/static", StaticFiles(directory=HERE / "static"))

    def listed(path: str, page: ListPage) -> None:
        @app.api_route(path, methods=READ)
        def answer(request: Request) -> Response:
            return pages.page(page(house, Query(request.query_params, path)))

    def named(kind: str, page: NamedPage) -> None:
        @app.api_route(f"/{kind}/{{name:path}}", methods=READ)
        def answer(request: Request, name: str) -> Response:
            return pages.page(page(house, name, Query(request.query_params, link(kind, name))))

    for path, page in LISTS.items():
        listed(path, page)
    for kind, page in NAMED.items():
        named(kind, page)

    @app.api_route("/live/{name:path}", methods=READ)
    def live(request: Request, name: str) -> Response:
        return pages.live(name, Query(request.query_params, link("run", name)))

    @app.api_route("/file/{name:path}", methods=READ)
    def file(name: str) -> Response:
        return file_response(house.folder, name)

    return Guard(app, host)


def _add_troubles(app: FastAPI, pages: Pages) -> None:
    @app.exception_handler(RunError)
    @app.exception_handler(NotHere)
    async def missing(_: Request, error: PilothouseError) -> Response:
        return pages.trouble(404, str(error))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        said = {404: "There is no page at this address.", 405: "This page takes no such request."}
        return pages.trouble(error.status_code, said.get(error.status_code, "This request cannot be read."))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:  # its traceback goes to the log
        return pages.trouble(500, "This page cannot be shown; what went wrong is in the dashboard's log.")
