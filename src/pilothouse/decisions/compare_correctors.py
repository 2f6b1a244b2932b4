"""Which corrector suits a calibration split: cross-validated contrasts within it, a recommendation and its reason."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.arrays import InputError
from pilothouse.decisions.correction import Correction, calibration_pairs, varied
from pilothouse.decisions.corrections import CORRECTIONS

#: Where the two cuts of a contrast are drawn from: quantiles of the predictions.
LOWER, UPPER = (0.05, 0.35), (0.65, 0.95)


@dataclass(frozen=True)
class Compared:
    """How a corrector did on contrasts between high and low predictions.

    Args:
        corrector: its name.
        mae: mean absolute error of single corrected predictions.
        rmse: their root mean squared error.
        bias: mean error of the contrast.
        slope: of estimated on true contrasts; 1 is right.
        contrast_rmse: root mean squared error of the contrast.
        warnings: how many sentences it had to say at its fits, at most.
        score: ``|slope - 1| + rmse / std(y) + 0.5 mae / std(y) + 0.05 warnings``; lower is better.
    """

    corrector: str
    mae: float
    rmse: float
    bias: float
    slope: float
    contrast_rmse: float
    warnings: int
    score: float


@dataclass(frozen=True)
class Comparison:
    """All correctors beside each other.

    Args:
        rows: one a corrector.
        recommended: "linear" or "tweedie". Nothing is switched on its account.
        reason: why, in a sentence.
        n: calibration pairs.
    """

    rows: tuple[Compared, ...]
    recommended: str
    reason: str
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        return asdict(self)


def compare_correctors(X: Any, y: Any, folds: int = 5, draws: int = 100, seed: int = 0) -> Comparison:
    """Return how each corrector does on contrasts within the calibration split, and which to take.

    Each fold is corrected by what the others teach. A contrast is the difference of means between units whose
    predictions are above a high quantile and units below a low one; its truth is known.

    Args:
        X: [n] predictions of the calibration split.
        y: [n] truths.
        folds: parts, shuffled.
        draws: contrasts a fold.
        seed: root of the shuffle and of the cuts.

    Raises:
        InputError: the pairs cannot be used, or there are fewer than 5 a fold.

    Source: One Map, Many Trials, arXiv 2508.01341, and its library's rules of comparison.
    """
    pred, true = calibration_pairs(X, y)
    varied(pred, "predictions")
    varied(true, "truths")
    if folds < 2 or len(pred) < 5 * folds:
        raise InputError(f"{len(pred)} pairs in {folds} folds: give at least 2 folds and 5 pairs a fold")
    rng = (SeedTree(seed) / "compare").numpy()
    parts = np.array_split(rng.permutation(len(pred)), folds)
    cuts = [np.column_stack([rng.uniform(*LOWER, draws), rng.uniform(*UPPER, draws)]) for _ in parts]
    rows = tuple(_compared(name, pred, true, parts, cuts) for name in CORRECTIONS)
    linear, tweedie = rows[0], rows[1]
    best, other = (linear, tweedie) if linear.score <= tweedie.score else (tweedie, linear)
    reason = (
        f"{best.corrector} scores {best.score:.3f}, {other.corrector} {other.score:.3f} (lower is better): slope "
        f"{best.slope:.2f} and {other.slope:.2f}, error of a prediction {best.rmse:.3g} and {other.rmse:.3g}, warnings "
        f"{best.warnings} and {other.warnings}"
    )
    return Comparison(rows, best.corrector, reason, len(pred))


def _compared(
    name: str, pred: np.ndarray, true: np.ndarray, parts: list[np.ndarray], cuts: list[np.ndarray]
) -> Compared:
    errors: list[np.ndarray] = []
    contrasts: list[tuple[float, float]] = []
    most = 0
    for part, cut in zip(parts, cuts, strict=True):
        rest = np.setdiff1d(np.arange(len(pred)), part)
        corrected, said = _corrected(CORRECTIONS[name](), pred[rest], true[rest], pred[part])
        most = max(most, said)
        errors.append(corrected - true[part])
        for low, high in np.quantile(pred[part], cut):
            below, above = pred[part] <= low, pred[part] >= high
            contrasts.append((_contrast(true[part], above, below), _contrast(corrected, above, below)))
    truth, found = np.array(contrasts).T
    error, off, spread = np.concatenate(errors), found - truth, float(true.std())
    slope = float(np.polyfit(truth, found, 1)[0])
    mae, rmse = float(np.abs(error).mean()), float(np.sqrt((error**2).mean()))
    score = abs(slope - 1) + rmse / spread + 0.5 * mae / spread + 0.05 * most
    return Compared(name, mae, rmse, float(off.mean()), slope, float(np.sqrt((off**2).mean())), most, score)


def _corrected(corrector: Correction, pred: np.ndarray, true: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, int]:
    """Corrected predictions, and how many sentences the fit had to say; they are counted and not told again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        corrector.fit(pred, true)
        return corrector.transform(target), len(corrector.diagnostics["warnings"])


def _contrast(values: np.ndarray, above: np.ndarray, below: np.ndarray) -> float:
    return float(values[above].mean() - values[below].mean())
