"""The split of an effect is exact; on the resume data it gives the published code's figures."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.core.errors import DataError
from pilothouse.decisions.mediation import mediation


def rows(seed: int, n: int = 200, k: int = 5):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, n).astype(float)
    m = (rng.random((n, k)) < 0.3 + 0.3 * x[:, None] * np.linspace(0, 1, k)).astype(float)
    y = 0.2 * x + m @ np.linspace(-0.5, 0.5, k) + rng.normal(0, 0.1, n)
    return x, y, m


@given(st.integers(0, 500))
def test_total_is_direct_plus_the_paths(seed):
    x, y, m = rows(seed, n=60)
    if len(set(x)) < 2:
        return
    found = mediation(x, y, m, rng=np.random.default_rng(0), resamples=5)
    assert found.total.value == pytest.approx(found.direct.value + found.paths.sum(), abs=1e-10)
    assert found.indirect.value == pytest.approx(found.paths.sum(), abs=1e-10)


def test_golden_by_hand():
    # y = m exactly, and m follows x in three of four rows: everything is mediated
    x, m = np.array([0, 0, 0, 0, 1, 1, 1, 1.0]), np.array([0, 0, 0, 1, 1, 1, 1, 0.0])
    found = mediation(x, m, m[:, None], rng=np.random.default_rng(0), resamples=200)
    assert found.total.value == pytest.approx(0.5)
    assert found.direct.value == pytest.approx(0, abs=1e-12)
    assert found.proportion == pytest.approx(1)
    assert (found.rank, found.columns, found.total.n) == (3, 3, 8)


def test_bootstrap_agrees_with_refitting_the_resampled_rows():
    x, y, m = rows(1)
    found = mediation(x, y, m, rng=np.random.default_rng(2), resamples=400)
    draws = np.random.default_rng(5)
    direct = []
    for _ in range(400):
        at = draws.integers(len(x), size=len(x))
        design = np.column_stack([np.ones(len(x)), x[at], m[at]])
        direct.append(np.linalg.lstsq(design, y[at], rcond=None)[0][1])
    assert found.direct.low == pytest.approx(np.quantile(direct, 0.025), abs=0.01)
    assert found.direct.high == pytest.approx(np.quantile(direct, 0.975), abs=0.01)
    assert found.direct.low < 0.2 < found.direct.high


def test_collinear_mediators_are_reported_and_change_nothing():
    x, y, m = rows(2)
    plain = mediation(x, y, m, rng=np.random.default_rng(0), resamples=50)
    twice = mediation(x, y, np.column_stack([m, m[:, :1], np.ones(len(x))]), rng=np.random.default_rng(0), resamples=50)
    assert (twice.rank, twice.columns) == (plain.rank, plain.columns + 2)
    assert twice.direct.value == pytest.approx(plain.direct.value)
    assert twice.direct.low == pytest.approx(plain.direct.low)
    assert twice.total == plain.total


def test_incomplete_rows_are_left_out_and_counted():
    x, y, m = rows(3)
    y[4], m[7, 2] = np.nan, np.nan
    found = mediation(x, y, m, rng=np.random.default_rng(0), resamples=5)
    assert (found.dropped, found.total.n) == (2, 198)
    with pytest.raises(DataError, match="all 3 complete rows have the same treatment"):
        mediation(np.ones(3), y[:3], m[:3], rng=np.random.default_rng(0))
    with pytest.raises(DataError, match=r"arrays of shapes \(3,\), \(2,\)"):
        mediation(np.ones(3), y[:2], m[:3], rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("resume", "n", "effects"),
    [
        (0, 999, (-0.0652, -0.0053, -0.0599)),
        (39, 1000, (-0.1400, -0.1410, 0.0010)),
        (69, None, (-0.0760, -0.0624, -0.0136)),
    ],
)
def test_published_resumes(resume, n, effects):
    folder = Path(os.environ.get("PILOTHOUSE_DATA", "../shared/data"))
    name = f"sentence_basic_16_True_{resume}.csv"
    paths = sorted(folder.glob(f"**/{name}")) if folder.is_dir() else []
    if not paths:
        pytest.skip(f"{name} of interp-reasoning/thought-branches is not here; set PILOTHOUSE_DATA to its folder")
    with paths[0].open() as stream:
        table = [row for row in csv.DictReader(stream) if row["variant"] in ("1", "2")]

    def column(key: str) -> np.ndarray:
        return np.array([float(row[key]) if row[key] else np.nan for row in table])

    m = np.column_stack([column(f"x_{k}") for k in range(16)])
    found = mediation(column("variant"), column("decision"), m, rng=np.random.default_rng(0))
    assert n is None or found.total.n == n
    measured = (found.total.value, found.direct.value, found.indirect.value)
    assert measured == pytest.approx(effects, abs=5e-5)
