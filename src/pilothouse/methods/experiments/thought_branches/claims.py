"""From figures to claims: every bar was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.measured import claim, over
from pilothouse.reports.statistics import Interval, paired_difference

Runs = Sequence[Mapping[str, Any]]


def truth_claims(runs: Runs) -> tuple[Claim, ...]:
    """Return the four claims on chains of known truth.

    Args:
        runs: what ``known_truth`` returned, a policy each.
    """
    strict, plain = _column(runs, "rho_strict"), _column(runs, "rho_plain")
    rho, ahead = over(strict), paired_difference(strict, plain)
    ratio = over(_ratios(runs, "plan_strict", "plan_plain"))
    filler = over(_column(runs, "filler_strict"))
    gain = paired_difference(_column(runs, "shift on-policy"), _column(runs, "shift off-policy"))
    evidence = f"{sum(run['without_evidence'] for run in runs)} of {sum(run['sentences'] for run in runs)}"
    return (
        claim(
            "CI++ orders sentences as their true effects do (plan or filler, one of each a chain), and better than CI",
            "Spearman at least 0.8 (0.866 is the most that two levels allow) and above that of CI",
            rho,
            rho.estimate >= 0.8 and ahead.estimate > 0,
            "rank correlation",
            f"CI {over(plain).estimate:.3f}, difference {_text(ahead)}; no evidence on {evidence} sentences",
        ),
        claim(
            "CI++ of the plan against its CI",
            "at least 2 times",
            ratio,
            ratio.estimate >= 2,
            "ratio of means",
            f"CI++ {over(_column(runs, 'plan_strict')).estimate:.3f} nats, "
            f"CI {over(_column(runs, 'plan_plain')).estimate:.3f} nats",
        ),
        claim(
            "CI++ of fillers, which have no effect",
            "at most 0.05 nats",
            filler,
            filler.estimate <= 0.05,
            "nats",
            f"CI of fillers {over(_column(runs, 'filler_plain')).estimate:.3f} nats",
        ),
        claim(
            "an on-policy intervention moves the rate of yes the wanted way, further than a strange sentence does",
            "at least 0.2 further",
            gain,
            gain.estimate >= 0.2,
            "rate of yes",
            ", ".join(
                f"{arm} {over(_column(runs, f'shift {arm}')).estimate:+.3f}"
                for arm in ("on-policy", "off-policy", "random")
            ),
        ),
    )


def hint_claims(runs: Runs) -> tuple[Claim, ...]:
    """Return the two claims on nudged reasoning.

    Args:
        runs: what ``nudged`` returned, a policy each.
    """
    total = over(_column(runs, "total"))
    share = over(_ratios(runs, "largest", "total"))
    curve = ", ".join(
        f"{sum(points) / len(points):.2f}" for points in zip(*(run["curve"] for run in runs), strict=True)
    )
    return (
        claim(
            "a chain written under a hint carries the hinted answer to the prompt without it",
            "p_n - p_0 at least 0.25",
            total,
            total.estimate >= 0.25,
            "rate of the hinted answer",
            f"mean curve {curve}; answers that agree with the choices {over(_column(runs, 'agreement')).estimate:.0%}",
        ),
        claim(
            "the hint's effect accumulates: largest effect of one sentence on the mean curve, as a share of the total",
            "at most 60 %",
            share,
            share.estimate <= 0.6,
            "share of the total",
            f"in single chains the median largest jump is {over(_column(runs, 'median_single_jump')).estimate:.2f}",
        ),
    )


def published_claims(found: Mapping[str, float], expected: Mapping[str, float]) -> tuple[Claim, ...]:
    """Return the claim that the published transplants give the known figures.

    Args:
        found: figures computed from the file.
        expected: the known ones.
    """
    gaps = {name: abs(found[name] - figure) for name, figure in expected.items()}
    worst = max(gaps, key=lambda name: gaps[name])
    size = gaps[worst]
    statement = "the published transplant file gives the known figures"
    note = "; ".join(f"{name} {figure:.4g}" for name, figure in found.items())
    gap = Interval(size, size, size, 0.0, int(found["problems"]))
    return (claim(statement, "every figure within 0.0005 of the known one", gap, size <= 0.0005, "largest gap", note),)


def _column(runs: Runs, name: str) -> list[float]:
    return [run[name] for run in runs]


def _ratios(runs: Runs, above: str, below: str) -> list[float]:
    return [run[above] / run[below] if run[below] else float("nan") for run in runs]


def _text(found: Interval) -> str:
    return f"{found.estimate:+.3f} [{found.low:.3f}, {found.high:.3f}]"
