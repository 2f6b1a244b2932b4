"""How a gate fares: false alarms, recall, cost, and all of it over a grid of costs and margins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pilothouse.decisions.arrays import binary, probabilities, same_length
from pilothouse.decisions.gate import CostGate

RATIO = 32.0  #: AUDBC sweeps C_FA / C_FN over 1/32 to 32


@dataclass(frozen=True)
class Fared:
    """How decisions fared against labels.

    An offer that was accepted is a true positive, one that was rejected a false positive; silence where an offer was
    needed and would have been accepted is a false negative.

    Args:
        cost: realised cost an event.
        false_alarm: rejected offers among those made, 1 - precision; 0 when none was made. It is a share of offers, not
            the false-positive rate of other literature.
        precision: accepted offers among those made; NaN when none was made.
        recall: accepted offers among the events that wanted one; NaN when none did.
        f1: 2 TP / (2 TP + FP + FN); NaN when all three are 0.
        offers: share of events with an offer.
        benefit: share of the events where help was needed and acceptable that were served; NaN when there are none.
        burden: rejected offers an event.
        n: events.
    """

    cost: float
    false_alarm: float
    precision: float
    recall: float
    f1: float
    offers: float
    benefit: float
    burden: float
    n: int


def fared(shown: Any, y_need: Any, y_acc: Any, gate: CostGate) -> Fared:
    """Return how decisions fared.

    Args:
        shown: [n] whether an offer was made.
        y_need: [n] whether help was needed.
        y_acc: [n] whether the offer was, or would have been, accepted.
        gate: whose costs count.

    Raises:
        InputError: something is not 0 or 1 (the rows are named), or lengths differ.
    """
    cost = gate.realised(shown, y_need, y_acc)
    spoke, need, acc = (binary(each, "labels") == 1 for each in (shown, y_need, y_acc))
    hits, alarms = int((spoke & acc).sum()), int((spoke & ~acc).sum())
    wanted = need & acc
    misses = int((wanted & ~spoke).sum())
    precision = hits / (hits + alarms) if hits + alarms else math.nan
    return Fared(
        cost=float(cost.mean()),
        false_alarm=1 - precision if hits + alarms else 0.0,
        precision=precision,
        recall=hits / (hits + misses) if hits + misses else math.nan,
        f1=2 * hits / (2 * hits + alarms + misses) if hits + alarms + misses else math.nan,
        offers=float(spoke.mean()),
        benefit=float((wanted & spoke).sum() / wanted.sum()) if wanted.any() else math.nan,
        burden=alarms / len(spoke),
        n=len(spoke),
    )


def gate_sweep(
    p_need: Any,
    p_acc: Any,
    y_need: Any,
    y_acc: Any,
    cost_grid: Sequence[tuple[float, float]],
    *,
    slow: tuple[Any, Any] | None = None,
    deltas: Sequence[float] = (0.1,),
) -> list[dict[str, float]]:
    """Return how the gate fares at every pair of costs, and at every margin where there are slow estimates.

    Args:
        p_need: [n] chances that help is needed.
        p_acc: [n] chances that an offer is accepted.
        y_need: [n] whether help was needed.
        y_acc: [n] whether an offer was, or would have been, accepted.
        cost_grid: pairs (C_FA, C_FN).
        slow: [n] and [n] slow estimates of all events; those of events near the threshold are used.
        deltas: margins to try with them.

    Returns:
        A row for each pair (and margin): c_fa, c_fn, delta, slow_share, the figures of ``Fared``, and the cost of
        always and of never speaking.

    Raises:
        InputError: something is not a probability, a label or a cost (the rows are named), or lengths differ.
    """
    need, acc = probabilities(p_need, "p_need"), probabilities(p_acc, "p_acc")
    same_length({"p_need": need, "p_acc": acc})
    slow_need, slow_acc = (need, acc) if slow is None else (probabilities(each, "slow") for each in slow)
    same_length({"p_need": need, "slow p_need": slow_need, "slow p_acc": slow_acc})
    rows: list[dict[str, float]] = []
    for c_fa, c_fn in cost_grid:
        gate = CostGate(c_fa, c_fn)
        always = float(gate.realised(np.ones(len(need)), y_need, y_acc).mean())
        never = float(gate.realised(np.zeros(len(need)), y_need, y_acc).mean())
        near = np.abs(gate.margin(need, acc))
        for delta in (0.0,) if slow is None else deltas:
            asked = near <= delta if slow is not None else np.zeros(len(need), dtype=bool)
            speak = gate.decide(np.where(asked, slow_need, need), np.where(asked, slow_acc, acc))
            figures = asdict(fared(speak, y_need, y_acc, gate))
            where = {"c_fa": float(c_fa), "c_fn": float(c_fn), "delta": float(delta), "slow_share": float(asked.mean())}
            rows.append({**where, **figures, "always": always, "never": never})
    return rows


def audbc(p_need: Any, p_acc: Any, y_need: Any, y_acc: Any, points: int = 101) -> float:
    """Return the area under benefit against burden as C_FA / C_FN sweeps 1/32 to 32; 1 is best, 0.5 is chance.

    Benefit is the share of needed and acceptable events that are served, burden the rejected offers as a share of those
    of always speaking. Never (0, 0) and always (1, 1) are the curve's ends, between which it is joined by straight
    lines. NaN where no event is of either kind. The definition is reconstructed: the paper reports the figure alone.

    Args:
        p_need: [n] chances that help is needed.
        p_acc: [n] chances that an offer is accepted.
        y_need: [n] whether help was needed.
        y_acc: [n] whether an offer was, or would have been, accepted.
        points: ratios tried.

    Raises:
        InputError: as ``gate_sweep``.
    """
    need, acc = probabilities(p_need, "p_need"), probabilities(p_acc, "p_acc")
    y, took = binary(y_need, "y_need") == 1, binary(y_acc, "y_acc") == 1
    same_length({"p_need": need, "p_acc": acc, "y_need": y, "y_acc": took})
    # An event is spoken to as long as C_FA / C_FN is at most p_need p_acc / (1 - p_acc).
    limit = np.divide(need * acc, 1 - acc, out=np.full(len(acc), np.inf), where=acc < 1)
    wanted, rejected = np.sort(limit[y & took]), np.sort(limit[~took])
    if not len(wanted) or not len(rejected):
        return math.nan
    ratios = np.geomspace(RATIO, 1 / RATIO, points)
    benefit, burden = (1 - np.searchsorted(limits, ratios) / len(limits) for limits in (wanted, rejected))
    return float(np.trapezoid([0.0, *benefit, 1.0], [0.0, *burden, 1.0]))
