from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from pilothouse import __version__
from pilothouse.core.cards import Card, Claim, Evidence
from pilothouse.core.errors import ConfigError, RunError
from pilothouse.methods.base import Method
from pilothouse.methods.measuring import claim_folder, evidence_file, gather, measure, set_aside
from pilothouse.reports.cells import kept, kept_seconds
from pilothouse.reports.evidence import read_evidence, write_evidence
from pilothouse.reports.files import read_json, write_json
from pilothouse.reports.machine import machine_class
from pilothouse.reports.progress import Progress

CLAIM = Claim("holds", "above 0", 1.0, 0.5, 1.5, 0.95, True, "points", 3)


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    return Evidence.of("m", scale, (CLAIM,), {}, "", 2.0)


METHOD = Method(Card("m", "t", "p", "s", 2025, "credit", "f", "s", "d", "c"), reproduce)


def test_evidence_says_when_on_what_and_with_which_versions(tmp_path: Path) -> None:
    evidence, path = measure(METHOD, "small", tmp_path / "e", Progress())
    assert read_evidence(path) == evidence
    assert evidence.date == date.today().isoformat()
    assert evidence.versions["pilothouse"] == __version__
    assert {"python", "torch", "numpy"} <= set(evidence.versions)
    assert evidence.machine == machine_class()
    assert re.match(r"\d+-core \S+ CPU", evidence.machine)


def test_pieces_read_back_count_the_time_they_took(tmp_path: Path) -> None:
    kept(tmp_path / "cells" / "0.json", {"seed": 0}, lambda: {"x": 1})
    piece = read_json(tmp_path / "cells" / "0.json")
    write_json(tmp_path / "cells" / "0.json", {**piece, "seconds": 100.0})
    write_json(tmp_path / "cells" / "old.json", {"facts": {}, "outcome": {}})
    (tmp_path / "damaged.json").write_text("{")
    assert kept_seconds(tmp_path) == 100.0
    assert measure(METHOD, "small", tmp_path, Progress())[0].seconds == 100.0
    assert measure(METHOD, "small", tmp_path / "other", Progress())[0].seconds == 2.0


def test_what_another_version_began_is_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    measure(METHOD, "small", folder, Progress())
    (folder / "piece").write_text("x")
    measure(METHOD, "small", folder, Progress())
    assert (folder / "piece").exists()
    (folder / "version").write_text("0.0.1\n")
    measure(METHOD, "small", folder, Progress())
    assert not (folder / "piece").exists()
    assert (tmp_path / "e.old" / "piece").exists()


def test_setting_aside_replaces_what_was_there_and_needs_nothing(tmp_path: Path) -> None:
    assert set_aside(tmp_path / "none") == tmp_path / "none.old"
    for text in ("first", "second"):
        (tmp_path / "e").mkdir()
        (tmp_path / "e" / "piece").write_text(text)
        set_aside(tmp_path / "e")
    assert (tmp_path / "e.old" / "piece").read_text() == "second"


def test_evidence_is_found_beside_and_in_its_experiments_folder(tmp_path: Path) -> None:
    evidence, path = measure(METHOD, "small", claim_folder(tmp_path / "runs", "m", "small"), Progress())
    assert evidence_file(tmp_path / "runs", "m", "small") == path
    assert gather({"m": METHOD, "n": METHOD}, "small", None, tmp_path / "none", tmp_path / "runs") == {"m": evidence}
    assert gather({"m": METHOD}, "gpu", tmp_path / "runs") == {}
    flat = write_evidence(evidence, tmp_path / "flat")
    assert gather({"m": METHOD}, "small", tmp_path / "flat", tmp_path / "runs") == {"m": evidence}
    flat.rename(tmp_path / "flat" / "n-small.json")
    with pytest.raises(RunError, match="holds evidence of m at scale small"):
        gather({"n": METHOD}, "small", tmp_path / "flat")


def test_an_unknown_scale_is_refused_before_the_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown scale 'smal'"):
        measure(METHOD, "smal", tmp_path / "e", Progress())
    assert not (tmp_path / "e").exists()
