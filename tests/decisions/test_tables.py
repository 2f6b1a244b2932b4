"""Tables go to a file and come back; what is wrong with one is a sentence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pilothouse.core.errors import PilothouseError
from pilothouse.decisions.arrays import like, positive, vector
from pilothouse.decisions.tables import column, read_table, table_kind, write_table

TABLE = pd.DataFrame({"p_need": [0.1, 0.2], "p_acc": [0.5, 0.75], "who": ["a", "b"]})


def written(folder: Path, name: str) -> Path:
    path = folder / name
    with path.open("wb") as stream:
        write_table(TABLE, stream, table_kind(path))
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "T.CSV", "t.pq"])
def test_a_table_comes_back_as_it_went(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    pd.testing.assert_frame_equal(read_table(path), TABLE)
    part = read_table(path, ["p_acc", "p_need"])
    assert sorted(part.columns) == ["p_acc", "p_need"]
    assert column(part, "p_acc").tolist() == [0.5, 0.75]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_missing_column_offers_the_nearest(tmp_path: Path, name: str) -> None:
    with pytest.raises(PilothouseError, match="no column 'p_ned'; did you mean 'p_need'"):
        read_table(written(tmp_path, name), ["p_ned"])
    with pytest.raises(PilothouseError, match="the table has no column 'p_accept'; did you mean 'p_acc'"):
        column(TABLE, "p_accept")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.txt", b"a,b\n1,2\n", "ends in neither .csv nor .parquet"),
        ("t.csv", b"", "cannot read"),
        ("t.csv", b"a,b\n", "has no rows"),
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", "cannot read"),
        ("t.csv", b"a,b\n\xff\xfe,2\n", "cannot read"),
        ("t.parquet", b"a,b\n1,2\n", "cannot read"),
    ],
)
def test_a_file_that_holds_no_table(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PilothouseError, match=says):
        read_table(tmp_path / name)


def test_a_broken_row_is_refused_whichever_columns_are_asked_for(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,4,5\n6,7\n")
    for columns in (None, ["a"]):
        with pytest.raises(PilothouseError, match="Expected 2 fields in line 3, saw 3"):
            read_table(path, columns)
    path.write_text("a,b\n1,2\n3,4\n5\n")
    monkeypatch.setattr("pilothouse.decisions.tables.PART_ROWS", 2)
    found = read_table(path, ["b"])
    assert found["b"].tolist()[:2] == [2, 4]
    with pytest.raises(PilothouseError, match="'b' has 1 values that are NaN or infinite, in row 3"):
        vector(found["b"], "b")


@pytest.mark.parametrize("left", [0, 3, 100, -1])
def test_a_parquet_file_cut_short(tmp_path: Path, left: int) -> None:
    path = written(tmp_path, "t.parquet")
    path.write_bytes(path.read_bytes()[:left])
    for columns in (None, ["p_acc"]):
        with pytest.raises(PilothouseError, match=r"cannot read '.*t\.parquet' as parquet"):
            read_table(path, columns)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(PilothouseError, match="there is no file"):
            read_table(tmp_path / name, ["a"])


def test_results_are_of_the_kind_that_was_given() -> None:
    found = np.array([1.0, 2.0])
    series = like(pd.Series([5, 6], index=[7, 8]), found)
    assert series.index.tolist() == [7, 8]
    tensor = like(torch.zeros(2, dtype=torch.float32), found)
    assert tensor.dtype == torch.float32
    assert like(torch.zeros(2), found > 1).tolist() == [False, True]
    assert like([1, 2], found) is found


def test_positive_figures_and_gaps() -> None:
    assert positive(2, "c_fa").tolist() == [2.0]
    with pytest.raises(PilothouseError, match=r"'c_fa' is -1: it must be greater than 0"):
        positive(-1, "c_fa")
    with pytest.raises(PilothouseError, match=r"'c_fa' is 0, in row 2"):
        positive([1, 0], "c_fa")
    assert np.isnan(vector([1.0, np.nan], "y", missing=True)).tolist() == [False, True]
    with pytest.raises(PilothouseError, match="infinite, in row 1"):
        vector([np.inf, np.nan], "y", missing=True)
