"""How estimated effects go with true ones over many trials: slope, intercept, error, and a test of slope 1."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pilothouse.core.errors import ConfigError
from pilothouse.decisions.arrays import InputError, same_length, vector


@dataclass(frozen=True)
class EffectSlope:
    """Least squares of estimated on true effects.

    Args:
        slope: 1 where effects are neither shrunk nor blown up.
        intercept: the estimate where there is no effect.
        mae: mean absolute error of the estimates.
        p_value: of the F-test of slope 1 and intercept 0; NaN for estimates that lie on a line.
        n: trials.
    """

    slope: float
    intercept: float
    mae: float
    p_value: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return asdict(self)


def effect_slope(true: Any, estimated: Any) -> EffectSlope:
    """Return how estimates go with what is true.

    Args:
        true: [n] true effects of n trials, at least 3, not all equal.
        estimated: [n] estimates.

    Raises:
        InputError: there are too few trials, the true effects are all equal, or something is not finite.
        ConfigError: scipy is not installed.
    """
    x, y = vector(true, "true effects"), vector(estimated, "estimated effects")
    n = same_length({"true effects": x, "estimated effects": y})
    if n < 3 or not np.ptp(x) > 0:
        raise InputError(f"{n} trials with {len(np.unique(x))} true effects: a slope needs at least 3 that differ")
    slope, intercept = np.polyfit(x, y, 1)
    left = float(((y - slope * x - intercept) ** 2).sum())
    under = float(((y - x) ** 2).sum())
    exact = left <= 1e-24 * max(float((y**2).sum()), 1e-300)
    p = math.nan if exact else _beyond((under - left) / 2 / (left / (n - 2)), n - 2)
    return EffectSlope(float(slope), float(intercept), float(np.abs(y - x).mean()), p, n)


def _beyond(f: float, freedom: int) -> float:
    """The probability that F with 2 and some degrees of freedom is beyond f."""
    try:
        from scipy.special import fdtrc
    except ModuleNotFoundError:
        raise ConfigError("an F-test needs scipy; install it with: pip install 'pilothouse[decisions]'") from None
    return float(fdtrc(2, freedom, max(f, 0.0)))
