"""``pilothouse claims``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pilothouse.cli.app import Json, app, emit, line
from pilothouse.core.errors import ConfigError

CLAIMS_EXAMPLES = """Examples:

  What this checkout was published with, else what is under runs:
    pilothouse claims
  What your own runs came to:
    pilothouse claims --evidence runs
  Take them over into the documentation, and make its pages again:
    pilothouse claims --evidence runs --write docs
"""


@app.command(help_epilogue=CLAIMS_EXAMPLES)
def claims(
    *, evidence: Path | None = None, scale: str = "small", write: Path | None = None, as_json: Json = False
) -> None:
    """Tell how every method's claim fared, from evidence that 'pilothouse reproduce' wrote.

    Args:
        evidence: Folder with the evidence, such as runs; by default the checkout's docs/methods, else runs.
        scale: Of the evidence, 'small' unless told.
        write: Documentation folder: evidence from elsewhere is copied to its methods/ with the figures, then all pages
            that are made from evidence, cards and settings are made again.
        as_json: Print one JSON document on standard output.
    """
    from pilothouse.methods.base import methods as all_methods
    from pilothouse.methods.measuring import check_scale, checkout_evidence, gather
    from pilothouse.reports.claims import Row, print_claims

    check_scale(scale)
    methods, folder = all_methods(), evidence or (write / "methods" if write else checkout_evidence()) or Path("runs")
    found = gather(methods, scale, folder)
    if not found and not write:
        raise ConfigError(
            f"there is no evidence of scale {scale} in {folder}: make it with 'pilothouse reproduce --all --scale "
            f"{scale}', or name another folder with --evidence"
        )
    if write:
        _write(write, folder, evidence is not None, scale)
    if as_json:
        emit([found[name].to_dict() if name in found else {"method": name, "verdict": None} for name in methods])
        return
    print_claims([Row(name, found.get(name)) for name in methods], Console(), title=f"claims, scale {scale}, {folder}")
    line("\nOne in full: pilothouse methods NAME. Its experiment: pilothouse reproduce NAME.")


def _write(docs: Path, folder: Path, given: bool, scale: str) -> None:
    from pilothouse.methods.base import methods as all_methods
    from pilothouse.methods.measuring import gather
    from pilothouse.methods.pages.write import adopt, write_pages

    if scale != "small":
        raise ConfigError(f"the pages are made from evidence of scale small, not {scale}: drop --scale or --write")
    if given and folder.resolve() != (docs / "methods").resolve():
        adopt(gather(all_methods(), scale, folder), folder, docs)
    changed = write_pages(docs, all_methods())
    console = Console(stderr=True)
    console.print(
        f"made {', '.join(map(str, changed))}" if changed else "every page is as it should be", soft_wrap=True
    )
    if missing := [name for name in all_methods() if not (docs / "methods" / f"{name}.md").is_file()]:
        console.print(f"without a page of their own in {docs / 'methods'}: {', '.join(missing)}", soft_wrap=True)
