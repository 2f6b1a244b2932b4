"""Files that are no tables, and outputs that cannot be written: one sentence from every command that takes tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas as pd

READERS = {
    "gate": ["gate", "FILE"],
    "gate --calibrate": ["gate", "good.csv", "--calibrate", "FILE"],
    "fit": ["debias", "fit", "FILE", "--out", "new.json"],
    "transform": ["debias", "transform", "map.json", "FILE"],
    "effect": ["debias", "effect", "map.json", "FILE"],
    "effect --calibration": ["debias", "effect", "map.json", "good.csv", "--calibration", "FILE"],
    "compare": ["debias", "compare", "FILE"],
}
WRITERS = {
    "gate": ["gate", "good.csv", "--out", "FILE"],
    "gate --figure": ["gate", "good.csv", "--figure", "FILE"],
    "fit": ["debias", "fit", "good.csv", "--out", "FILE"],
    "transform": ["debias", "transform", "map.json", "good.csv", "--out", "FILE"],
}


@pytest.fixture
def files(cli: Any) -> None:
    """A table that every command can read, and some that none can."""
    rng, n = np.random.default_rng(0), 400
    need, acc, pred = rng.random(n), rng.random(n), rng.standard_normal(n)
    columns = {"p_need": need, "p_acc": acc, "y_need": need > rng.random(n), "y_acc": acc > rng.random(n)}
    frame = pd.DataFrame({**{name: np.asarray(values, dtype=float) for name, values in columns.items()}})
    frame = frame.assign(prediction=pred, truth=pred + rng.standard_normal(n), treatment=np.resize([0, 1], n))
    frame.to_csv("good.csv", index=False)
    frame.to_parquet("good.parquet", index=False)
    whole, text = Path("good.parquet").read_bytes(), Path("good.csv").read_text()
    Path("short.parquet").write_bytes(whole[: len(whole) // 2])
    Path("none.parquet").write_bytes(b"")
    Path("none.csv").write_text("")
    Path("names.csv").write_text(text.splitlines()[0] + "\n")
    lines = text.splitlines(keepends=True)
    Path("broken.csv").write_text("".join([*lines[:300], lines[300].strip() + ",9,9\n", *lines[301:]]))
    Path("binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    Path("folder.csv").mkdir()
    assert cli("debias", "fit", "good.csv", "--out", "map.json").status == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.csv", "cannot read 'none.csv' as csv"),
        ("names.csv", "'names.csv' has no rows"),
        (
            "broken.csv",
            "cannot read 'broken.csv' as csv: Error tokenizing data. C error: Expected 7 fields in line 301, saw 9",
        ),
        ("binary.csv", "cannot read 'binary.csv' as csv"),
        ("folder.csv", "cannot read 'folder.csv' as csv"),
        ("short.parquet", "cannot read 'short.parquet' as parquet"),
        ("none.parquet", "cannot read 'none.parquet' as parquet"),
        ("missing.parquet", "there is no file 'missing.parquet'"),
    ],
)
def test_files_that_are_no_tables(cli: Any, files: None, name: str, words: str) -> None:
    before = sorted(Path().iterdir())
    for command in READERS.values():
        assert words in cli(*[name if word == "FILE" else word for word in command]).refusal(), command
    assert sorted(Path().iterdir()) == before, "a refused command wrote something"


@pytest.mark.parametrize("name", ["good.csv/out.csv", "folder.csv"])
def test_outputs_that_cannot_be_written(cli: Any, files: None, name: str) -> None:
    """A folder's place is taken by a file, or the file's by a folder."""
    before = sorted(Path().rglob("*"))
    for what, command in WRITERS.items():
        if what == "gate --figure" and name == "folder.csv":
            continue  # the figure is folder.png
        said = cli(*[name if word == "FILE" else word for word in command]).refusal()
        assert f"cannot write {Path(name).with_suffix('')}" in said, command
    assert sorted(Path().rglob("*")) == before, "half a file was left"
