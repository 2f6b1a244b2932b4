"""Mediation: how much of a treatment's effect on a decision passes through what was said on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pilothouse.core.errors import DataError
from pilothouse.decisions.measures import Measure, percentile

_BLOCK = 1 << 24  # numbers held at a time while resampling


@dataclass(frozen=True)
class Mediation:
    """An effect split into what passes through mediators and what does not.

    Args:
        total: c of Y ~ 1 + X.
        direct: c' of Y ~ 1 + X + m.
        indirect: c - c'.
        paths: [K] a_k b_k, what passes through each mediator; they add up to ``indirect``.
        proportion: |(c - c') / c|; it means nothing where c is near 0, and may then exceed 1.
        rank: rank of the design matrix.
        columns: its columns, K + 2; a lower rank says that mediators are constant or depend on one another.
        dropped: rows left out because a figure was missing.
    """

    total: Measure
    direct: Measure
    indirect: Measure
    paths: np.ndarray
    proportion: float
    rank: int
    columns: int
    dropped: int


def mediation(
    treatment: np.ndarray,
    outcome: np.ndarray,
    mediators: np.ndarray,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 5000,
) -> Mediation:
    """Return total, direct and indirect effect by least squares, with percentile bootstrap intervals over rows.

    Args:
        treatment: [rows] X, such as 0 and 1 for two variants of a text.
        outcome: [rows] Y, the decision.
        mediators: [rows, K] presence of each cluster of sentences.
        rng: draws the rows of the resamples.
        level: coverage.
        resamples: bootstrap resamples.

    Raises:
        DataError: the arrays do not fit together, no row is complete, or the treatment is the same in all rows.

    Source: Thought Branches, arXiv 2510.27484; resume_analysis of its official code.
    """
    x, y, m, dropped = _complete(treatment, outcome, mediators)
    design = np.column_stack([np.ones(len(x)), x, m])
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    a = _slopes(x, m)
    total, direct = float(_slopes(x, y[:, None])[0]), float(solution[1])
    draws = _resampled(design, y, rng, resamples)

    def measure(value: float, drawn: np.ndarray) -> Measure:
        return Measure(value, *percentile(drawn, level), len(x), level)

    proportion = abs((total - direct) / total) if total else math.nan
    return Mediation(
        total=measure(total, draws[:, 0]),
        direct=measure(direct, draws[:, 1]),
        indirect=measure(total - direct, draws[:, 0] - draws[:, 1]),
        paths=a * solution[2:],
        proportion=proportion,
        rank=int(rank),
        columns=design.shape[1],
        dropped=dropped,
    )


def _complete(
    treatment: np.ndarray, outcome: np.ndarray, mediators: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    x, y, m = (np.asarray(array, dtype=float) for array in (treatment, outcome, mediators))
    if x.ndim != 1 or y.shape != x.shape or m.ndim != 2 or len(m) != len(x):
        raise DataError(
            f"mediation needs a treatment and an outcome a row and a table of mediators, not arrays of shapes "
            f"{x.shape}, {y.shape} and {m.shape}"
        )
    whole = np.isfinite(np.column_stack([x, y, m])).all(axis=1)
    x, y, m = x[whole], y[whole], m[whole]
    if not len(x) or (x == x[0]).all():
        raise DataError(
            f"all {len(x)} complete rows have the same treatment, so there is no effect to split: "
            "give rows of both kinds"
        )
    return x, y, m, int((~whole).sum())


def _slopes(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return [K] slopes of columns ~ 1 + x."""
    centred = x - x.mean()
    return centred @ columns / (centred @ centred)


def _resampled(design: np.ndarray, y: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Return [resamples, 2] total and direct effect of rows drawn with replacement.

    A resample is a weighting of the rows, so its normal equations are weighted sums of the rows' outer products; the
    pseudo-inverse takes the shortest solution where mediators are collinear, as least squares does.
    """
    rows, columns = design.shape
    table = np.column_stack([design, y])
    products = np.einsum("ri,rj->rij", table, table).reshape(rows, -1)
    block = max(1, _BLOCK // max(rows, (columns + 1) ** 2))
    found = list[np.ndarray]()
    for done in range(0, resamples, block):
        size = min(block, resamples - done)
        weights = rng.multinomial(rows, np.full(rows, 1 / rows), size=size).astype(float)
        sums = (weights @ products).reshape(size, columns + 1, columns + 1)
        inner, right = sums[:, :columns, :columns], sums[:, :columns, columns]
        direct = np.einsum("bi,bi->b", np.linalg.pinv(inner, rcond=1e-10, hermitian=True)[:, 1], right)
        small = np.linalg.pinv(inner[:, :2, :2], rcond=1e-12, hermitian=True)
        total = np.einsum("bi,bi->b", small[:, 1], right[:, :2])
        found.append(np.column_stack([total, direct]))
    return np.concatenate(found)
