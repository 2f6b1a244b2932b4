"""All made pages of a documentation folder, and the evidence that they are made from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import RunError
from pilothouse.methods.base import Method
from pilothouse.methods.measuring import evidence_file, gather
from pilothouse.methods.pages.claims import claims_page
from pilothouse.methods.pages.markdown import replace_block
from pilothouse.methods.pages.method import catalogue, navigation, reference
from pilothouse.methods.pages.papers import papers_page
from pilothouse.methods.pages.shared import settings_page
from pilothouse.reports.evidence import write_evidence
from pilothouse.reports.files import write_text, writing


def pages(docs: Path, methods: Mapping[str, Method], scale: str = "small") -> dict[Path, str]:
    """Return what every made page and every page with a made block should hold, by file.

    Args:
        docs: the documentation; its ``methods`` folder holds the evidence.
        methods: all there are, by name.
        scale: of the evidence.

    Raises:
        RunError: there is no such documentation, or a file holds no evidence.
        ConfigError: a page's marks are damaged.
    """
    if not (docs / "methods").is_dir():
        raise RunError(f"{docs} is no documentation folder, for it has no methods/: give the docs folder of a checkout")
    evidence = gather(methods, scale, docs / "methods")
    found = {
        docs / "claims.md": claims_page(methods, evidence),
        docs / "papers.md": papers_page(methods),
        docs / "settings.md": settings_page(),
    }
    blocks = {docs / "methods" / "README.md": catalogue(methods, evidence)}
    blocks |= {docs / "methods" / f"{name}.md": reference(m, evidence.get(name)) for name, m in methods.items()}
    found |= {path: replace_block(path.read_text(), block) for path, block in blocks.items() if path.is_file()}
    site = docs.parent / "mkdocs.yml"
    if site.is_file():
        found[site] = replace_block(site.read_text(), navigation(methods), ("      # ", ""))
    return found


def write_pages(docs: Path, methods: Mapping[str, Method]) -> list[Path]:
    """Write the pages that are not what they should be, and return them (see ``pages``)."""
    changed = [(path, text) for path, text in pages(docs, methods).items() if not _holds(path, text)]
    for path, text in changed:
        write_text(path, text)
    return [path for path, _ in changed]


def adopt(evidence: Mapping[str, Evidence], source: Path, docs: Path) -> None:
    """Copy evidence and its figures into the documentation, each figure under its method's name.

    Args:
        evidence: by method, as gathered from ``source``.
        source: where it was found.
        docs: the documentation.

    Raises:
        RunError: a file cannot be written.
    """
    for name, found in evidence.items():
        path = evidence_file(source, name, found.scale)
        write_evidence(found, docs / "methods")
        figure = path.parent / found.figure if path and found.figure else None
        if figure and figure.is_file():
            with writing(docs / "methods" / f"{name}.png"):
                shutil.copyfile(figure, docs / "methods" / f"{name}{figure.suffix}")


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text
