"""Measuring a method's claim: run its experiment, note when and on what, keep the evidence where it is found."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

from pilothouse import __version__
from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError, RunError, nearest
from pilothouse.methods.base import SCALES, Method
from pilothouse.reports.cells import kept_seconds
from pilothouse.reports.evidence import read_evidence, write_evidence
from pilothouse.reports.files import write_text, writing
from pilothouse.reports.machine import machine_class
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import versions

_VERSION = "version"  # a file in an experiment's folder: which version of Pilothouse its pieces are of


def claim_folder(root: Path, name: str, scale: str) -> Path:
    """Return where a method's experiment works below ``root``, the same for one method as for all."""
    return root / f"reproduce-{name}-{scale}"


def measure(method: Method, scale: str, folder: Path, progress: Progress) -> tuple[Evidence, Path]:
    """Run a method's experiment and write its evidence, with its date, machine class and versions.

    Args:
        method: whose claim.
        scale: "smoke", "small" or "gpu".
        folder: the experiment's own; pieces that this version finished there before are read back, and the time that
            they took counts. What another version left is set aside.
        progress: shows what happens.

    Returns:
        The evidence and its file.

    Raises:
        ConfigError: there is no such scale, or the method has no experiment of it.
        RunError: the folder cannot be written.
    """
    check_scale(scale)
    _begin(folder, progress)
    found = method.reproduce(scale, folder, progress)
    seconds = max(found.seconds, kept_seconds(folder))
    today = date.today().isoformat()
    found = replace(found, seconds=seconds, date=today, machine=machine_class(), versions=versions())
    return found, write_evidence(found, folder)


def set_aside(folder: Path) -> Path:
    """Give an experiment's folder another name, in place of what had that name, and return it.

    Raises:
        RunError: it cannot be renamed.
    """
    aside = folder.with_name(f"{folder.name}.old")
    with writing(aside):
        if folder.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
    return aside


def _begin(folder: Path, progress: Progress) -> None:
    mark = folder / _VERSION
    if mark.is_file() and (version := mark.read_text().strip()) != __version__:
        progress.say(f"{folder} was begun by version {version}: set aside as {set_aside(folder)}")
    write_text(mark, __version__ + "\n")


def check_scale(scale: str) -> None:
    """Raise a ``ConfigError`` if experiments have no such scale."""
    if scale not in SCALES:
        raise ConfigError(f"unknown scale '{scale}'{nearest(scale, SCALES)}")


def checkout_evidence() -> Path | None:
    """Return the folder of the evidence that this library was published with; ``None`` if it is not a checkout."""
    folder = Path(__file__).parents[3] / "docs" / "methods"
    return folder if folder.is_dir() else None


def gather(methods: Mapping[str, Method], scale: str, *folders: Path | None) -> dict[str, Evidence]:
    """Return the evidence there is, by method.

    Args:
        methods: the methods asked about, by name.
        scale: of the evidence.
        folders: where to look, the first that has it wins: evidence files themselves, as in ``docs/methods``, or the
            experiments' folders, as in ``runs``. ``None`` is passed over.

    Raises:
        RunError: a file is there but holds no evidence.
    """
    found: dict[str, Evidence] = {}
    for name in methods:
        for folder in folders:
            if folder is not None and (path := evidence_file(folder, name, scale)):
                found[name] = _checked(read_evidence(path), path, name, scale)
                break
    return found


def evidence_file(folder: Path, name: str, scale: str) -> Path | None:
    """Return the file of a method's evidence in a folder (see ``gather``), ``None`` if there is none."""
    places = (folder, claim_folder(folder, name, scale))
    return next((path for place in places if (path := place / f"{name}-{scale}.json").is_file()), None)


def _checked(evidence: Evidence, path: Path, name: str, scale: str) -> Evidence:
    if (evidence.method, evidence.scale) != (name, scale):
        told = f"{evidence.method} at scale {evidence.scale}"
        raise RunError(f"{path} holds evidence of {told}: give it back its own name")
    return evidence
