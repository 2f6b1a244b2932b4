"""The effect of a treatment on an outcome, with its error: of corrected predictions, or with labels in the trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pilothouse.decisions.arrays import InputError, binary, same_length, vector
from pilothouse.decisions.contrasts import Contrast, bootstrap_ratios, contrast, unit_weights
from pilothouse.decisions.measures import percentile


@dataclass(frozen=True)
class Effect:
    """An estimated effect with its error.

    Args:
        estimate: the effect, in the outcome's unit.
        se: standard error over all that was resampled.
        low: lower end of the percentile interval.
        high: upper end.
        level: the interval's coverage.
        n: units of the trial.
        estimator: "diff", "ht", "hajek" or "ppi".
        naive: the same estimate of the predictions as they are.
        sampling_se: spread over resampled units.
        calibration_se: spread over resampled calibration pairs; NaN where they were not given.
        warnings: what speaks against it, each a sentence.
    """

    estimate: float
    se: float
    low: float
    high: float
    level: float
    n: int
    estimator: str
    naive: float
    sampling_se: float
    calibration_se: float = math.nan
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return asdict(self)


def estimate(
    found: Contrast,
    values: np.ndarray,
    naive: np.ndarray,
    draws: np.ndarray,
    level: float = 0.95,
    doubts: Sequence[str] = (),
) -> Effect:
    """Return the effect on outcomes, with the error that its resamples show.

    Args:
        found: the estimator.
        values: [n] outcomes.
        naive: [n] outcomes as they were before a correction.
        draws: [resamples] from ``found.draws``.
        level: the interval's coverage.
        doubts: sentences to carry along.
    """
    drawn = draws[np.isfinite(draws)]
    spread, ends = float(drawn.std(ddof=1)), percentile(drawn, level)
    size = len(values)
    return Effect(
        found.of(values), spread, *ends, level, size, found.name, found.of(naive), spread, warnings=tuple(doubts)
    )


def with_calibration(effect: Effect, draws: np.ndarray, moved: np.ndarray) -> Effect:
    """Return an effect whose error also counts that the correction was learnt from few pairs.

    The deviations of the two bootstraps are independent and add up.

    Args:
        effect: the effect with the error of the units alone.
        draws: [resamples] it over resampled units.
        moved: [m] it under corrections learnt from resampled pairs; NaN where none could be learnt.
    """
    known, doubts = moved[np.isfinite(moved)], effect.warnings
    if lost := len(moved) - len(known):
        doubts = (*doubts, f"{lost} of {len(moved)} resamples of the calibration pairs could not be fitted")
    if len(known) < 2:
        return replace(effect, calibration_se=math.inf, se=math.inf, low=-math.inf, high=math.inf, warnings=doubts)
    drawn = draws[np.isfinite(draws)]
    both = drawn + np.resize(known - known.mean(), len(drawn))
    spread = float(known.std(ddof=1))
    low, high = percentile(both, effect.level)
    total = math.hypot(effect.sampling_se, spread)
    return replace(effect, se=total, low=low, high=high, calibration_se=spread, warnings=doubts)


def ppi_effect(
    pred: Any,
    treatment: Any,
    labels: Any,
    weights: Any = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    rng: np.random.Generator,
) -> Effect:
    """Return the prediction-powered effect: by arm, mean of unlabelled predictions plus mean of labelled (y - yhat).

    An arm whose units are all labelled gets the mean of its labels.

    Args:
        pred: [n] predictions.
        treatment: [n] 0 or 1.
        labels: [n] truths of the units that were labelled; NaN for the others.
        weights: [n] weights of the units.
        level: the interval's coverage.
        resamples: bootstrap resamples of units.
        rng: draws them.

    Raises:
        InputError: columns do not fit together, or an arm has no labelled unit.

    Source: Angelopoulos et al. 2023, arXiv 2301.09633.
    """
    v, y = vector(pred, "predictions"), vector(labels, "labels", missing=True)
    treated = binary(treatment, "treatment")
    w = np.ones(len(v)) if weights is None else unit_weights(weights, treated)
    same_length({"predictions": v, "treatment": treated, "labels": y, "weights": w})
    known, plain = ~np.isnan(y), contrast("diff", treated)
    terms: list[tuple[int, np.ndarray, np.ndarray]] = []
    for sign, arm in ((1, treated == 1), (-1, treated == 0)):
        labelled, other = w * (arm & known), w * (arm & ~known)
        if not labelled.sum() > 0:
            raise InputError(f"no {'treated' if sign > 0 else 'untreated'} unit has a label: label some in both arms")
        rest = np.where(known, y, 0.0) - (v if other.any() else 0.0)
        terms += [(sign, labelled * rest, labelled)]
        terms += [(sign, other * v, other)] if other.any() else []
    found = sum(sign * above.sum() / below.sum() for sign, above, below in terms)
    draws = bootstrap_ratios(terms, rng, resamples)
    drawn = draws[np.isfinite(draws)]
    spread, ends = float(drawn.std(ddof=1)), percentile(drawn, level)
    return Effect(float(found), spread, *ends, level, len(v), "ppi", plain.of(v), spread, warnings=plain.doubts)
