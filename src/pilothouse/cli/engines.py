"""``pilothouse engines``: the survey of inference engines, and a check of a live server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App, Parameter
from rich.console import Console

from pilothouse.cli.app import Json, app, emit, line
from pilothouse.core.errors import ConfigError

if TYPE_CHECKING:
    from pilothouse.decisions.engine_catalogue import EngineCatalogue, Wanted
    from pilothouse.engines.probe import ProbeReport

ENGINES_HELP = """Inference engines: list, compare, recommend, and check a live server.

The catalogue is a survey of 2025 (arXiv 2505.01658), each field with its source
and date; --catalogue FILE lays corrections of your own over it.
"""
ENGINES_EXAMPLES = """Examples:

  pilothouse engines --device rocm --technique prefixc
  pilothouse engines compare vllm sglang
  pilothouse engines recommend --profile throughput --device cuda --multi-node
  pilothouse engines check http://localhost:8000/v1
"""
engines = App(name="engines", help=ENGINES_HELP, help_epilogue=ENGINES_EXAMPLES)
app.command(engines)


@Parameter(name="*")
class Filters:
    """What an engine must satisfy.

    Args:
        device: It runs on this: cuda, rocm, tpu, jetson, x86-64, ...; several between commas, all of them.
        system: Its host: linux, windows, macos or api; several between commas, any of them.
        precision: It has this number format: fp8, int4, ...; several between commas.
        technique: It has this technique: prefixc, spec, guided, ...; several between commas.
        open: Only fully open ones.
        multi_node: Only those that span nodes.
        openai: Only those that speak the OpenAI protocol by themselves.
        offline: No hosted services.
        allow_unknown: Take what a hosted service does not disclose for there.
        feasible_only: What was measured on the device decides, not the tables.
        catalogue: TOML laid over the catalogue.
    """

    def __init__(
        self,
        device: str = "",
        system: str = "",
        precision: str = "",
        technique: str = "",
        open: bool = False,
        multi_node: bool = False,
        openai: bool = False,
        offline: bool = False,
        allow_unknown: bool = False,
        feasible_only: bool = False,
        catalogue: Path | None = None,
    ) -> None:
        self.catalogue_file = catalogue
        self.names = {"device": device, "system": system, "precision": precision, "technique": technique}
        self.flags = {
            "open": open,
            "multi_node": multi_node,
            "openai": openai,
            "offline": offline,
            "allow_unknown": allow_unknown,
            "feasible_only": feasible_only,
        }

    def read(self) -> tuple[EngineCatalogue, Wanted]:
        """Return the catalogue and the constraints."""
        from pilothouse.decisions.engine_catalogue import EngineCatalogue, Wanted

        listed = {kind: tuple(filter(None, (n.strip() for n in text.split(",")))) for kind, text in self.names.items()}
        return EngineCatalogue.load(self.catalogue_file), Wanted(**listed, **self.flags)  # type: ignore[arg-type]


@engines.default
def list_engines(*, filters: Filters | None = None, as_json: Json = False) -> None:
    """List the engines that satisfy every constraint.

    Args:
        filters: What they must satisfy.
        as_json: Print one JSON document on standard output.
    """
    from rich.table import Table

    catalogue, wanted = (filters or Filters()).read()
    found = catalogue.where(wanted)
    if as_json:
        emit({"dated": catalogue.dated, "engines": [engine.to_dict() for engine in found]})
        return
    table = Table("engine", "open", "licence", "upkeep", "nodes", "runs on", "techniques", box=None)
    for e in found:
        techniques = " ".join(sorted(e.techniques))
        table.add_row(e.name, e.open, e.licence, e.upkeep, e.nodes, " ".join(sorted(e.devices)), techniques)
    Console().print(table)
    line(f"{len(found)} of {len(catalogue.engines)} engines, as of {catalogue.dated}; 'recommend' says which and why")


@engines.command
def compare(*names: str, catalogue: Path | None = None, as_json: Json = False) -> None:
    """Print engines side by side, with the source and date of every group of fields.

    Args:
        names: The engines.
        catalogue: TOML laid over the catalogue.
        as_json: Print one JSON document on standard output.
    """
    from rich.table import Table

    from pilothouse.decisions.engine_catalogue import EngineCatalogue

    found = EngineCatalogue.load(catalogue)
    if not names:
        raise ConfigError("which engines? give names, such as 'pilothouse engines compare vllm sglang'")
    rows = found.compare(*names)
    if as_json:
        emit({"rows": rows, "sources": found.sources, "doubts": found.doubts})
        return
    shown = [name for name in rows[0] if name != "field"]
    table = Table("", *shown, box=None)
    for row in rows:
        table.add_row(row["field"], *(str(row[name]) for name in shown))
    Console().print(table)
    for name, source in found.sources.items():
        line(f"{name}: {', '.join(source['fields'])}; {source['where']}, {source['dated']}; {source['confidence']}")
    for doubt in found.doubts:
        if doubt["engine"] in ("*", *shown):
            line(f"doubtful: {doubt['field']} of {doubt['engine']}: {doubt['why']}")


@engines.command
def recommend(
    *, profile: str = "balanced", filters: Filters | None = None, top: int = 5, as_json: Json = False
) -> None:
    """Rank the engines for a kind of work, with the reasons for those that are ranked and those that are not.

    Args:
        profile: balanced (the default), latency, throughput, edge or research.
        filters: What they must satisfy.
        top: How many to show.
        as_json: Print one JSON document on standard output.
    """
    from pilothouse.decisions.engine_selector import select_engine

    catalogue, wanted = (filters or Filters()).read()
    found = select_engine(catalogue, wanted, profile)
    if as_json:
        emit({"dated": catalogue.dated, **found.to_dict()})
        return
    if not found.ranking:
        line("no engine satisfies all of this:")
    for place, row in enumerate(found.ranking[:top], 1):
        front = "" if row.pareto else "; another candidate is as good in everything and better in something"
        line(f"{place}. {row.name}  {row.score:.3f}  {row.reason}{front}")
        for doubt in row.doubts:
            line(f"   doubtful: {doubt}")
        if start := catalogue.find(row.name).launch:
            line(f"   {start}")
    for name, why in found.rejected.items():
        line(f"-  {name} {why}")
    line(f"scores are presence of features as of {catalogue.dated}, not speed: measure with 'pilothouse engines check'")


@engines.command
def check(
    url: str,
    /,
    *,
    model: str = "",
    concurrency: str = "1,4",
    load: float = 5.0,
    seconds: float = 120.0,
    requests: int = 200,
    timeout: float = 30.0,
    as_json: Json = False,
) -> None:
    """Ask a live OpenAI-compatible server what it really supports, and how fast it is.

    Its key is OPENAI_API_KEY.

    Args:
        url: Address of the API, such as http://localhost:8000/v1.
        model: The model to ask; by default the first it lists.
        concurrency: Requests under way at once, several between commas; empty measures no throughput.
        load: Seconds at each of them.
        seconds: Bound of time for everything.
        requests: Bound of the number of requests.
        timeout: Seconds that one request may take.
        as_json: Print one JSON document on standard output.
    """
    try:
        from pilothouse.engines.probe import probe
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise ConfigError("checking a server needs httpx; install it with: pip install 'pilothouse[remote]'") from None
    try:
        levels = tuple(int(level) for level in concurrency.split(",") if level.strip())
    except ValueError:
        raise ConfigError(f"--concurrency {concurrency}: give whole numbers between commas, such as 1,4") from None
    report = probe(url, model, concurrency=levels, load_s=load, seconds=seconds, requests=requests, timeout_s=timeout)
    if as_json:
        emit(report.to_dict())
    else:
        _print(report)


def _print(report: ProbeReport) -> None:
    from rich.table import Table
    from rich.text import Text

    colours = {"yes": "green", "partly": "yellow", "no": "red"}
    table = Table("feature", "", "seen", box=None)
    for finding in report.findings:
        verdict = Text(finding.verdict, colours.get(finding.verdict, ""))
        table.add_row(finding.feature, verdict, Text(" ".join(finding.detail.split())[:160]))
    console = Console()
    console.print(f"{report.url}, model {report.model}", markup=False, highlight=False)
    console.print(table)
    if report.loads:
        table = Table("at once", "requests", "answered whole", "tokens/s", "first token, s", "whole, s", box=None)
        for load in report.loads:
            pairs = [f"{median:.3f} (95 %: {late:.3f})" for median, late in (load.first_token_s, load.total_s)]
            row: tuple[Any, ...] = (
                load.concurrency,
                load.requests,
                f"{load.succeeded:.0%}",
                f"{load.tokens_per_s:.1f}",
            )
            table.add_row(*map(str, row), *pairs)
        console.print(table)
    line(f"{report.requests} requests were sent")
