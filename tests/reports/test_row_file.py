"""Rows of a file in places: pages, steps by bisecting, neighbours; half-written, damaged and very long lines."""

from __future__ import annotations

import json
import random

import pytest

from pilothouse.core.errors import RunError
from pilothouse.reports import row_file
from pilothouse.reports.metrics_file import MetricsFiles
from pilothouse.reports.row_file import RowFile, last_row, sampled_rows, step_of


def write(path, rows, tail=""):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return RowFile(path)


@pytest.fixture
def rows():
    """Fifty steps of one to four rows, of very different lengths; step 20 left no row."""
    draw = random.Random(0)
    return [
        {"step": step, "at": at, "text": "x" * draw.choice((1, 50, 3000))}
        for step in range(1, 51)
        if step != 20
        for at in range(draw.randint(1, 4))
    ]


@pytest.mark.parametrize("near", [1, 500, 2**16])
def test_every_step_is_found_by_bisecting(tmp_path, rows, monkeypatch, near):
    monkeypatch.setattr(row_file, "_NEAR", near)
    file = write(tmp_path / "rows.jsonl", rows, '{"step": 99, "half')
    for step in range(52):
        wanted = next((row for row in rows if row["step"] >= step), None)
        found = file.page(file.seek(step), most=1).rows
        assert [row for _, row in found] == ([wanted] if wanted else [])
    assert file.steps() == (1, 50)


@pytest.mark.parametrize("chunk", [7, 64, 2**16])
def test_rows_before_and_after_are_those_of_the_file(tmp_path, rows, monkeypatch, chunk):
    monkeypatch.setattr(row_file, "_CHUNK", chunk)
    file = write(tmp_path / "rows.jsonl", rows, '{"half')
    forwards, at = [], 0
    while at is not None:
        page = file.page(at, most=7)
        forwards += page.rows
        at = page.after
    assert [row for _, row in forwards] == rows
    backwards, at = [], (tmp_path / "rows.jsonl").stat().st_size
    while found := file.before(at):
        backwards.append(found)
        at = found[0]
    assert backwards[::-1] == forwards
    assert file.row(forwards[3][0]) == rows[3]


def test_filters_and_bounds(tmp_path, rows):
    file = write(tmp_path / "rows.jsonl", rows)
    odd = file.page(keep=lambda row: row["at"] == 1, most=1000)
    assert [row for _, row in odd.rows] == [row for row in rows if row["at"] == 1]
    step = file.page(file.seek(7), most=100, until=lambda line: step_of(line) > 7)
    assert {row["step"] for _, row in step.rows} == {7}
    short = file.page(most=1000, budget=5000)
    assert 0 < len(short.rows) < len(rows)
    assert file.page(short.after, most=1).rows[0][1] == rows[len(short.rows)]
    assert file.page(contains=(b'"step": 7,',), most=9).rows == step.rows
    assert file.before(file.seek(7), keep=lambda row: row["step"] == 3)[1]["step"] == 3


def test_damaged_lines_are_counted_and_passed_over(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\nrubbish\n\xff\xfe\n[1, 2]\n\n' + b"[" * 100_000 + b'\n{"step": 2}\n')
    file = RowFile(path)
    page = file.page()
    assert [row["step"] for _, row in page.rows] == [1, 2]
    assert page.faults == 5
    assert file.steps() == (1, 2)
    with pytest.raises(RunError, match="no whole row"):
        file.row(12)
    with pytest.raises(RunError, match="begins at byte 5"):
        file.row(5)


def test_a_file_that_is_not_there_or_empty_or_half_a_line(tmp_path):
    for content in (None, "", '{"step": 1'):
        path = tmp_path / "rows.jsonl"
        if content is not None:
            path.write_text(content)
        file = RowFile(path)
        assert file.steps() is None
        assert file.page().rows == []
        assert last_row(path) is None
        assert file.seek(3) == 0
        assert sampled_rows(path) == []


def test_what_is_long_is_left_out_without_being_mistaken(tmp_path):
    text = 'a trap: , "tokens": [1] and \\", "trace": {'
    row = {"step": 1, "response": text, "tokens": [1, 2], "credit": 0.5}
    file = write(tmp_path / "rows.jsonl", [row])
    assert file.page().rows[0][1] == {"step": 1, "response": text}
    assert file.row(0) == row


def test_a_picture_needs_few_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": step, "fill": "x" * 200} for step in range(1, 2001)])
    found = [row["step"] for row in sampled_rows(path, 10)]
    assert len(found) == 11
    assert found == sorted(found)
    assert (found[0], found[-1]) == (1, 2000)


def test_metrics_are_read_on_from_where_they_were(tmp_path):
    path, files = tmp_path / "metrics.jsonl", MetricsFiles()
    write(path, [{"step": 1, "a": 1.0, "name": "x"}, {"step": 2, "a": None, "b": 3}])
    found = files.get(path)
    assert found.names() == ["a", "b"]
    assert [v.tolist() for v in found.known("b")] == [[2.0], [3.0]]
    found.add({"step": 9, "a": 9.0})  # what a reader adds is the reader's own
    with path.open("a") as stream:
        stream.write('{"step": 3, "a": 5}\n{"step": 4, "a"')
    assert [v.tolist() for v in files.get(path).known("a")] == [[1.0, 3.0], [1.0, 5.0]]
    with path.open("a") as stream:
        stream.write(": 6}\nrubbish\n")
    again = files.get(path)
    assert again.steps == [1.0, 2.0, 3.0, 4.0]
    assert again.faults == 1
    write(path, [{"step": 1, "a": 7.0}])
    assert files.get(path).steps == [1.0]
